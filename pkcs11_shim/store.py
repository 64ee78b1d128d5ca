# SPDX-License-Identifier: Apache-2.0
"""The card store, in the format of record.h: Store reads it, StoreWriter is for the issuer."""

import fcntl
import heapq
import os
import re
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Self

from pkcs11_shim import rules
from pkcs11_shim.config import store_path
from xca_common import taipei

_DEFINES: Final = {
    name: int(value, 0)
    for name, value in re.findall(
        r"^#define XCA_STORE_(\w+) +(\w+)",
        Path(__file__).with_name("record.h").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}
_FORMAT: Final = _DEFINES["FORMAT"]
_BLOCK: Final = _DEFINES["BLOCK"]
_EVENTS: Final = _DEFINES["EVENTS"]
_CHECKSUM: Final = struct.Struct("=I")
_SLOT: Final = struct.Struct("=I5q4i16s128s32s")  # struct record_slot, after its checksum
_EVENT: Final = struct.Struct("=Iqq24s80s")  # struct record_event, after its checksum
_EVENT_SIZE: Final = _CHECKSUM.size + _EVENT.size
_RECORD: Final = 2 * _BLOCK + _EVENTS * _EVENT_SIZE
_OWN: Final = 0  # the place of the store's own record
_LOCK_SECONDS: Final = 5.0
_DAY_0: Final = date(1970, 1, 1)
_LAST: Final = 2**63 - 1  # number of an event
_YIELDING_SECONDS: Final = 0.1
_BYTE_LOCK, _BYTE_DECIDERS = 0, 1


class StoreError(Exception):
    """The card store cannot be used: missing, damaged, busy, or from another version."""


@dataclass(frozen=True)
class CardRow:
    """A card's record in the store (record.h).

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
class EventRow:
    """One entry of a card's history.

    Attributes:
        at: when.
        card: card number.
        event: what was asked of the card, one word.
        result: CK_RV that the caller was given.
        program: name of the calling program.
    """

    at: datetime
    card: str
    event: str
    result: int
    program: str


def _with_checksum(content: bytes) -> bytes:
    return _CHECKSUM.pack(zlib.crc32(content)) + content


def _packed(form: struct.Struct, *values: object) -> bytes:
    try:
        return _with_checksum(form.pack(*values))
    except struct.error as error:
        raise StoreError(f"a number of the card store is used up: {error}") from error


def _checked(written: bytes) -> bytes | None:
    content = written[_CHECKSUM.size :]
    return content if content and _with_checksum(content) == written else None


class _Slot(NamedTuple):
    """A struct record_slot without its checksum and its format."""

    sequence: int = 0
    epoch: int = 0
    pending: int = 0
    activated_at: int = 0
    events: int = 0
    issued_on: int = 0
    activate_by: int = 0
    pin_tries: int = 0
    user_code_tries: int = 0
    number: bytes = b""
    reader: bytes = b""
    model: bytes = b""

    @classmethod
    def read(cls, file: int, place: int) -> Self | None:
        """Return the newest whole slot of a record, or None."""
        slots = []
        for block in range(2):
            content = _checked(os.pread(file, _CHECKSUM.size + _SLOT.size, place * _RECORD + block * _BLOCK))
            if content:
                found, *values = _SLOT.unpack(content)
                slot = cls._make(
                    value.rstrip(b"\0") if isinstance(value, bytes) else value for value in values
                )
                if found == _FORMAT and slot.sequence >= 0 and slot.sequence % 2 == block:
                    slots.append(slot)
        return max(slots, default=None)

    def packed(self) -> bytes:
        return _packed(_SLOT, _FORMAT, *self)


EMPTY_STORE: Final = _Slot().packed().ljust(_RECORD, b"\0")
"""The content of a store without cards."""


class Store:
    """The card store at a path, by default the one that the module uses."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or store_path()

    def cards(self) -> list[CardRow]:
        """Return every card, ordered by number.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._file() as file:
            return sorted(_rows(file), key=lambda row: row.number)

    def card(self, number: str) -> CardRow | None:
        """Return one card, or None when the store does not know it.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._file() as file:
            return next(_rows(file, number), None)

    def events(self, card: str | None = None) -> list[EventRow]:
        """Return the history of one card or of all, oldest first.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._file() as file:
            histories = [list(_events(file, place, slot)) for place, slot in _cards(file, card)]
        # The events of one card stay in their order, even if the clock was set back.
        return list(heapq.merge(*histories, key=lambda event: event.at))

    @contextmanager
    def writing(self) -> Iterator["StoreWriter"]:
        """Let the issuer write, under the lock.

        Raises:
            StoreError: there is no store here that can be read, or somebody held the lock all the time.
            OSError: the store cannot be written.
        """
        with self.lock(exclusive=True):
            file = self._open(os.O_RDWR)
            try:
                self._lock_store(file)
                yield StoreWriter(file)
            finally:
                os.close(file)

    @contextmanager
    def lock(self, *, exclusive: bool, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
        """Hold the lock that the module takes around every decision (fcntl(2), open file description lock).

        Args:
            exclusive: for a writer; a reader shares it.
            seconds: how long to wait for it.

        Raises:
            StoreError: there is no store here, or somebody held the lock all that time.
        """
        file = self._locked_file(exclusive=exclusive, seconds=seconds)
        try:
            yield
        finally:
            os.close(file)

    def _lock_store(self, file: int) -> None:
        """Lock the store itself too: its lock file may be another than the one that a program holds."""
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK, 0, length=0))
        except BlockingIOError as error:
            raise StoreError(f"{self.path}: busy") from error

    def _locked_file(self, *, exclusive: bool, seconds: float) -> int:
        """Return the lock file, locked: the one that is at its path when it is."""
        path = f"{self.path}.lock"
        mode = (os.O_RDWR if exclusive else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW
        start = time.monotonic()
        waited = 0.0
        try:
            while waited <= seconds:
                with ExitStack() as stack:
                    file = os.open(path, mode)
                    stack.callback(os.close, file)
                    while not _lock_file(file, exclusive=exclusive, yields=waited < _YIELDING_SECONDS):
                        waited = time.monotonic() - start
                        if waited > seconds:
                            raise StoreError(f"{self.path}: busy")
                        time.sleep(0.001)
                    if os.path.samestat(os.fstat(file), os.lstat(path)):
                        stack.pop_all()
                        return file
                waited = time.monotonic() - start
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        raise StoreError(f"{self.path}: busy")

    @contextmanager
    def _file(self) -> Iterator[int]:
        # Shared lock: a try that is spent but not yet settled is never shown.
        with self.lock(exclusive=False):
            file = self._open(os.O_RDONLY)
            try:
                yield file
            except OSError as error:
                raise StoreError(f"{self.path}: {error.strerror}") from error
            finally:
                os.close(file)

    def _open(self, mode: int) -> int:
        try:
            file = os.open(self.path, mode | os.O_CLOEXEC | os.O_NONBLOCK)
            with ExitStack() as stack:
                stack.callback(os.close, file)
                if _Slot.read(file, _OWN):
                    stack.pop_all()
                    return file
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        raise StoreError(
            f"{self.path}: damaged, or made by another version; this one reads format {_FORMAT:#x}, "
            "and cards made by another are issued anew"
        )


class StoreWriter:
    """Writes the card store. Each change is on the disk when its call returns."""

    def __init__(self, file: int) -> None:
        self._file = file

    def cards(self) -> list[CardRow]:
        """Return every card, in the order of the file.

        Raises:
            StoreError: a record has values that no card can have.
        """
        return list(_rows(self._file))

    def add(self, number: str, *, reader: str, model: str, issued_on: date, activate_by: date) -> None:
        """Add a card with all its tries, and make its issue its first event.

        Raises:
            StoreError: the store's generations are used up.
        """
        free = (place for place, slot in _slots(self._file) if slot and not slot.number)
        place = next(free, _records(self._file))
        self._put(bytes(_RECORD), place * _RECORD)
        os.fdatasync(self._file)
        slot = _Slot(
            number=number.encode(),
            reader=reader.encode(),
            model=model.encode(),
            issued_on=(issued_on - _DAY_0).days,
            activate_by=(activate_by - _DAY_0).days,
            pin_tries=rules.MAX_TRIES,
            user_code_tries=rules.MAX_TRIES,
            epoch=self._new_generation(),
        )
        self._write(place, slot, event="issue")

    def replace_secrets(self, number: str, *, event: str) -> None:
        """Note that the card has another user code, and no PIN that anybody knows.

        Raises:
            StoreError: there is no such card, or a number of its record is used up.
        """
        place, slot = self._find(number)
        slot = slot._replace(
            pin_tries=0 if slot.activated_at else rules.MAX_TRIES,
            user_code_tries=rules.MAX_TRIES,
            epoch=self._new_generation(),
            pending=0,
        )
        self._write(place, slot, event=event)

    def remove(self, number: str) -> None:
        """Take a card and its history away, when it is there.

        Raises:
            StoreError: the sequence of its record is used up.
        """
        for place, slot in list(_cards(self._file, number)):
            self._write(place, _Slot(sequence=slot.sequence))

    def _find(self, number: str) -> tuple[int, _Slot]:
        for place, slot in _cards(self._file, number):
            return place, slot
        raise StoreError(f"the store has no card {number}")

    def _new_generation(self) -> int:
        """Begin the store's next generation; processes that run already must initialise again (epochs.h)."""
        own = _own(self._file)
        self._write(_OWN, own._replace(epoch=own.epoch + 1))
        return own.epoch + 1

    def _write(self, place: int, slot: _Slot, *, event: str | None = None) -> None:
        if event is not None:
            slot = slot._replace(events=slot.events + 1)
            content = _packed(_EVENT, 0, slot.events, int(time.time()), event.encode(), b"softhsm-card")
            self._put(content, _event_offset(place, slot.events))
        slot = slot._replace(sequence=slot.sequence + 1)
        self._put(slot.packed(), place * _RECORD + slot.sequence % 2 * _BLOCK)
        os.fdatasync(self._file)

    def _put(self, content: bytes, offset: int) -> None:
        while content:  # on a nearly full disk, pwrite may write only a part
            written = os.pwrite(self._file, content, offset)
            content, offset = content[written:], offset + written


def _records(file: int) -> int:
    """Return how many records have begun in the file."""
    return -(-os.fstat(file).st_size // _RECORD)


def _slots(file: int) -> Iterator[tuple[int, _Slot | None]]:
    """Yield the place and the newest slot of every record but the store's own."""
    return ((place, _Slot.read(file, place)) for place in range(_OWN + 1, _records(file)))


def _cards(file: int, number: str | None = None) -> Iterator[tuple[int, _Slot]]:
    """Yield the records that are a card's, or one card's."""
    # A number from a command line may hold bytes that are not UTF-8.
    wanted = None if number is None else number.encode(errors="surrogatepass")
    for place, slot in _slots(file):
        if slot and slot.number and wanted in (None, slot.number):
            yield place, slot


def _own(file: int) -> _Slot:
    own = _Slot.read(file, _OWN)
    if own is None or own.epoch < 0:
        raise StoreError("the card store's own record is damaged")
    return own


def _rows(file: int, number: str | None = None) -> Iterator[CardRow]:
    generation = _own(file).epoch
    return (_row(slot, generation) for _, slot in _cards(file, number))


def _range(kind: int, byte: int, length: int = 1) -> bytes:
    # struct flock: l_type, l_whence, l_start, l_len, l_pid (0 for this kind of lock)
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, length, 0)


def _lock_file(file: int, *, exclusive: bool, yields: bool) -> bool:
    """Lock the file as the module does (lock.c), if that is possible at once.

    A writer locks the second byte shared before it locks the first; a reader that yields waits for writers.
    """
    try:
        if exclusive:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, _range(fcntl.F_RDLCK, _BYTE_DECIDERS))
        elif yields:
            answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _range(fcntl.F_WRLCK, _BYTE_DECIDERS))
            if struct.unpack_from("h", answer) != (fcntl.F_UNLCK,):
                return False
        fcntl.fcntl(
            file, fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK, _BYTE_LOCK)
        )
    except BlockingIOError:
        return False
    return True


