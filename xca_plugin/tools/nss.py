# SPDX-License-Identifier: Apache-2.0
"""Browsers: the NSS databases of Firefox's profiles and of Chromium and the browsers built on it.

An NSS database lists its modules in a text file, pkcs11.txt, one paragraph each. The module's paragraph is
added at the end. modutil first reads a copy of the database with the new file.
"""

import configparser
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

from pkcs11_shim import ConfigurationError, rules
from pkcs11_shim.config import parse
from xca_common.base_directories import config_home, data_home, home
from xca_common.errors import FileProblem, os_reason
from xca_common.i18n import Text
from xca_plugin.errors import NotEditable, NoUsableProfile, ToolInUse, where
from xca_plugin.i18n import text
from xca_plugin.tools.file_change import FileChange, is_there, read
from xca_plugin.tools.host_environment import last_line, module, program_using, run, scratch, shell, which
from xca_plugin.tools.managed_file import ManagedFile
from xca_plugin.tools.tool import ProbeResult, Tool

_DATABASE: Final = ("cert9.db", "key4.db")
_LOCK: Final = ".parentlock"


class _Browser(Tool):
    _programs: ClassVar[tuple[str, ...]]
    _sandboxes: ClassVar[tuple[str, ...]]
    """Folders below the home that these browsers make when they are installed as snap or flatpak."""

    def missing(self) -> Text | None:
        if self.program() is None and not self._started():
            return text("install the browser from your distribution's packages, not as snap or flatpak")
        if which("modutil") is None or which("certutil") is None:
            return text("install the tools of NSS (Debian: libnss3-tools)")
        return None

    def program(self) -> Path | None:
        program = which(*self._programs)
        return None if program is None or _sandboxed(program) else program

    def files(self) -> list[ManagedFile]:
        lines = [f"library={module()}", "name=XCA"]
        return [_Modules(folder / "pkcs11.txt", self.name, lines, own=False) for folder in self._databases()]

    def plan_register(self, *, take_over: bool = False) -> list[FileChange]:
        changes = super().plan_register(take_over=take_over)
        if not self._databases():
            raise NoUsableProfile(name=self.name)
        return changes

    def command(self) -> str:
        return shell(self.program() or self._programs[0], "URL")

    def remarks(self) -> list[Callable[[], str]]:
        found = [folder for folder in self._sandboxes if is_there(home() / folder, stat.S_ISDIR)]
        sandboxed = text(
            "The one in {folder} is a snap or flatpak: its sandbox hides the module and the card from it. "
            "Use the browser from your distribution's packages for the card."
        )
        return [*super().remarks(), *(sandboxed.format(folder=f"~/{folder}") for folder in found)]

    def check(self) -> ProbeResult:
        for file in self.files():
            with _copy(file.path.parent) as folder:
                _, said = run("modutil", "-dbdir", f"sql:{folder}", "-list")
            ours = re.search(rf"library name: {re.escape(str(module()))}\n(?:.+\n|\n(?=\t))*", said)
            if ours is None or f"token: {rules.CARD_LABEL}" not in ours[0]:
                detail = text("{path}: no card is seen there").format(path=file.path.parent)
                return ProbeResult(False, detail())
        return ProbeResult(True, "")

    def _started(self) -> bool:
        """Tell whether such a browser was ever started by this user."""
        raise NotImplementedError

    def _databases(self) -> list[Path]:
        """Return the folders of the databases."""
        raise NotImplementedError


class Firefox(_Browser):
    """Firefox. Each profile in profiles.ini has a database of its own."""

    name = "firefox"
    title = text("Firefox, every profile")
    _programs = ("firefox", "firefox-esr")
    _sandboxes = ("snap/firefox", ".var/app/org.mozilla.firefox")

    def _started(self) -> bool:
        return any(os.path.lexists(folder / "profiles.ini") for folder in self._folders())

    def _databases(self) -> list[Path]:
        return sorted(
            {profile for folder in self._folders() for profile in _profiles(folder / "profiles.ini")}
        )

    def _folders(self) -> tuple[Path, ...]:
        return home() / ".mozilla" / "firefox", config_home() / "mozilla" / "firefox"


