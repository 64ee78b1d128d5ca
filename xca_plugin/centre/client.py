# SPDX-License-Identifier: Apache-2.0
"""Built-in plugin: asks the centre that is configured, and tells it what a card signed.

Without a configuration it answers no hook, and uses no network.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

from cryptography import x509

from xca_common.errors import FileProblem
from xca_common.harmless_text import harmless
from xca_common.i18n import LANGUAGE_TAGS, Text
from xca_common.pki import revocation, strict_certificate
from xca_common.pki.addresses import host_of, list_addresses, responder_addresses
from xca_common.pki.certificate import Certificate
from xca_common.pki.fetching import Fetcher
from xca_common.pki.standing import Judgement, Standing
from xca_common.statement import Statement, StatementKind
from xca_plugin import errors
from xca_plugin.centre.kept import KeptAcceptance, KeptAcceptances, Said
from xca_plugin.centre.settings import CentreSettings
from xca_plugin.exchange import SOMETHING_ELSE, HttpAnswer, Unanswered, exchange
from xca_plugin.hookspecs import hookimpl
from xca_plugin.i18n import text
from xca_plugin.model import (
    CERTIFICATE_LABELS,
    Acceptance,
    AcceptanceOutcome,
    Card,
    CardSession,
    CertificateState,
    CertificateStatus,
    Key,
)
from xca_plugin.signed_data import origin_attribute, signed_data

_ACCEPTANCES: Final = "/acceptances"
_MOST_BYTES: Final = 64 << 10
_PATIENT_SECONDS: Final = 20.0  # for who asked for it and waits
_QUICK_SECONDS: Final = 4.0  # for what is done on the way
_AGAIN: Final = timedelta(seconds=60)
_LATEST: Final = timedelta(days=1)
_OTHER_CENTRE: Final = text("it is for {origin}, which is not the centre that is configured now")


class CentreClient:
    """Hooks about the centre.

    Attributes:
        settings: the centre that is configured; None: none is. It is read once.
    """

    @cached_property
    def settings(self) -> CentreSettings | None:  # noqa: D102
        return CentreSettings.load()

    @hookimpl
    def xca_certificate_status(
        self, card: Card, certificates: Sequence[Certificate], seconds: float
    ) -> CertificateStatus | None:
        """Ask the addresses in the certificate for signatures, of which one word stands for all."""
        found = self._issuer(card)
        if found is None:
            return None
        settings, own, issuer = found
        folder, now = KeptAcceptances(), datetime.now(UTC)
        kept = folder.find(own.sha256)
        if own.not_after < now:
            acceptance = kept.as_acceptance() if kept else None
            return CertificateStatus(CertificateState.EXPIRED, settings.origin, acceptance=acceptance)
        told = _judged(own, issuer, seconds) if seconds else Judgement(Standing.UNKNOWN)
        if told.standing is Standing.GOOD and kept is None:  # it was accepted elsewhere
            accepted = AcceptanceOutcome.ACCEPTED
            kept = KeptAcceptance(card.number, own.sha256, settings.origin, now, b"", accepted)
            with suppress(FileProblem):  # then it is asked again the next time
                folder.add(kept)
        acceptance = kept.as_acceptance() if kept else None
        state = _state(told, acceptance)
        return CertificateStatus(state, settings.origin, told.since, told.detail, acceptance)

    @hookimpl
    def xca_accept(
        self, card: Card, certificates: Sequence[Certificate], session: CardSession
    ) -> Acceptance | None:
        """Sign the statement, unless an earlier one waits, and keep it."""
        found = self._issuer(card)
        if found is None:
            return None
        settings, own, _ = found
        kept = KeptAcceptances().find(own.sha256)
        if kept is None or not kept.statement or kept.origin != settings.origin:
            kept = _signed(card, own, certificates, session, settings.origin)
            KeptAcceptances().add(kept)
        return kept.as_acceptance()

    @hookimpl
    def xca_deliver_acceptances(self, number: str | None, due: bool) -> list[Acceptance] | None:
        """Post them, one after the other."""
        folder, now = KeptAcceptances(), datetime.now(UTC)
        waiting = [each for each in folder.waiting() if number in (None, each.number)]
        if due:
            waiting = [each for each in waiting if each.try_after is None or each.try_after <= now]
        if not waiting or (settings := self.settings) is None:
            return []
        delivered = []
        for each in waiting:
            if each.origin != settings.origin:
                detail = _OTHER_CENTRE.format(origin=each.origin)
                delivered.append(replace(each.as_acceptance(), detail=detail))
                continue
            after, why = _delivered(settings, each, _QUICK_SECONDS if due else _PATIENT_SECONDS)
            folder.settle(each, after)
            told = after.as_acceptance()
            delivered.append(told if why is None else replace(told, detail=why))
            if why is not None:  # nobody answers: so it is for the others
                break
        return delivered

    def _issuer(self, card: Card) -> tuple[CentreSettings, Certificate, x509.Certificate] | None:
        """Return the centre, the card's certificate, and who issued it; None: it is no card of the centre."""
        if card.certificate is None or self.settings is None:
            return None
        issuer = self.settings.issuer_of(card.certificate)
        return None if issuer is None else (self.settings, card.certificate, issuer)


