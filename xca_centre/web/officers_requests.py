# SPDX-License-Identifier: Apache-2.0
"""The officers' page for requests for a new user code (用戶代碼重設): what a letter asks for is approved."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import applications, organisations, tickets
from xca_centre.errors import AddressUnknown, CentreError
from xca_centre.life.transitions import OFFICERS as REVIEWERS
from xca_centre.officers import RegisteredOfficer
from xca_centre.store.database import Change
from xca_centre.web import once
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.officers_desk import REQUESTS, Desk, reader


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    desk = Desk(frame)

    def waiting(request: Request, error: CentreError | None = None) -> Response:
        with desk.reading(request, *REVIEWERS) as (connection, officer):
            found = []
            for each in tickets.waiting(connection, reader(officer), frame.clock()):
                case = applications.read(connection, each.application)
                holder = organisations.organisation(connection, case.organisation)
                found.append((each, case.form.contact, holder))
        return desk.page(request, officer, "officers_requests.html", error, requests=found)

    def decide(request: Request, fields: Fields) -> Response:
        decision = request.path_params["decision"]
        if decision not in ("approve", "refuse"):
            raise AddressUnknown

        def do(change: Change, officer: RegisteredOfficer) -> None:
            once.spend(change, fields)
            number = request.path_params["number"]
            if decision == "approve":
                tickets.approve(change, frame.rules, number, reader(officer))
            else:
                tickets.refuse(change, number, reader(officer))

        return desk.act(
            request,
            do,
            lambda error: waiting(request, error),
            REQUESTS,
            *REVIEWERS,
            is_grave=decision == "approve",
        )

    def back(_: Request) -> Response:
        return frame.see_other(REQUESTS)

    decided = f"{REQUESTS}/{{number}}/{{decision}}"
    return [
        Route(REQUESTS, waiting),
        Route(decided, frame.posted(decide), methods=["POST"]),
        Route(decided, back),
    ]
