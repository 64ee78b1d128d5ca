# SPDX-License-Identifier: Apache-2.0
"""The actions with a PIN or a user code that have a page."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_common.secret import Secret, TypedAtReader
from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.history_note import Purpose
from xca_plugin.i18n import text
from xca_plugin.last_try import allowed
from xca_plugin.model import Card, CardState

_log = logging.getLogger(__name__)

_SECRETS_NOTE: Final = text("Remember the PIN, and tell it to nobody.")


@dataclass(frozen=True, kw_only=True)
class CardAction:
    """Something that a person does with a card on a page of its own, with the texts of that page.

    Attributes:
        path: the path of its page.
        title: its name.
        button: the text of the button that starts it.
        working: shown while the card is at work.
        done: shown when the action has succeeded.
        after: what the holder can do then.
        notes: what the holder should know.
        sets_user_code: the new value is a user code; otherwise it is a PIN.
    """

    path: str
    title: Text
    button: Text
    working: Text
    done: Text
    after: Text
    notes: tuple[Text, ...]
    sets_user_code: bool = False


@dataclass(frozen=True, kw_only=True)
class PinAction(CardAction):
    """An action that takes a secret and a new one.

    Attributes:
        hint: what the person should do, in one sentence.
        asks_user_code: the secret is the user code; otherwise it is the PIN.
        card_operation: performs it with a card, the secret and the new value.
    """

    hint: Text
    asks_user_code: bool
    card_operation: Callable[[Cards, Card, Secret, Secret], Card]

    def tries(self, card: Card) -> int | None:
        """Return how many tries the secret has left; None: unknown."""
        return card.user_code_tries if self.asks_user_code else card.pin_tries

    def obstacle(self, card: Card) -> XcaError | None:
        """Return why the action is not possible now, None if it is."""
        if card.state is CardState.LAPSED:
            return errors.CardLapsed(number=card.number)
        if self is ACTIVATE and card.state is CardState.ACTIVE:
            return errors.AlreadyActive(number=card.number)
        needs_pin = self is not ACTIVATE and not self.sets_user_code
        if needs_pin and card.state is CardState.NOT_ACTIVATED:
            return errors.NotActivated(number=card.number)
        if self.tries(card) == 0:
            locked = errors.UserCodeLocked if self.asks_user_code else errors.PinLocked
            return locked(number=card.number)
        return None

    def perform(
        self, cards: Cards, card_number: str, secret: Secret, new_pin: Secret, *, agreed: bool, last_try: bool
    ) -> Card:
        """Perform the action. The card is read again: it may have changed since the page showed it.

        Args:
            cards: the cards.
            card_number: the card to use.
            secret: the user code or the PIN. Both values count for nothing at a reader with a keypad: the
                person types there.
            new_pin: the new PIN.
            agreed: the person agreed to REAL_CARD_WARNING; needed for a real card.
            last_try: the person typed last_try.WORDS; needed when one try is left.

        Raises:
            CardNotFound, NotAgreed, LastTryNotConfirmed, and as Cards.activate, change_pin, reset_pin.
        """
        card = cards.find(card_number)
        if obstacle := self.obstacle(card):
            raise obstacle
        if card.real and not agreed:
            raise errors.NotAgreed
        if card.has_keypad:
            secret, new_pin = TypedAtReader(), TypedAtReader()
        if self.tries(card) != 1:
            return self.card_operation(cards, card, secret, new_pin)
        if not last_try:
            raise errors.LastTryNotConfirmed
        with allowed():
            return self.card_operation(cards, card, secret, new_pin)


def _activate(cards: Cards, card: Card, user_code: Secret, new_pin: Secret) -> Card:
    """Activate a card, and accept its certificates if its centre is configured.

    What is not accepted now can be later (xcactl accept), and what is signed is kept: so nothing fails here.
    """
    after = cards.activate(card, user_code, new_pin)
    if isinstance(new_pin, TypedAtReader):
        return after
    try:
        if cards.certificate_status(after, seconds=0) is not None:
            with cards.session(after, new_pin, Purpose.SIGN) as session:
                cards.accept(after, session)
            cards.deliver_acceptances(after.number, due=True)
    except XcaError as error:
        _log.warning("the certificates were not accepted: %s", type(error).__name__)
    return after


ACTIVATE: Final = PinAction(
    path="/activate",
    title=text("Activate a card"),
    button=text("Activate"),
    hint=text("Check that this is your card, enter the user code and a new PIN, then press Activate."),
    working=text("The card is being activated. Please wait and leave it in the reader."),
    done=text("The card is activated."),
    after=text("You can use the card now."),
    notes=(
        text(
            "Where a centre is configured, the card then signs that it and its certificates are right "
            "(憑證接受), and the centre is told. If they are not right, do not activate the card."
        ),
        text(
            "Activate the card within 90 days of its day of issue; after that its certificate is revoked "
            "automatically."
        ),
        text("Do not use the card in other systems before it is activated; that damages it."),
        _SECRETS_NOTE,
        text(
            "If you forgot the user code, have it reset (用戶代碼重設); "
            "activate the card with the new one then."
        ),
        text(
            "Three wrong user codes in a row lock it, even if you remember the right one then; "
            "have it reset (用戶代碼重設)."
        ),
        text("If you did not note down your new PIN, unlock the card or reset its PIN with the user code."),
    ),
    asks_user_code=True,
    card_operation=_activate,
)
CHANGE_PIN: Final = PinAction(
    path="/change-pin",
    title=text("Change the PIN"),
    button=text("Change the PIN"),
    hint=text("Check that this is your card, enter its PIN and a new one, then press Change the PIN."),
    working=text("The PIN is being changed. Please wait and leave the card in the reader."),
    done=text("The PIN is changed."),
    after=text("Use the new PIN from now on, in every program."),
    notes=(
        _SECRETS_NOTE,
        text("Three wrong PINs in a row lock the card (鎖卡)."),
        text("If you forgot the PIN, reset it with the user code."),
    ),
    asks_user_code=False,
    card_operation=Cards.change_pin,
)
RESET_PIN: Final = PinAction(
    path="/reset-pin",
    title=text("Unlock, reset the PIN"),
    button=text("Reset the PIN"),
    hint=text("Check that this is your card, enter the user code and a new PIN, then press Reset the PIN."),
    working=text("The PIN is being reset. Please wait and leave the card in the reader."),
    done=text("The card is unlocked and its PIN is set."),
    after=text("Use the new PIN from now on, in every program."),
    notes=(
        text(
            "This needs no old PIN: it unlocks a locked card, and gives one whose PIN is forgotten a new PIN."
        ),
        text(
            "Three wrong user codes in a row lock it, even if you remember the right one then; "
            "have it reset (用戶代碼重設)."
        ),
        _SECRETS_NOTE,
    ),
    asks_user_code=True,
    card_operation=Cards.reset_pin,
)
CHANGE_USER_CODE: Final = PinAction(
    path="/change-user-code",
    title=text("Change the user code"),
    button=text("Change the user code"),
    hint=text("Check that this is your card, enter its user code and a new one, then press the button."),
    working=text("The user code is being changed. Please wait and leave the card in the reader."),
    done=text("The user code is changed."),
    after=text("Use the new user code from now on. The PIN stays as it was."),
    notes=(
        text("The user code unlocks the card and resets its PIN. Keep it apart from the card."),
        text(
            "Three wrong user codes in a row lock it, even if you remember the right one then; "
            "have it reset (用戶代碼重設)."
        ),
        text("If you forgot the user code, only the issuer can help; have it reset (用戶代碼重設)."),
    ),
    asks_user_code=True,
    card_operation=Cards.change_user_code,
    sets_user_code=True,
)
RESET_USER_CODE: Final = CardAction(
    path="/user-code-reset/ticket",
    title=text("Set a new user code with a ticket"),
    button=text("Set the new user code"),
    working=text("The new user code is being set. Please wait and leave the card in the reader."),
    done=text("The card has the new user code."),
    after=text("Use the new user code from now on."),
    notes=(
        text("The ticket is for one use. If it is interrupted, the same ticket can finish it."),
        text("If the card is activated, its PIN is void then. Set a new PIN with the new user code."),
        text("If the card is not activated, activate it with the new user code. The last day for it stays."),
        text("The user code unlocks the card and resets its PIN. Keep it apart from the card."),
    ),
    sets_user_code=True,
)
"""用戶代碼重設, with a ticket (授權票) of the centre that issued the card in place of the old user code."""
PIN_ACTIONS: Final = (ACTIVATE, CHANGE_PIN, RESET_PIN, CHANGE_USER_CODE)
"""In the order of the navigation."""
