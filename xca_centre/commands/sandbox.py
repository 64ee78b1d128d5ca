# SPDX-License-Identifier: Apache-2.0
"""The command that runs a whole centre to try, on this machine alone."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from xca_centre.commands.common import STATUSES, tell
from xca_centre.commands.group import xca_centre
from xca_centre.i18n import say, text
from xca_centre.sandbox import run
from xca_common.browser import open_address
from xca_common.i18n import CHINESE, ENGLISH

_ = say

_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OPEN: Final = text("Open {address} in a browser. All else stands there. End it with Ctrl-C.")


@xca_centre.command(
    "sandbox",
    help=_(
        "Run a whole centre to try, on this computer alone: pages, worker, mails, organisations, two "
        "officers with cards, a clock that can be moved, and the local component. It starts programs of "
        "xca-plugin."
    ),
    epilog=STATUSES,
)
@click.option(
    "--keep",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help=_("Where it is kept; one that is there goes on. Without it, nothing stays."),
)
@click.option("--no-browser", is_flag=True, help=_("Open no browser; only say the address."))
def _sandbox(keep: Path | None, no_browser: bool) -> None:
    def show(address: str) -> None:
        for language in (CHINESE, ENGLISH):
            tell(_OPEN.format(address=address)(language))
        if not no_browser:
            open_address(address)

    try:
        with _ended_by_signals():
            run(keep, lambda words: tell(text("{step} …").format(step=words)), show)
    except KeyboardInterrupt:
        tell("")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first signal that ends a program; what it stops is not stopped again.

    What a script starts in its background ignores Ctrl-C, if nothing says otherwise.
    """

    def end(*_: object) -> None:
        for number in _ENDS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
