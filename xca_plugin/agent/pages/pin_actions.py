# SPDX-License-Identifier: Apache-2.0
"""What a holder does with two values typed into a page: activate, change the PIN, reset it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.last_try import allowed
from xca_plugin.model import Card, CardState

LAST_TRY: Final = text("last try")
"""What a person types to risk the last try, in their language; as xcactl asks for it."""

_SECRETS_NOTE: Final = text("Keep the PIN in mind and to yourself.")


@dataclass(frozen=True)
class Job:
    """A page with a form.

    Attributes:
        path: where it is.
        title: its name.
        button: what starts it.
        hint: what to do, in a sentence.
        working: what is said while the card works.
        done: what is said when it is done.
        after: what the holder can do then.
        notes: what the holder should know.
        asks_user_code: the card asks for the user code; else for the PIN.
        act: does it: with the card, the value asked for, the new PIN.
    """

    path: str
    title: Text
    button: Text
    hint: Text
    working: Text
    done: Text
    after: Text
    notes: tuple[Text, ...]
    asks_user_code: bool
    act: Callable[[Cards, Card, Secret, Secret], Card]

    def tries(self, card: Card) -> int | None:
        """Return the tries left of the value that is asked for; None is unknown."""
        return card.user_code_tries if self.asks_user_code else card.pin_tries

    def obstacle(self, card: Card) -> XcaError | None:
        """Return what stands in the way before anything is typed."""
        if card.state is CardState.LAPSED:
            return errors.CardLapsed(number=card.number)
        if self is ACTIVATE and card.state is CardState.ACTIVE:
            return errors.AlreadyActive(number=card.number)
        if self is not ACTIVATE and card.state is CardState.NOT_ACTIVATED:
            return errors.NotActivated(number=card.number)
        if self.tries(card) == 0:
            locked = errors.UserCodeLocked if self.asks_user_code else errors.PinLocked
            return locked(number=card.number)
        return None

    def do(
        self, cards: Cards, number: str, asked: Secret, new_pin: Secret, *, agreed: bool, last_try: bool
    ) -> Card:
        """Do it with the card as it is now, which may be another than the page showed.

        Args:
            cards: the cards that are here.
            number: card number.
            asked: the user code or the PIN.
            new_pin: the new PIN.
            agreed: the holder of a real card agreed to REAL_CARD_WARNING.
            last_try: the holder typed LAST_TRY.

        Raises:
            CardNotFound, NotAgreed, LastTryNotConfirmed, and as Cards.activate, change_pin, reset_pin.
        """
        card = cards.find(number)
        if obstacle := self.obstacle(card):
            raise obstacle
        if card.real and not agreed:
            raise errors.NotAgreed
        if self.tries(card) != 1:
            return self.act(cards, card, asked, new_pin)
        if not last_try:
            raise errors.LastTryNotConfirmed
        with allowed():
            return self.act(cards, card, asked, new_pin)


ACTIVATE: Final = Job(
    path="/activate",
    title=text("Activate a card"),
    button=text("Activate"),
    hint=text("Check that this is your card, enter the user code and a new PIN, then press Activate."),
    working=text("The card is being activated. Please wait and leave it in the reader."),
    done=text("The card is activated."),
    after=text("You can use the card now."),
    notes=(
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
    act=Cards.activate,
)
CHANGE_PIN: Final = Job(
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
    act=Cards.change_pin,
)
RESET_PIN: Final = Job(
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
    act=Cards.reset_pin,
)
JOBS: Final = (ACTIVATE, CHANGE_PIN, RESET_PIN)
"""In the order of the navigation."""