class Chromium(_Browser):
    """Chromium, Chrome, Brave, Edge and Vivaldi, which share one database."""

    name = "chromium"
    title = text("Chromium, Chrome and similar browsers")
    _programs = (
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "brave-browser",
        "microsoft-edge",
        "vivaldi",
    )
    _sandboxes = (
        "snap/chromium",
        ".var/app/org.chromium.Chromium",
        ".var/app/com.google.Chrome",
        ".var/app/com.brave.Browser",
        ".var/app/com.microsoft.Edge",
    )

    def _started(self) -> bool:
        return any(is_there(folder, stat.S_ISDIR) for folder in self._folders())

    def _databases(self) -> list[Path]:
        there = [folder for folder in self._folders() if is_there(folder, stat.S_ISDIR)]
        # Where there is none yet, a new browser uses the older folder if it exists.
        return there or ([self._folders()[0]] if self.program() else [])

    def _folders(self) -> tuple[Path, ...]:
        old = home() / ".pki" / "nssdb"
        new = data_home() / "pki" / "nssdb"
        return old, new


class _Modules(ManagedFile):
    blank_after = True  # an empty line ends a paragraph

    def position(self, rest: bytes) -> int:
        if rest and not re.search(rb"\n\r?\n\Z", rest):
            detail = text("its last entry does not end with an empty line")
            raise NotEditable(path=self.path, detail=detail)
        return len(rest)

    def plan_register(self, *, take_over: bool = False) -> list[FileChange]:
        return self._while_nobody_uses_it(super().plan_register(take_over=take_over))

    def plan_unregister(self) -> list[FileChange]:
        return self._while_nobody_uses_it(super().plan_unregister())

    def prove(self, rest: bytes, content: bytes) -> None:
        with _copy(self.path.parent) as folder:
            (folder / "pkcs11.txt").write_bytes(content)
            _, said = run("modutil", "-dbdir", f"sql:{folder}", "-list")
        if str(module()) not in said:
            raise NotEditable(path=self.path, detail=last_line(said) or "modutil")

    def _while_nobody_uses_it(self, changes: list[FileChange]) -> list[FileChange]:
        files = [self.path.parent / name for name in (*_DATABASE, _LOCK)]
        if changes and (user := program_using(files)):
            raise ToolInUse(path=self.path.parent, detail=user)
        return changes


@contextmanager
def _copy(database: Path) -> Iterator[Path]:
    """Copy a database. Where there is none yet, make an empty one, as a browser does at its first start."""
    with scratch() as folder:
        for file in (*_DATABASE, "pkcs11.txt"):
            if (content := read(database / file)) is not None:
                (folder / file).write_bytes(content)
        if not (folder / "cert9.db").exists():
            run("certutil", "-N", "-d", f"sql:{folder}", "--empty-password")
        yield folder


def _profiles(file: Path) -> Iterator[Path]:
    """Yield the folders of the profiles in profiles.ini that exist.

    Raises:
        NotEditable: the file is not a profiles.ini.
        FileProblem: it cannot be read.
    """
    listed = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parse(file, listed)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise FileProblem(path=file, detail=os_reason(error)) from error
    except ConfigurationError as error:
        raise NotEditable(path=file, detail=where(error)) from error
    for section in listed.sections():
        if section.startswith("Profile") and (path := listed[section].get("Path")):
            folder = file.parent / path  # an absolute one stays as it is
            if is_there(folder, stat.S_ISDIR):
                yield folder


def _sandboxed(program: Path) -> bool:
    return any(part in ("snap", "flatpak") for part in Path(os.path.realpath(program)).parts)
