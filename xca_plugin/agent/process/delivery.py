# SPDX-License-Identifier: Apache-2.0
"""Sends the acceptances (憑證接受) that are kept on this computer to their centre while the agent runs."""

import asyncio
import logging
from typing import Final

from xca_common.errors import XcaError
from xca_plugin.cards import Cards
from xca_plugin.centre.kept import KeptAcceptances

_SECONDS: Final = 60.0
"""How often it looks whether one is due."""

_log = logging.getLogger(__name__)


async def deliver_while_running() -> None:
    """Send what is due, now and every minute. It ends when it is cancelled."""
    while True:
        await asyncio.to_thread(_deliver)
        await asyncio.sleep(_SECONDS)


def _deliver() -> None:
    """Send what is due. It asks the network alone, and so holds no card up."""
    if not KeptAcceptances().waiting():
        return
    try:
        for each in Cards().deliver_acceptances(due=True):
            _log.info("what=acceptance result=%s", each.outcome)
    except XcaError as error:
        _log.warning("the acceptances were not sent: %s", type(error).__name__)
