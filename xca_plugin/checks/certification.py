# SPDX-License-Identifier: Apache-2.0
"""Checks of a card's certificate: its chain, and whether it is revoked."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from asn1crypto import x509 as asn1_x509  # type: ignore[import-untyped]
from cryptography import x509

from xca_common.i18n import Text
from xca_common.pki import revocation, strict_certificate
from xca_common.pki.addresses import host_of, list_addresses, responder_addresses
from xca_common.pki.certificate import Certificate
from xca_common.pki.fetching import Fetcher
from xca_common.pki.malformed import Malformed
from xca_common.pki.standing import Judgement, Standing
from xca_common.pki.strict_certificate import as_asn1, issuer_of, subject_of
from xca_common.taipei import day
from xca_plugin import errors
from xca_plugin.cards import signing_certificate
from xca_plugin.checks.finding import Advice, CheckAnswer, failed, failed_with, passed, skipped
from xca_plugin.checks.observations import Observations
from xca_plugin.i18n import text
from xca_plugin.model import AcceptanceOutcome, Card, CardState, CertificateState

FETCHING_SECONDS: Final = 15.0
"""Seconds that all addresses of one check may take together."""
# Reserved for tests (RFC 6761, section 6.2); only a proxy in a test answers for it.
_HOSTS_OF_TESTS: Final = ("xca.test",)


def chain(seen: Observations, card: Card) -> CheckAnswer:
    """Check that a card holds the certificates of its issuers up to the root, each valid today."""
    issued = _parsed(signing_certificate(card))
    held = list(_held(seen, card))
    now = datetime.now(UTC)
    for _ in held:
        if issuer_of(issued) == subject_of(issued):
            break
        issuer = next((one for one in held if _issued(issued, one)), None)
        if issuer is None:
            missing = text("The card does not hold the certificate of {issuer}, or another one of that name.")
            return failed(
                missing.format(issuer=_name(as_asn1(issued).issuer)),
                Advice.GET_ISSUERS_CERTIFICATE,
            )
        if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
            return failed(
                text("The certificate of {issuer} is not valid today.").format(
                    issuer=_name(as_asn1(issuer).subject)
                ),
                Advice.NEW_CARD,
            )
        issued = issuer
    return passed(text("It is whole, and ends at {issuer}.").format(issuer=_name(as_asn1(issued).subject)))


def acceptance(seen: Observations, card: Card) -> CheckAnswer:
    """Check that a card's centre, if one is configured, has the acceptance of its certificates."""
    if card.state is not CardState.ACTIVE:
        return skipped(text("That comes with the activation."))
    status = seen.cards.certificate_status(card)
    if status is None:
        return skipped(text("No centre is configured that issued the card."))
    outcome = status.acceptance.outcome if status.acceptance else None
    if outcome is AcceptanceOutcome.REFUSED and status.acceptance is not None:
        detail = status.acceptance.detail or "-"
        return failed_with(errors.AcceptanceRefused(number=card.number, detail=detail), card)
    if outcome is AcceptanceOutcome.KEPT:
        detail = (status.acceptance.detail if status.acceptance else None) or text("it was not asked yet")
        return failed_with(errors.AcceptanceKept(number=card.number, detail=detail), card)
    if outcome is AcceptanceOutcome.ACCEPTED:
        return passed(text("The certificates are accepted."))
    if status.state is CertificateState.ON_HOLD:
        said = text("{centre} says that they are not accepted yet, or suspended.")
        return failed(said.format(centre=status.centre), Advice.ACCEPT)
    return skipped(text("It is not known whether they are accepted."))


def _by(ask: Callable[..., Iterator[revocation.Answer]]) -> Callable[[Observations, Card], CheckAnswer]:
    def check(seen: Observations, card: Card) -> CheckAnswer:
        certificate = _parsed(signing_certificate(card))
        issuer = next((one for one in _held(seen, card) if _issued(certificate, one)), None)
        if issuer is None:
            return skipped(
                text("It cannot be asked for: the card does not hold the certificate of the issuer.")
            )
        found = skipped(text("The certificate names no address."))
        tests = _HOSTS_OF_TESTS if getproxies().get("http") else ()
        hosts = (*tests, *seen.hosts, *_hosts_of_centre(seen, card, certificate))
        fetcher = Fetcher(hosts, FETCHING_SECONDS)
        for answer in ask(fetcher, certificate, issuer, datetime.now(UTC)):
            if answer.judgement.standing is not Standing.UNKNOWN:
                return _told(answer.address, answer.judgement)
            found = _silent(answer.address, answer.judgement.detail or "", asked=not answer.not_asked)
        return found

    return check


def _hosts_of_centre(seen: Observations, card: Card, certificate: x509.Certificate) -> Sequence[str]:
    """Return the hosts that a certificate names, if a CA of a configured centre issued it."""
    if seen.cards.certificate_status(card, seconds=0) is None:
        return ()
    addresses = (*responder_addresses(certificate), *list_addresses(certificate))
    return [host for each in addresses if (host := host_of(each))]


def _silent(address: str, detail: Text | str, *, asked: bool = True) -> CheckAnswer:
    said = text("{address} gives no answer: {detail}").format(address=address, detail=detail)
    if asked:
        return failed(said, text("Check the network and its proxy (http_proxy), and try again later."))
    host = urlsplit(address).hostname or ""
    if host.endswith(".test"):
        return skipped(
            said, text("Names that end in .test have no server: the certificate is one for tests.")
        )
    return replace(skipped(said, Advice.ALLOW_HOST), host=host)


def _told(address: str, found: Judgement) -> CheckAnswer:
    if found.since is None:
        return passed(text("{address} answers: not revoked.").format(address=address))
    facts = {"address": address, "day": day(found.since)}
    if found.standing is Standing.SUSPENDED:
        return failed(
            text("{address} answers: suspended since {day}.").format(**facts),
            Advice.RESUME_CERTIFICATE,
        )
    return failed(text("{address} answers: revoked since {day}.").format(**facts), Advice.NEW_CARD)


def _held(seen: Observations, card: Card) -> Iterator[x509.Certificate]:
    """Yield the certificates on the card that can be read."""
    for certificate in seen.cards.certificates(card):
        with suppress(errors.CardFault):
            yield _parsed(certificate)


def _parsed(certificate: Certificate) -> x509.Certificate:
    try:
        return strict_certificate.load(certificate.der)
    except Malformed as error:
        unreadable = text("the certificate {label} cannot be read: {detail}")
        detail = unreadable.format(label=certificate.label, detail=error.detail)
        raise errors.CardFault(detail=detail) from error


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except strict_certificate.UNUSABLE_KEY:
        return False
    return True


def _name(name: asn1_x509.Name) -> list[str]:
    pairs = (pair for relative in name.chosen for pair in relative)
    return [str(pair["value"].native) for pair in pairs if pair["type"].native != "country_name"]


revoked_by_list = _by(revocation.ask_lists)
"""Check whether a revocation list (CRL) says that a card's certificate is revoked or suspended."""
revoked_by_responder = _by(revocation.ask_responders)
"""Check whether a responder (OCSP) says that a card's certificate is revoked or suspended."""
