# SPDX-License-Identifier: Apache-2.0
"""The agent's TCP port: listening on it, and who has it."""

import errno
import http.client
import json
import os
import socket
from contextlib import closing, suppress
from threading import Timer
from typing import TYPE_CHECKING, Final

from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.i18n import text

if TYPE_CHECKING:
    import psutil

PORT: Final = 61161
"""The port that existing web sites ask."""
PROCESS_NAME: Final = "xca-agent"
"""The name of the agent's process, also in the history of a card (xcactl events)."""

_SECONDS: Final = 5.0  # an agent on a busy computer may be slow
_FAMILIES: Final = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
_NO_IPV6: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def port_words(port: int) -> str:
    """Return the option that a command needs to reach the agent on a port; it begins with a blank."""
    return "" if port == PORT else f" --port {port}"


def listen(port: int) -> list[socket.socket]:
    """Listen on a port of 127.0.0.1 and, where there is IPv6, of ::1; nowhere else.

    Args:
        port: 0 takes any free port.

    Raises:
        PortTaken: another program has the port.
    """
    sockets: list[socket.socket] = []
    for address, family in _FAMILIES.items():
        try:
            sockets.append(socket.create_server((address, port), family=family, backlog=1024))
        except OSError as error:
            if sockets and error.errno in _NO_IPV6:
                break
            for bound in sockets:
                bound.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise errors.PortTaken(port=port, holder=_holder(port)) from error
        # Accepted connections inherit it. Without it the body of every answer waits 40 ms for the head's ACK.
        sockets[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = sockets[0].getsockname()[1]
    return sockets


def check_free(port: int) -> None:
    """Check that an agent could listen on a port.

    Raises:
        PortTaken: another program does.
    """
    for bound in listen(port):
        bound.close()


def agent_at(port: int) -> str | None:
    """Return the version of the agent on a port; None: no program listens there.

    Raises:
        PortTaken: another program listens on one of the addresses.
    """
    versions = [_agent_at(address, port) for address in _FAMILIES]
    return next(filter(None, versions), None)


def _agent_at(address: str, port: int) -> str | None:
    with closing(http.client.HTTPConnection(address, port, timeout=_SECONDS)) as connection:
        try:
            connection.connect()
        except OSError:
            return None
        # The timeout is for each piece; whoever answers in many is another program, and is not waited for.
        end = Timer(_SECONDS, _hang_up, [connection.sock])
        end.start()
        try:
            connection.request("GET", "/agent.json", headers={"Host": f"localhost:{port}"})
            about = json.loads(connection.getresponse().read(1000))
            if about["name"] == "xca-plugin":
                return str(about["version"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
            pass  # another program
        finally:
            end.cancel()
    raise errors.PortTaken(port=port, holder=_holder(port))


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)


def own_agent(port: int) -> "psutil.Process | None":
    """Return the process of the agent on a port; None: no program listens there.

    Raises:
        PortTaken: another program listens there, or another user's agent.
        ModuleNotFoundError: the extra `agent` is not installed.
    """
    import psutil

    if agent_at(port) is None:
        return None
    process = _listener(port)
    with suppress(psutil.Error):  # it has ended, or is another user's
        if process and process.uids().real == os.getuid() and process.name() == PROCESS_NAME:
            return process
    raise errors.PortTaken(port=port, holder=_holder(port))


def _holder(port: int) -> Text | str:
    """Return which program listens on a port. The system tells that only its owner and root."""
    try:
        import psutil  # from the extra `agent`, which xcactl alone does not need
    except ImportError:
        return text("another program")
    with suppress(psutil.Error):
        if process := _listener(port):
            return text("{name} (process {pid})").format(name=process.name(), pid=process.pid)
    return text("a program of another user")


def _listener(port: int) -> "psutil.Process | None":
    """Return the process that listens on a port; None: none does, or it is another user's."""
    import psutil

    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            with suppress(psutil.Error):
                return psutil.Process(connection.pid)
    return None
