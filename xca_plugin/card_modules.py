# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 modules for real cards on this computer, and the configuration that names one of them."""

import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

from pkcs11_shim import ConfigurationError
from pkcs11_shim.config import parse
from xca_common.atomic_file import whole_file
from xca_common.base_directories import own_configuration
from xca_common.errors import FileProblem, os_reason
from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.i18n import text
from xca_plugin.module_failure import loader_reason
from xca_plugin.named_file import problems_of

VENDORS: Final = "libHicos_p11v1.so"
"""File name of the vendor's module, HiCOS."""
OPEN: Final = ("opensc-pkcs11.so",)
"""File names of open modules that drive cards of several kinds."""
FOLDERS: Final = ("/usr/lib*", "/usr/local/lib*", "/opt")
"""Where modules are installed; all folders below are searched too."""
_FOLDERS_AT_MOST: Final = 20_000
_SECONDS: Final = 20
_LONGEST_LINE: Final = 198  # of the module's configuration (inih)
# Only C_GetFunctionList: it touches no card.
_LOAD: Final = (
    "import ctypes, sys; listed = ctypes.c_void_p(); "
    "sys.exit(ctypes.CDLL(sys.argv[1]).C_GetFunctionList(ctypes.byref(listed)) or listed.value is None)"
)


@dataclass(frozen=True)
class CardModule:
    """A PKCS#11 module that may drive the card.

    Attributes:
        path: absolute path of its file.
        problem: why it does not load; None: it loads.
    """

    path: Path
    problem: Text | str | None = None

    @property
    def of_the_vendor(self) -> bool:
        """Whether it is the vendor's module, which needs some quirks."""
        return self.path.name == VENDORS


def find(folders: Sequence[str] = FOLDERS) -> list[CardModule]:
    """Return the modules below some folders, the vendor's first. Each is loaded once, in another process.

    Args:
        folders: absolute patterns of folders, as Path.glob takes them.
    """
    found: dict[Path, None] = {}
    for name in (VENDORS, *OPEN):
        found |= dict.fromkeys(_files(folders, name))
    return [look_at(path) for path in found]


def look_at(path: Path) -> CardModule:
    """Load a module in another process, because a broken one may crash or hang; no card is touched."""
    if not path.exists():
        return CardModule(path, text("it is not there"))
    try:
        done = subprocess.run(  # noqa: S603  # a file that the person named, or one of the system
            [sys.executable, "-P", "-c", _LOAD, str(path)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return CardModule(path, text("it did not load within {seconds} seconds").format(seconds=_SECONDS))
    if done.returncode == 0:
        return CardModule(path)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if "C_GetFunctionList" in last:
        return CardModule(path, text("it is not a PKCS#11 module"))
    return CardModule(
        path, loader_reason(last.removeprefix("OSError: ")) or text("it fails when it is loaded")
    )


def configuration() -> Path:
    """Return the user's configuration file of the PKCS#11 module, whether it is there or not."""
    return own_configuration() / "pkcs11.conf"


def write_configuration(module: CardModule) -> Path | None:
    """Write the user's configuration for a real card.

    An earlier one keeps its lines: the module's path is replaced, and what is missing is added. It is copied
    first. One that cannot be read as a configuration is copied and replaced whole. The vendor's module gets
    the quirks that it needs. The guard keeps the last try.

    Returns:
        The copy of the earlier configuration; None: there was none, or it stays as it is.

    Raises:
        ModuleFailed: its path cannot stand in a configuration.
        FileProblem: a file cannot be read or written.
    """
    line = f"path = {module.path}"
    if len(os.fsencode(line)) > _LONGEST_LINE or any(sign in line for sign in (" ;", "\n")):
        raise errors.ModuleFailed(
            detail=text("the path {path} cannot be configured").format(path=module.path)
        )
    path = configuration()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileProblem(path=path.parent, detail=os_reason(error)) from error
    before, after = _contents(path, module)
    if before == after:
        return None
    copy = _copy_name(path, before) if before else None
    is_new = copy is not None and not os.path.lexists(copy)
    if copy and is_new:
        with whole_file(copy, 0o600) as file:
            file.write(before)
    try:
        # A symbolic link stays one.
        with whole_file(Path(os.path.realpath(path)), 0o600) as file:
            file.write(after)
    except BaseException:
        if copy and is_new:
            copy.unlink()
        raise
    return copy


def is_configured(module: CardModule) -> bool:
    """Tell whether write_configuration() would change nothing.

    Raises:
        FileProblem: the configuration cannot be read.
    """
    before, after = _contents(configuration(), module)
    return before == after


def _contents(path: Path, module: CardModule) -> tuple[bytes, bytes]:
    """Return what a configuration holds, and what it has to hold for a module."""
    with problems_of(path):
        before = path.read_bytes() if path.exists() else b""
    return before, _configured(before if _is_readable(path) else b"", module)


def _is_readable(path: Path) -> bool:
    try:
        parse(path, configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",)))
    except (OSError, ConfigurationError):
        return False
    return True


def _configured(before: bytes, module: CardModule) -> bytes:
    """Return a configuration for a module that keeps every other line of an earlier one."""
    lines = os.fsdecode(before).splitlines()
    _set(lines, "module", "path", str(module.path))
    missing = [("guard", "keep_last_try", "yes")]
    if module.of_the_vendor:
        missing += [("quirks", "hash", "module"), ("quirks", "strings", "trim")]
    for section, name, value in missing:
        if _places(lines, section, name)[1] is None:
            _set(lines, section, name, value)
    return os.fsencode("\n".join(lines) + "\n")


def _set(lines: list[str], section: str, name: str, value: str) -> None:
    """Set a value in the lines of a configuration; a new one goes to the end of its section."""
    end, place = _places(lines, section, name)
    line = f"{name} = {value}"
    if place is not None:
        lines[place] = line
    elif end is not None:
        lines.insert(end, line)
    else:
        lines += [f"[{section}]", line]


def _places(lines: Sequence[str], section: str, name: str) -> tuple[int | None, int | None]:
    """Return where a section's last line ends, and the line of a name in it; None: it is not there."""
    end = place = None
    inside = ""
    for number, line in enumerate(lines):
        said = line.lstrip("\ufeff").strip()
        if found := re.match(r"\[([^\]]*)\]", said):
            inside = found[1]
        if inside != section or not said:
            continue
        end = number + 1
        if not said.startswith(("#", ";")) and re.split("[=:]", said)[0].strip() == name:
            place = number
    return end, place


def _copy_name(path: Path, content: bytes) -> Path:
    """Return a name beside a file, for a copy of it, that no file has, or that such a copy has already.

    A program that was killed may have left the copy; a second one would help nobody.
    """
    names = (path.with_name(f"{path.name}.bak{number or ''}") for number in count())
    return next(name for name in names if not os.path.lexists(name) or _holds(name, content))


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() == content
    except OSError:
        return False


def _files(folders: Sequence[str], name: str) -> Iterator[Path]:
    for pattern in folders:
        for folder in sorted(Path("/").glob(pattern.lstrip("/"))):
            # A bound, for a folder such as /opt that may hold anything.
            for parent, _, files in islice(os.walk(folder), _FOLDERS_AT_MOST):
                if name in files:
                    yield Path(parent, name).resolve()
