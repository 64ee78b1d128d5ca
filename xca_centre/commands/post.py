# SPDX-License-Identifier: Apache-2.0
"""Commands for the post: what is printed for the cards that wait for it, and that they were mailed."""

from pathlib import Path

import click

from xca_centre import orders
from xca_centre.commands.common import STATUSES, begun, operator, tell
from xca_centre.commands.group import xca_centre
from xca_centre.i18n import plural, say, text
from xca_centre.letters import activation_letter, address_labels, serial_list
from xca_common import atomic_file
from xca_common.folders import make_private

_ = say


@xca_centre.command(
    "print",
    help=_(
        "Print what goes to the post with the cards that are made and not mailed, as PDF files in a folder: "
        "a letter for each card, the list, the labels."
    ),
    epilog=STATUSES,
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.pass_obj
def _print(centre_folder: Path, folder: Path) -> None:
    centre, language = begun(centre_folder), text("en")()
    with centre.database.read() as connection:
        cards = [orders.letter_facts(connection, each) for each in orders.for_the_post(connection)]
    if not cards:
        tell(text("No card waits for the post."))
        return
    made = centre.clock()
    make_private(folder)
    for card in cards:
        letter = activation_letter(card, centre.rules, made, language)
        atomic_file.write(folder / f"{card.number}.pdf", letter)
    atomic_file.write(folder / "list.pdf", serial_list(cards, centre.rules, made, language))
    atomic_file.write(folder / "labels.pdf", address_labels(cards, made, language))
    said = plural("Printed for {count} card into {path}.", "Printed for {count} cards into {path}.", "count")
    tell(said.format(count=len(cards), path=folder))


@xca_centre.command(
    "mail",
    help=_(
        "Note that cards were given to the post, and tell their contacts by mail. Once more changes nothing."
    ),
    epilog=STATUSES,
)
@click.argument("cards", nargs=-1, required=True, metavar="NUMBER…")
@click.pass_obj
def _mail(folder: Path, cards: tuple[str, ...]) -> None:
    centre = begun(folder)
    for card in cards:
        with centre.database.change() as change:
            order = orders.of_card(change.connection, card)
            orders.mail(change, centre.rules, order.application, operator())
        tell(text("{card} is noted as mailed.").format(card=card))
