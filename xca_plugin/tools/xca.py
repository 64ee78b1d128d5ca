# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # Tool has the docstrings
"""XCA, the X Certificate and Key management program: a line in the settings of its SQLite database.

The row `pkcs11path` of the table `settings` lists the modules, one a line: `1:PATH`, or `0:PATH` for one
that is switched off. XCA itself writes `pkcs11path:COMPUTER`, so that a database on several computers has a
list for each. Of the two, the later one counts. Every other row stays as it was.
"""

import base64
import ctypes
import errno
import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from xca_common.base_directories import config_home, data_home, home
from xca_common.errors import FileProblem
from xca_common.i18n import Text
from xca_plugin.errors import EditedByHand, NotEditable, OtherInstallation, ToolInUse
from xca_plugin.i18n import text
from xca_plugin.tools.file_change import FileChange, is_there, read
from xca_plugin.tools.host_environment import module, program_using, run, scratch, shell, which
from xca_plugin.tools.managed_file import ManagedFile, Registration, others_module
from xca_plugin.tools.tool import ProbeResult, Tool

_KEY: Final = "pkcs11path"
_MACHINE_ID: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id", "/var/db/dbus/machine-id")
_UNFINISHED: Final = ("-journal", "-wal")
"""What SQLite appends to a database's name, for the file with a change that was not finished."""
_SALT: Final = "T0123456789abcdef"
_PASSWORD: Final = "xca"  # noqa: S105  # of an empty copy
_LOADED: Final = "Successfully loaded PKCS#11 provider"


class XCA(Tool):
    """XCA with one database.

    Args:
        database: the database; None: the one that XCA opens when it starts.
    """

    name = "xca"
    title = text("XCA, X Certificate and Key management")

    def __init__(self, database: Path | None = None) -> None:
        self._named = database

    def missing(self) -> Text | None:
        if self.program() is None:
            return text("install XCA (Debian: xca)")
        if self._database() is None:
            return text("open a database in XCA and choose File, Set as default DataBase; or name a database")
        return None

    def program(self) -> Path | None:
        return which("xca")

    def files(self) -> list[ManagedFile]:
        database = self._database()
        return [] if database is None else [_Database(database, self.name, [f"1:{module()}"], own=False)]

    def command(self) -> str:
        return shell("xca") if self._named is None else shell("xca", f"--database={self._named.absolute()}")

    def check(self) -> ProbeResult:
        """Have XCA load the module, from a copy of the settings; without windows it shows no cards."""
        database, program = self._database(), self.program()
        if database is None or program is None:
            return ProbeResult(False, "")
        with scratch() as folder:
            copy = folder / "copy.xdb"
            copy.write_bytes(_only_settings(database, read(database) or b""))
            # XCA's own files go to the scratch folder; the module's stay where they are.
            module_folders = (f"XDG_DATA_HOME={data_home()}", f"XDG_CONFIG_HOME={config_home()}")
            options = (
                "--no-gui",
                "--verbose",
                f"--database={copy}",
                f"--password=pass:{_PASSWORD}",
                "--exit",
            )
            _, said = run("env", f"HOME={folder}", *module_folders, program, *options)
        loaded = f'{_LOADED} "{module()}"' in said
        return ProbeResult(loaded, "" if loaded else text("XCA does not load the module")())

    def _database(self) -> Path | None:
        return self._named or _default_database()


class _DatabaseChange(FileChange):
    def lines(self, side: bytes) -> list[str]:
        with _opened(self.path, side) as database:
            return [f"{key}: {entry}" for _, key, value in _lists(database) for entry in _entries(value)]


