# SPDX-License-Identifier: Apache-2.0
"""Choice of the card: the option --card, and the question when there are several."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from xca_common.command_line import RecognisedOption, WholeNumber
from xca_common.errors import XcaError
from xca_common.harmless_text import harmless
from xca_plugin import card_text, errors
from xca_plugin.cards import Cards
from xca_plugin.i18n import _, text
from xca_plugin.model import Card
from xca_plugin.terminal.output import console, grid, say
from xca_plugin.terminal.prompts import interactive, prompt

_T = TypeVar("_T", bound=Callable[..., object])

_NAMED_BY_VARIABLE: Final = text(
    "The variable XCA_CARD names it. Insert it, or name another one: --card NUMBER; this shows the cards "
    "that are here: xcactl detect. For good: unset XCA_CARD"
)
_THOSE_HERE: Final = text(
    "Insert it, or name one that is here with --card: {numbers}. This tells more of them: xcactl detect"
)
_CARD_NUMBER: Final = "[A-Za-z]{2}[0-9]{14}"
"""Number of a card; PINs and user codes are shorter."""


def complete_card(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Return the numbers of the cards that are here, for the shell's completion."""
    from click.shell_completion import CompletionItem

    try:
        cards = Cards().detect()
    except XcaError:
        return []  # a completion cannot show a message
    return [
        CompletionItem(card.number, help=harmless(card_text.holder(card)))
        for card in cards
        # The completed word becomes part of a command, so it may hold no character special to a shell.
        if card.number.startswith(incomplete.upper()) and card.number.isascii() and card.number.isalnum()
    ]


def card_option_with(explained: str, variable: str | None = "XCA_CARD") -> Callable[[_T], _T]:
    """Return the option --card with an explanation of its own; the variable, if any, stands for it."""
    return click.option(
        "--card",
        "number",
        cls=RecognisedOption,
        form=_CARD_NUMBER,
        metavar="NUMBER",
        envvar=variable,
        show_envvar=True,
        shell_complete=complete_card,
        help=explained,
    )


card_option: Final = card_option_with(_("Number of the card; not needed when there is only one."))


_CHOSEN: Final = "xca_plugin.card"
"""Key in click's Context.meta; its value is the number of the card that was chosen among several."""


def chosen_among_several() -> str | None:
    """Return the number of the card that this command chose, if commands have to name it: there are more."""
    context = click.get_current_context(silent=True)
    number: str | None = context.meta.get(_CHOSEN) if context else None
    return number


def choose(cards: Cards, number: str | None) -> Card:
    """Return the card with this number; without a number, the only card, or the one chosen at the terminal.

    Raises:
        CardNotFound, SeveralCards, and what Cards.missing() returns.
    """
    present = cards.detect()
    card = _chosen(present, cards, number)
    context = click.get_current_context(silent=True)
    if context and len(present) > 1:
        context.meta[_CHOSEN] = card.number
    return card


def _chosen(present: Sequence[Card], cards: Cards, number: str | None) -> Card:
    if number is not None:
        for card in present:
            if card.number in (number.strip(), number.strip().upper()):
                return card
        problem = errors.CardNotFound(number=number)
        context = click.get_current_context(silent=True)
        if context and context.get_parameter_source("number") is ParameterSource.ENVIRONMENT:
            raise problem.with_step(_NAMED_BY_VARIABLE)
        if present:
            raise problem.with_step(_THOSE_HERE.format(numbers=[card.number for card in present]))
        raise problem
    if not present:
        raise cards.missing()
    if len(present) == 1:
        return present[0]
    if not interactive():
        raise errors.SeveralCards(numbers=[card.number for card in present])
    say(_("Several cards are here:"), err=True)
    table = grid(False, False, True, False)
    for position, card in enumerate(present, 1):
        table.add_row(f"{position})", card.number, card_text.holder(card), card_text.state(card))
    console(err=True).print(table)
    chosen: int = prompt(_("Which one"), type=WholeNumber(1, len(present)))
    return present[chosen - 1]
