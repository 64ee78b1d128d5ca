# SPDX-License-Identifier: Apache-2.0
"""The computer that the tools run on: programs, architectures, the module's configuration."""

import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkcs11_shim import ConfigurationError, configuration_path, library_path
from xca_common.base_directories import SYSTEM_CONFIGURATION, own_configuration
from xca_common.errors import FileProblem, os_reason
from xca_common.i18n import Text
from xca_common.scratch import scratch_folder
from xca_plugin.errors import ModuleFailed, NoModule, NotEditable, where
from xca_plugin.i18n import text
from xca_plugin.tools.file_change import is_there

_SECONDS: Final = 30
# Variables that could make a tool log in, or ask a person for the PIN.
_NOT_FOR_TOOLS: Final = re.compile(r"(GNUTLS|PYHANKO).*PIN$|SSH_ASKPASS|DISPLAY$|WAYLAND_DISPLAY$")
_MACHINES: Final = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}


def module() -> Path:
    """Return the module's path, checked for characters that a tool would misread.

    Raises:
        NoModule: it is not installed.
        ModuleFailed: the configuration means nothing.
        NotEditable: the path has a character with a meaning in some tool's configuration.
    """
    try:
        path = library_path().absolute()
    except FileNotFoundError as error:
        raise NoModule from error
    except ConfigurationError as error:
        raise ModuleFailed(detail=where(error)) from error
    if not re.fullmatch(r"[\w/.,:+@~ -]+", str(path)):
        raise NotEditable(path=path, detail=text("configuration files cannot hold this name"))
    return path


def which(*names: str) -> Path | None:
    """Return the path of the first of these programs that is installed; None: none is."""
    found = (shutil.which(name) for name in names)
    return next((Path(path) for path in found if path), None)


def run(*command: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    """Run a program that cannot ask a person anything; return its status and its output.

    It has no terminal, an empty standard input, no PIN in its environment, and half a minute of time. A
    program that cannot be started gives status 126 and the reason as output; one that takes too long gives
    status 124.
    """
    environment = {name: value for name, value in os.environ.items() if not _NOT_FOR_TOOLS.match(name)}
    try:
        program = subprocess.Popen(  # noqa: S603  # the tools that were asked for
            [str(word) for word in command],
            env={**environment, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
        )
    except OSError as error:
        return 126, str(error)
    with program:
        try:
            said, _ = program.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            return 124, f"{Path(command[0]).name}: {_SECONDS} s"
        finally:
            # Also what it started: a wrapper's program holds the pipe open.
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
    return program.returncode, said.decode("utf-8", "replace")


def program_using(files: Iterable[Path]) -> str | None:
    """Return the program that has one of these files open, as far as /proc shows it; None: no program."""
    wanted = {(known.st_dev, known.st_ino) for file in files if is_there(file) for known in [file.stat()]}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's process, or one that has ended
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    known = descriptor.stat()
                    if (known.st_dev, known.st_ino) in wanted:
                        return f"{(process / 'comm').read_text().strip()} ({process.name})"
    return None


def last_line(said: str) -> str:
    """Return the last line of a program's output; empty when it printed nothing."""
    return next(reversed(said.strip().splitlines()), "")


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a temporary folder; it is removed when the block ends.

    Raises:
        FileProblem: the folder cannot be made, or a file in it cannot be written.
    """
    try:
        with scratch_folder() as folder:
            yield folder
    except OSError as error:
        place = os.environ.get("TMPDIR") or text("for temporary files")
        raise FileProblem(path=place, detail=os_reason(error)) from error


def shell(*words: str | Path, **variables: str | Path) -> str:
    """Return a command, quoted for a shell; it sets XCA_PKCS11_CONF where the module needs that variable."""
    if needs_variable():
        variables = {"XCA_PKCS11_CONF": os.environ["XCA_PKCS11_CONF"], **variables}
    assignments = [f"{name}={shlex.quote(str(value))}" for name, value in variables.items()]
    return " ".join((*assignments, shlex.join(str(word) for word in words)))


# --- architecture


@dataclass(frozen=True)
class Architecture:
    """The machine that a program is for.

    Attributes:
        machine: its name, or its number in ELF (e_machine).
        bits: 32 or 64 (e_ident[EI_CLASS]).
    """

    machine: str
    bits: int

    def shown(self) -> Text:
        """Return it in words."""
        return text("{machine}, {bits}-bit").format(machine=self.machine, bits=self.bits)


def architecture(program: Path) -> Architecture | None:
    """Return the machine that an ELF file is for; None: unknown.

    For a script, it is the machine of its interpreter.
    """
    head = _head(program)
    if head.startswith(b"#!"):
        interpreter = head.split(b"\n")[0][2:].split()
        head = _head(Path(os.fsdecode(interpreter[0]))) if interpreter else b""
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return None
    (machine,) = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)
    return Architecture(_MACHINES.get(machine, str(machine)), 32 * head[4])


def _head(program: Path) -> bytes:
    try:
        descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # waits for no pipe
        try:
            return os.read(descriptor, 256)
        finally:
            os.close(descriptor)
    except OSError:
        return b""


# --- the module's configuration


def needs_variable() -> bool:
    """Tell whether the module finds its configuration through XCA_PKCS11_CONF only."""
    named = configuration_path()
    return "XCA_PKCS11_CONF" in os.environ and named is not None and not _same(named, _without_variable())


def configuration_remark() -> Text | None:
    """Say what a person has to do so that every program finds the module's configuration; None: nothing."""
    own = own_configuration() / "pkcs11.conf"
    named = configuration_path()
    if named is None:
        return text(
            "The module has no configuration yet, and loads nowhere without one. Write it: {path}"
        ).format(path=own)
    if not needs_variable():
        return None
    link = shlex.join(["ln", "-s", str(named.absolute()), str(own)])
    if os.path.lexists(own):
        return text(
            "Only XCA_PKCS11_CONF leads to the module's configuration {named}. Programs that are started "
            "from a desktop do not have that variable and read {path}. Make that file the one you mean."
        ).format(named=named, path=own)
    return text(
        "Only XCA_PKCS11_CONF leads to the module's configuration {named}. Programs that are started "
        "from a desktop do not have that variable. For all programs to find it: {command}"
    ).format(named=named, command=f"mkdir -p {shlex.quote(str(own.parent))} && {link}")


def _without_variable() -> Path | None:
    for file in (own_configuration() / "pkcs11.conf", SYSTEM_CONFIGURATION / "pkcs11.conf"):
        if is_there(file):
            return file
    return None


def _same(one: Path, other: Path | None) -> bool:
    try:
        return other is not None and one.samefile(other)
    except OSError:
        return False
