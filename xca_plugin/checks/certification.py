# SPDX-License-Identifier: Apache-2.0
"""Checks of a card's certificate: its chain, and whether it is revoked."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from xca_common.i18n import Text
from xca_common.pki import revocation
from xca_common.pki.certificate import Certificate
from xca_common.pki.fetching import Fetcher, Unreachable
from xca_common.pki.revocation import Judgement, Standing, Statement
from xca_common.taipei import day
from xca_plugin import errors
from xca_plugin.cards import signing_certificate
from xca_plugin.checks.finding import Advice, Answer, failed, passed, skipped
from xca_plugin.checks.observations import Observations
from xca_plugin.i18n import text
from xca_plugin.model import Card

FETCHING_SECONDS: Final = 15.0
"""Seconds that all addresses of one check may take together."""
_MOST_ADDRESSES: Final = 4
# Reserved (RFC 6761, section 6.2): nobody knows of it but the proxy of who tests.
_HOSTS_OF_TESTS: Final = ("xca.test",)


def chain(seen: Observations, card: Card) -> Answer:
    """Check that a card holds the certificates of its issuers up to the root, each valid today."""
    issued = _parsed(signing_certificate(card))
    held = list(_held(seen, card))
    now = datetime.now(UTC)
    for _ in held:
        if issued.issuer == issued.subject:
            break
        issuer = next((one for one in held if _issued(issued, one)), None)
        if issuer is None:
            missing = text("The card does not hold the certificate of {issuer}, or another one of that name.")
            return failed(
                missing.format(issuer=_name(issued.issuer)),
                Advice.GET_ISSUERS_CERTIFICATE,
            )
        if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
            return failed(
                text("That of {issuer} is not valid today.").format(issuer=_name(issuer.subject)),
                Advice.NEW_CARD,
            )
        issued = issuer
    return passed(text("It is whole, and ends at {issuer}.").format(issuer=_name(issued.subject)))


def _by_list(
    fetcher: Fetcher, address: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> Statement:
    return revocation.statement_of_list(fetcher.get_list(address), certificate, issuer, now)


def _by_response(
    fetcher: Fetcher, address: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> Statement:
    response = fetcher.get_response(address, revocation.question(certificate, issuer))
    return revocation.statement_of_response(response, certificate, issuer, now)


def _by(
    addresses: Callable[[x509.Certificate], list[str]], ask: Callable[..., Statement]
) -> Callable[[Observations, Card], Answer]:
    def check(seen: Observations, card: Card) -> Answer:
        certificate = _parsed(signing_certificate(card))
        issuer = next((one for one in _held(seen, card) if _issued(certificate, one)), None)
        if issuer is None:
            return skipped(text("Without the certificate of its issuer there is nothing to ask with."))
        answer = skipped(text("The certificate names no address."))
        fetcher = Fetcher(_HOSTS_OF_TESTS if getproxies().get("http") else (), FETCHING_SECONDS)
        for address in addresses(certificate)[:_MOST_ADDRESSES]:
            now = datetime.now(UTC)
            try:
                statement = ask(fetcher, address, certificate, issuer, now)
            except Unreachable as error:
                answer = _silent(address, error.detail, asked=not error.not_asked)
            except revocation.Unusable as error:
                answer = _silent(address, error.detail)
            else:
                found = revocation.judge([statement])
                if found.standing is not Standing.UNKNOWN:
                    return _told(address, found)
                answer = _silent(address, found.detail or "")
        return answer

    return check


def _silent(address: str, detail: Text | str, *, asked: bool = True) -> Answer:
    said = text("{address} gives no answer: {detail}").format(address=address, detail=detail)
    if asked:
        return failed(said, text("Check the network and its proxy (http_proxy), and try again later."))
    if (urlsplit(address).hostname or "").endswith(".test"):
        return skipped(said, text("Nobody serves names below .test: the certificate is one for tests."))
    return skipped(said, Advice.ALLOW_HOST)


def _told(address: str, found: Judgement) -> Answer:
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
    """Yield the certificates on the card, but for those that cannot be read."""
    for certificate in seen.cards.certificates(card):
        with suppress(errors.CardFault):
            yield _parsed(certificate)


def _parsed(certificate: Certificate) -> x509.Certificate:
    try:
        parsed = x509.load_der_x509_certificate(certificate.der)
        parsed.subject, parsed.issuer, parsed.extensions  # noqa: B018  # read when they are asked for
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        unreadable = text("the certificate {label} cannot be read").format(label=certificate.label)
        raise errors.CardFault(detail=unreadable) from error
    return parsed


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _name(name: x509.Name) -> str:
    return ", ".join(str(part.value) for part in name if part.oid != NameOID.COUNTRY_NAME)


revoked_by_list = _by(revocation.list_addresses, _by_list)
"""Check whether a revocation list (CRL) says that a card's certificate is revoked or suspended."""
revoked_by_responder = _by(revocation.responder_addresses, _by_response)
"""Check whether a responder (OCSP) says so."""
