# SPDX-License-Identifier: Apache-2.0
"""憑證廢止 and 憑證停用/復用: what a holder has done to certificates, by user code or by a login.

Each act has a page that says what will happen, and takes the user code there. The page after it shows what
the database says then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import certificate_sets
from xca_centre.certificate_sets import CertificateSet
from xca_centre.errors import (
    AddressUnknown,
    CentreError,
    GroundMissing,
    HeldByOthers,
    LoginTooOld,
    NoSuchCertificates,
    UserCodeError,
)
from xca_centre.issuer_rules import Ground, IssuerRules
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.web import menu, once
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.holder_proof import NUMBER, SERIAL, prove
from xca_common.web.problems import wants_page

REVOKE: Final = menu.PATHS["revoke"]
SUSPEND_OR_RESUME: Final = menu.PATHS["suspend_or_resume"]
_ACT: Final = "act"
_GROUND: Final = "ground"
_BY_LOGIN: Final = "login"
"""The field of a form that acts for the card that is logged in."""


@dataclass(frozen=True)
class _Page:
    """A page of this module.

    Attributes:
        path: its path.
        events: what may be done there, by the names that forms and programs have.
    """

    path: str
    events: Mapping[str, CertificateEvent]


_PAGES: Final = (
    _Page(REVOKE, {"revoke": CertificateEvent.REVOKE}),
    _Page(SUSPEND_OR_RESUME, {"suspend": CertificateEvent.SUSPEND, "resume": CertificateEvent.RESUME}),
)


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    return [route for page in _PAGES for route in _routes(frame, page)]


def _routes(frame: Frame, page: _Page) -> Sequence[Route]:
    def begin(request: Request) -> Response:
        return frame.page(request, "status_begin.html", page=page, grounds=_grounds(frame.rules))

    def confirm(request: Request) -> Response:
        return frame.page(request, "status_confirm.html", error=None, **shown(request.query_params))

    def shown(asked: Mapping[str, str]) -> dict[str, Any]:
        act = asked.get(_ACT, "")
        if act not in page.events:
            raise AddressUnknown
        return {
            "page": page,
            "act": act,
            "number": asked.get(NUMBER, ""),
            "serial": asked.get(SERIAL, ""),
            "is_by_login": _BY_LOGIN in asked,
            "ground_name": asked.get(_GROUND, ""),
            "ground": _grounds(frame.rules).get(asked.get(_GROUND, "")),
        }

    def act(request: Request, asked: Fields) -> Response:
        event = page.events.get(asked.get(_ACT, ""))
        if event is None:
            raise AddressUnknown
        try:
            after = _happen(frame, request, asked, event)
        except (UserCodeError, GroundMissing, HeldByOthers) as error:
            return refused(request, error, asked)
        except LoginTooOld as error:
            query = urlencode({name: asked[name] for name in (_ACT, _GROUND, _BY_LOGIN) if name in asked})
            return frame.refusal(request, error, "login_again.html", back=f"{page.path}/confirm?{query}")
        if wants_page(request):
            return frame.see_other(f"{page.path}/done", set=str(after.id), act=asked[_ACT])
        return JSONResponse(_told(after), headers={"Cache-Control": "no-store"})

    def refused(request: Request, error: CentreError, asked: Fields) -> Response:
        return frame.refusal(request, error, "status_confirm.html", **shown(asked))

    def done(request: Request) -> Response:
        with frame.database.read() as connection:
            try:
                found = certificate_sets.find(connection, UUID(request.query_params.get("set", "")))
            except (NoSuchCertificates, ValueError):
                raise AddressUnknown from None
            serial = certificate_sets.certificates_of(connection, found.id)[0].serial
        return frame.page(request, "status_done.html", page=page, found=found, serial_number=serial)

    return [
        Route(page.path, begin, methods=["GET"]),
        Route(f"{page.path}/confirm", confirm),
        Route(page.path, frame.posted(act), methods=["POST"]),
        Route(f"{page.path}/done", done),
    ]


def _happen(frame: Frame, request: Request, asked: Fields, event: CertificateEvent) -> CertificateSet:
    reason = _reason(frame.rules, asked) if event is CertificateEvent.REVOKE else None
    proved = None if _BY_LOGIN in asked else prove(frame, request, asked)
    with frame.database.change() as change:
        if wants_page(request):
            once.spend(change, asked)
        if proved is None:
            session = frame.holder(change.connection, request)
            if event is CertificateEvent.REVOKE:
                frame.require_recent(session)
            certificates, by = session.certificates, session.actor
        else:
            certificates, by = proved.certificates.id, proved.by
        certificate_sets.change_state(change, certificates, event, by, frame.rules, reason)
        return certificate_sets.find(change.connection, certificates)


def _grounds(rules: IssuerRules) -> Mapping[str, Ground]:
    return {field.name: getattr(rules.grounds, field.name) for field in fields(rules.grounds)}


def _reason(rules: IssuerRules, asked: Fields) -> Reason:
    ground = _grounds(rules).get(asked.get(_GROUND, ""))
    if ground is None:
        raise GroundMissing
    return ground.reason


def _told(found: CertificateSet) -> Mapping[str, str | None]:
    """Return how certificates are, for programs."""
    return {
        "card": found.card,
        "state": found.standing.state.value,
        "reason": found.standing.reason.value if found.standing.reason else None,
        "since": found.since.isoformat(),
    }
