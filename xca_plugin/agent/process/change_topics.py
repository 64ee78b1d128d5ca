# SPDX-License-Identifier: Apache-2.0
"""Topics that the agent's open pages follow: cards and readers, and recent sites.

A topic has a version and nothing else. A page that shows an older version loads itself again.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Sequence
from threading import Thread

from xca_common.errors import place_of
from xca_plugin.agent.process.card_worker import CardWorker
from xca_plugin.model import Card
from xca_plugin.watch import Watch

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


class CardChanges(ChangeTopic):
    """Cards and readers. A thread watches them while at least one page follows.

    Args:
        card_worker: where the thread detects cards.
    """

    def __init__(self, card_worker: CardWorker) -> None:
        super().__init__()
        self._card_worker = card_worker
        self._followers = 0
        self._watch: Watch | None = None

    async def versions(self) -> AsyncGenerator[str]:
        """Yield the present version, and the next one after every change."""
        self._followers += 1
        if self._watch is None:
            self._watch = self._start_watch()
        try:
            async for version in super().versions():
                yield version
        finally:
            self._followers -= 1
            if not self._followers and self._watch is not None:
                self._watch.stop()
                self._watch = None

    def _start_watch(self) -> Watch:
        loop = asyncio.get_running_loop()

        def detect() -> Sequence[Card]:
            detected = self._card_worker.run(lambda cards: cards.detect())
            return asyncio.run_coroutine_threadsafe(detected, loop).result()

        watch = Watch(detect)

        def follow() -> None:
            try:
                for _ in watch:
                    loop.call_soon_threadsafe(self.announce)
            except Exception as error:
                _log.error("the cards are no longer watched: %s", place_of(error))
                loop.call_soon_threadsafe(self._drop_watch, watch)

        # A new watch first reports everything as new. So pages learn of changes from before it started.
        Thread(target=follow, name="card-watch", daemon=True).start()
        return watch

    def _drop_watch(self, watch: Watch) -> None:
        if self._watch is watch:
            self._watch = None
