# SPDX-License-Identifier: Apache-2.0
"""A read-only view of the card store, and the lock that every writer takes."""

import fcntl
import os
import re
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from pkcs11_shim.config import store_path

SCHEMA: Final = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
"""The SQL that makes an empty store."""
_FORMAT: Final = int(re.findall(r"application_id = (0x[0-9A-F]+)", SCHEMA)[0], 16)
_LOCK_SECONDS: Final = 5.0


class StoreError(Exception):
    """The card store cannot be read: missing, damaged, busy, or from another version."""


@dataclass(frozen=True)
class CardRow:
    """What one card remembers (schema.sql, view card_today).

    Attributes:
        number: card number, 16 characters.
        reader: name of the reader that the card is shown in.
        model: CK_TOKEN_INFO.model.
        issued_on: day of issue.
        activate_by: last day on which the card can be activated, in Taipei.
        activated_at: time of activation, None before it.
        pin_tries: wrong PINs that are left before the PIN locks.
        user_code_tries: wrong user codes that are left before the user code locks.
        epoch: generation of the store at the last change of one of the card's secrets.
        lapsed: never activated, and the last day has passed.
        days_left: days from today to activate_by; negative after it.
    """

    number: str
    reader: str
    model: str
    issued_on: date
    activate_by: date
    activated_at: datetime | None
    pin_tries: int
    user_code_tries: int
    epoch: int
    lapsed: bool
    days_left: int


@dataclass(frozen=True)
class Event:
    """One entry of a card's history.

    Attributes:
        at: when.
        card: card number.
        event: what was asked of the card, a word from schema.sql.
        result: CK_RV that the caller was given.
        program: name of the calling program.
    """

    at: datetime
    card: str
    event: str
    result: int
    program: str


class Store:
    """The card store at a path, by default the one that the module uses."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or store_path()

    def cards(self) -> list[CardRow]:
        """Return every card, ordered by number.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._connection() as connection:
            return [_card(row) for row in connection.execute("SELECT * FROM card_today ORDER BY number")]

    def card(self, number: str) -> CardRow | None:
        """Return one card, or None when the store does not know it.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM card_today WHERE number = ?", (number,)).fetchone()
            return _card(row) if row else None

    def events(self, card: str | None = None) -> list[Event]:
        """Return the history of one card or of all, oldest first.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._connection() as connection:
            query = (
                "SELECT at, card, event, result, program FROM event WHERE ?1 IS NULL OR card = ?1 ORDER BY id"
            )
            return [Event(_time(at), *rest) for at, *rest in connection.execute(query, (card,))]

    @contextmanager
    def lock(self, *, exclusive: bool, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
        """Hold the lock that the module takes around every decision (fcntl(2), open file description lock).

        Args:
            exclusive: for a writer; a reader shares it.
            seconds: how long to wait for it.

        Raises:
            StoreError: there is no store here, or somebody held the lock all that time.
        """
        try:
            file = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        try:
            kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
            # struct flock: l_type, l_whence, l_start, l_len, l_pid (0 for this kind of lock)
            whole_file = struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0)
            deadline = time.monotonic() + seconds
            while True:
                try:
                    fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole_file)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise StoreError(f"{self.path}: busy") from error
                    time.sleep(0.001)
            yield
        finally:
            os.close(file)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # Shared lock: a try that is spent but not yet settled is never shown.
        with self.lock(exclusive=False):
            try:
                # Not mode=ro: a transaction that a killed process left must be rolled back before reading.
                uri = f"{self.path.absolute().as_uri()}?mode=rw"
                with closing(sqlite3.connect(uri, uri=True)) as connection:
                    connection.execute("PRAGMA query_only = ON")
                    (found,) = connection.execute("PRAGMA application_id").fetchone()
                    if found != _FORMAT:
                        raise StoreError(f"{self.path}: format {found:#x}, this program reads {_FORMAT:#x}")
                    connection.row_factory = sqlite3.Row
                    yield connection
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: {error}") from error


def _card(row: sqlite3.Row) -> CardRow:
    return CardRow(
        number=row["number"],
        reader=row["reader"],
        model=row["model"],
        issued_on=date.fromisoformat(row["issued_on"]),
        activate_by=date.fromisoformat(row["activate_by"]),
        activated_at=None if row["activated_at"] is None else _time(row["activated_at"]),
        pin_tries=row["pin_tries"],
        user_code_tries=row["user_code_tries"],
        epoch=row["epoch"],
        lapsed=bool(row["lapsed"]),
        days_left=row["days_left"],
    )


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
