# SPDX-License-Identifier: Apache-2.0
"""Commands that run: the web server, and workers."""

import signal
from pathlib import Path
from threading import Event

import click

from xca_centre.commands.common import STATUSES, begun, tell
from xca_centre.commands.group import xca_centre
from xca_centre.i18n import say, text
from xca_centre.logs import begin_log
from xca_common.command_line import WholeNumber

_ = say


@xca_centre.command(
    "serve",
    help=_(
        "Serve pages, acceptances, revocation lists and OCSP on this machine, for a web server in front of "
        "it that speaks https."
    ),
    epilog=STATUSES,
)
@click.option(
    "--port",
    metavar="NUMBER",
    type=WholeNumber(0, 65535),
    default=8450,
    show_default=True,
    help=_("Port to listen at; 0: one that is free."),
)
@click.option(
    "--workers",
    metavar="NUMBER",
    type=WholeNumber(1, 256),
    default=2,
    show_default=True,
    help=_("Number of processes."),
)
@click.pass_obj
def _serve(folder: Path, port: int, workers: int) -> None:
    from xca_centre.serving import serve

    serve(folder, port, workers, tell)


@xca_centre.command(
    "worker",
    help=_(
        "Do what follows from what happens: make cards, publish lists, send mails, keep deadlines, chain the "
        "events. Any number of workers may run, also on several machines with one database."
    ),
    epilog=STATUSES,
)
@click.pass_obj
def _worker(folder: Path) -> None:
    from xca_centre.worker import work

    begin_log()
    centre, is_over = begun(folder), Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    tell(text("The worker works. End it with Ctrl-C."))
    work(centre, is_over)
