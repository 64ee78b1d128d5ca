# SPDX-License-Identifier: Apache-2.0
"""The journal: where every event is, too, before anybody hears of it; on another disk than the database.

Whoever restores the database finds in it what happened after the backup, up to the last answer given.
Each process writes files of its own, in one folder. A file older than the oldest backup may be deleted. The
folder has a mark since it was begun: without it, it may be the empty place of a disk that is not mounted.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self
from uuid import uuid4

from xca_centre.errors import JournalMissing, JournalUnavailable
from xca_centre.store.events import Event
from xca_common import atomic_file
from xca_common.atomic_file import sync

_SUFFIX: Final = ".journal"
_MARK: Final = "JOURNAL"
_MARK_CONTENT: Final = b"A certificate centre keeps its journal here. Do not delete this file.\n"
_END_BYTES: Final = 256 << 10
"""What recent() reads of a file: more than threads of a process can have committed in another order."""
_HEADER: Final = b"# Events of the certificate centre: one a line, as JSON.\n"


class Line(NamedTuple):
    """A line of a journal.

    Attributes:
        path: of its file.
        number: in the file, from 1.
        event: what it says; None: it cannot be read.
        is_unfinished: it was being written when its process was killed: nobody had an answer.
    """

    path: Path
    number: int
    event: Event | None
    is_unfinished: bool = False


class Journal:
    """A folder of journal files, and the one that this process appends to.

    Args:
        folder: was begun (begin), for this user alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: _File | None = None

    @classmethod
    def begin(cls, folder: Path) -> Self:
        """Begin a journal in a folder that is there, or go on with the one in it.

        Raises:
            JournalUnavailable: it cannot be written there.
        """
        try:
            atomic_file.write(folder / _MARK, _MARK_CONTENT)
        except OSError as error:
            raise JournalUnavailable(path=folder) from error
        return cls(folder)

    def prepare(self) -> None:
        """See that the journal takes events. After one that failed this tries the disk.

        Raises:
            JournalMissing: no journal was begun in its folder.
            JournalUnavailable: it does not.
        """
        self._open()

    def append(self, events: Sequence[Event]) -> None:
        """Append events. They are on the disk when this returns; threads that come together wait for it once.

        Raises:
            JournalUnavailable: they may not be on the disk.
        """
        if events:
            file = self._open()
            try:
                file.append(b"".join(event.document() + b"\n" for event in events))
            except OSError as error:
                # After a failed fsync nobody knows what of the file is on the disk: it is left as it is.
                file.close()
                with self._lock:
                    if self._file is file:
                        self._file = None
                raise JournalUnavailable(path=self._folder) from error

    def read(self) -> Iterator[Line]:
        """Yield all lines, those of one process in their order.

        Raises:
            JournalMissing: as prepare().
            JournalUnavailable: a file cannot be read.
        """
        try:
            for path in self._paths():
                with path.open("rb") as file:
                    for number, line in enumerate(file, 1):
                        if line != _HEADER:
                            yield Line(path, number, _parsed(line), not line.endswith(b"\n"))
        except OSError as error:
            raise JournalUnavailable(path=self._folder) from error

    def recent(self) -> Sequence[Event]:
        """Return the last events of each process.

        Raises:
            JournalMissing: as prepare().
            JournalUnavailable: a file cannot be read.
        """
        found = []
        try:
            for path in self._paths():
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - _END_BYTES))
                    found += [event for line in file if (event := _parsed(line))]
        except OSError as error:
            raise JournalUnavailable(path=self._folder) from error
        return found

    def close(self) -> None:
        """Close the file of this process."""
        with self._lock:
            if self._file:
                self._file.close()
                self._file = None

    def _paths(self) -> Sequence[Path]:
        self._require_mark()
        # Not glob(): of a folder that is not there it says that it is empty.
        return sorted(path for path in self._folder.iterdir() if path.suffix == _SUFFIX)

    def _open(self) -> "_File":
        with self._lock:
            if self._file is None:
                self._require_mark()
                try:
                    self._file = _File(self._folder)
                except OSError as error:
                    raise JournalUnavailable(path=self._folder) from error
            return self._file

    def _require_mark(self) -> None:
        if not (self._folder / _MARK).is_file():
            raise JournalMissing(path=self._folder)


class _File:
    """A file of a journal. One that failed fails for ever: what follows goes into another one."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{uuid4().hex}{_SUFFIX}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        self._written = self._synced = 0
        self._is_open = True
        try:
            self.append(_HEADER)
            sync(folder)
        except OSError:
            self._synced = 0
            self.close()
            raise

    def append(self, data: bytes) -> None:
        """Write, and wait for the disk."""
        with self._writing:
            self._require_open()
            if os.write(self._descriptor, data) != len(data):
                raise OSError("a part of it was not written")
            self._written += 1
            mine = self._written
        with self._syncing:
            if self._synced < mine:
                self._require_open()
                reached = self._written
                os.fsync(self._descriptor)
                self._synced = reached

    def close(self) -> None:
        """Close it. Whoever still waits for the disk is told that it failed."""
        with self._writing, self._syncing:
            if self._is_open:
                self._is_open = False
                os.close(self._descriptor)
                if not self._synced:
                    self._path.unlink()

    def _require_open(self) -> None:
        if not self._is_open:
            raise OSError("an earlier event was not written")


def _parsed(line: bytes) -> Event | None:
    """Return the event of a whole line."""
    try:
        return Event.parse(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
