# SPDX-License-Identifier: Apache-2.0
"""The certificates of holders: the two of a card, that of a key elsewhere, and one again with an e-mail.

The profile itself stands in xca_common.pki.authority. A certificate is made here and remembered nowhere: who
asks for one writes it down, with its serial number, before anybody else sees it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from xca_centre import errors
from xca_centre.authority.repository import Repository, partition_of
from xca_centre.authority.weak_keys import is_weak
from xca_common.card_making import CardCertificates, CardKeys
from xca_common.pki.algorithms import STRONG
from xca_common.pki.authority import (
    ENCRYPTION,
    SIGNING,
    SIGNING_AND_ENCRYPTION,
    Addresses,
    Issuer,
    Subject,
    directory_attributes,
    years_later,
)

MOST_REQUEST_BYTES: Final = 8 << 10
"""Of a certificate request: one with an RSA key of 2048 bits has some 1,000."""
_BITS: Final = 2048  # of a holder's key
_EXPONENT: Final = 65537
_LONGEST_ORGANISATION: Final = 64  # RFC 5280, appendix A.1, ub-organization-name
_LONGEST_PLACE: Final = 128  # ub-locality-name


@dataclass(frozen=True)
class Generation(Issuer):
    """A generation of the issuing CA, and what its certificates say of it.

    Attributes:
        number: the digit in its addresses.
        root: the certificate of the root above it.
        repository: where it publishes.
    """

    number: int
    root: x509.Certificate
    repository: Repository

    def addresses(self, sequence: int) -> Addresses:
        """Return what a certificate says.

        Args:
            sequence: how many certificates the generation issued before it.
        """
        return self.repository.of_holders(self.number, partition_of(sequence))


def holder(
    organisation: str,
    places: Sequence[str],
    subject_type: str,
    rank: str,
    *,
    organisation_oid: str | None = None,
    tax_id: str | None = None,
    email: str | None = None,
) -> Subject:
    """Return whom certificates are for.

    Args:
        organisation: its full name.
        places: county or city, then town or district; neither, if its name is known in the whole country.
        subject_type: OID of its kind, such as profile.SCHOOL.
        rank: `primary` (正卡) or `secondary` (附卡).
        organisation_oid: its OID, if it is no company.
        tax_id: 統一編號, 8 digits, if it is a company.
        email: the address that the certificates name, or None.

    Raises:
        BadHolder: a certificate cannot say so.
    """
    limits = [(organisation, _LONGEST_ORGANISATION), *((place, _LONGEST_PLACE) for place in places)]
    for value, limit in limits:
        if not 0 < len(value) <= limit or not value.isprintable() or value != value.strip():
            raise errors.BadHolder(value=value)
    try:
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "TW"),
                *(x509.NameAttribute(NameOID.LOCALITY_NAME, place) for place in places),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            ]
        )
        attributes = directory_attributes(
            subject_type, rank, organisation_oid=organisation_oid, tax_id=tax_id
        )
        return Subject(name, attributes, email)
    except ValueError:
        raise errors.BadHolder(value=email or organisation_oid or organisation) from None


def certify_card(
    generation: Generation, sequence: int, keys: CardKeys, subject: Subject, start: datetime, years: int
) -> CardCertificates:
    """Return the certificates of a card; both end in the same second, some years later.

    Args:
        generation: who issues.
        sequence: how many certificates the generation issued before; both are in one partition of the CRL.
        keys: the public keys on the card.
        subject: whom they are for.
        start: notBefore, with a time zone.
        years: how long they are valid.

    Raises:
        KeyRefused: a key is not one of a card, or both are the same.
        IssuerEnds: the generation is not valid as long.
    """
    for key in (keys.signing, keys.encryption):
        _check_key(key)
    if keys.signing.public_numbers() == keys.encryption.public_numbers():
        raise errors.KeyRefused
    end, addresses = _end(generation, start, years), generation.addresses(sequence)
    signing, encryption = (
        generation.certify(key, usage, subject, start, end, addresses)
        for key, usage in ((keys.signing, SIGNING), (keys.encryption, ENCRYPTION))
    )
    return CardCertificates(signing, encryption, generation.certificate, generation.root)


def certify_other(
    generation: Generation,
    sequence: int,
    key: rsa.RSAPublicKey,
    subject: Subject,
    start: datetime,
    years: int,
) -> x509.Certificate:
    """Return the certificate of a key that is on no card (非 IC 卡類憑證); as certify_card.

    Args:
        generation: who issues.
        sequence: how many certificates the generation issued before.
        key: the public key (requested_key).
        subject: whom it is for.
        start: notBefore, with a time zone.
        years: how long it is valid.

    Raises:
        KeyRefused, IssuerEnds: as certify_card.
    """
    _check_key(key)
    end, addresses = _end(generation, start, years), generation.addresses(sequence)
    return generation.certify(key, SIGNING_AND_ENCRYPTION, subject, start, end, addresses)


def requested_key(request: bytes) -> rsa.RSAPublicKey:
    """Return the public key of a certificate request (PKCS #10, RFC 2986), whose signature proves possession.

    Nothing else in the request counts: what the certificate says comes from the application.

    Args:
        request: in PEM or DER.

    Raises:
        RequestUnreadable: it is none, or too long.
        KeyRefused, KeyWeak: the key is not RSA of 2048 bits, or others can break it.
        PossessionUnproved: the key did not sign it, or with a weak algorithm.
    """
    if len(request) > MOST_REQUEST_BYTES:
        raise errors.RequestUnreadable
    try:
        is_text = request.lstrip().startswith(b"-----BEGIN ")
        read = x509.load_pem_x509_csr(request) if is_text else x509.load_der_x509_csr(request)
        key = read.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise errors.RequestUnreadable from None
    _check_key(key)
    assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101  # _check_key says so
    try:
        digest = read.signature_hash_algorithm
        is_proof = digest is not None and digest.name in STRONG and read.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        is_proof = False
    if not is_proof:
        raise errors.PossessionUnproved
    return key


def certify_again(
    generation: Generation, sequence: int, certificate: x509.Certificate, email: str, start: datetime
) -> x509.Certificate:
    """Return a certificate that takes the place of another: same key, holder and end, and an e-mail address.

    Args:
        generation: who issues.
        sequence: how many certificates the generation issued before.
        certificate: the one that is superseded.
        email: the address.
        start: notBefore, with a time zone.

    Raises:
        BadHolder: the address is none.
        KeyRefused: the certificate has a key that is not certified here.
        IssuerEnds: the generation is not valid as long.
    """
    key, end = certificate.public_key(), certificate.not_valid_after_utc
    _check_key(key)
    assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101  # _check_key says so
    _check_end(generation, end)
    extensions = certificate.extensions
    attributes = extensions.get_extension_for_oid(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES).value
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    try:
        subject = Subject(certificate.subject, attributes.public_bytes(), email)
    except ValueError:
        raise errors.BadHolder(value=email) from None
    return generation.certify(key, usage, subject, start, end, generation.addresses(sequence))


def _check_key(key: object) -> None:
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != _BITS or key.public_numbers().e != _EXPONENT:
        raise errors.KeyRefused
    if is_weak(key.public_numbers().n):
        raise errors.KeyWeak


def _end(issuer: Issuer, start: datetime, years: int) -> datetime:
    end = years_later(start.replace(microsecond=0), years)
    _check_end(issuer, end)
    return end


def _check_end(issuer: Issuer, end: datetime) -> None:
    last = issuer.certificate.not_valid_after_utc
    if end > last:
        raise errors.IssuerEnds(last=last.date())
