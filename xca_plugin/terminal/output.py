# SPDX-License-Identifier: Apache-2.0
"""Output to a terminal. All text is made harmless."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import click

from xca_common.errors import FileProblem
from xca_common.harmless_text import harmless, harmless_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_UNLIMITED: Final = 10_000
_OTHER_SCREEN: Final = "\x1b[?1049h\x1b[H"
_FIRST_SCREEN: Final = "\x1b[?1049l"
"""Switch to a terminal's second screen, which keeps no history, and back (xterm's control sequences)."""


def say(message: str = "", *, err: bool = False, **style: Any) -> None:
    """Print a text of one or several lines, with the styles of click.style."""
    click.secho(harmless(message, lines=True), err=err, **style)


@contextmanager
def other_screen() -> Iterator[None]:
    """Within the context, stderr goes to the terminal's second screen, if it has one."""
    has_one = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
    if has_one:
        click.echo(_OTHER_SCREEN, nl=False, err=True)
    try:
        yield
    finally:
        if has_one:
            click.echo(_FIRST_SCREEN, nl=False, err=True)


def say_done(message: str, **style: Any) -> None:
    """Print that something was done; a failure to print is ignored, because it was done."""
    with suppress(OSError, FileProblem):
        say(message, **style)


def print_json(document: object, *, indent: int | None = 2) -> None:
    """Print a result as JSON, whatever the terminal's encoding."""
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    click.echo(harmless_json(document, indent=indent, ascii_only=ascii_only))


def console(*, err: bool = False) -> "Console":
    """Return rich's console; rich is imported here because not every command needs it."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    # Lines are folded only in a terminal: a pipe has no width.
    width = None if stream.isatty() else _UNLIMITED
    return Console(stderr=err, highlight=False, markup=False, emoji=False, width=width)


def grid(*folding: bool) -> "Table":
    """Return a table without lines, whose cells are made harmless.

    Each argument stands for a column: True, if its text may be folded.
    """
    from xca_plugin.terminal.harmless_table import HarmlessTable

    table = HarmlessTable.grid(padding=(0, 2, 0, 0))
    for folds in folding:
        table.add_column(no_wrap=not folds, overflow="fold")
    return table


def add_heads(table: "Table", *heads: str) -> None:
    """Show the headings of a table's columns."""
    from rich.text import Text

    table.add_row(*(Text(head, style="dim") for head in heads))
