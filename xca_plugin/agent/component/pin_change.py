# SPDX-License-Identifier: Apache-2.0
"""changeUserPINCode: another PIN, knowing the old one (更改PIN碼)."""

from collections.abc import Mapping, Sequence
from typing import Any

from xca_common.errors import SecretMissing
from xca_common.secret import Secret
from xca_plugin.agent.component.operation import Shown, Task, choose
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import Card


class PinChange(Task):
    """A new PIN. Pages must name the card by its number, so that no other card's PIN is changed."""

    title = text("Change the PIN of the card")
    asks_new_pin = True
    pin_field = "currentPIN"

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        if "cardid" not in fields:
            raise Refusal(Code.NO_CARD_NUMBER)

    def card(self, cards: Cards) -> Card:
        """Return the card."""
        return choose(cards, self._fields)

    def shown(self) -> Sequence[Shown]:
        """Return nothing: the card is shown anyway."""
        return []

    def do(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Change it."""
        if new_pin is None:
            raise SecretMissing(option="newpin", detail="")
        cards.change_pin(card, pin, new_pin)
        return {}
