# SPDX-License-Identifier: Apache-2.0
"""xcactl detect, info, events: what costs no try and changes nothing."""

import click

from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.cli import shapes, words
from xca_plugin.cli.common import add_heads, card_option, choose, console, grid, json_option, print_json
from xca_plugin.i18n import _
from xca_plugin.model import Card, CardState


@click.command(help=_("Show the cards that are here."))
@json_option
def detect(as_json: bool) -> None:
    """List readers and cards."""
    cards = Cards()
    present, readers = cards.detect(), cards.readers()
    if as_json:
        print_json({"readers": readers, "cards": [shapes.card(card) for card in present]})
    if not present:
        raise errors.NoCard if readers else errors.NoReader
    if not as_json:
        from rich.text import Text

        table = grid(False, False, True, True)
        add_heads(table, _("Card number"), _("State"), _("Holder"), _("Reader"))
        for card in present:
            state = Text(words.state(card), style=words.style(card))
            table.add_row(card.number, state, words.holder(card), card.reader)
        console().print(table)


@click.command(help=_("Show a card: holder, validity, state, tries left, and what it needs next."))
@card_option
@json_option
def info(number: str | None, as_json: bool) -> None:
    """Show one card."""
    card = choose(Cards(), number)
    if as_json:
        print_json(shapes.card(card))
        return
    show(card)
    click.echo()
    click.echo(words.next_step(card))


def show(card: Card, *, err: bool = False) -> None:
    """Print what there is to know of a card."""
    from rich.text import Text

    table = grid(False, True)
    table.add_row(_("Card number"), card.number)
    table.add_row(_("Reader"), card.reader)
    table.add_row(_("Holder"), words.holder(card))
    if card.certificate:
        table.add_row(_("Validity"), words.validity(card.certificate))
    table.add_row(_("State"), Text(words.state(card), style=words.style(card)))
    if card.state is not CardState.ACTIVE and card.activate_by is not None and card.days_left is not None:
        table.add_row(_("Activate by"), words.deadline(card.activate_by, card.days_left))
    table.add_row(_("PIN"), words.pin_tries(card))
    table.add_row(_("User code"), words.tries(card.user_code_tries))
    console(err=err).print(table)


@click.command(help=_("Show what happened to a card, or to all of them."))
@card_option
@json_option
def events(number: str | None, as_json: bool) -> None:
    """Show the history."""
    history = Cards().history(number.strip().upper() if number else None)
    if as_json:
        print_json({"events": [shapes.event(event) for event in history]})
        return
    if not history:
        click.echo(_("Nothing is recorded."))
        return
    from rich.text import Text

    # One card's history need not repeat its number.
    several = number is None
    table = grid(False, *([False] * several), True, False, True)
    add_heads(table, _("Time"), *([_("Card number")] * several), _("Event"), _("Result"), _("Program"))
    for event in history:
        result = Text(words.result(event.result), style="" if event.result == 0 else "red")
        card = [event.card] * several
        table.add_row(words.moment(event.at), *card, words.event(event.event), result, event.program)
    console().print(table)
