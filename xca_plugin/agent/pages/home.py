# SPDX-License-Identifier: Apache-2.0
"""The agent's pages that show cards and certificates, and the downloads of certificates."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_common.pki.certificate import Certificate
from xca_common.web.forms import MalformedForm, read_form
from xca_common.web.language import with_language_choice
from xca_plugin import errors
from xca_plugin.agent.component.information import SERVER_VERSION
from xca_plugin.agent.pages.card_snapshot import take_snapshot
from xca_plugin.agent.pages.pin_actions import PIN_ACTIONS
from xca_plugin.agent.pages.problems import (
    MALFORMED_FORM,
    UNKNOWN_ADDRESS,
    problem_of,
    problem_response,
)
from xca_plugin.agent.pages.rendering import download, page
from xca_plugin.agent.pages.sites import sites_view
from xca_plugin.agent.process.own_word import LONGEST, is_word
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import OddCertificate

_WORD: Final = "/word"
_DOWNLOADS: Final[dict[str, tuple[Text, str, str]]] = {
    "der": (text("Download DER"), "cer", "application/pkix-cert"),
    "pem": (text("Download PEM"), "pem", "application/x-pem-file"),
    "chain": (text("Download chain (PEM)"), "chain.pem", "application/x-pem-file"),
}
"""By format: the text of the link, the file's ending, the media type (RFC 2585, 4; RFC 8555, 9.1)."""


def routes(state: AgentState) -> list[Route]:
    """Return the routes of these pages."""
    return [
        Route("/", with_language_choice(endpoint(state, _home))),
        Route(_WORD, endpoint(state, _choose_word), methods=["POST"]),
        Route("/card", with_language_choice(endpoint(state, _card))),
        Route("/certificate", endpoint(state, _certificate)),
    ]


async def _choose_word(state: AgentState, request: Request) -> Response:
    """Keep the word that the form of the home page sends."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        return problem_response(state, request, MALFORMED_FORM)
    if not state.form_tokens.spend(_WORD, fields.get("token", "")):
        return RedirectResponse("/", 303)
    word = fields.get("word", "").strip()
    if not is_word(word):
        return RedirectResponse("/?word=refused", 303)
    try:
        state.own_word.write(word)
    except XcaError as error:
        return problem_response(state, request, problem_of(error))
    return RedirectResponse("/", 303)


async def _home(state: AgentState, request: Request) -> Response:
    snapshot = await take_snapshot(state)
    return page(
        request,
        "home.html",
        snapshot=snapshot,
        actions=PIN_ACTIONS,
        view=sites_view(state, request, snapshot.cards),
        server_version=SERVER_VERSION,
        word_token=state.form_tokens.issue(_WORD),
        word_longest=LONGEST,
        word_refused=request.query_params.get("word") == "refused",
    )


async def _card(state: AgentState, request: Request) -> Response:
    """Show a card and its certificates (檢視憑證IC卡資訊, 憑證下載)."""
    snapshot = await take_snapshot(state, request.query_params.get("card"))
    certificates: Sequence[Certificate] = ()
    odd: Sequence[OddCertificate] = ()
    error = None
    if (card := snapshot.card) is not None:
        try:
            certificates, odd = await state.card_worker.run(
                lambda cards: (cards.certificates(card), cards.odd_certificates(card))
            )
        except XcaError as failure:
            error = failure
    return page(
        request,
        "card.html",
        snapshot=snapshot,
        error=error,
        certificates=certificates,
        odd_certificates=odd,
        downloads=_DOWNLOADS,
        now=datetime.now(UTC),
    )


async def _certificate(state: AgentState, request: Request) -> Response:
    """Return a certificate as a file, alone or with those of its issuers."""
    query = request.query_params
    form, card_number, label = query.get("form", ""), query.get("card", ""), query.get("label", "")
    if form not in _DOWNLOADS:
        return problem_response(state, request, UNKNOWN_ADDRESS)

    def read(cards: Cards) -> bytes:
        certificates = cards.certificates(cards.find(card_number))
        for certificate in certificates:
            if certificate.label == label:
                if form == "der":
                    return certificate.der
                chain = _chain(certificate, certificates) if form == "chain" else [certificate]
                return "".join(each.pem for each in chain).encode()
        raise errors.NoSuchCertificate(number=card_number, label=label)

    try:
        content = await state.card_worker.run(read)
    except XcaError as error:
        return problem_response(state, request, problem_of(error))
    _, ending, media_type = _DOWNLOADS[form]
    return download(content, f"{card_number}-{label}", ending, media_type)


def _chain(certificate: Certificate, certificates: Sequence[Certificate]) -> list[Certificate]:
    """Return a certificate and those of its issuers up to the root, as far as the card holds them."""
    chain = [certificate]
    while chain[-1].issuer != chain[-1].holder:
        issuers = [each for each in certificates if each.holder == chain[-1].issuer and each not in chain]
        if not issuers:
            break
        chain.append(issuers[0])
    return chain
