# SPDX-License-Identifier: Apache-2.0
"""The command that runs a whole centre to try, on this machine alone."""

import signal
from pathlib import Path

import click

from xca_centre.commands.common import STATUSES, tell
from xca_centre.commands.group import xca_centre
from xca_centre.i18n import say, text
from xca_centre.sandbox import run
from xca_common.browser import open_address
from xca_common.i18n import CHINESE, ENGLISH

_ = say

_OPEN = text("Open {address} in a browser. All else stands there. End it with Ctrl-C.")


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

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        run(keep, lambda words: tell(text("{step} …").format(step=words)), show)
    except KeyboardInterrupt:
        tell("")
    finally:
        signal.signal(signal.SIGTERM, before)
