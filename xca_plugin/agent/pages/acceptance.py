# SPDX-License-Identifier: Apache-2.0
"""What is known on this computer of the acceptance (憑證接受) of a card's certificates."""

from xca_common.errors import XcaError
from xca_plugin.agent.process.state import AgentState
from xca_plugin.model import Card, CertificateStatus


async def known_status(state: AgentState, card: Card) -> CertificateStatus | XcaError | None:
    """Return how a card's certificates stand, without the network.

    None: no centre is configured that issued the card. An error: nothing can be known.
    """
    try:
        return await state.card_worker.run(lambda cards: cards.certificate_status(card, seconds=0))
    except XcaError as error:
        return error
