# SPDX-License-Identifier: Apache-2.0
"""xcactl accept (憑證接受): the holder says that the certificates on a card are right."""

import click

from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.cli.reading import show
from xca_plugin.i18n import _, text
from xca_plugin.model import Acceptance, AcceptanceOutcome, Card
from xca_plugin.terminal.acceptance import ACCEPTED, sign_acceptance
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import agree, before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.output import say, say_done
from xca_plugin.terminal.secrets import PIN, Asker, source_option


@click.command(help=_("Accept the certificates on an activated card, so that they become valid."))
@card_option
@source_option(PIN)
@yes_option
@last_try_option
@click.option(
    "--deliver", is_flag=True, help=_("Use no card: send to the centre what was signed and is kept.")
)
def accept(number: str | None, pin: str | None, yes: bool, last_try: bool, deliver: bool) -> None:
    """Have the card sign that its certificates are right, and tell the centre."""
    if deliver:
        if pin or last_try:
            raise click.UsageError(_("--deliver uses no card and no PIN."))
        delivered = Cards().deliver_acceptances(number.strip().upper() if number else None)
        if not delivered:
            say(_("Nothing is kept."))
        _report(delivered)
        return
    cards = cards_asking(last_try)
    card = choose(cards, number)
    known = cards.certificate_status(card, seconds=0)
    if known is None:
        raise errors.NoCentre(number=card.number)
    outcome = known.acceptance.outcome if known.acceptance else None
    if outcome is AcceptanceOutcome.ACCEPTED:
        say(_("The certificates are accepted already."))
        return
    if outcome is not AcceptanceOutcome.KEPT:
        _sign(cards, card, known.centre, pin, yes=yes, last_try=last_try)
    _report(cards.deliver_acceptances(card.number))


def _sign(cards: Cards, card: Card, centre: str, pin: str | None, *, yes: bool, last_try: bool) -> None:
    show(card, err=True)
    say(err=True)
    said = text(
        "You declare that the card and its certificates are right (憑證接受). The card signs that, and "
        "{centre} is told. The certificates become valid then."
    )
    say(said.format(centre=centre)(), err=True)
    agree(_("Do you accept the certificates?"), yes)
    before_pin(card, yes=yes, last_try=last_try)
    with Asker(card) as ask:
        ask.used(PIN, pin, ask.get(PIN, pin), lambda secret: sign_acceptance(cards, card, secret))


def _report(delivered: list[Acceptance]) -> None:
    """Say what became of acceptances.

    Raises:
        AcceptanceRefused, AcceptanceKept: of one that is not accepted, a refused one first.
    """
    for each in delivered:
        if each.outcome is AcceptanceOutcome.ACCEPTED:
            say_done(ACCEPTED.format(number=each.number)(), fg="green", bold=True)
    for each in delivered:
        if each.outcome is AcceptanceOutcome.REFUSED:
            raise errors.AcceptanceRefused(number=each.number, detail=each.detail or "-")
    for each in delivered:
        if each.outcome is AcceptanceOutcome.KEPT:
            raise errors.AcceptanceKept(number=each.number, detail=each.detail or "-")
