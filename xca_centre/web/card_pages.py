# SPDX-License-Identifier: Apache-2.0
"""What is done to a card in the reader: 開卡作業, 鎖卡解碼/重設PIN碼, 更改PIN碼, 檢視憑證IC卡資訊.

The holder's local component does it in a window of its own: no PIN and no user code reaches these pages. The
centre says which card it is, how its certificates are, and whether what is wanted is possible now.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import certificate_sets
from xca_centre.certificate_sets import CertificateSet, IssuedCertificate
from xca_centre.deadlines import last_day
from xca_centre.errors import (
    CentreError,
    CertificateExpired,
    CertificateRevoked,
    CertificateSuspended,
    NoSuchCertificates,
    Refused,
)
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.certificate import CertificateEvent, CertificateState, Circumstances, next_standing
from xca_centre.life.transitions import Role
from xca_centre.web import menu
from xca_centre.web.frame import Fields, Frame
from xca_common import taipei
from xca_common.i18n import speaking
from xca_common.pki.certificate import Certificate
from xca_common.web.language import language_of

FACTS: Final = f"{menu.PATHS['show_card']}/facts"
"""Tells of a card whose certificate is posted (field `signing`, DER in base64)."""
_FACTS_OF_A_NETWORK: Final = 1200
_PERIOD: Final = text("{start} to {end}")
_PAGES: Final = {
    "activate": "card_activate.html",
    "reset_pin": "card_reset_pin.html",
    "change_pin": "card_change_pin.html",
    "show_card": "card_show.html",
}


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""

    def page(name: str) -> Route:
        def shown(request: Request) -> Response:
            return frame.page(request, _PAGES[name])

        return Route(menu.PATHS[name], shown)

    def facts(request: Request, fields: Fields) -> Response:
        frame.limit(request, "card_facts", _FACTS_OF_A_NETWORK)
        with frame.database.read() as connection:
            certificate = _certificate(fields.get("signing", ""))
            issued = certificate_sets.certificate(connection, f"{certificate.serial_number:X}")
            if issued.der != certificate.public_bytes(Encoding.DER):
                raise NoSuchCertificates
            found = certificate_sets.of_serial(connection, issued.serial)
        with speaking(language_of(request)):
            told = _told(frame.rules, found, issued, frame.clock())
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    return [*map(page, _PAGES), Route(FACTS, frame.posted(facts), methods=["POST"])]


def _certificate(encoded: str) -> x509.Certificate:
    """Read what a component has read from a card.

    Raises:
        NoSuchCertificates: it is no certificate.
    """
    try:
        return x509.load_der_x509_certificate(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error):
        raise NoSuchCertificates from None


def _told(
    rules: IssuerRules, found: CertificateSet, issued: IssuedCertificate, now: datetime
) -> Mapping[str, object]:
    certificate = Certificate.parse("", "", issued.der)
    days = {"start": taipei.day(certificate.not_before), "end": taipei.day(certificate.not_after)}
    return {
        "card": found.card,
        "serial": issued.serial,
        "holder": certificate.holder,
        "validity": _PERIOD.format(**days)(),
        "state": found.standing.state.value,
        "label": rules.labels.of(found.standing)(),
        "last_day": f"{last_day(found.lapses_at)}" if found.accepted is None else None,
        "activation": _refusal(_against_activation(rules, found, now)),
        "pin_reset": _refusal(_against_pin_reset(rules, found, now)),
    }


def _refusal(error: CentreError | None) -> Mapping[str, str] | None:
    return None if error is None else {"message": error.message(), "next_step": error.next_step()}


def _against_activation(rules: IssuerRules, found: CertificateSet, now: datetime) -> CentreError | None:
    """Return why a card is not to be activated; None: it may be."""
    at = Circumstances(
        standing=found.standing,
        role=Role.HOLDER,
        now=now,
        lapses_at=found.lapses_at,
        not_after=found.not_after,
        lapse=rules.deadlines.lapse,
    )
    try:
        next_standing(CertificateEvent.ACCEPT, at, rules.certificates)
    except Refused as error:
        return error
    return None


def _against_pin_reset(rules: IssuerRules, found: CertificateSet, now: datetime) -> CentreError | None:
    """Return why the PIN is not to be reset; None: it may be."""
    practice = rules.practice
    match found.standing.state:
        case CertificateState.REVOKED:
            return CertificateRevoked()
        case CertificateState.HELD | CertificateState.HELD_UNACCEPTED if (
            not practice.reset_pin_while_suspended
        ):
            return CertificateSuspended()
        case _ if now > found.not_after and not practice.reset_pin_while_expired:
            return CertificateExpired()
    return None
