# SPDX-License-Identifier: Apache-2.0
"""Consent that a person gives before a card is used, and the questions for it."""

from functools import partial
from typing import Final

import click

from xca_plugin import card_text, errors
from xca_plugin.cards import REAL_CARD_WARNING, Cards, check_pin_usable
from xca_plugin.i18n import _, text
from xca_plugin.last_try import WORDS, allow, confirms
from xca_plugin.model import Card, CardState
from xca_plugin.terminal.output import say
from xca_plugin.terminal.prompts import confirm, interactive, prompt
from xca_plugin.terminal.secrets import check_sources

_WHEN_YOU_WANT: Final = text("Repeat the command when you want to go on.")
_SURE_OR_FORGOTTEN: Final = text(
    "When you are sure of the PIN, confirm it in words, or give --last-try. "
    "If it is forgotten, reset it with the user code: xcactl pin reset"
)
_SURE_OF_USER_CODE: Final = text(
    "When you are sure of the user code, confirm it in words, or give --last-try. "
    "If it is forgotten, do not guess: have it reset by the issuer (用戶代碼重設)."
)

yes_option: Final = click.option("--yes", is_flag=True, help=_("Agree to what would be asked; for scripts."))
last_try_option: Final = click.option(
    "--last-try", is_flag=True, help=_("Go on although only one try is left.")
)


def agree(question: str, yes: bool) -> None:
    """Ask for consent, unless an option gave it.

    Raises:
        NotAgreed: the person refused, or there is no terminal to ask at.
    """
    if yes:
        return
    if not interactive():
        raise errors.NotAgreed
    if not confirm(question):
        raise errors.NotAgreed(was_declined=True).with_step(_WHEN_YOU_WANT)


def agree_to_risk(card: Card, yes: bool) -> None:
    """Warn the holder of a real card about the risk, and ask for consent."""
    if card.real:
        say(REAL_CARD_WARNING(), err=True, fg="yellow")
        agree(_("Do you agree?"), yes)


def cards_asking(last_try: bool, *, of_pin: bool = True) -> Cards:
    """Return the cards, for a command that spends tries; it asks before the last try is spent.

    Args:
        last_try: the last try may be spent without a question.
        of_pin: the tries are those of the PIN, not of the user code.

    Raises:
        SecretMissing: a source of one of the command's secrets cannot be used.
    """
    check_sources()
    return Cards(confirm_last_try=partial(confirm_last_try, 1, last_try, of_pin=of_pin))


def confirm_last_try(tries: int | None, confirmed: bool, *, of_pin: bool) -> None:
    """If one try is left, have the person type that they want to spend it.

    Raises:
        LastTryNotConfirmed: they did not.
    """
    if tries != 1:
        return
    if not confirmed and interactive():
        phrase = WORDS()
        question = text("Only one try is left; a wrong value locks it. To go on, type: {phrase}")
        say(question.format(phrase=phrase)(), err=True, fg="red", bold=True)
        here = text("Type it here ({phrase}); Enter alone ends the command")
        confirmed = confirms(prompt(here.format(phrase=phrase)(), default="", show_default=False))
    if not confirmed:
        step = _SURE_OR_FORGOTTEN if of_pin else _SURE_OF_USER_CODE
        raise errors.LastTryNotConfirmed().with_step(step)
    allow()


def before_pin(card: Card, *, yes: bool, last_try: bool) -> None:
    """Before the PIN is asked for: show its tries, refuse a locked card, and get the confirmations needed."""
    check_pin_usable(card)
    say(
        text("Card {number}, PIN: {tries}").format(
            number=card.number, tries=card_text.tries(card.pin_tries, count_low=card.pin_count_low)
        )(),
        err=True,
        fg=card_text.tries_colour(card.pin_tries) or None,
    )
    agree_to_risk(card, yes)
    confirm_last_try(card.pin_tries, last_try, of_pin=True)


def before_user_code(card: Card, *, yes: bool, last_try: bool) -> None:
    """Do the same as before_pin(), for the user code."""
    if card.state is CardState.LAPSED:
        raise errors.CardLapsed(number=card.number)
    if card.user_code_tries == 0:
        raise errors.UserCodeLocked(number=card.number)
    say(
        text("Card {number}, user code: {tries}").format(
            number=card.number, tries=card_text.user_code_tries(card)
        )(),
        err=True,
        fg=card_text.tries_colour(card.user_code_tries) or None,
    )
    agree_to_risk(card, yes)
    confirm_last_try(card.user_code_tries, last_try, of_pin=False)
