# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 modules for real cards on this computer, and the configuration that names one of them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from xca_common.atomic_file import whole_file
from xca_common.base_directories import own_configuration
from xca_common.errors import FileProblem, os_reason
from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.i18n import text

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
            [sys.executable, "-c", _LOAD, str(path)], capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return CardModule(path, text("it did not load within {seconds} seconds").format(seconds=_SECONDS))
    if done.returncode == 0:
        return CardModule(path)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if "C_GetFunctionList" in last:
        return CardModule(path, text("it is not a PKCS#11 module"))
    return CardModule(path, last.removeprefix("OSError: ") or text("it fails when it is loaded"))


def configuration() -> Path:
    """Return the user's configuration file of the PKCS#11 module, whether it is there or not."""
    return own_configuration() / "pkcs11.conf"


def write_configuration(module: CardModule) -> Path:
    """Write the user's configuration for a real card, in the place of an earlier one; return its file.

    The vendor's module gets the quirks that it needs. The guard keeps the last try.

    Raises:
        ModuleFailed: its path cannot stand in a configuration.
        FileProblem: the file cannot be written.
    """
    line = f"path = {module.path}"
    if len(os.fsencode(line)) > _LONGEST_LINE or any(sign in line for sign in (" ;", "\n")):
        raise errors.ModuleFailed(
            detail=text("the path {path} cannot be configured").format(path=module.path)
        )
    lines = ["[module]", line]
    if module.of_the_vendor:
        lines += ["[quirks]", "hash = module", "strings = trim"]
    lines += ["[guard]", "keep_last_try = yes"]
    path = configuration()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileProblem(path=path.parent, detail=os_reason(error)) from error
    with whole_file(path, 0o600) as file:
        file.write(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return path


def _files(folders: Sequence[str], name: str) -> Iterator[Path]:
    for pattern in folders:
        for folder in sorted(Path("/").glob(pattern.lstrip("/"))):
            # A bound, for a folder such as /opt that may hold anything.
            for parent, _, files in islice(os.walk(folder), _FOLDERS_AT_MOST):
                if name in files:
                    yield Path(parent, name).resolve()
