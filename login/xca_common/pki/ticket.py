# SPDX-License-Identifier: Apache-2.0
"""Tickets (授權票): with one, a card takes a new user code although the old one is forgotten or locked.

The centre that issued the card signs a ticket: CMS SignedData (RFC 5652, section 5) with a content type of
its own. The signer's certificate is for nothing else, and is no holder's: all of these are under the same CA.

    UserCodeTicket ::= SEQUENCE {
        version      INTEGER (1),
        card         PrintableString,          -- the card number
        cert1        OCTET STRING (SIZE (32)), -- SHA-256 of the certificate for signatures
        isActivated  BOOLEAN,                  -- the state in which the card takes it
        counter      INTEGER (1..2^63-1),      -- higher than that of all before it
        until        GeneralizedTime }         -- the first moment that is too late

A card remembers the highest counter that it took, and takes a higher one only. It writes the counter down
before it changes anything. So a ticket counts once; the one that it wrote down may finish what was cut off.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID

from xca_common.i18n import Text, text
from xca_common.pki import profile, signed_content
from xca_common.pki.algorithms import LEAST_RSA_BITS
from xca_common.pki.chain import key_identifier
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.signed_content import SignedContent
from xca_common.pki.strict_certificate import UNUSABLE_KEY, extension

CONTENT_TYPE: Final = "2.25.197619942005217057708142959783380501149"
"""eContentType of a ticket. Nothing else that is signed has it."""
MOST_BYTES: Final = 16 << 10
"""A ticket has at most so many; one has some 2,000."""

_VERSION: Final = 1
_CARD: Final = re.compile("[A-Za-z0-9]{1,32}")
_DIGEST_SIZE: Final = 32
_MOST_COUNTER: Final = (1 << 63) - 1
_PURPOSE: Final = x509.ExtendedKeyUsage([x509.ObjectIdentifier(profile.TICKET_SIGNING)])
_KNOWN: Final = {ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS}
"""The critical extensions that are judged here."""
_OTHER_FORM: Final = text("it has another form")


class TicketUnusable(ValueError):  # a situation
    """This is no ticket that counts, or none for this card as it is.

    Attributes:
        detail: why, as a clause: "it is for another card".
    """

    def __init__(self, detail: Text) -> None:
        super().__init__(detail("en"))
        self.detail = detail


class NoTicket(TicketUnusable):  # a situation
    """This is no ticket at all."""


@asn1.sequence
class _Content:
    version: int
    card: asn1.PrintableString
    cert1: bytes
    is_activated: bool
    counter: int
    until: asn1.GeneralizedTime


@dataclass(frozen=True)
class Ticket:
    """A ticket.

    Attributes:
        card: the card number.
        cert1: SHA-256 of the card's certificate for signatures, 32 bytes.
        is_activated: the state in which the card takes it: activated (已開卡), or not yet.
        counter: a positive number, higher than that of every ticket of the card before it.
        until: the first moment that is too late, with a time zone; whole seconds.
    """

    card: str
    cert1: bytes
    is_activated: bool
    counter: int
    until: datetime

    def sign(self, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> bytes:
        """Return the ticket as the centre signs it, in DER.

        Args:
            certificate: of the signer (profile.TICKET_SIGNING).
            key: the signer's.
        """
        content = asn1.encode_der(
            _Content(
                version=_VERSION,
                card=asn1.PrintableString(self.card),
                cert1=self.cert1,
                is_activated=self.is_activated,
                counter=self.counter,
                until=asn1.GeneralizedTime(self.until.astimezone(UTC)),
            )
        )
        return signed_content.sign(CONTENT_TYPE, content, certificate, key)

    @classmethod
    def read(cls, der: bytes) -> Self:
        """Read what a ticket says, whoever signed it, and whether it counts or not.

        Raises:
            NoTicket: it is none.
        """
        return cls._read(_signed(der).content)

    @classmethod
    def verify(cls, der: bytes, issuers: Iterable[x509.Certificate], moment: datetime) -> Self:
        """Read a ticket, and verify who signed it.

        Args:
            der: what was handed in.
            issuers: the certificates of the issuing CA, each generation's; they are trusted.
            moment: now, with a time zone.

        Raises:
            TicketUnusable: it does not count, and why.
        """
        signed = _signed(der)
        if not _may_sign(signed.certificate, issuers, moment):
            raise TicketUnusable(text("it is not signed by whom the centre lets sign tickets"))
        if not signed.is_genuine:
            raise TicketUnusable(text("it was changed after it was signed"))
        ticket = cls._read(signed.content)
        if ticket.until <= moment:
            raise TicketUnusable(text("it can no longer be used"))
        return ticket

    def check(self, card: str, cert1: bytes, *, is_activated: bool) -> None:
        """Refuse the ticket if it is not for a card as it is. The card itself compares the counter.

        Args:
            card: the card number.
            cert1: the card's certificate for signatures, in DER.
            is_activated: whether the card is activated.

        Raises:
            TicketUnusable: it is for another one, or another state.
        """
        self.check_card(card, cert1)
        if self.is_activated and not is_activated:
            raise TicketUnusable(text("it is for a card that is activated, and this one is not"))
        if is_activated and not self.is_activated:
            raise TicketUnusable(text("it is for a card that is not activated, and this one is"))

    def check_card(self, card: str, cert1: bytes) -> None:
        """Refuse the ticket if it is for another card.

        Raises:
            TicketUnusable: it is.
        """
        if (self.card, self.cert1) != (card, hashlib.sha256(cert1).digest()):
            raise TicketUnusable(text("it is for another card"))

    @classmethod
    def _read(cls, content: bytes) -> Self:
        try:
            read = asn1.decode_der(_Content, content)
            ticket = cls(
                read.card.as_str(), read.cert1, read.is_activated, read.counter, read.until.as_datetime()
            )
        except Exception:  # cryptography raises several kinds
            raise NoTicket(_OTHER_FORM) from None
        if (
            read.version != _VERSION
            or not _CARD.fullmatch(ticket.card)
            or len(ticket.cert1) != _DIGEST_SIZE
            or not 0 < ticket.counter <= _MOST_COUNTER
        ):
            raise NoTicket(_OTHER_FORM)
        return ticket


def _signed(der: bytes) -> SignedContent:
    """Return what holds a ticket, whoever signed it.

    Raises:
        NoTicket: it is something else.
    """
    if len(der) > MOST_BYTES:
        raise NoTicket(text("it is longer than a ticket can be"))
    try:
        signed = SignedContent.read(der)
    except (Malformed, TooMuchError, EOFError):
        raise NoTicket(_OTHER_FORM) from None
    if signed.content_type != CONTENT_TYPE:
        raise NoTicket(text("it is something else that was signed"))
    return signed


def _may_sign(certificate: x509.Certificate, issuers: Iterable[x509.Certificate], moment: datetime) -> bool:
    """Say whether one of the issuers, found by its key, lets this certificate's key sign tickets now."""
    named = extension(certificate, x509.AuthorityKeyIdentifier)
    issuer = next((one for one in issuers if named and key_identifier(one) == named.key_identifier), None)
    if issuer is None or certificate.signature_hash_algorithm is None:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except UNUSABLE_KEY:
        return False
    key, usage, constraints = (
        certificate.public_key(),
        extension(certificate, x509.KeyUsage),
        extension(certificate, x509.BasicConstraints),
    )
    extensions = {one.oid: one.critical for one in certificate.extensions}
    return (
        certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc
        and isinstance(key, rsa.RSAPublicKey)
        and key.key_size >= LEAST_RSA_BITS
        and isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
        and usage is not None
        and usage.digital_signature
        and not (constraints and constraints.ca)
        and extensions.get(ExtensionOID.EXTENDED_KEY_USAGE, False)
        and extension(certificate, x509.ExtendedKeyUsage) == _PURPOSE
        and ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES not in extensions
        and {oid for oid, critical in extensions.items() if critical} <= _KNOWN
    )
