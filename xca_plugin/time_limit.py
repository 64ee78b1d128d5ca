# SPDX-License-Identifier: Apache-2.0
"""A limit on the time that reading a stranger's PDF may take.

pyHanko limits what it decompresses, and this package the revisions and signatures; but a small PDF can still
name more work than anybody waits for. Only processor time counts: a person may think as long as they like.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from xca_plugin.i18n import text

PDF_SECONDS: Final = 60.0
"""Processor time that one PDF may take."""
TAKES_TOO_LONG: Final = text("it takes too long to read")
_AGAIN: Final = 1.0  # seconds; a library may swallow the exception where it is raised
_SOON: Final = 0.1  # seconds


class TimeIsUp(BaseException):  # a situation; no handler of Exception may swallow it
    """The time is up."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Limit the processor time of the block.

    That is a timer of the process, whose signal the main thread gets. In another thread, and on a system
    without such timers, nothing is limited: whoever reads a stranger's file there does so in a process of
    its own.

    Args:
        seconds: of processor time, of all threads together.

    Raises:
        TimeIsUp: the block took longer.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise TimeIsUp

    def raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
        # Python drops what is raised in a callback of a weak reference, or while an object is deleted.
        if isinstance(unraisable.exc_value, TimeIsUp):
            signal.setitimer(signal.ITIMER_VIRTUAL, _SOON, _AGAIN)
        else:
            report(unraisable)

    before, report = signal.signal(signal.SIGVTALRM, end), sys.unraisablehook
    sys.unraisablehook = raise_again
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        sys.unraisablehook = report
