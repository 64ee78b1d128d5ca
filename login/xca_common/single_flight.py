# SPDX-License-Identifier: Apache-2.0
"""Jobs in threads that may hang, because what they ask does."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """Does one job at a time. Who asks meanwhile shares it: one that hangs holds no second thread."""

    def __init__(self) -> None:
        self._job: Future[_T] | None = None

    async def result(self, job: Callable[[], _T]) -> _T:
        """Return the result of the job that is under way, or of this one."""
        if self._job is None or self._job.done():
            self._job = Future()
            # Not asyncio.to_thread: Python waits at its end for threads that are no daemons.
            Thread(target=copy_context().run, args=(_do, job, self._job), daemon=True).start()
        return await asyncio.shield(asyncio.wrap_future(self._job))


def _do(job: Callable[[], _T], future: Future[_T]) -> None:
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(error)
