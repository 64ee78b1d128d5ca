# SPDX-License-Identifier: Apache-2.0
"""What the holder of a card should do next."""

from enum import StrEnum

from xca_plugin.model import Card, CardState
from xca_plugin.validity import early, expired


class Action(StrEnum):
    """The next action of a card's holder."""

    ACTIVATE = "activate"
    CHANGE_PIN = "change-pin"
    RESET_PIN = "reset-pin"
    SEE_ISSUER = "see-issuer"
    RENEW = "renew"
    """Its certificate has expired, or cannot be read."""
    CHECK_CLOCK = "check-clock"
    """Its certificate is not valid yet, or the computer's clock is wrong."""
    NOTHING = "nothing"


def next_action(card: Card) -> Action:
    """Choose the action from the card's state, tries and certificate.

    Unknown tries (None) count as tries left. Actions on the PIN come before the certificate: a card decrypts
    even after its certificate has expired.
    """
    if card.state is CardState.LAPSED:
        return Action.SEE_ISSUER
    if card.state is CardState.NOT_ACTIVATED:
        return Action.SEE_ISSUER if card.user_code_tries == 0 else Action.ACTIVATE
    if card.pin_tries == 0:
        return Action.SEE_ISSUER if card.user_code_tries == 0 else Action.RESET_PIN
    if card.pin_to_be_changed:
        return Action.CHANGE_PIN
    if card.certificate_odd or (card.certificate and expired(card.certificate)):
        return Action.RENEW
    return Action.CHECK_CLOCK if card.certificate and early(card.certificate) else Action.NOTHING
