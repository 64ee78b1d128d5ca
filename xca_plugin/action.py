# SPDX-License-Identifier: Apache-2.0
"""What a card needs next."""

from enum import StrEnum

from xca_plugin.model import Card, CardState


class Action(StrEnum):
    """What the holder of a card should do."""

    ACTIVATE = "activate"
    CHANGE_PIN = "change-pin"
    RESET_PIN = "reset-pin"
    SEE_ISSUER = "see-issuer"
    NOTHING = "nothing"


def next_action(card: Card) -> Action:
    """Choose the action from the card's state and the tries left; unknown tries count as some."""
    if card.state is CardState.LAPSED:
        return Action.SEE_ISSUER
    if card.state is CardState.NOT_ACTIVATED:
        return Action.SEE_ISSUER if card.user_code_tries == 0 else Action.ACTIVATE
    if card.pin_tries == 0:
        return Action.SEE_ISSUER if card.user_code_tries == 0 else Action.RESET_PIN
    return Action.CHANGE_PIN if card.pin_to_be_changed else Action.NOTHING
