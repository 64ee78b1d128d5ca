# SPDX-License-Identifier: Apache-2.0
"""Topics that the agent's open pages follow: cards and readers, and recent sites.

A topic has a version and nothing else. A page that shows an older version loads itself again.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import suppress
from threading import Thread
from typing import Final, Protocol, TypeVar

from xca_common.errors import place_of
from xca_plugin import errors
from xca_plugin.agent.process.card_worker import CardWorker
from xca_plugin.model import Card
from xca_plugin.pcsc import Reader
from xca_plugin.watch import Change, ChangeKind, Watch

_FIRST_REPORT_SECONDS: Final = 5.0
_READER_PROBLEMS: Final = (errors.NoReaderSupport, errors.NoReaderDaemon, errors.ReaderFault)

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class ChangeTopic:
    """Something that changes while pages show it. It is used in the event loop's thread only."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(4)  # different runs of the agent have different versions
        self._count = 0
        self._next_change = asyncio.Event()

    @property
    def version(self) -> str:
        """The present version; it differs after every change."""
        return f"{self._prefix}-{self._count}"

    def announce(self) -> None:
        """Tell all followers that something changed."""
        self._count += 1
        self._next_change.set()
        self._next_change = asyncio.Event()

    async def versions(self) -> AsyncGenerator[str]:
        """Yield the present version, and the next one after every change."""
        while True:
            next_change = self._next_change
            yield self.version
            await next_change.wait()


class CardObserver(Protocol):
    """Is told, in the event loop's thread, what a watch over cards and readers finds."""

    def cards_present(self, numbers: Collection[str]) -> None:
        """These cards are there now."""

    def reader_changed(self, name: str, readers: Collection[str]) -> None:
        """Something was put into this reader or pulled out, or the reader itself was unplugged."""

    def readers_unknown(self) -> None:
        """The readers cannot be asked."""

    def unwatched(self) -> None:
        """The watch has ended."""


class CardChanges(ChangeTopic):
    """Cards and readers. A thread watches them while a page follows, or somebody needs it otherwise.

    Args:
        card_worker: where the thread detects cards.
        observer: is told what the watch finds.
    """

    def __init__(self, card_worker: CardWorker, observer: CardObserver) -> None:
        super().__init__()
        self._card_worker, self._observer = card_worker, observer
        self._followers = 0
        self._watch: Watch | None = None
        self._readers: set[str] = set()
        self._reported = asyncio.Event()

    async def versions(self) -> AsyncGenerator[str]:
        """Yield the present version, and the next one after every change."""
        self._follow()
        try:
            async for version in super().versions():
                yield version
        finally:
            self._leave()

    async def keep_watching(self, seconds: float) -> None:
        """Watch for some seconds even if no page follows, and wait until the observer was told of the cards.

        The wait has an end: the daemon of the readers may hang.
        """
        self._follow()
        asyncio.get_running_loop().call_later(seconds, self._leave)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_REPORT_SECONDS):
                await self._reported.wait()

    def close(self) -> None:
        """End the watch for good."""
        if self._watch is not None:
            self._watch.stop()
            self._drop_watch(self._watch)

    def _follow(self) -> None:
        self._followers += 1
        if self._watch is None:
            self._watch = self._start_watch()

    def _leave(self) -> None:
        self._followers -= 1
        if not self._followers:
            self.close()

    def _start_watch(self) -> Watch:
        loop = asyncio.get_running_loop()

        def detect() -> Sequence[Card]:
            numbers: frozenset[str] = frozenset()
            detected = self._card_worker.run(lambda cards: cards.detect())
            try:
                found = asyncio.run_coroutine_threadsafe(detected, loop).result()
                numbers = frozenset(card.number for card in found)
                return found
            finally:
                loop.call_soon_threadsafe(self._if_current, watch, self._report, numbers)

        watch = Watch(detect)
        self._readers = set()
        self._reported = asyncio.Event()

        def follow() -> None:
            try:
                for change in watch:
                    loop.call_soon_threadsafe(self._if_current, watch, self._tell, change)
            except Exception as error:
                if self._watch is not watch:
                    return  # the agent ends
                _log.error("the cards are no longer watched: %s", place_of(error))
                loop.call_soon_threadsafe(self._drop_watch, watch)

        # A new watch first reports everything as new. So pages learn of changes from before it started.
        Thread(target=follow, name="card-watch", daemon=True).start()
        return watch

    def _if_current(self, watch: Watch, act: Callable[[_T], None], argument: _T) -> None:
        if self._watch is watch:
            act(argument)

    def _report(self, numbers: Collection[str]) -> None:
        self._observer.cards_present(numbers)
        self._reported.set()

    def _tell(self, change: Change) -> None:
        subject = change.subject
        if isinstance(subject, Reader):
            if change.kind is not ChangeKind.READER_ADDED:
                self._observer.reader_changed(subject.name, self._readers)
            self._readers.add(subject.name)
            if change.kind is ChangeKind.READER_REMOVED:
                self._readers.discard(subject.name)
        elif change.kind is ChangeKind.PROBLEM and isinstance(subject, _READER_PROBLEMS):
            self._observer.readers_unknown()
        self.announce()

    def _drop_watch(self, watch: Watch) -> None:
        if self._watch is watch:
            self._watch = None
            self._observer.unwatched()
