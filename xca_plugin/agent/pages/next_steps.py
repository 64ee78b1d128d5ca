# SPDX-License-Identifier: Apache-2.0
"""What a person should do next. The steps are worded for pages: they name a page, not a command."""

from dataclasses import dataclass
from typing import Final

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_plugin import card_text, errors
from xca_plugin.action import Action, next_action
from xca_plugin.agent.pages.pin_actions import ACTIVATE, CHANGE_PIN, RESET_PIN, PinAction
from xca_plugin.i18n import text
from xca_plugin.model import Card, CardState


@dataclass(frozen=True)
class NextStep:
    """What to do next.

    Attributes:
        sentence: the advice.
        action: the PIN action that helps, if one does.
        needs_issuer: only the issuer can help; the page tells how to reach it.
        is_rare: usually the person does again what failed, and only sometimes this.
    """

    sentence: Text | str
    action: PinAction | None = None
    needs_issuer: bool = False
    is_rare: bool = False


_RESET_USER_CODE: Final = text(
    "Have the user code reset (用戶代碼重設) by the issuer (a test card: softhsm-card reset-user-code). "
    "Then come back with the new user code."
)
_CHECK_AND_REPEAT: Final = text(
    "Check the state of the card on this page. If nothing is wrong with it, repeat what you did."
)

_AFTER_ERROR: Final[dict[type[XcaError], NextStep]] = {
    errors.NoReader: NextStep(text("Connect the card reader. This page notices it.")),
    errors.NoCard: NextStep(text("Insert the card the right way round. This page notices it.")),
    errors.CardNotFound: NextStep(text("Insert the card again, or choose another one.")),
    errors.CardFault: NextStep(_CHECK_AND_REPEAT),
    errors.NotActivated: NextStep(text("Activate it with the user code."), ACTIVATE),
    errors.AlreadyActive: NextStep(
        text("It is ready to use. If its PIN is forgotten or locked, reset it with the user code."), RESET_PIN
    ),
    errors.UserCodeLocked: NextStep(_RESET_USER_CODE, needs_issuer=True),
    errors.WrongPin: NextStep(
        text("If the PIN is forgotten, reset it with the user code."), RESET_PIN, is_rare=True
    ),
    errors.PinLocked: NextStep(text("Unlock it and set a new PIN with the user code."), RESET_PIN),
    errors.PinNotProved: NextStep(text("Reset the PIN with the user code."), RESET_PIN),
    errors.NotAgreed: NextStep(
        text("Read the warning about real cards, and agree to it if you want to continue.")
    ),
}
_NEXT: Final = {
    Action.ACTIVATE: NextStep(text("Activate it with the user code."), ACTIVATE),
    Action.CHANGE_PIN: NextStep(text("Change the PIN that somebody else set."), CHANGE_PIN),
    Action.RESET_PIN: NextStep(text("Unlock it and set a new PIN with the user code."), RESET_PIN),
    Action.RENEW: NextStep(
        text(
            "Its certificate has expired or cannot be read, so the card can no longer sign. Ask the "
            "issuer for a new card."
        ),
        needs_issuer=True,
    ),
    Action.CHECK_CLOCK: NextStep(text("Its certificate is not valid yet. Check the computer's clock.")),
    Action.NOTHING: NextStep(text("Ready to use.")),
}

_READY_BUT_LOCKED: Final = NextStep(
    text(
        "Ready to use with its PIN. Have the user code reset (用戶代碼重設) by the issuer before you need it."
    ),
    needs_issuer=True,
)


def step_after_error(error: XcaError) -> NextStep:
    """Return what to do after an error. By default it is the error's own next step."""
    needs_issuer = isinstance(error, errors.CardError) and error.needs_issuer
    return _AFTER_ERROR.get(type(error)) or NextStep(error.next_step(), needs_issuer=needs_issuer)


def step_for_card(card: Card) -> NextStep:
    """Return what a card needs next."""
    action = next_action(card)
    if card.state is CardState.LAPSED:
        return step_after_error(errors.CardLapsed(number=card.number))
    if action is Action.SEE_ISSUER:
        return step_after_error(errors.UserCodeLocked(number=card.number))
    if action is Action.NOTHING and card.user_code_tries == 0:
        return _READY_BUT_LOCKED
    if action is Action.NOTHING and card.pin_tries is None:
        return NextStep(card_text.READY_IF_NOT_LOCKED)
    return _NEXT[action]
