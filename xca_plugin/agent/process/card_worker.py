# SPDX-License-Identifier: Apache-2.0
"""The thread in which the agent uses cards. No other part of the agent calls the PKCS#11 module."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import Final, TypeVar

from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.cards import Cards

OPERATION_SECONDS: Final = 60.0
"""Seconds that an operation may take, with its wait for those before it."""

_STOP_SECONDS: Final = 10.0  # more than the module waits for anything

_T = TypeVar("_T")


class CardWorker:
    """Runs one card operation at a time, in the order in which they come.

    Each operation sees the readers and cards that are there when it begins.

    Attributes:
        stopped: whether it is closed and no operation runs any more.
    """

    stopped = False

    def __init__(self) -> None:
        self._running = Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="card-worker")
        self._cards: Cards | None = None

    async def run(
        self,
        operation: Callable[[Cards], _T],
        secrets: Iterable[Secret] = (),
        seconds: float | None = None,
    ) -> _T:
        """Run an operation in the worker's thread and return its result.

        Args:
            operation: what to do with the cards.
            secrets: the PINs and user codes that the operation uses. They are wiped when it has ended or can
                no longer begin. They are not wiped when the caller gives up: the card may still need them.
            seconds: how long it may take, with its wait for those before it; None: OPERATION_SECONDS.

        Raises:
            CardWorkerBusy: the time has passed, or the worker is closed. An operation that has not
                begun never begins. One that has begun goes on, and its result is lost.
            XcaError: as the operation, or Cards itself.
        """
        try:
            future = self._thread.submit(copy_context().run, self._run, operation)
        except RuntimeError:  # closed
            _wipe(secrets)
            raise errors.CardWorkerBusy from None
        future.add_done_callback(lambda _: _wipe(secrets))
        try:
            async with asyncio.timeout(OPERATION_SECONDS if seconds is None else seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise errors.CardWorkerBusy from None

    def close(self) -> None:
        """Drop the operations that have not begun, and wait a while for the one that runs."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.stopped = self._running.acquire(timeout=_STOP_SECONDS)

    def _run(self, operation: Callable[[Cards], _T]) -> _T:
        with self._running:
            if self._cards is None:
                self._cards = Cards()
            self._cards.refresh()
            return operation(self._cards)


def _wipe(secrets: Iterable[Secret]) -> None:
    for secret in secrets:
        secret.wipe()
