# SPDX-License-Identifier: Apache-2.0
"""The agent's own pages of the cards as they are, and of their certificates."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_common.pki.certificate import Certificate
from xca_common.web.language import choosable
from xca_plugin import errors
from xca_plugin.agent.pages.card_snapshot import desk_of, look
from xca_plugin.agent.pages.pin_actions import JOBS
from xca_plugin.agent.pages.rendering import download, page
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import OddCertificate

_DOWNLOADS: Final[dict[str, tuple[Text, str, str]]] = {
    "der": (text("Download DER"), "cer", "application/pkix-cert"),
    "pem": (text("Download PEM"), "pem", "application/x-pem-file"),
    "chain": (text("Download chain (PEM)"), "chain.pem", "application/x-pem-file"),
}
"""Name of a form: what its link says, end of the file's name, media type (RFC 2585, 4; RFC 8555, 9.1)."""


def routes() -> list[Route]:
    """Return the routes of these pages."""
    return [
        Route("/", choosable(_home)),
        Route("/card", choosable(_card)),
        Route("/certificate", _certificate),
    ]


async def _home(request: Request) -> Response:
    return page(request, "home.html", seen=await look(request), jobs=JOBS)


async def _card(request: Request) -> Response:
    """檢視憑證IC卡資訊, 憑證下載."""
    seen = await look(request, request.query_params.get("card"))
    certificates: Sequence[Certificate] = ()
    odd: Sequence[OddCertificate] = ()
    error = None
    if (card := seen.card) is not None:
        try:
            certificates, odd = await desk_of(request).ask(
                lambda cards: (cards.certificates(card), cards.odd_certificates(card))
            )
        except XcaError as failure:
            error = failure
    return page(
        request,
        "card.html",
        seen=seen,
        error=error,
        certificates=certificates,
        odd=odd,
        downloads=_DOWNLOADS,
        now=datetime.now(UTC),
    )


async def _certificate(request: Request) -> Response:
    """One certificate, or it and those of its issuers."""
    query = request.query_params
    form, number, label = query.get("form", ""), query.get("card", ""), query.get("label", "")
    if form not in _DOWNLOADS:
        return PlainTextResponse("form is der, pem or chain\n", 400)

    def read(cards: Cards) -> bytes:
        certificates = cards.certificates(cards.find(number))
        for certificate in certificates:
            if certificate.label == label:
                if form == "der":
                    return certificate.der
                whole = _chain(certificate, certificates) if form == "chain" else [certificate]
                return "".join(each.pem for each in whole).encode()
        raise errors.NoSuchCertificate(number=number, label=label)

    try:
        content = await desk_of(request).ask(read)
    except XcaError as error:
        return page(request, "problem.html", status=404, error=error)
    _, ending, media_type = _DOWNLOADS[form]
    return download(content, f"{number}-{label}", ending, media_type)


def _chain(certificate: Certificate, certificates: Sequence[Certificate]) -> list[Certificate]:
    """Return a certificate and, as far as the card has them, those above it, up to the root."""
    chain = [certificate]
    while chain[-1].issuer != chain[-1].holder:
        above = [each for each in certificates if each.holder == chain[-1].issuer and each not in chain]
        if not above:
            break
        chain.append(above[0])
    return chain
