# SPDX-License-Identifier: Apache-2.0
"""What reaches a person at the terminal: all of it harmless; and questions, which Ctrl-C ends at once."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

import click

from xca_common.harmless_text import harmless, harmless_json


def say(message: str = "", *, err: bool = False, **style: Any) -> None:
    """Say something, in one or several lines, with the styles of click.style."""
    click.secho(harmless(message, lines=True), err=err, **style)


def print_json(document: object, *, indent: int | None = 2) -> None:
    """Print a result as JSON, whatever the terminal's encoding."""
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    click.echo(harmless_json(document, indent=indent, ascii_only=ascii_only))


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
