# SPDX-License-Identifier: Apache-2.0
"""憑證IC卡聯絡人修改: another contact person for a card, by its user code or by a login with it.

Nothing of the present contact person is shown: who has the code need not know that person's data.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import applications, orders
from xca_centre.application_form import CONTACT_FIELDS, FIELDS, read_contact
from xca_centre.errors import CentreError, FormIncomplete, NotOnACard, UserCodeError
from xca_centre.web import menu, once
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.holder_proof import NUMBER, SERIAL, prove
from xca_common.web.problems import wants_page

CONTACT: Final = menu.PATHS["change_contact"]
_BY_LOGIN: Final = "login"


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""

    def begin(request: Request) -> Response:
        return frame.page(request, "contact.html", **_shown({}))

    def confirm(request: Request, asked: Fields) -> Response:
        try:
            read_contact(asked)
        except FormIncomplete as error:
            return frame.refusal(request, error, "contact.html", **_shown(asked, error))
        return frame.page(request, "contact_confirm.html", error=None, **_shown(asked))

    def change(request: Request, asked: Fields) -> Response:
        try:
            contact = read_contact(asked)
            proved = None if _BY_LOGIN in asked else prove(frame, request, asked)
        except FormIncomplete as error:
            return frame.refusal(request, error, "contact.html", **_shown(asked, error))
        except UserCodeError as error:
            return frame.refusal(request, error, "contact_confirm.html", **_shown(asked))
        with frame.database.change() as change:
            if wants_page(request):
                once.spend(change, asked)
            if proved is None:
                session = frame.holder(change.connection, request)
                if session.card is None:
                    raise NotOnACard
                application, by = orders.of_card(change.connection, session.card).application, session.actor
            else:
                application, by = proved.application.id, proved.by
            applications.change_contact(change, frame.rules, application, contact, by)
        if wants_page(request):
            return frame.see_other(f"{CONTACT}/done")
        return JSONResponse({"outcome": "changed"}, headers={"Cache-Control": "no-store"})

    def done(request: Request) -> Response:
        return frame.page(request, "contact_done.html")

    return [
        Route(CONTACT, begin, methods=["GET"]),
        Route(f"{CONTACT}/confirm", frame.posted(confirm), methods=["POST"]),
        Route(CONTACT, frame.posted(change), methods=["POST"]),
        Route(f"{CONTACT}/done", done),
    ]


def _shown(asked: Mapping[str, str], error: CentreError | None = None) -> dict[str, Any]:
    problems = error.problems if isinstance(error, FormIncomplete) else {}
    return {
        "contact": {name: (FIELDS[name], asked.get(name, ""), problems.get(name)) for name in CONTACT_FIELDS},
        "number": asked.get(NUMBER, ""),
        "serial": asked.get(SERIAL, ""),
        "is_by_login": _BY_LOGIN in asked,
    }
