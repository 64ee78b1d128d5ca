# SPDX-License-Identifier: Apache-2.0
"""The one place in the agent where cards are touched."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import Final, TypeVar

from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.cards import Cards

PATIENCE: Final = 60.0
"""Seconds that an operation may wait for those before it and take itself."""

_ENDING: Final = 10.0  # seconds; more than the module waits for anything

_T = TypeVar("_T")


class Desk:
    """Does one card operation at a time; a second waits its turn.

    Every operation meets readers and cards as they are then, also those that came since the one before.

    Attributes:
        ended: it was closed, and nothing is at work any more.
    """

    ended = False

    def __init__(self) -> None:
        self._at_work = Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="desk")
        self._cards: Cards | None = None

    async def ask(self, operation: Callable[[Cards], _T], secrets: Iterable[Secret] = ()) -> _T:
        """Run an operation in the worker's thread and return its result.

        Args:
            operation: what is done.
            secrets: those that it uses. They are wiped once it has ended or can no longer begin; not when it
                is given up here, because the card may still be at work with them.

        Raises:
            DeskBusy: it took too long. If its turn had not come it never will; else its result is lost.
            XcaError: what the operation raises, or Cards itself.
        """
        turn = self._worker.submit(copy_context().run, self._do, operation)
        turn.add_done_callback(lambda _: _wipe(secrets))
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.wrap_future(turn)
        except TimeoutError:
            raise errors.DeskBusy from None

    def close(self) -> None:
        """Forget the operations that wait; wait a while for the one that runs, if one does."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        self.ended = self._at_work.acquire(timeout=_ENDING)

    def _do(self, operation: Callable[[Cards], _T]) -> _T:
        with self._at_work:
            if self._cards is None:
                self._cards = Cards()
            self._cards.refresh()
            return operation(self._cards)


def _wipe(secrets: Iterable[Secret]) -> None:
    for secret in secrets:
        secret.wipe()
