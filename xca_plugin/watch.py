# SPDX-License-Identifier: Apache-2.0
"""Changes of the cards and readers of this machine, as they happen; for programs that run for long."""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from threading import Event
from typing import Final, Generic, TypeVar

from pkcs11_shim import ConfigurationError, Store
from xca_common.errors import XcaError
from xca_plugin.model import Card
from xca_plugin.pcsc import Daemon, Reader

_PERIOD: Final = 0.25  # seconds
_PATIENCE: Final = 2.0  # seconds until the cards are looked at again after that failed
_SETTLED: Final = 0.05  # seconds after which a file's time tells it from an earlier state

_T = TypeVar("_T", Card, Reader)


class Kind(StrEnum):
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
    """The cards, or the readers, cannot be looked at; until they can, what was seen last stands."""
    SOLVED = "solved"


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        kind: what changed.
        subject: the card or reader as it is now, or as it was before it was removed; the problem.
        at: when it was noticed.
    """

    kind: Kind
    subject: Card | Reader | XcaError
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Watch:
    """Looks four times a second at the card readers (PC/SC) and at the card store.

    The cards are looked at when one of these changed (and again, two seconds after a look that failed), not
    otherwise: there is nothing new, and to look disturbs others who work with them.

    Args:
        detect: returns the cards that are there now, newly issued ones included: Cards.refresh(), then
            Cards.detect(). It is called in the thread that iterates.
    """

    def __init__(self, detect: Callable[[], Sequence[Card]]) -> None:
        self._detect = detect
        self._stopped = Event()

    def __iter__(self) -> Iterator[Change]:
        """Tell what is there as added, and then every change, until stop()."""
        cards = _Seen(
            self._detect, lambda card: card.number, Kind.CARD_ADDED, Kind.CARD_CHANGED, Kind.CARD_REMOVED
        )
        with closing(Daemon()) as daemon:
            readers = _Seen(
                daemon.readers,
                lambda reader: reader.name,
                Kind.READER_ADDED,
                Kind.READER_CHANGED,
                Kind.READER_REMOVED,
            )
            store: Hashable = object()
            looked = 0.0
            while not self._stopped.is_set():
                changes = list(readers.look())
                yield from changes
                before, store = store, _store()
                again = cards.problem and time.monotonic() > looked + _PATIENCE
                if changes or store != before or again:
                    yield from cards.look()
                    looked = time.monotonic()
                self._stopped.wait(_PERIOD)

    def stop(self) -> None:
        """End the iteration; may be called in any thread."""
        self._stopped.set()


class _Seen(Generic[_T]):
    """Cards or readers as they were at the last look that succeeded."""

    def __init__(
        self,
        look: Callable[[], Sequence[_T]],
        name: Callable[[_T], str],
        added: Kind,
        changed: Kind,
        removed: Kind,
    ) -> None:
        self._look: Callable[[], Sequence[_T]] = look
        self._name: Callable[[_T], str] = name
        self._added, self._changed, self._removed = added, changed, removed
        self._items: dict[str, _T] = {}
        self.problem: XcaError | None = None

    def look(self) -> Iterator[Change]:
        """Look again, and tell what changed since."""
        try:
            items = {self._name(item): item for item in self._look()}
        except XcaError as error:
            if str(error) != str(self.problem):
                yield Change(Kind.PROBLEM, error)
            self.problem = error
            return
        if self.problem:
            yield Change(Kind.SOLVED, self.problem)
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
    """Return what differs after every write to the card store."""
    try:
        status = Store().path.stat()
    except (OSError, ConfigurationError):
        return None
    if abs(time.time() - status.st_mtime) < _SETTLED:
        return object()  # one more write now could leave the very same times
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
