# SPDX-License-Identifier: Apache-2.0
"""The way out of each situation, for a person in front of a page instead of a terminal."""

from dataclasses import dataclass
from typing import Final

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.action import Action, next_action
from xca_plugin.agent.pages.pin_actions import ACTIVATE, CHANGE_PIN, RESET_PIN, Job
from xca_plugin.i18n import text
from xca_plugin.model import Card, CardState


@dataclass(frozen=True)
class WayOut:
    """What to do next.

    Attributes:
        says: in a sentence.
        job: the page that does it, if one does.
        issuer: only the issuer can help; the page tells how to reach it.
    """

    says: Text | str
    job: Job | None = None
    issuer: bool = False


_SEE_ISSUER: Final = text(
    "Have the user code reset (用戶代碼重設) by the issuer (a test card: softhsm-card reset-user-code). "
    "Then come back with the new user code."
)
_AGAIN: Final = text("Look at the card on this page; when all is well, do it again: that finishes the job.")

_AFTER_ERROR: Final[dict[type[XcaError], WayOut]] = {
    errors.NoReader: WayOut(text("Connect the card reader. This page notices it.")),
    errors.NoCard: WayOut(text("Insert the card the right way round. This page notices it.")),
    errors.CardNotFound: WayOut(text("Insert the card again, or choose another one.")),
    errors.CardRemoved: WayOut(text("Insert it again and do the same once more: that finishes the job.")),
    errors.CardFault: WayOut(_AGAIN),
    errors.StoreUnreadable: WayOut(text("Check the file and who may read it. No try was spent.")),
    errors.StoreNotWritable: WayOut(
        text("Check the free space, and who may write the file and its folder. Then do the same once more.")
    ),
    errors.NotActivated: WayOut(text("Activate it with the user code."), ACTIVATE),
    errors.AlreadyActive: WayOut(
        text("It is ready to use. If its PIN is forgotten or locked, reset it with the user code."), RESET_PIN
    ),
    errors.UserCodeLocked: WayOut(_SEE_ISSUER, issuer=True),
    errors.WrongPin: WayOut(text("If the PIN is forgotten, reset it with the user code."), RESET_PIN),
    errors.PinLocked: WayOut(text("Unlock it and set a new PIN with the user code."), RESET_PIN),
    errors.PinNotProved: WayOut(text("Reset the PIN with the user code."), RESET_PIN),
    errors.LastTryNotConfirmed: WayOut(
        text("When you are sure of the value, confirm the last try in words.")
    ),
    errors.NotAgreed: WayOut(
        text("Read the warning about real cards and agree to it, if you want to go on.")
    ),
}
_NEXT: Final = {
    Action.ACTIVATE: WayOut(text("Activate it with the user code."), ACTIVATE),
    Action.CHANGE_PIN: WayOut(text("Change the PIN that somebody else set."), CHANGE_PIN),
    Action.RESET_PIN: WayOut(text("Unlock it and set a new PIN with the user code."), RESET_PIN),
    Action.RENEW: WayOut(
        text(
            "Its certificate has expired or cannot be read, and signs no more. Ask the issuer for a new card."
        ),
        issuer=True,
    ),
    Action.CHECK_CLOCK: WayOut(text("Its certificate is not valid yet. Check the computer's clock.")),
    Action.NOTHING: WayOut(text("Ready to use.")),
}

_READY_BUT_LOCKED: Final = WayOut(
    text(
        "Ready to use with its PIN. Have the user code reset (用戶代碼重設) by the issuer before you need it."
    ),
    issuer=True,
)


def after_error(error: XcaError) -> WayOut:
    """Return the way out of a failure; most are the error's own next step."""
    needs_issuer = isinstance(error, errors.CardError) and error.needs_issuer
    return _AFTER_ERROR.get(type(error)) or WayOut(error.next_step(), issuer=needs_issuer)


def next_for(card: Card) -> WayOut:
    """Return what a card needs next."""
    action = next_action(card)
    if card.state is CardState.LAPSED:
        return after_error(errors.CardLapsed(number=card.number))
    if action is Action.SEE_ISSUER:
        return after_error(errors.UserCodeLocked(number=card.number))
    if action is Action.NOTHING and card.user_code_tries == 0:
        return _READY_BUT_LOCKED
    return _NEXT[action]
