# SPDX-License-Identifier: Apache-2.0
"""Questions at a terminal. Ctrl-C ends a question at once."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

from xca_common import command_line


def interactive() -> bool:
    """Return whether there is a terminal to ask a person at."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def prompt(question: str, **options: Any) -> Any:
    """Ask for a value, with the options of click.prompt.

    Raises:
        QuestionEnded: the person ended the question.
    """
    with _interruptible():
        return command_line.ask(question, **options)


def confirm(question: str) -> bool:
    """Ask for yes or no.

    Raises:
        QuestionEnded: the person ended the question.
    """
    with _interruptible():
        return command_line.confirm(question)


@contextmanager
def _interruptible() -> Iterator[None]:
    """While a question waits, let Ctrl-C raise KeyboardInterrupt.

    Other handlers may delay it: that of asyncio.run() cancels the main task at its next await.
    """
    handler = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or handler in (signal.SIG_IGN, None):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
