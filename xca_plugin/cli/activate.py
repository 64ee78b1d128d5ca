# SPDX-License-Identifier: Apache-2.0
"""xcactl activate (開卡): a new card gets its first PIN, set with the user code."""

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from xca_common.errors import FileProblem
from xca_common.secret import TypedAtReader
from xca_plugin import card_text
from xca_plugin.cards import Cards
from xca_plugin.cli.reading import show
from xca_plugin.errors import OutputExists
from xca_plugin.i18n import _, text
from xca_plugin.model import Card
from xca_plugin.named_file import is_standard_output
from xca_plugin.receipt import activation
from xca_plugin.terminal.acceptance import accept_on_the_way
from xca_plugin.terminal.card_choice import card_option, choose, chosen_among_several
from xca_plugin.terminal.consent import (
    agree,
    agree_to_risk,
    cards_asking,
    confirm_last_try,
    last_try_option,
    yes_option,
)
from xca_plugin.terminal.next_steps import for_card
from xca_plugin.terminal.output import say, say_done
from xca_plugin.terminal.result_files import OUTPUT, force_option, result_file, say_about
from xca_plugin.terminal.secrets import FIRST_PIN, USER_CODE, Asker, source_option

_NO_RECORD: Final = text(
    "The card is activated all the same; only the record of it is missing. Do not activate it again: "
    "xcactl events shows when it was."
)


@click.command(help=_("Activate a card with its user code and set its PIN."))
@card_option
@source_option(USER_CODE)
@source_option(FIRST_PIN)
@yes_option
@last_try_option
@click.option("--dry-run", is_flag=True, help=_("Make every check that costs no try; change nothing."))
@click.option(
    "--receipt",
    metavar="FILE",
    type=OUTPUT,
    help=_("Write a record of the activation, as JSON with no secret in it."),
)
@force_option
def activate(
    number: str | None,
    user_code: str | None,
    new_pin: str | None,
    yes: bool,
    last_try: bool,
    dry_run: bool,
    receipt: Path | None,
    force: bool,
) -> None:
    """Show the card, ask for consent, activate it, log in with the new PIN, and print the next step."""
    cards = cards_asking(last_try, of_pin=False)
    card = choose(cards, number)
    show(card, err=True)
    say(err=True)
    cards.check_activation(card)
    _warn_when_soon(card)
    with Asker(card) as ask, ExitStack() as files:
        if dry_run:
            cards.check_activation(
                card,
                ask.get(USER_CODE, user_code) if user_code else None,
                ask.get(FIRST_PIN, new_pin) if new_pin else None,
            )
            say(_("Every check that costs no try passed. Nothing was changed."))
            return
        say(
            _(
                "The activation tries the user code, sets the PIN that you choose and proves it.\n"
                "A wrong user code costs a try; three in a row lock it."
            ),
            err=True,
        )
        accepts = _tell_of_acceptance(cards, card)
        agree_to_risk(card, yes)
        agree(_("Activate this card?"), yes)
        confirm_last_try(card.user_code_tries, last_try, of_pin=False)
        record = (
            files.enter_context(result_file(receipt, force=force, private=True, binary=False))
            if receipt
            else None
        )
        code = ask.proved(USER_CODE, user_code, partial(cards.verify_user_code, card), next_source=new_pin)
        pin = ask.get(FIRST_PIN, new_pin, lambda new: cards.check_new_pin(card, new, user_code=code))
        after = cards.activate(card, code, pin)
        say_done(
            _("The card is activated."),
            err=receipt is not None and is_standard_output(receipt),
            fg="green",
            bold=True,
        )
        try:
            if record:
                record.write(activation(after, datetime.now(UTC), "xcactl"))
            files.close()
        except (FileProblem, OutputExists) as error:
            raise error.with_step(_NO_RECORD) from error
        if accepts and not isinstance(pin, TypedAtReader):
            accept_on_the_way(cards, after, pin)
    if receipt:
        say_about(text("The record of the activation is in {path}"), receipt)
    step = _("Keep the PIN to yourself. You can use the card now; for example: xcactl sign FILE")
    say_done(for_card(step, card.number) if chosen_among_several() else step)


def _tell_of_acceptance(cards: Cards, card: Card) -> bool:
    """Say that the activation also accepts the certificates; return whether it does."""
    status = cards.certificate_status(card, seconds=0)
    if status is None:
        return False
    said = text(
        "Then the card signs that it and its certificates are right (憑證接受), and {centre} is told: the "
        "certificates become valid. If they are not right, do not activate the card, and tell the centre."
    )
    say(said.format(centre=status.centre)(), err=True)
    return True


def _warn_when_soon(card: Card) -> None:
    if card.activate_by is None or card.days_left is None or card.days_left >= card_text.SOON_DAYS:
        return
    warning = text("Activate it soon: the last day is {deadline}. After it the certificate is revoked.")
    deadline = card_text.deadline(card.activate_by, card.days_left)
    say(warning.format(deadline=deadline)(), err=True, fg="yellow")
