# SPDX-License-Identifier: Apache-2.0
"""Questions at a terminal, which Ctrl-C ends at once."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

import click


def interactive() -> bool:
    """Tell whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def prompt(question: str, **options: Any) -> Any:
    """Ask for a value, with the options of click.prompt.

    Raises:
        click.Abort: the person ended the question.
    """
    with _interruptible():
        return click.prompt(question, err=True, **options)


def confirm(question: str) -> bool:
    """Ask for yes or no.

    Raises:
        click.Abort: the person ended the question.
    """
    with _interruptible():
        return click.confirm(question, err=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have Ctrl-C interrupt, for as long as a question waits.

    A host may have it do something else: asyncio.run() only notes the first, and acts at the next await.
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
