# SPDX-License-Identifier: Apache-2.0
"""Issuing CAs and the certificates of organisation cards, and an authority for tests.

The form is that of second-generation XCA certificates (GPKI 憑證及憑證廢止清冊格式剖繪, RFC 5280). What
tells those of the authority for tests from real ones: 測試 in the CAs' names, the policy for tests, addresses
below xca.test (reserved).
"""

import re
import secrets
from calendar import isleap
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Self

from asn1crypto import core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    ExtensionOID,
    NameOID,
    ObjectIdentifier,
)

from xca_common import atomic_file
from xca_common.i18n import text
from xca_common.pki import profile

# Wide enough for any card of a test, long lapsed ones included, and still UTCTime.
_CA_FROM: Final = datetime(2010, 1, 1, tzinfo=UTC)
_CA_UNTIL: Final = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)


def _key_usage(allowed: frozenset[str]) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in allowed for name in names})


SIGNING: Final = _key_usage(profile.SIGNING_USAGE)
"""Key usage of `cert1`."""
ENCRYPTION: Final = _key_usage(profile.ENCRYPTION_USAGE)
"""Key usage of `cert2`."""
SIGNING_AND_ENCRYPTION: Final = _key_usage(profile.SIGNING_USAGE | profile.ENCRYPTION_USAGE)
"""Key usage of the one certificate of a key that is on no card."""
_CERTIFYING: Final = _key_usage(profile.CA_USAGE)


class _Values(core.SetOf):  # type: ignore[misc]
    _child_spec = core.Any


class _Attribute(core.Sequence):  # type: ignore[misc]
    _fields = [("type", core.ObjectIdentifier), ("values", _Values)]  # noqa: RUF012


