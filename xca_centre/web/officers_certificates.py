# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for certificates: found by number or organisation, suspended, resumed, revoked."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import certificate_acts, certificate_sets, organisations
from xca_centre.certificate_acts import Seen
from xca_centre.certificate_sets import CertificateSet
from xca_centre.errors import AddressUnknown, CentreError, FormMalformed, NoSuchCertificates
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.transitions import Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.store.database import Change
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.officers_cases import version_of
from xca_centre.web.officers_desk import CERTIFICATES, Desk
from xca_centre.web.officers_words import history

_LONGEST: Final = 64
_REASONS: Final = (
    Reason.CESSATION_OF_OPERATION,
    Reason.AFFILIATION_CHANGED,
    Reason.KEY_COMPROMISE,
    Reason.SUPERSEDED,
    Reason.UNSPECIFIED,
)


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    desk = Desk(frame)

    def search(request: Request) -> Response:
        typed = request.query_params.get("number", "")[:_LONGEST].strip()
        with desk.reading(request) as (connection, officer):
            found = _found(connection, typed, officer) if typed else None
        return desk.page(request, officer, "officers_certificates.html", typed=typed, found=found)

    def one(request: Request, error: CentreError | None = None, typed: Fields | None = None) -> Response:
        with desk.reading(request) as (connection, officer):
            found = certificate_acts.find(connection, request.path_params["set"], officer)
            authority = (Reason.CA_COMPROMISE,) if Role.OPERATOR in officer.roles else ()
            context = {
                "found": found,
                "label": frame.rules.labels.of(found.standing),
                "issued": certificate_sets.certificates_of(connection, found.id),
                "holder": organisations.organisation(connection, found.organisation),
                "acts": certificate_acts.possible(found, officer, frame.rules),
                "roles": certificate_acts.roles_for(officer),
                "reasons": (*_REASONS, *authority),
                **history(connection, [str(found.id)]),
                "typed": typed or {},
            }
        return desk.page(request, officer, "officers_certificate.html", error, **context)

    def act(request: Request, fields: Fields) -> Response:
        identity: UUID = request.path_params["set"]
        try:
            event = CertificateEvent(request.path_params["act"])
        except ValueError:
            raise AddressUnknown from None
        if event not in certificate_acts.ACTS:
            raise AddressUnknown
        seen = Seen(identity, version_of(fields))
        is_final = event is CertificateEvent.REVOKE
        try:
            role = Role(fields.get("role", ""))
            reason = Reason(fields.get("reason", "")) if is_final else None
        except ValueError:
            raise FormMalformed from None

        def do(change: Change, officer: RegisteredOfficer) -> None:
            letter = fields.get("letter", "")
            certificate_acts.act(
                change, frame.rules, seen, event, officer, role, reason=reason, letter=letter
            )

        return desk.act(
            request,
            do,
            lambda error: one(request, error, fields),
            f"{CERTIFICATES}/{identity}",
            is_grave=is_final,
        )

    def back(request: Request) -> Response:
        return frame.see_other(f"{CERTIFICATES}/{request.path_params['set']}")

    page = f"{CERTIFICATES}/{{set:uuid}}"
    return [
        Route(CERTIFICATES, search),
        Route(page, one),
        Route(f"{page}/{{act}}", frame.posted(act), methods=["POST"]),
        Route(f"{page}/{{act}}", back),
    ]


def _found(connection: Connection, typed: str, officer: RegisteredOfficer) -> list[CertificateSet]:
    """Return the certificates of a card number, a serial number or an OID that an officer may act on."""
    if not typed.isprintable():
        return []
    sets = [
        *certificate_sets.of_card(connection, typed.upper()),
        *certificate_sets.of_organisation(connection, typed),
    ]
    with suppress(NoSuchCertificates):
        sets.append(certificate_sets.of_serial(connection, typed))
    allowed = []
    for each in sets:
        try:
            allowed.append(certificate_acts.find(connection, each.id, officer))
        except CentreError:
            continue
    return allowed
