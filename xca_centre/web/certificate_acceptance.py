# SPDX-License-Identifier: Apache-2.0
"""非IC卡類憑證接受: the holder of a key that is on no card accepts or refuses its certificate."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import acceptance, certificate_sets
from xca_centre.errors import AddressUnknown, NoSuchCertificates, NotACard, UserCodeError
from xca_centre.i18n import text
from xca_centre.web import menu
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.holder_proof import CODE, NUMBER, prove
from xca_common.pki.certificate import Certificate
from xca_common.secret import Secret
from xca_common.web.problems import wants_page

ACCEPT: Final = menu.PATHS["accept_certificate"]
_ANSWERS: Final = {"accept": True, "refuse": False}


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""

    def begin(request: Request) -> Response:
        return frame.page(request, "certificate_begin.html", error=None, number="")

    def look(request: Request, fields: Fields) -> Response:
        try:
            found = prove(frame, request, fields).certificates
        except UserCodeError as error:
            number = fields.get(NUMBER, "")
            return frame.refusal(request, error, "certificate_begin.html", number=number)
        if found.card is not None:
            raise NotACard().with_step(text("Activate the card, and accept its certificates with it."))
        return frame.page(request, "certificate_answer.html", error=None, **shown(found.id, fields))

    def shown(certificates: UUID, fields: Fields) -> dict[str, Any]:
        with frame.database.read() as connection:
            found = certificate_sets.find(connection, certificates)
            issued = certificate_sets.certificates_of(connection, certificates)[0]
        certificate = Certificate.parse("", "", issued.der)
        return {
            "found": found,
            "serial_number": issued.serial,
            "certificate": certificate,
            "number": fields.get(NUMBER, ""),
        }

    def answer(request: Request, fields: Fields) -> Response:
        if (is_accepted := _ANSWERS.get(fields.get("answer", ""))) is None:
            raise AddressUnknown
        arrived = frame.clock()
        try:
            found = acceptance.answer_by_code(
                frame.database,
                frame.rules,
                frame.codes,
                fields.get(NUMBER, ""),
                Secret(fields.get(CODE, "")),
                frame.network(request),
                arrived=arrived,
                is_accepted=is_accepted,
            )
        except UserCodeError as error:
            number = fields.get(NUMBER, "")
            return frame.refusal(request, error, "certificate_begin.html", number=number)
        if wants_page(request):
            return frame.see_other(f"{ACCEPT}/done", set=str(found.id))
        return JSONResponse({"state": found.standing.state.value}, headers={"Cache-Control": "no-store"})

    def done(request: Request) -> Response:
        try:
            context = shown(UUID(request.query_params.get("set", "")), {})
        except (NoSuchCertificates, ValueError):
            raise AddressUnknown from None
        return frame.page(request, "certificate_done.html", **context)

    return [
        Route(ACCEPT, begin, methods=["GET"]),
        Route(f"{ACCEPT}/look", frame.posted(look), methods=["POST"]),
        Route(ACCEPT, frame.posted(answer), methods=["POST"]),
        Route(f"{ACCEPT}/done", done),
    ]