class _Attributes(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _Attribute


def directory_attributes(
    subject_type: str, rank: str, *, organisation_oid: str | None = None, tax_id: str | None = None
) -> bytes:
    """Return the DER value of subjectDirectoryAttributes (RFC 5280, 4.2.1.8) as the GPKI fills it.

    Args:
        subject_type: OID of the kind of holder, such as profile.SCHOOL or profile.COMPANY.
        rank: `primary` (正卡) or `secondary` (附卡).
        organisation_oid: the organisation's OID, for what is not a company.
        tax_id: 統一編號, 8 digits, for a company.

    Raises:
        ValueError: one of them is not an OID.
    """
    attributes: list[tuple[str, core.Asn1Value]] = [
        (profile.SUBJECT_TYPE, _oid(subject_type)),
        (profile.CARD_RANK, core.PrintableString(rank)),
    ]
    if organisation_oid is not None:
        attributes.append((profile.ORGANISATION_OID, _oid(organisation_oid)))
    if tax_id is not None:
        attributes.append((profile.TAX_ID, core.UTF8String(tax_id)))
    der: bytes = _Attributes([{"type": kind, "values": [value]} for kind, value in attributes]).dump()
    return der


def validity(start: datetime, years: int) -> tuple[datetime, datetime]:
    """Return notBefore and notAfter of a certificate of the authority for tests (years_later).

    Raises:
        ValueError: part of it is outside the CAs' own validity.
    """
    if years < 1 or start < _CA_FROM or start.year + years >= _CA_UNTIL.year:
        said = text(
            "validity of {years} years from {start}: must be at least 1 year, between {first} and {last}; "
            "choose another date or number"
        )
        first, last = _CA_FROM.date(), date(_CA_UNTIL.year - 1, 12, 31)
        raise ValueError(said.format(years=years, start=start.date(), first=first, last=last)())
    return start, years_later(start, years)


def years_later(start: datetime, years: int) -> datetime:
    """Return the same second so many years later; 29 February becomes the 28th where there is none."""
    leap_day, year = (start.month, start.day) == (2, 29), start.year + years
    return start.replace(year=year, day=28 if leap_day and not isleap(year) else start.day)


@dataclass(frozen=True)
class Subject:
    """Whom a certificate is for.

    Attributes:
        name: subject DN.
        directory_attributes: DER of the extension's value (see the function of this name).
        email: address for subjectAltName, or None.

    Raises:
        ValueError: the e-mail address is not one.
    """

    name: x509.Name
    directory_attributes: bytes
    email: str | None = None

    def __post_init__(self) -> None:
        if self.email is not None:
            _address(self.email)


@dataclass(frozen=True)
class Addresses:
    """Where a certificate says that its issuer publishes.

    Attributes:
        issuers: the certificates of the issuer (authorityInfoAccess, caIssuers).
        responder: of OCSP; None: there is none.
        lists: the CRLs that may name the certificate, those first that are shorter.
    """

    issuers: str
    responder: str | None
    lists: tuple[str, ...]

    def information(self) -> x509.AuthorityInformationAccess:
        """Return authorityInfoAccess (RFC 5280, section 4.2.2.1)."""
        places = [(AuthorityInformationAccessOID.CA_ISSUERS, self.issuers)]
        if self.responder is not None:
            places.append((AuthorityInformationAccessOID.OCSP, self.responder))
        return x509.AuthorityInformationAccess(
            [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in places]
        )

    def points(self) -> x509.CRLDistributionPoints:
        """Return cRLDistributionPoints (RFC 5280, section 4.2.1.13): one address each."""
        names = map(x509.UniformResourceIdentifier, self.lists)
        return x509.CRLDistributionPoints(
            [x509.DistributionPoint([name], None, None, None) for name in names]
        )


TEST_ADDRESSES: Final = Addresses(
    "http://xca.test/ca.cer",
    "http://xca.test/ocsp",
    ("http://xca.test/crl/partition-1.crl", "http://xca.test/crl/complete.crl"),
)
"""Of the authority for tests; nothing answers there."""


@dataclass(frozen=True)
class Issuer:
    """A CA that issues: one generation of it, with a key of its own under the name that all have.

    Attributes:
        certificate: its certificate.
        key: its private key.
    """

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)

    @property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """What names its key in all that it signs; generations of a CA share one name."""
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    def certify(
        self,
        public_key: rsa.RSAPublicKey,
        usage: x509.KeyUsage,
        subject: Subject,
        start: datetime,
        end: datetime,
        addresses: Addresses = TEST_ADDRESSES,
    ) -> x509.Certificate:
        """Return a holder's certificate, under the policies that the CA's own certificate has.

        Args:
            public_key: the key on the card.
            usage: SIGNING, ENCRYPTION or SIGNING_AND_ENCRYPTION.
            subject: whom it is for.
            start: notBefore, with a time zone; fractions of a second are dropped.
            end: notAfter, likewise.
            addresses: what it says of where its issuer publishes.
        """
        policies = self.certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
        builder = (
            _builder(subject.name, public_key, self.certificate.subject, start, end)
            .add_extension(self.key_identifier, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(addresses.information(), critical=False)
            .add_extension(usage, critical=True)
            .add_extension(policies, critical=False)
        )
        if subject.email is not None:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_address(subject.email)]), critical=False
            )
        attributes = x509.UnrecognizedExtension(
            ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES, subject.directory_attributes
        )
        return (
            builder.add_extension(attributes, critical=False)
            .add_extension(addresses.points(), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def appoint(
        self,
        name: x509.Name,
        public_key: rsa.RSAPublicKey,
        usage: x509.KeyUsage,
        start: datetime,
        end: datetime,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    ) -> x509.Certificate:
        """Return the certificate of a key that works for the CA, without directory attributes.

        Args:
            name: its subject.
            public_key: the key.
            usage: its key usage.
            start: notBefore, with a time zone.
            end: notAfter, likewise.
            extensions: further ones, each with whether it is critical.
        """
        builder = (
            _builder(name, public_key, self.certificate.subject, start, end)
            .add_extension(self.key_identifier, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(usage, critical=True)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def appoint_responder(
        self, name: x509.Name, public_key: rsa.RSAPublicKey, start: datetime, end: datetime
    ) -> x509.Certificate:
        """Return the certificate of a delegated OCSP responder (RFC 6960, section 4.2.2.2).

        Nobody asks whether it is revoked: it is to be short-lived.

        Args:
            name: its subject.
            public_key: its key.
            start: notBefore, with a time zone.
            end: notAfter, likewise.
        """
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
        return self.appoint(
            name, public_key, SIGNING, start, end, [(purpose, False), (x509.OCSPNoCheck(), False)]
        )


@dataclass(frozen=True)
class Authority(Issuer):
    """An authority for tests: an issuing CA and its root.

    Attributes:
        root: the root's certificate.
    """

    root: x509.Certificate

    @classmethod
    def create(cls, folder: Path, policy: str) -> Self:
        """Make a root and an issuing CA, and keep them in a folder: root.pem, root.key, ca.pem, ca.key.

        Args:
            folder: an empty folder.
            policy: OID of the certificate policy that all its certificates carry.

        Raises:
            OSError: the folder cannot be written.
        """
        root_name = _name("TW", "政府測試憑證總管理中心")
        root_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
        root = certify_ca(root_name, root_key.public_key(), root_name, root_key, _CA_FROM, _CA_UNTIL)
        certificate = certify_ca(
            _name("TW", "行政院", "組織及團體測試憑證管理中心"),
            key.public_key(),
            root_name,
            root_key,
            _CA_FROM,
            _CA_UNTIL,
            policy=policy,
        )
        for name, owner, its_key in (("root", root, root_key), ("ca", certificate, key)):
            atomic_file.write(folder / f"{name}.pem", owner.public_bytes(serialization.Encoding.PEM))
            pem = its_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            atomic_file.write(folder / f"{name}.key", pem)
        return cls(certificate, key, root)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `create` kept.

        Raises:
            OSError: a file cannot be read.
            ValueError: a file holds something else.
        """
        root, certificate = (
            x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in ("root.pem", "ca.pem")
        )
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("ca.key: not an RSA key")
        return cls(certificate, key, root)

    def responder(self, start: datetime, end: datetime) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        """Make a delegated OCSP responder (RFC 6960, section 4.2.2.2), for as long as its answers hold.

        Args:
            start: notBefore, with a time zone.
            end: notAfter, likewise.
        """
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = _name("TW", "行政院", "組織及團體測試憑證管理中心 線上憑證狀態查詢")
        return self.appoint_responder(name, key.public_key(), start, end), key

    @staticmethod
    def revoked(
        certificate: x509.Certificate, since: datetime, reason: x509.ReasonFlags
    ) -> x509.RevokedCertificate:
        """Return the entry of a revoked or suspended certificate in a CRL (RFC 5280, section 5.3).

        Args:
            certificate: of this CA.
            since: when it was revoked, with a time zone.
            reason: why; certificateHold suspends it.
        """
        return (
            x509.RevokedCertificateBuilder()
            .serial_number(certificate.serial_number)
            .revocation_date(since)
            .add_extension(x509.CRLReason(reason), critical=False)
            .build()
        )

    def revocation_list(
        self, number: int, entries: Iterable[x509.RevokedCertificate], at: datetime, until: datetime
    ) -> bytes:
        """Return a complete CRL (RFC 5280, section 5), in DER.

        Args:
            number: cRLNumber, higher than that of the list before.
            entries: every certificate that is revoked or suspended (see revoked).
            at: thisUpdate, with a time zone.
            until: nextUpdate, likewise.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(at)
            .next_update(until)
            .add_extension(self.key_identifier, critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def responses(
        self,
        certificates: Iterable[tuple[x509.Certificate, x509.RevokedCertificate | None]],
        at: datetime,
        until: datetime,
    ) -> list[bytes]:
        """Return an OCSP response (RFC 6960) about each certificate, in DER, all signed by one new responder.

        Args:
            certificates: each with its entry in the CRL, None: it is good.
            at: thisUpdate, with a time zone.
            until: nextUpdate, likewise.
        """
        responder, key = self.responder(at, until)
        responses = []
        for certificate, entry in certificates:
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason if entry else None
            response = (
                ocsp.OCSPResponseBuilder()
                .add_response(
                    cert=certificate,
                    issuer=self.certificate,
                    algorithm=hashes.SHA1(),  # noqa: S303  # a name for the issuer; RFC 5019, section 2.1.1
                    cert_status=ocsp.OCSPCertStatus.REVOKED if entry else ocsp.OCSPCertStatus.GOOD,
                    this_update=at,
                    next_update=until,
                    revocation_time=entry.revocation_date_utc if entry else None,
                    revocation_reason=reason,
                )
                .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
                .certificates([responder])
                .sign(key, hashes.SHA256())
            )
            responses.append(response.public_bytes(serialization.Encoding.DER))
        return responses


def _builder(
    name: x509.Name, key: rsa.RSAPublicKey, issuer: x509.Name, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .issuer_name(issuer)
        # Sixteen bytes, none of them for a sign or a leading zero.
        .serial_number(2**120 + secrets.randbelow(2**127 - 2**120))
        .not_valid_before(start.astimezone(UTC).replace(microsecond=0))
        .not_valid_after(end.astimezone(UTC).replace(microsecond=0))
    )


def certify_ca(
    name: x509.Name,
    public_key: rsa.RSAPublicKey,
    issuer: x509.Name,
    issuer_key: rsa.RSAPrivateKey,
    start: datetime,
    end: datetime,
    *,
    policy: str | None = None,
    addresses: Addresses | None = None,
) -> x509.Certificate:
    """Return the certificate of a CA.

    Args:
        name: its name.
        public_key: its key.
        issuer: the name of who signs; its own: it is a root.
        issuer_key: the key of who signs.
        start: notBefore, with a time zone.
        end: notAfter, likewise.
        policy: OID of the certificate policy of what it issues; of no use to a root.
        addresses: where its issuer publishes; None: nowhere.
    """
    builder = (
        _builder(name, public_key, issuer, start, end)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_CERTIFYING, critical=True)
        .add_extension(
            x509.BasicConstraints(ca=True, path_length=None if name == issuer else 0), critical=True
        )
    )
    if policy is not None:
        information = x509.PolicyInformation(ObjectIdentifier(policy), None)
        builder = builder.add_extension(x509.CertificatePolicies([information]), critical=False)
    if addresses is not None:
        builder = builder.add_extension(addresses.information(), critical=False)
        builder = builder.add_extension(addresses.points(), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(country: str, organisation: str, unit: str | None = None) -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, country),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
    ]
    if unit is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(parts)


def _address(email: str) -> x509.RFC822Name:
    try:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            raise ValueError
        return x509.RFC822Name(email)
    except ValueError:
        said = text("e-mail '{email}': not an address; write it like name@example.org")
        raise ValueError(said.format(email=email)()) from None


def _oid(dotted: str) -> core.ObjectIdentifier:
    try:
        # cryptography's is the strict parser.
        return core.ObjectIdentifier(ObjectIdentifier(dotted).dotted_string)
    except ValueError:
        said = text("OID '{dotted}': not one; write it like 2.16.886.111.100000")
        raise ValueError(said.format(dotted=dotted)()) from None
