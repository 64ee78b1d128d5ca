# SPDX-License-Identifier: Apache-2.0
"""A login to try on one's own machine (xca-login demo): a test card, a local component and a site.

Card and component are programs of xca-plugin. They are started, not imported.
"""

from collections.abc import Callable
from contextlib import ExitStack

from xca_common.i18n import Text
from xca_common.scratch import scratch_folder
from xca_login.demo.programs import Component, DemoCard
from xca_login.demo.server import listening
from xca_login.demo.site import DemoSite
from xca_login.i18n import text
from xca_login.trust import TrustFolder

__all__ = ["run"]


def run(tell: Callable[[Text], None], show: Callable[[str], None]) -> None:
    """Run the demonstration until its local component ends or KeyboardInterrupt is raised. Nothing stays.

    Args:
        tell: says to the person what is done.
        show: opens the site's address in a browser.

    Raises:
        ProgramMissing: a program of xca-plugin is not installed.
        ProgramFailed: one of them failed, or the local component ended.
        OSError: there is no room for temporary files, or no free port.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        tell(text("Issuing and activating a test card"))
        card = DemoCard.issue(folder)
        server = stack.enter_context(listening())
        tell(text("Starting the local component"))
        component = stack.enter_context(Component.running(card.variables, folder, server.origin))
        server.serve(
            DemoSite(
                server.origin,
                component.address,
                TrustFolder(card.trust_folder(folder)),
                [card.revocation_list.read_bytes()],
                folder / "evidence",
                card.pin,
            )
        )
        show(server.origin)
        component.wait()
