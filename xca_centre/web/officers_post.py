# SPDX-License-Identifier: Apache-2.0
"""The operators' page for the post: cards that are made, a sheet of labels at a time, printed and mailed."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import letters, orders
from xca_centre.errors import AddressUnknown, CentreError, NoCardChosen
from xca_centre.letters import MailedCard
from xca_centre.life.transitions import Actor, Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.store.database import Change
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.officers_desk import POST, Desk
from xca_common.i18n import CHINESE

BATCH: Final = 16
"""Cards that go to the post together: as many as a sheet has labels."""
_CHOSEN: Final = "card."
"""The fields of a form that name a card begin so."""


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    desk = Desk(frame)

    def waiting(request: Request, error: CentreError | None = None) -> Response:
        with desk.reading(request, Role.OPERATOR) as (connection, officer):
            made = orders.for_the_post(connection)
            cards = [orders.letter_facts(connection, each) for each in made[:BATCH]]
        context = {"cards": cards, "more": len(made) - len(cards)}
        return desk.page(request, officer, "officers_post.html", error, **context)

    def printed(request: Request) -> Response:
        with desk.reading(request, Role.OPERATOR) as (connection, _):
            cards = _chosen(connection, request.query_params.keys())
        what, now = request.path_params["what"], frame.clock()
        if what == "letters":
            pdf = letters.activation_letters(cards, frame.rules, now, CHINESE)
        elif what == "list":
            pdf = letters.serial_list(cards, frame.rules, now, CHINESE)
        elif what == "labels":
            pdf = letters.address_labels(cards, now, CHINESE)
        else:
            raise AddressUnknown
        headers = {"Content-Disposition": f'attachment; filename="{what}.pdf"'}
        return Response(pdf, headers=headers, media_type="application/pdf")

    def mailed(request: Request, fields: Fields) -> Response:
        def do(change: Change, officer: RegisteredOfficer) -> None:
            by = Actor(Role.OPERATOR, officer.id)
            for card in _chosen(change.connection, fields):
                order = orders.of_card(change.connection, card.number)
                orders.mail(change, frame.rules, order.application, by)

        return desk.act(request, do, lambda error: waiting(request, error), POST, Role.OPERATOR)

    def back(_: Request) -> Response:
        return frame.see_other(POST)

    return [
        Route(POST, waiting),
        Route(f"{POST}/mailed", frame.posted(mailed), methods=["POST"]),
        Route(f"{POST}/mailed", back),
        Route(f"{POST}/{{what}}.pdf", printed),
    ]


def _chosen(connection: Connection, fields: Iterable[str]) -> list[MailedCard]:
    """Return the cards that a form names.

    Raises:
        NoCardChosen: it names none, or more than a batch has.
        NoSuchOrder: one was not made here.
    """
    numbers = [name.removeprefix(_CHOSEN) for name in fields if name.startswith(_CHOSEN)]
    if not 0 < len(numbers) <= BATCH:
        raise NoCardChosen(most=BATCH)
    made = [orders.of_card(connection, number) for number in sorted(numbers)]
    return [orders.letter_facts(connection, each) for each in made]
