# SPDX-License-Identifier: Apache-2.0
"""Checks of a card's state and of its dates."""

from datetime import UTC, datetime

from xca_common.taipei import day
from xca_plugin import errors
from xca_plugin.cards import signing_certificate
from xca_plugin.checks.finding import Advice, CheckAnswer, failed, passed, skipped
from xca_plugin.checks.observations import Observations
from xca_plugin.i18n import plural, text
from xca_plugin.model import Card, CardState
from xca_plugin.validity import NO_END


def state(seen: Observations, card: Card) -> CheckAnswer:
    """Check that a card is activated and not locked."""
    user_code_locked = errors.UserCodeLocked(number=card.number)
    if card.state is CardState.LAPSED:
        raise errors.CardLapsed(number=card.number)
    if card.state is CardState.NOT_ACTIVATED:
        raise user_code_locked if card.user_code_tries == 0 else errors.NotActivated(number=card.number)
    if card.pin_tries == 0:
        raise user_code_locked if card.user_code_tries == 0 else errors.PinLocked(number=card.number)
    if card.pin_to_be_changed:
        return failed(text("Somebody else set its PIN."), Advice.CHANGE_PIN)
    if card.user_code_tries == 0:
        return passed(text("It is activated; its user code is locked."), user_code_locked)
    if card.pin_tries is None:
        return passed(
            text("It is activated. It does not say whether its PIN is locked, or how many tries are left.")
        )
    return passed(text("It is activated."))


def deadline(seen: Observations, card: Card) -> CheckAnswer:
    """Check that there is time left to activate a card, and say how many days."""
    if card.activate_by is None or card.days_left is None:
        return skipped(text("The card has no last day for its activation."))
    if card.state is CardState.ACTIVE:
        return skipped(text("It was activated in time."))
    if card.state is CardState.LAPSED:
        raise errors.CardLapsed(number=card.number)
    left = plural("{days} day left, until {day}", "{days} days left, until {day}", "days")
    return passed(left.format(days=card.days_left, day=card.activate_by))


def validity(seen: Observations, card: Card) -> CheckAnswer:
    """Check that a card's signing certificate is valid today."""
    certificate = signing_certificate(card)
    now = datetime.now(UTC)
    if now < certificate.not_before:
        early = text("It is not valid before {day}.").format(day=day(certificate.not_before))
        return failed(early, Advice.SET_CLOCK)
    if certificate.not_after == NO_END:
        return passed(text("It is valid without end."))
    if now > certificate.not_after:
        return failed(text("It expired on {day}.").format(day=day(certificate.not_after)), Advice.NEW_CARD)
    return passed(text("It is valid until {day}.").format(day=day(certificate.not_after)))
