# SPDX-License-Identifier: Apache-2.0
"""寫入憑證內安全電子郵件信箱: new certificates with an e-mail address, written to the card.

The holder is logged in with the card. The old certificates are superseded at once; until the new ones are on
the card, relying parties refuse what it shows. So the page that writes them can be opened again, without a
login: its address names the set, which nobody guesses, and certificates are no secret.
"""

import base64
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import certificate_sets, reissues
from xca_centre.certificate_sets import Use
from xca_centre.errors import AddressUnknown, BadSecureEmail, LoginTooOld, NoSuchCertificates, NotOnACard
from xca_centre.plain_text import is_email
from xca_centre.web import menu, once
from xca_centre.web.frame import Fields, Frame
from xca_common.web.problems import wants_page

EMAIL: Final = menu.PATHS["write_email"]


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""

    def begin(request: Request) -> Response:
        with frame.database.read() as connection:
            frame.holder(connection, request)
        return frame.page(request, "email.html", error=None, email="")

    def confirm(request: Request, fields: Fields) -> Response:
        with frame.database.read() as connection:
            frame.holder(connection, request)
        email = fields.get("email", "").strip()
        if not is_email(email):
            return frame.refusal(request, BadSecureEmail(), "email.html", email=email)
        return frame.page(request, "email_confirm.html", email=email)

    def write(request: Request, fields: Fields) -> Response:
        email = fields.get("email", "").strip()
        if not is_email(email):
            return frame.refusal(request, BadSecureEmail(), "email.html", email=email)
        try:
            with frame.database.change() as change:
                session = frame.holder(change.connection, request)
                frame.require_recent(session)
                if session.card is None:
                    raise NotOnACard
                if wants_page(request):
                    once.spend(change, fields)
                generations, by = frame.hierarchy.generations, session.actor
                issued = reissues.reissue(change, frame.rules, generations, session.certificates, email, by)
        except LoginTooOld as error:
            return frame.refusal(request, error, "login_again.html", back=EMAIL)
        if wants_page(request):
            return frame.see_other(f"{EMAIL}/write", set=str(issued))
        with frame.database.read() as connection:
            certificates = certificate_sets.certificates_of(connection, issued)
        made = {each.use.value: base64.b64encode(each.der).decode("ascii") for each in certificates}
        return JSONResponse({"card": session.card, **made}, headers={"Cache-Control": "no-store"})

    def writing(request: Request) -> Response:
        try:
            with frame.database.read() as connection:
                found = certificate_sets.find(connection, UUID(request.query_params.get("set", "")))
                issued = certificate_sets.certificates_of(connection, found.id)
        except (NoSuchCertificates, ValueError):
            raise AddressUnknown from None
        if found.card is None:
            raise NotOnACard
        # Markup: templates shorten long texts.
        encoded = {each.use: Markup(base64.b64encode(each.der).decode("ascii")) for each in issued}  # noqa: S704  # base64
        parts = [(use, encoded[use]) for use in (Use.SIGNING, Use.ENCRYPTION)]
        return frame.page(request, "email_write.html", found=found, parts=parts)

    return [
        Route(EMAIL, begin, methods=["GET"]),
        Route(f"{EMAIL}/confirm", frame.posted(confirm), methods=["POST"]),
        Route(EMAIL, frame.posted(write), methods=["POST"]),
        Route(f"{EMAIL}/write", writing),
    ]
