# SPDX-License-Identifier: Apache-2.0
"""xcactl detect, info and events. They cost no try and change nothing."""

from collections.abc import Sequence
from contextlib import suppress

import click

from pkcs11_shim import ConfigurationError, inner_module_path
from xca_common.errors import XcaError
from xca_plugin import card_text, errors, pcsc
from xca_plugin.cards import Cards, named_readers
from xca_plugin.cli import json_documents
from xca_plugin.cli.common import json_option
from xca_plugin.i18n import _, text
from xca_plugin.model import Card, CardState, CertificateStatus
from xca_plugin.terminal.card_choice import card_option, card_option_with, choose
from xca_plugin.terminal.next_steps import next_step, next_step_of
from xca_plugin.terminal.output import console, grid, print_json, say


@click.command(help=_("Show the cards that are here, and the card readers."))
@click.option(
    "--wait", is_flag=True, help=_("Report every card that is inserted or removed, until interrupted.")
)
@json_option
def detect(wait: bool, as_json: bool) -> None:
    """Print the readers and cards, once or after every change (wait)."""
    cards = Cards()
    if wait:
        _watch(cards, as_json)
        return
    readers, problem = _readers()
    mute = next((reader for reader in readers if reader.contents is pcsc.Contents.MUTE), None)
    try:
        present, slots = cards.detect(), cards.readers()
    except XcaError as error:
        if mute:
            raise errors.CardMute(name=mute.name) from error
        raise
    if as_json:
        print_json(
            {
                "readers": named_readers(slots, {card.reader for card in present}),
                "cards": [json_documents.card(card) for card in present],
                "pcsc": {
                    "readers": [json_documents.reader(reader) for reader in readers],
                    "problem": json_documents.problem(problem) if problem else None,
                },
            }
        )
    else:
        _show_all(present, readers)
    failure = None if present else _absence(cards, mute, problem, seen=bool(slots or readers))
    needs_none = bool(present) and not any(card.real for card in present)  # cards of the stand-in
    if problem and problem is not failure and not as_json and not needs_none:
        say(problem.message(), err=True)
    if failure:
        raise failure


def _absence(cards: Cards, mute: pcsc.Reader | None, problem: XcaError | None, *, seen: bool) -> XcaError:
    """Return the error that says why no card is here; seen: readers or slots are there."""
    if mute:
        return errors.CardMute(name=mute.name)
    if seen:
        absence = cards.missing()
        return absence if isinstance(absence, errors.NoCard) else errors.NoCard()
    return errors.NoReader() if problem is None or isinstance(problem, errors.NoReaderSupport) else problem


def _readers() -> tuple[Sequence[pcsc.Reader], XcaError | None]:
    """Return the readers; if PC/SC cannot be asked, return none and the error."""
    try:
        return pcsc.readers(), None
    except XcaError as problem:
        return (), problem


def _show_all(cards: Sequence[Card], readers: Sequence[pcsc.Reader]) -> None:
    from rich.text import Text

    if cards:
        heads = (_("Card number"), _("State"), _("Holder"), _("Reader"))
        table = grid(False, False, True, True, heads=heads)
        for card in cards:
            state = Text(card_text.state(card), style=card_text.colour(card))
            table.add_row(card.number, state, card_text.holder(card), card.reader)
        console().print(table)
    if readers:
        table = grid(True, True, True, heads=(_("Card reader (PC/SC)"), _("Contents"), _("Answer to reset")))
        here = {card.reader: text("the card {number}").format(number=card.number) for card in cards}
        for reader in readers:
            style = "red" if reader.contents in (pcsc.Contents.MUTE, pcsc.Contents.UNAVAILABLE) else ""
            # PKCS#11 shows 64 bytes of the name.
            said = reader.card or here.get(reader.name[:64].strip()) or reader.says
            table.add_row(reader.name, Text(said(), style=style), reader.atr.hex(" ").upper())
        console().print(table)


