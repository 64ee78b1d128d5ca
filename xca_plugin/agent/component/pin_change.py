# SPDX-License-Identifier: Apache-2.0
"""changeUserPINCode: changes the PIN (更改PIN碼)."""

from collections.abc import Mapping, Sequence
from typing import Any

from xca_common.secret import Secret
from xca_plugin.agent.component.operation import ConsentFact, Operation, choose_card
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.cards import Cards
from xca_plugin.errors import SecretMissing
from xca_plugin.i18n import text
from xca_plugin.model import Card


class ChangePinOperation(Operation):
    """Changes the PIN. The site must name the card's number, so that it is the PIN of the right card."""

    title = text("Change the PIN of the card")
    needs_new_pin = True
    pin_field = "currentPIN"

    def __init__(self, fields: Mapping[str, str], site: str) -> None:
        self._fields = fields
        if "cardid" not in fields:
            raise Refusal(Code.NO_CARD_NUMBER)

    def find_card(self, cards: Cards) -> Card:
        """Return the card. It checks both PINs itself."""
        return choose_card(cards, self._fields)

    def consent_facts(self) -> Sequence[ConsentFact]:
        """Return no facts: the popup shows the site and the card anyway."""
        return []

    def perform(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Set the new PIN; the answer has no members of its own."""
        if new_pin is None:
            raise SecretMissing(option="newpin", detail="")
        cards.change_pin(card, pin, new_pin)
        return {}
