# SPDX-License-Identifier: Apache-2.0
"""Reports changes of the cards and readers of this machine to a program that keeps running."""

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Generic, TypeVar

from pkcs11_shim import ConfigurationError, Store
from xca_common.errors import XcaError
from xca_plugin.model import Card
from xca_plugin.pcsc import Daemon, Reader

_PERIOD: Final = 0.25  # seconds
_RETRY: Final = 2.0  # seconds between a failed detection of cards and the next
_SETTLED: Final = 0.05  # seconds: two writes within it may leave the same file times

_T = TypeVar("_T", Card, Reader)


class ChangeKind(StrEnum):
    """What changed."""

    CARD_ADDED = "card-added"
    CARD_CHANGED = "card-changed"
    """Its state, or the tries left."""
    CARD_REMOVED = "card-removed"
    READER_ADDED = "reader-added"
    READER_CHANGED = "reader-changed"
    """What is in it."""
    READER_REMOVED = "reader-removed"
    PROBLEM = "problem"
    """Cards or readers cannot be detected. Those seen last are kept until they can."""
    SOLVED = "solved"


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        kind: what changed.
        subject: the card or reader after the change (before it, if it was removed), or the problem.
        at: when the change was noticed.
    """

    kind: ChangeKind
    subject: Card | Reader | XcaError
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Watch:
    """Polls the card readers (PC/SC) and the card store four times a second.

    Cards are detected only after one of these changed, because detection can hold up programs that work with
    a card. A failed detection is repeated after two seconds.

    Args:
        detect: returns the present cards, newly issued ones included: Cards.refresh(), then
            Cards.detect(). It is called in the iterating thread.
    """

    def __init__(self, detect: Callable[[], Sequence[Card]]) -> None:
        self._detect = detect
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Change]:
        """Yield every present reader and card as added, then every change, until stop()."""
        cards = _Seen(
            self._detect,
            lambda card: card.number,
            ChangeKind.CARD_ADDED,
            ChangeKind.CARD_CHANGED,
            ChangeKind.CARD_REMOVED,
        )
        with closing(Daemon()) as daemon:
            readers = _Seen(
                daemon.readers,
                lambda reader: reader.name,
                ChangeKind.READER_ADDED,
                ChangeKind.READER_CHANGED,
                ChangeKind.READER_REMOVED,
            )
            store: Hashable = object()
            looked = 0.0
            while not self._stopped.is_set():
                changes = list(readers.changes())
                yield from changes
                before, store = store, _store()
                again = cards.problem and time.monotonic() > looked + _RETRY
                if changes or store != before or again:
                    yield from cards.changes()
                    looked = time.monotonic()
                self._stopped.wait(_PERIOD)

    def stop(self) -> None:
        """End the iteration. Any thread may call this."""
        self._stopped.set()


class _Seen(Generic[_T]):
    """Cards or readers as the last successful detection found them."""

    def __init__(
        self,
        detect: Callable[[], Sequence[_T]],
        name: Callable[[_T], str],
        added: ChangeKind,
        changed: ChangeKind,
        removed: ChangeKind,
    ) -> None:
        self._detect: Callable[[], Sequence[_T]] = detect
        self._name: Callable[[_T], str] = name
        self._added, self._changed, self._removed = added, changed, removed
        self._items: dict[str, _T] = {}
        self.problem: XcaError | None = None

    def changes(self) -> Iterator[Change]:
        """Detect again and yield the differences."""
        try:
            items = {self._name(item): item for item in self._detect()}
        except XcaError as error:
            if str(error) != str(self.problem):
                yield Change(ChangeKind.PROBLEM, error)
            self.problem = error
            return
        if self.problem:
            yield Change(ChangeKind.SOLVED, self.problem)
            self.problem = None
        for name in self._items.keys() - items.keys():
            yield Change(self._removed, self._items[name])
        for name, item in items.items():
            if name not in self._items:
                yield Change(self._added, item)
            elif item != self._items[name]:
                yield Change(self._changed, item)
        self._items = items


def _store() -> Hashable:
    """Return a value that changes with every write to the card store."""
    try:
        status = Store().path.stat()
    except (OSError, ConfigurationError):
        return None
    if abs(time.time() - status.st_mtime) < _SETTLED:
        return object()  # another write now could leave the same times
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