def _judged(own: Certificate, issuer: x509.Certificate, seconds: float) -> Judgement:
    """Return how a certificate stands by what its addresses answer. A CA that is configured wrote them."""
    certificate = strict_certificate.load(own.der)
    addresses = [*responder_addresses(certificate), *list_addresses(certificate)]
    fetcher = Fetcher([host for each in addresses if (host := host_of(each))], seconds)
    return revocation.RevocationData(fetcher=fetcher).judge(certificate, issuer, datetime.now(UTC))


def _state(told: Judgement, acceptance: Acceptance | None) -> CertificateState:
    if told.standing is Standing.SUSPENDED and acceptance is not None:
        if acceptance.outcome is AcceptanceOutcome.KEPT:
            return CertificateState.NOT_ACCEPTED
        if acceptance.outcome is AcceptanceOutcome.ACCEPTED:
            return CertificateState.SUSPENDED
    return {
        Standing.GOOD: CertificateState.VALID,
        Standing.SUSPENDED: CertificateState.ON_HOLD,
        Standing.REVOKED: CertificateState.REVOKED,
        Standing.UNKNOWN: CertificateState.UNKNOWN,
    }[told.standing]


def _signed(
    card: Card, own: Certificate, certificates: Sequence[Certificate], session: CardSession, origin: str
) -> KeptAcceptance:
    """Have the card sign the statement of acceptance.

    Raises:
        NoSuchCertificate: the card has no certificate for encryption.
    """
    other = next((each for each in certificates if each.id == Key.KEYX), None)
    if other is None:
        raise errors.NoSuchCertificate(number=card.number, label=CERTIFICATE_LABELS[Key.KEYX])
    now = datetime.now(UTC).replace(microsecond=0)
    fields = (("card", card.number), ("cert1", own.sha256), ("cert2", other.sha256))
    statement = Statement(StatementKind.ACCEPTANCE, origin, now, secrets.token_hex(32), fields)
    signed = signed_data(statement.encode(), own, session.sign, attributes=[origin_attribute(origin)])
    return KeptAcceptance(card.number, own.sha256, origin, now, signed)


def _delivered(
    settings: CentreSettings, kept: KeptAcceptance, seconds: float
) -> tuple[KeptAcceptance, Text | str | None]:
    """Post an acceptance.

    Returns:
        The acceptance as it is then, and why it was not answered; None: it was.
    """
    now = datetime.now(UTC)
    try:
        answer = exchange(
            settings.origin + _ACCEPTANCES,
            kept.statement,
            {"Content-Type": "application/pkcs7-mime", "Accept": "application/json"},
            most=_MOST_BYTES,
            seconds=seconds,
            tls=settings.tls,
            through_proxy=settings.tls is not None,
        )
    except Unanswered as error:
        return replace(kept, try_after=now + _AGAIN), error.detail
    document = _document(answer.body)
    if answer.status == HTTPStatus.OK and document.get("outcome") == "accepted":
        settled = replace(kept, statement=b"", outcome=AcceptanceOutcome.ACCEPTED, said=None)
        return replace(settled, try_after=None), None
    said = _said(document)
    is_refusal = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_refusal and document.get("final") is True:
        settled = replace(kept, statement=b"", outcome=AcceptanceOutcome.REFUSED, said=said)
        return replace(settled, try_after=None), None
    later = replace(kept, said=said, try_after=now + _wait(answer))
    if said is not None:
        return later, None
    return later, SOMETHING_ELSE if answer.status == HTTPStatus.OK else f"HTTP {answer.status}"


def _document(body: bytes) -> Mapping[str, Any]:
    with suppress(ValueError, RecursionError):
        document = json.loads(body)
        if isinstance(document, dict):
            return document
    return {}


def _said(document: Mapping[str, Any]) -> Said | None:
    """Return the sentences of a problem document (RFC 9457): in all languages, else its detail."""
    parts = [document.get(name) for name in ("message", "next_step")]
    if all(isinstance(part, dict) for part in parts):
        words = {tag: [part.get(tag) for part in parts if part] for tag in LANGUAGE_TAGS}
        if all(isinstance(each, str) for said in words.values() for each in said):
            return {tag: harmless(" ".join(said)) for tag, said in words.items()}
    detail = document.get("detail")
    return harmless(detail) if isinstance(detail, str) and detail else None


def _wait(answer: HttpAnswer) -> timedelta:
    """Return how long the centre wants not to be asked again (RFC 9110, section 10.2.3), within limits."""
    named = answer.headers.get("Retry-After", "")
    seconds = timedelta(seconds=int(named)) if named.isdecimal() and len(named) < 8 else _AGAIN
    return min(max(seconds, _AGAIN), _LATEST)
