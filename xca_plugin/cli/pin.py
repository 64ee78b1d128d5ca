# SPDX-License-Identifier: Apache-2.0
"""xcactl pin and xcactl user-code: change, reset or try the secrets of an activated card."""

from functools import partial
from pathlib import Path
from typing import Final

import click

from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.i18n import _, text
from xca_plugin.model import CardState
from xca_plugin.named_file import input_file
from xca_plugin.terminal.acceptance import offer
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import (
    agree,
    before_pin,
    before_user_code,
    cards_asking,
    last_try_option,
    yes_option,
)
from xca_plugin.terminal.next_steps import next_step_of
from xca_plugin.terminal.output import say, say_done
from xca_plugin.terminal.secrets import (
    CURRENT_PIN,
    CURRENT_USER_CODE,
    FIRST_PIN,
    NEW_PIN,
    NEW_USER_CODE,
    PIN,
    USER_CODE,
    Asker,
    check_sources,
    source_option,
)

_TICKET_MAX: Final = 1 << 20  # bytes that are read; a ticket is much shorter


@click.group(help=_("Change, reset or verify the PIN."))
def pin() -> None:
    """Group of the commands about the PIN."""


@pin.command(help=_("Change the PIN, knowing it."))
@card_option
@source_option(CURRENT_PIN)
@source_option(NEW_PIN)
@yes_option
@last_try_option
def change(number: str | None, pin: str | None, new_pin: str | None, yes: bool, last_try: bool) -> None:
    """Replace the PIN with a new one (更改PIN碼)."""
    cards = cards_asking(last_try)
    card = choose(cards, number)
    before_pin(card, yes=yes, last_try=last_try)
    with Asker(card) as ask:
        old = ask.proved(CURRENT_PIN, pin, partial(cards.verify_pin, card), next_source=new_pin)
        new = ask.get(NEW_PIN, new_pin, lambda value: cards.check_new_pin(card, value, pin=old))
        after = cards.change_pin(card, old, new)
        say_done(_("The PIN is changed."), fg="green")
        offer(cards, after, new)


@pin.command(help=_("Unlock the card and set a new PIN with the user code."))
@card_option
@source_option(USER_CODE)
@source_option(FIRST_PIN)
@yes_option
@last_try_option
def reset(number: str | None, user_code: str | None, new_pin: str | None, yes: bool, last_try: bool) -> None:
    """Unlock the card and set a new PIN with the user code (鎖卡解碼／重設PIN碼)."""
    cards = cards_asking(last_try, of_pin=False)
    card = choose(cards, number)
    if card.state is CardState.NOT_ACTIVATED:
        raise errors.NotActivated(number=card.number)
    before_user_code(card, yes=yes, last_try=last_try)
    with Asker(card) as ask:
        code = ask.proved(USER_CODE, user_code, partial(cards.verify_user_code, card), next_source=new_pin)
        new = ask.get(FIRST_PIN, new_pin, lambda value: cards.check_new_pin(card, value, user_code=code))
        after = cards.reset_pin(card, code, new)
        say_done(_("The card is unlocked and its PIN is set."), fg="green")
        offer(cards, after, new)


@pin.command(help=_("Try the PIN. A wrong one costs a try."))
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def verify(number: str | None, pin: str | None, yes: bool, last_try: bool) -> None:
    """Log in with the PIN; a wrong one costs a try."""
    cards = cards_asking(last_try)
    card = choose(cards, number)
    before_pin(card, yes=yes, last_try=last_try)
    with Asker(card) as ask:
        if pin is None and not card.has_keypad:
            secret = ask.proved(PIN, pin, partial(cards.verify_pin, card), next_source=None)
        else:
            secret = ask.get(PIN, pin)
            cards.verify_pin(card, secret)
        say(_("The PIN is right."), fg="green")
        offer(cards, card, secret)


@click.group("user-code", help=_("Change or reset the user code."))
def user_code() -> None:
    """Group of the commands about the user code."""


@user_code.command("change", help=_("Change the user code, knowing it."))
@card_option
@source_option(CURRENT_USER_CODE)
@source_option(NEW_USER_CODE)
@yes_option
@last_try_option
def change_user_code(
    number: str | None, user_code: str | None, new_user_code: str | None, yes: bool, last_try: bool
) -> None:
    """Replace the user code with a new one."""
    cards = cards_asking(last_try, of_pin=False)
    card = choose(cards, number)
    before_user_code(card, yes=yes, last_try=last_try)
    with Asker(card) as ask:
        old = ask.proved(
            CURRENT_USER_CODE,
            user_code,
            partial(cards.verify_user_code, card),
            next_source=new_user_code,
        )
        new = ask.get(NEW_USER_CODE, new_user_code, lambda value: cards.check_new_user_code(value, old))
        cards.change_user_code(card, old, new)
    say_done(_("The user code is changed."), fg="green")


@user_code.command("reset", help=_("Set a new user code with a ticket of the centre that issued the card."))
@click.option(
    "--ticket",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help=_("The ticket (授權票) that the centre gave out."),
)
@card_option
@source_option(NEW_USER_CODE)
@yes_option
def reset_user_code(ticket: Path, number: str | None, new_user_code: str | None, yes: bool) -> None:
    """Replace a user code that is forgotten or locked (用戶代碼重設)."""
    from xca_plugin import code_ticket  # slow to load, and needed here alone

    with input_file(ticket) as file:
        given = file.read(_TICKET_MAX)
        named = code_ticket.read(given, file.name).card
    check_sources()
    cards = Cards()
    card = choose(cards, number or named)
    code_ticket.check(cards, card, given)
    say(text("The card {number} gets a new user code.").format(number=card.number)(), err=True)
    if card.state is CardState.ACTIVE:
        said = _("Its PIN is void afterwards: set a new one with the new user code.")
    else:
        said = _("The last day to activate it stays.")
    say(said, err=True)
    agree(_("Set a new user code?"), yes)
    with Asker(card) as ask:
        after = cards.reset_user_code(card, given, ask.get(NEW_USER_CODE, new_user_code))
    say_done(_("The card has the new user code."), fg="green")
    say_done(next_step_of(after))
