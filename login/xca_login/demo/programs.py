# SPDX-License-Identifier: Apache-2.0
"""The programs of xca-plugin that are started for trials: softhsm-card, and xcactl with its agent."""

import os
import re
import secrets
import selectors
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from xca_common.harmless_text import harmless
from xca_login.errors import ProgramFailed, ProgramMissing
from xca_login.i18n import text

_SECONDS: Final = 120.0
"""How long one program may take."""
_END_SECONDS: Final = 10.0
_MOST_WORDS: Final = 2000  # of what a failed program said
_ADDRESS: Final = re.compile(r"http://localhost:\d+")
_CODE: Final = "XCA_DEMO_USER_CODE"
_PIN: Final = "XCA_DEMO_PIN"
_OWN: Final = re.compile("XCA_.*|PKCS11_.*|XDG_(CONFIG|DATA|STATE|CACHE)_HOME")
"""Variables that would lead the programs to the person's own cards and settings."""


@dataclass(frozen=True)
class DemoCard:
    """A card of the stand-in, activated.

    Attributes:
        number: card number.
        pin: its PIN.
        variables: the environment of programs that use it.
        pki: the folder with the test CA's certificates and list.
    """

    number: str
    pin: str = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    pki: Path

    @classmethod
    def issue(cls, folder: Path) -> Self:
        """Issue a card and activate it; all of it is in a folder.

        Raises:
            ProgramMissing, ProgramFailed: as run() of the package.
        """
        environment = folder / "card"
        variables = variables_for(folder, environment)
        code, pin = secrets.token_hex(5), "".join(secrets.choice("0123456789") for _ in range(8))
        for program in ("softhsm-card", "xcactl"):
            found(program)
        run(variables, "softhsm-card", "init")
        run(variables | {_CODE: code}, "softhsm-card", "issue", "--user-code", f"env:{_CODE}")
        (number,) = (one.name for one in (environment / "tokens").iterdir())
        sources = ("--user-code", f"env:{_CODE}", "--new-pin", f"env:{_PIN}")
        run(variables | {_CODE: code, _PIN: pin}, "xcactl", "activate", "--yes", *sources)
        run(variables, "softhsm-card", "publish", number)
        return cls(number, pin, variables, environment / "pki")

    @property
    def revocation_list(self) -> Path:
        """The file with the test CA's list (CRL)."""
        return self.pki / "complete.crl"

    def trust_folder(self, folder: Path) -> Path:
        """Make a folder with the certificates of the test CA and its root, and return it."""
        trusted = folder / "ca"
        trusted.mkdir()
        for name in ("ca.pem", "root.pem"):
            shutil.copy(self.pki / name, trusted / name)
        return trusted


class Component:
    """A running local component: `xcactl agent run`.

    Attributes:
        address: where it listens.
    """

    def __init__(self, process: "subprocess.Popen[str]", said: Path, address: str) -> None:
        self.address: Final = address
        self._process = process
        self._said = said

    @classmethod
    @contextmanager
    def running(cls, variables: Mapping[str, str], folder: Path, site: str) -> "Iterator[Component]":
        """Run one that trusts a site, until the end of the block.

        Args:
            variables: its environment, of variables_for().
            folder: for what it writes.
            site: the origin.

        Raises:
            ProgramMissing, ProgramFailed: as run() of the package.
        """
        settings = Path(variables["XDG_CONFIG_HOME"]) / "xca"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "trusted-sites").write_text(f"{site}\n", encoding="ascii")
        said = folder / "component.log"
        with said.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # a program of xca-plugin
                [found("xcactl"), "agent", "run", "--port", "0"],
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                errors="replace",
            )
        try:
            yield cls(process, said, _address(process, said))
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def wait(self) -> None:
        """Wait for its end.

        Raises:
            ProgramFailed: it ended.
        """
        self._process.wait()
        raise ProgramFailed(name="xcactl agent run", detail=said_in(self._said))


def _address(process: "subprocess.Popen[str]", said: Path) -> str:
    """Return the address that a component says when it listens."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(_SECONDS) else ""
    address = _ADDRESS.search(line)
    if address is None:
        raise ProgramFailed(name="xcactl agent run", detail=said_in(said))
    return address[0]


def variables_for(folder: Path, cards: Path) -> dict[str, str]:
    """Return the environment of programs that use the cards of the stand-in in a folder, and no others.

    Args:
        folder: for the programs' settings and data.
        cards: of the stand-in.
    """
    variables = {name: value for name, value in os.environ.items() if not _OWN.fullmatch(name)}
    return variables | {
        "XCA_SOFTHSM_DIR": str(cards),
        "XCA_PKCS11_CONF": str(cards / "pkcs11.conf"),
        **{f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")},
    }


def found(name: str) -> str:
    """Return the path of a program: beside this one in its environment, else wherever the shell finds it.

    Raises:
        ProgramMissing: it is not installed.
    """
    path = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if path is None:
        raise ProgramMissing(name=name)
    return path


def run(variables: Mapping[str, str], name: str, *arguments: str) -> bytes:
    """Run a program to its end, and return what it printed.

    Raises:
        ProgramMissing: it is not installed.
        ProgramFailed: it failed.
    """
    command: Sequence[str] = [found(name), *arguments]
    try:
        done = subprocess.run(  # noqa: S603  # a program of xca-plugin
            command,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProgramFailed(name=name, detail=text("it did not end in time")) from None
    except OSError as error:
        raise ProgramFailed(name=name, detail=error.strerror or type(error).__name__) from error
    if done.returncode:
        raise ProgramFailed(name=f"{name} {arguments[0]}", detail=_words(done.stderr or done.stdout))
    return done.stdout


def said_in(path: Path) -> str:
    """Return the end of what a program wrote into a file."""
    with suppress(OSError):
        return _words(path.read_bytes())
    return ""


def _words(data: bytes) -> str:
    return harmless(" ".join(data[-_MOST_WORDS:].decode("utf-8", "replace").split()))