class _Database(ManagedFile):
    """A database. The line goes to the end of the list that XCA reads."""

    def state(self) -> Registration:
        with _opened(self.path, self._content()) as database:
            lists = _lists(database)
        return self._state(lists[-1][2]) if lists else Registration.ABSENT

    def plan_register(self, *, take_over: bool = False) -> list[FileChange]:
        return self._change(lambda database: self._register(database, take_over))

    def plan_unregister(self) -> list[FileChange]:
        return self._change(self._unregister)

    def _register(self, database: sqlite3.Connection, take_over: bool) -> None:
        lists = _lists(database)
        if not lists:
            database.execute("INSERT INTO settings (key_, value) VALUES (?, ?)", (_KEY, self._line))
            return
        row, _, value = lists[-1]
        state = self._state(value)
        self._check(value, take_over=take_over)
        if state is Registration.ABSENT:
            # Without other modules, the empty line before it tells _unregister() that the row was there.
            _set(database, row, f"{value or ''}\n{self._line}")
        elif state is not Registration.REGISTERED:
            entries = (self._line if _ours(entry) else entry for entry in _entries(value))
            _set(database, row, "\n".join(dict.fromkeys(entries)))

    def _unregister(self, database: sqlite3.Connection) -> None:
        for row, _, value in _lists(database):
            self._check(value)
            rest = [entry for entry in _entries(value) if not _ours(entry)]
            if rest == _entries(value):
                continue
            if rest:
                _set(database, row, "\n".join(rest) or None)  # XCA writes NULL for an empty list
            else:
                database.execute("DELETE FROM settings WHERE rowid = ?", (row,))

    def _state(self, value: str | None) -> Registration:
        ours = [entry for entry in _entries(value) if _ours(entry)]
        if not ours:
            return Registration.ABSENT
        if self._line in ours:
            return Registration.REGISTERED
        if any(entry.startswith("0:") for entry in ours):
            return Registration.EDITED
        return Registration.OTHER if others_module(ours) else Registration.OUTDATED

    def _check(self, value: str | None, *, take_over: bool = False) -> None:
        """Check that the line in a list may be touched.

        Raises:
            EditedByHand: it was switched off in XCA.
            OtherInstallation: it is another installation's.
        """
        state = self._state(value)
        if state is Registration.EDITED:
            raise EditedByHand(path=self.path, name=self._tool)
        if state is Registration.OTHER and not take_over:
            other = others_module(_entries(value)) or ""
            raise OtherInstallation(name=self._tool, path=self.path, module=other)

    @property
    def _line(self) -> str:
        return self._lines[0]

    def _change(self, edit: Callable[[sqlite3.Connection], None]) -> list[FileChange]:
        before = self._content()
        with _opened(self.path, before) as database:
            edit(database)
            if not database.total_changes:
                return []
            database.commit()
            after = database.serialize()
        self._check_only_name()
        if user := program_using([self.path]):
            raise ToolInUse(path=self.path, detail=user)
        for suffix in _UNFINISHED:
            if (unfinished := self.path.with_name(self.path.name + suffix)).exists():
                detail = text("a change of it was not finished and waits in {path}: open it in XCA once")
                raise NotEditable(path=self.path, detail=detail.format(path=unfinished))
        return [_DatabaseChange(self.path, before, after)]

    def _content(self) -> bytes:
        content = self._read()
        if content is None:
            raise FileProblem(path=self.path, detail=os.strerror(errno.ENOENT))
        return content


def _default_database() -> Path | None:
    """Return the database that XCA opens when it starts; None: it asks, or it is not in a file."""
    # The second folder is that of XCA before 2.5, which later ones move.
    for folder in (data_home() / "de.hohnstaedt.xca", home() / ".xca"):
        named = (read(folder / "defaultdb") or b"").partition(b"\n")[0].strip()
        path = Path(os.fsdecode(named))
        if named and path.is_absolute() and is_there(path):
            return path
    return None


@contextmanager
def _opened(path: Path, content: bytes) -> Iterator[sqlite3.Connection]:
    """Open a database's content in memory.

    Raises:
        NotEditable: it is no database of XCA.
    """
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.deserialize(content)
            database.execute("PRAGMA trusted_schema = OFF")
            yield database
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise NotEditable(path=path, detail=text("it is no database of XCA")) from error


def _lists(database: sqlite3.Connection) -> list[tuple[int, str, str | None]]:
    """Return the rows that list modules for this computer, the one that counts last: ROWID, key, value."""
    names = (_KEY, f"{_KEY}:{_computer()}")
    select = "SELECT rowid, key_, value FROM settings WHERE key_ IN (?, ?) ORDER BY rowid"
    return database.execute(select, names).fetchall()


def _set(database: sqlite3.Connection, row: int, value: str | None) -> None:
    database.execute("UPDATE settings SET value = ? WHERE rowid = ?", (value, row))


def _entries(value: str | None) -> list[str]:
    return (value or "").split("\n")


def _ours(entry: str) -> bool:
    """Tell whether an entry of a list names this module, here or where another installation has it."""
    path = re.sub("^[01]:", "", entry.strip())
    return path == str(module()) or path.endswith("/xca-pkcs11.so")


def _computer() -> str:
    """Return the name that XCA gives this computer: eight characters of a digest of its machine-id(5)."""
    for file in _MACHINE_ID:
        if name := (read(Path(file)) or b"").partition(b"\n")[0].strip():
            break
    else:
        gethostid = ctypes.CDLL(None).gethostid
        gethostid.restype = ctypes.c_long
        name = str(gethostid()).encode()
    return base64.b64encode(hashlib.sha1(name, usedforsecurity=False).digest())[:8].decode()


def _only_settings(path: Path, content: bytes) -> bytes:
    """Return a database with the settings of another one, none of its keys, and a password that is known."""
    digest = (_SALT + _PASSWORD).encode()
    for _ in range(8000):
        digest = hashlib.sha512(digest).digest()
    with _opened(path, content) as database:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'settings'"
        for (name,) in database.execute(names).fetchall():
            quoted = name.replace('"', '""')
            database.execute(f'DELETE FROM "{quoted}"')  # noqa: S608  # SQL has no parameters for names
        database.execute("DELETE FROM settings WHERE key_ = 'pwhash'")
        password = ("pwhash", _SALT + digest.hex().upper())
        database.execute("INSERT INTO settings (key_, value) VALUES (?, ?)", password)
        database.commit()
        database.execute("VACUUM")
        return database.serialize()
