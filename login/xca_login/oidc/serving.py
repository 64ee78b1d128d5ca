# SPDX-License-Identifier: Apache-2.0
"""The provider as a server: one process, or several that share the database."""

import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import uvicorn

from xca_common.errors import os_reason
from xca_common.extras import install_command
from xca_common.web.listening import listening_socket
from xca_login.errors import CannotListen, Misconfigured, StoreUnavailable
from xca_login.i18n import text
from xca_login.oidc import settings as oidc_settings
from xca_login.oidc.app import make_app
from xca_login.oidc.settings import BadSettings

_VARIABLE: Final = "XCA_OIDC_SETTINGS"
"""Names the file with the settings to the further processes."""


class ListensInTheOpen(Misconfigured):
    """Other machines would be answered without https."""

    host: str
    _message = text("At {host} other machines would be answered without https.")
    _next_step = text("Let it listen at 127.0.0.1, behind a web server; or give --certificate and --key.")


def serve(
    path: Path,
    host: str,
    port: int,
    workers: int,
    certificate: tuple[Path, Path] | None,
    say: Callable[[str], object],
) -> None:
    """Serve until the process is told to end.

    Args:
        path: the file with the settings.
        host: where to listen.
        port: likewise.
        workers: number of processes.
        certificate: files with the certificate and its key, in PEM; None: it speaks no https itself.
        say: is told where it listens.

    Raises:
        Misconfigured: with these settings it cannot serve.
        CannotListen: another program has the port, or the address is not this machine's.
    """
    if certificate is None and not _is_this_machine(host):
        raise ListensInTheOpen(host=host)
    for file in certificate or ():
        try:
            file.open("rb").close()
        except OSError as error:
            raise BadSettings(path=file, detail=os_reason(error)) from error
    _prepared(path)  # what is wrong is told before anything listens
    os.environ[_VARIABLE] = str(path.absolute())
    scheme = "http" if certificate is None else "https"
    shown = f"[{host}]" if ":" in host else host
    address = f"{scheme}://{shown}:{port}"
    try:
        bound = _bound(host, port)
    except OSError as error:
        raise CannotListen(address=address, detail=os_reason(error)) from error
    with bound as listening:
        say(text("The provider listens at {address}.").format(address=address)())
        if oidc_settings.read(path).lets_test_cards_in:
            say(text("Test cards are let in, and no others; anybody can make such a card.")())
        uvicorn.run(
            f"{__name__}:app",
            factory=True,
            host=host,
            port=port,
            fd=listening.fileno() if listening else None,
            workers=workers,
            ssl_certfile=certificate[0] if certificate else None,
            ssl_keyfile=certificate[1] if certificate else None,
            log_config=None,
            access_log=False,  # the addresses hold tokens of logouts
            proxy_headers=False,
            server_header=False,
            lifespan="off",
        )


def _bound(host: str, port: int) -> AbstractContextManager[socket.socket | None]:
    """Return a socket for uvicorn; None inside: it makes its own, where it takes no other (Windows)."""
    if not hasattr(socket, "AF_UNIX"):
        return nullcontext()
    return listening_socket(host, port)


def app() -> object:
    """Return the provider whose settings the environment names: what each process begins with."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    return _prepared(Path(os.environ[_VARIABLE]))


def _prepared(path: Path) -> object:
    try:
        return make_app(oidc_settings.read(path))
    except ModuleNotFoundError as error:
        needs = text("PostgreSQL needs a Python package that is not installed; install it: {command}")
        command = install_command("xca-login", "postgresql")
        raise BadSettings(path=path, detail=needs.format(command=command)) from error
    except StoreUnavailable as error:
        raise BadSettings(path=path, detail=text("the database cannot be reached")) from error
    except OSError as error:
        reason = os_reason(error)
        about = text("{name}: {detail}").format(name=error.filename, detail=reason)
        raise BadSettings(path=path, detail=about if error.filename else reason) from error


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
