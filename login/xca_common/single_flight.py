# SPDX-License-Identifier: Apache-2.0
"""A blocking call in a thread of its own, shared by everybody who asks for its result meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import Generic, TypeVar

_T = TypeVar("_T")


class SingleFlight(Generic[_T]):
    """Run a blocking call in a daemon thread; concurrent callers share one run.

    A call that hangs therefore holds one thread, however often it is asked for, and does not keep the process
    from ending. All callers must be in the same event loop.
    """

    def __init__(self) -> None:
        self._running: Future[_T] | None = None

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return the result of the run under way or, when there is none, of a new run of `call`.

        Raises:
            BaseException: whatever the call raises, for each of its callers.
        """
        if self._running is None or self._running.done():
            self._running = Future()
            # Not asyncio.to_thread: at its end Python waits for the threads of that pool.
            Thread(target=copy_context().run, args=(_run, call, self._running), daemon=True).start()
        return await asyncio.shield(asyncio.wrap_future(self._running))


def _run(call: Callable[[], _T], future: Future[_T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
