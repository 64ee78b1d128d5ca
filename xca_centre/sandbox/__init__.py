# SPDX-License-Identifier: Apache-2.0
"""A whole centre to try on one's own machine (xca-centre sandbox), with cards, mails and a movable clock.

The cards, and the local component that reaches them, are programs of xca-plugin. They are started, not
imported. A folder that is given keeps all of it for the next time; else nothing stays.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from xca_centre import settings
from xca_centre.centre import Centre
from xca_centre.i18n import text
from xca_centre.sandbox.parts import Parts
from xca_centre.sandbox.setting_up import open_officers_cards, set_up
from xca_centre.sandbox.site import site
from xca_centre.sandbox.web_server import WebServer
from xca_common.i18n import Text
from xca_common.scratch import scratch_folder

__all__ = ["run"]


def run(folder: Path | None, tell: Callable[[Text], object], show: Callable[[str], object]) -> None:
    """Run a sandbox until KeyboardInterrupt is raised, or a part of it ends.

    Args:
        folder: where it is kept; one that is there already goes on. None: a temporary one.
        tell: says to the person what is done.
        show: says which address to open: the page with mails, clock and cards.

    Raises:
        ProgramMissing: a program of xca-plugin is not installed.
        ProgramFailed: one of them failed, or a part ended.
        CentreError: the centre cannot be begun.
        OSError: there is no room for the files, or no free port.
    """
    with ExitStack() as stack:
        place = folder.absolute() if folder else stack.enter_context(scratch_folder()) / "sandbox"
        sandbox = set_up(place, tell)
        tell(text("Starting the centre, its worker and the local component"))
        parts = stack.enter_context(Parts.running(sandbox))
        centre = Centre(settings.read(sandbox.folder))
        stack.enter_context(closing(centre.database))
        open_officers_cards(sandbox, centre)
        server = WebServer(sandbox.page_port, lambda address: site(sandbox, centre, parts, address))
        stack.enter_context(parts.ending(server.end))
        server.serve(lambda address: show(f"{address}/"))
        parts.require_running()