def _odd(slot: _Slot) -> StoreError:
    return StoreError(
        f"card {slot.number.decode(errors='replace')}: its record has values that no card can have"
    )


def _row(slot: _Slot, generation: int) -> CardRow:
    if not _can_be_a_card(slot, generation):
        raise _odd(slot)
    today = taipei.today()
    try:
        activate_by = _DAY_0 + timedelta(days=slot.activate_by)
        return CardRow(
            number=slot.number.decode(),
            reader=slot.reader.decode(errors="replace"),
            model=slot.model.decode(errors="replace"),
            issued_on=_DAY_0 + timedelta(days=slot.issued_on),
            activate_by=activate_by,
            activated_at=_time(slot.activated_at) if slot.activated_at else None,
            pin_tries=slot.pin_tries,
            user_code_tries=slot.user_code_tries,
            epoch=slot.epoch,
            lapsed=not slot.activated_at and activate_by < today,
            days_left=(activate_by - today).days,
        )
    except (UnicodeDecodeError, OverflowError) as error:
        raise _odd(slot) from error


def _can_be_a_card(slot: _Slot, generation: int) -> bool:
    """Say whether the module lets the card be used (store.c, store_no_card_can_have)."""
    tries = range(rules.MAX_TRIES + 1)
    return (
        slot.pin_tries in tries
        and slot.user_code_tries in tries
        and 0 <= slot.epoch <= generation
        and (slot.pending == 0 or slot.epoch < slot.pending <= generation)
        and 0 <= slot.events < _LAST
    )


def _event_offset(place: int, number: int) -> int:
    return place * _RECORD + 2 * _BLOCK + number % _EVENTS * _EVENT_SIZE


def _events(file: int, place: int, slot: _Slot) -> Iterator[EventRow]:
    for number in range(max(1, slot.events - _EVENTS + 1), slot.events + 1):
        content = _checked(os.pread(file, _EVENT_SIZE, _event_offset(place, number)))
        if content:
            result, written, at, *words = _EVENT.unpack(content)
            event, program = (word.rstrip(b"\0").decode(errors="replace") for word in words)
            if written == number:
                yield EventRow(_time(at), slot.number.decode(errors="replace"), event, result, program)


def _time(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise StoreError(f"the card store has a time that no clock shows: {seconds}") from error