def _watch(cards: Cards, as_json: bool) -> None:
    from contextlib import suppress

    from xca_plugin.watch import ChangeKind, Watch

    def detect() -> Sequence[Card]:
        cards.refresh()
        return cards.detect()

    untold: XcaError | None = None
    with suppress(KeyboardInterrupt):  # the user ends --wait with Ctrl-C
        for count, change in enumerate(Watch(detect)):
            problem = change.subject if isinstance(change.subject, XcaError) else None
            if problem and not as_json:
                if count == 0 and _is_without_readers(cards, problem):
                    untold = problem
                    continue
                if problem is untold:  # it is solved
                    continue
            if as_json:
                print_json(json_documents.change(change), indent=None)
            else:
                said = f"{card_text.moment(change.at)}  {card_text.change(change)}"
                if problem and change.kind is ChangeKind.PROBLEM:
                    said = text("{sentence} {reason}").format(sentence=said, reason=next_step(problem))()
                say(said)


def _is_without_readers(cards: Cards, problem: XcaError) -> bool:
    """Tell whether only the daemon of the readers is missing, and the cards here are the stand-in's."""
    if not isinstance(problem, errors.NoReaderDaemon):
        return False
    try:
        present = cards.detect()
    except XcaError:
        return False
    return bool(present) and not any(card.real for card in present)


@click.command(help=_("Show a card: holder, validity, state, tries left, and what it needs next."))
@card_option
@json_option
def info(number: str | None, as_json: bool) -> None:
    """Print the state of the chosen card."""
    cards = Cards()
    card = choose(cards, number)
    status = cards.certificate_status(card)
    if as_json:
        print_json({**json_documents.card(card), "certificates": json_documents.certificate_status(status)})
        return
    show(card, status)
    say()
    say(next_step_of(card, status))


def show(card: Card, status: CertificateStatus | None = None, *, err: bool = False) -> None:
    """Print the holder, validity, state and tries of a card, and the status of its certificates, if given."""
    from rich.text import Text

    table = grid(False, True)
    table.add_row(_("Card number"), card.number)
    keypad = text("{reader} (with a keypad: PIN and user code are typed there)")
    table.add_row(_("Reader"), keypad.format(reader=card.reader)() if card.has_keypad else card.reader)
    table.add_row(_("Holder"), card_text.holder(card))
    if card.certificate:
        table.add_row(_("Distinguished name"), card.certificate.holder)
        table.add_row(_("Validity"), card_text.validity(card.certificate))
    table.add_row(_("State"), Text(card_text.state(card), style=card_text.colour(card)))
    if card.state is not CardState.ACTIVE and card.activate_by is not None and card.days_left is not None:
        table.add_row(_("Activate by"), card_text.deadline(card.activate_by, card.days_left))
    colour = card_text.tries_colour(card.pin_tries) if card.state is CardState.ACTIVE else ""
    table.add_row(_("PIN"), Text(card_text.pin_tries(card), style=colour))
    colour = card_text.tries_colour(card.user_code_tries)
    table.add_row(_("User code"), Text(card_text.user_code_tries(card), style=colour))
    if status is not None:
        said = Text(card_text.certificate_status(status), style=card_text.status_colour(status))
        table.add_row(_("Certificates"), said)
    console(err=err).print(table)


@click.command(help=_("Show what happened to a card, or to all of them."))
@card_option_with(_("Show this card alone; by default all of them."))
@json_option
def events(number: str | None, as_json: bool) -> None:
    """Print the recorded events of one card or of all cards."""
    cards = Cards()
    wanted = number.strip().upper() if number else None
    history = cards.history(wanted)
    if wanted and not history:
        choose(cards, wanted)  # a card may have no history; a number that is no card's is a slip
    if as_json:
        print_json({"events": [json_documents.event(event) for event in history]})
        return
    if not history:
        with suppress(ConfigurationError, OSError):  # `xcactl doctor` tells of those
            if inner_module_path() is None:  # as in a terminal without the variables of the test cards
                raise errors.NotConfigured
        say(_("Nothing is recorded."))
        return
    from rich.text import Text

    # In the history of one card, the number would be the same on every line.
    several = number is None
    heads = (_("Time"), *([_("Card number")] * several), _("Event"), _("Result"), _("Program"))
    table = grid(False, *([False] * several), True, False, True, heads=heads)
    for event in history:
        result = Text(card_text.result(event.result), style="" if event.result == 0 else "red")
        card = [event.card] * several
        table.add_row(card_text.moment(event.at), *card, card_text.event(event.event), result, event.program)
    console().print(table)
