# SPDX-License-Identifier: Apache-2.0
"""Sends the acceptances (憑證接受) that are kept on this computer to their centre while the agent runs."""

import asyncio
import logging
from typing import Final

from xca_plugin.cards import Cards
from xca_plugin.centre.kept import KeptAcceptances

_SECONDS: Final = 60.0
"""How often it looks whether one is due."""

_log = logging.getLogger(__name__)


async def deliver_while_running() -> None:
    """Send what is due, now and every minute. It ends when it is cancelled."""
    while True:
        try:
            await asyncio.to_thread(_deliver)
        except Exception as error:  # one that fails once does not end the task; its text may hold anything
            _log.warning("the acceptances were not sent: %s", type(error).__name__)
        await asyncio.sleep(_SECONDS)


def _deliver() -> None:
    """Send what is due. It asks the network alone, and so holds no card up."""
    if not KeptAcceptances().waiting():
        return
    for each in Cards().deliver_acceptances(due=True):
        _log.info("what=acceptance result=%s", each.outcome)
