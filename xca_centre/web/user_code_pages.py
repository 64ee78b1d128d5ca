# SPDX-License-Identifier: Apache-2.0
"""用戶代碼重設: the request, and the ticket for who has the mailed link and the secret. And the lifted lock.

The secret of a link stands behind the # of its address, which browsers send to no server. A script puts it
into the form.
"""

import base64
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import applications, orders, tickets, user_codes
from xca_centre.errors import (
    BadUserCode,
    CodesDiffer,
    LinkUnusable,
    NotOnACard,
    TicketRefused,
    TooManyTries,
)
from xca_centre.life.transitions import Actor, Role
from xca_centre.web import menu, once
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.holder_proof import NUMBER, SERIAL
from xca_common.secret import Secret
from xca_common.web.problems import wants_page

RESET: Final = menu.PATHS["reset_user_code"]
TICKET: Final = f"{RESET}/ticket"
"""Where the mailed link leads, with its secret behind the #."""
UNLOCK: Final = "/user-code/unlock"
"""The page that lifts the lock of a user code; the link in a mail likewise."""

_REQUESTS_OF_A_NETWORK: Final = 30
"""Requests that a network may make within an hour."""
_KEPT_NOWHERE: Final = {"Cache-Control": "no-store"}


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""

    def ask(request: Request) -> Response:
        return frame.page(request, "code_reset.html", error=None, asked={})

    def asked(request: Request, fields: Fields) -> Response:
        frame.limit(request, "code_reset", _REQUESTS_OF_A_NETWORK)
        try:
            secret = frame.codes.choose(_twice(fields, "secret"))
        except (BadUserCode, CodesDiffer) as error:
            return frame.refusal(request, error, "code_reset.html", asked=fields)
        with frame.database.change() as change:
            if wants_page(request):
                once.spend(change, fields)
            number = tickets.request(
                change,
                fields.get(NUMBER, ""),
                fields.get(SERIAL, ""),
                secret,
                is_activated="activated" in fields,
            )
        if wants_page(request):
            return frame.see_other(f"{RESET}/done", number=number)
        return JSONResponse({"number": number}, headers=_KEPT_NOWHERE)

    def done(request: Request) -> Response:
        return frame.page(request, "code_reset_done.html", number=request.query_params.get("number", "")[:10])

    def link(request: Request) -> Response:
        return frame.page(request, "code_ticket.html", error=None)

    def fetch(request: Request, fields: Fields) -> Response:
        frame.limit(request, "ticket", _REQUESTS_OF_A_NETWORK)
        try:
            new = frame.codes.choose(_twice(fields, "code")) if fields.get("code") else None
            ticket = tickets.issue(
                frame.database,
                frame.hierarchy,
                frame.codes,
                fields.get("link", ""),
                Secret(fields.get("secret", "")),
                frame.network(request),
                new,
            )
        except (TicketRefused, BadUserCode, CodesDiffer, TooManyTries) as error:
            return frame.refusal(request, error, "code_ticket.html")
        if not wants_page(request):
            said = {"ticket": base64.b64encode(ticket).decode("ascii")}
            return JSONResponse(said, headers=_KEPT_NOWHERE)
        name = 'attachment; filename="user-code.ticket"'
        return Response(
            ticket,
            media_type="application/pkcs7-mime",
            headers={**_KEPT_NOWHERE, "Content-Disposition": name},
        )

    def unlock(request: Request) -> Response:
        return frame.page(request, "code_unlock.html", error=None)

    def unlocked(request: Request, fields: Fields) -> Response:
        try:
            with frame.database.change() as change:
                if "login" in fields:
                    session = frame.holder(change.connection, request)
                    if session.card is None:
                        raise NotOnACard
                    order = orders.of_card(change.connection, session.card)
                    code = applications.read(change.connection, order.application).code
                    user_codes.lift(change, code, session.actor)
                else:
                    by = Actor(Role.HOLDER, "link")
                    user_codes.lift_by_link(change, fields.get("link", ""), by)
        except LinkUnusable as error:
            return frame.refusal(request, error, "code_unlock.html")
        return frame.see_other(f"{UNLOCK}/done")

    def lifted(request: Request) -> Response:
        return frame.page(request, "code_unlocked.html")

    return [
        Route(RESET, ask, methods=["GET"]),
        Route(RESET, frame.posted(asked), methods=["POST"]),
        Route(f"{RESET}/done", done),
        Route(TICKET, link, methods=["GET"]),
        Route(TICKET, frame.posted(fetch), methods=["POST"]),
        Route(UNLOCK, unlock, methods=["GET"]),
        Route(UNLOCK, frame.posted(unlocked), methods=["POST"]),
        Route(f"{UNLOCK}/done", lifted),
    ]


def _twice(fields: Fields, name: str) -> Secret:
    """Return a secret that was entered twice.

    Raises:
        CodesDiffer: the two are not the same.
    """
    if fields.get(name, "") != fields.get(f"{name}_again", ""):
        raise CodesDiffer
    return Secret(fields.get(name, ""))
