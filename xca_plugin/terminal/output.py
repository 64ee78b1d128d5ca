# SPDX-License-Identifier: Apache-2.0
"""Output to a terminal. All text is made harmless."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import click

from xca_common.errors import FileProblem
from xca_common.harmless_text import harmless, harmless_json

if TYPE_CHECKING:
    from rich.console import Console

    from xca_common.harmless_table import HarmlessTable

_UNLIMITED: Final = 10_000
_WIPE_HISTORY: Final = "E3"
"""Name in terminfo of the sequence that wipes the lines above the screen, where a terminal has one."""


def say(message: str = "", *, err: bool = False, **style: Any) -> None:
    """Print a text of one or several lines, with the styles of click.style."""
    click.secho(harmless(message, lines=True), err=err, **style)


@contextmanager
def other_screen() -> Iterator[bool]:
    """Within the context, what is shown on stderr is taken back at its end.

    It goes to the terminal's second screen, which keeps no history; a terminal that has none is wiped.

    Yields:
        True: the terminal can do either.
    """
    before, after = _screens() if sys.stderr.isatty() else ("", "")
    click.echo(before, nl=False, err=True)
    try:
        yield bool(after)
    finally:
        click.echo(after, nl=False, err=True)


def _screens() -> tuple[str, str]:
    """Return the sequences (terminfo(5)) before and after what is taken back; empty: there are none."""
    import curses  # here, because few commands need it

    try:
        curses.setupterm(fd=sys.stderr.fileno())
    except curses.error:  # terminfo does not know it
        return "", ""

    def sequence(name: str) -> str:
        # Some hold a delay for terminals of the past, such as $<50>.
        return re.sub(r"\$<[^>]*>", "", (curses.tigetstr(name) or b"").decode("latin-1"))

    if sequence("smcup") and sequence("rmcup"):
        return sequence("smcup") + sequence("home"), sequence("rmcup")
    return "", sequence("clear") + sequence(_WIPE_HISTORY) if sequence("clear") else ""


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


def grid(*folding: bool, heads: Sequence[str] = ()) -> "HarmlessTable":
    """Return a table without lines, whose cells are made harmless.

    Args:
        folding: for each column, True if its text may be folded.
        heads: the headings of the columns, if they have any.
    """
    from xca_common.harmless_table import HarmlessTable

    return HarmlessTable(folding, heads)
