# SPDX-License-Identifier: Apache-2.0
"""Parties of a login, with keys in software: CAs, cards, responders. Each certificate can be made wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from asn1crypto import x509 as asn1_x509  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from xca_common.pki import profile
from xca_common.pki.authority import ENCRYPTION, SIGNING, directory_attributes
from xca_common.pki.encrypted_data import EncryptedData

NOW: Final = datetime.now(UTC).replace(microsecond=0)
"""When the process began. Certificates are made for this time."""
DAY: Final = timedelta(days=1)
_CERTIFYING: Final = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
_SCHOOL: Final = directory_attributes(profile.SCHOOL, "secondary", organisation_oid="2.16.886.111.100000")
_KEYS: dict[str, rsa.RSAPrivateKey] = {}


def key(name: str) -> rsa.RSAPrivateKey:
    """Return the key of a name. It is made once, because that takes long."""
    if name not in _KEYS:
        _KEYS[name] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _KEYS[name]


@dataclass(frozen=True)
class Party:
    """A party.

    Attributes:
        certificate: its certificate.
        key: its key.
    """

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, path: Path) -> Path:
        """Write the certificate in DER to a file, and return its path."""
        path.write_bytes(self.der)
        return path


def party(
    name: str,
    issuer: Party | None = None,
    *,
    ca: bool = False,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    key_name: str | None = None,
    usage: x509.KeyUsage | None = None,
    pss: padding.PSS | None = None,
    start: datetime = NOW - 30 * DAY,
    end: datetime = NOW + DAY,
    subject: x509.Name | None = None,
) -> Party:
    """Return a party with a new certificate.

    Args:
        name: its name (O), and that of its key.
        issuer: who signs the certificate; None: its own key does.
        ca: it is a CA.
        extensions: further extensions, each with whether it is critical.
        key_name: name of its key, if it is another.
        usage: its key usage, if it is not that of a CA, or of a card's certificate for signatures.
        pss: with what padding the certificate is signed; None: PKCS1v15.
        start: notBefore.
        end: notAfter.
        subject: its name, if it is another.
    """
    own = key(key_name or name)
    subject = subject or x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(usage or (_CERTIFYING if ca else SIGNING), critical=True)
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Party(builder.sign(issuer.key if issuer else own, hashes.SHA256(), rsa_padding=pss), own)


def altered(one: Party, issuer: Party, before: bytes, after: bytes) -> Party:
    """Replace the last occurrence of some bytes in a party's certificate, and sign it anew.

    Args:
        one: the party.
        issuer: who signs.
        before: the bytes.
        after: those that take their place, as many.

    Raises:
        ValueError: the certificate has no such bytes, or the numbers differ.
    """
    whole = asn1_x509.Certificate.load(one.der)
    tbs = whole["tbs_certificate"].dump()
    start, found, end = tbs.rpartition(before)
    if len(before) != len(after) or not found:
        raise ValueError("the certificate has no such bytes, or the others are more or fewer")
    odd = start + after + end
    signature = issuer.key.sign(odd, padding.PKCS1v15(), hashes.SHA256())
    return OddParty(one.certificate, one.key, one.der.replace(tbs, odd)[: -len(signature)] + signature)


@dataclass(frozen=True)
class OddParty(Party):
    """A party whose certificate may be unreadable.

    Attributes:
        encoded: its certificate in DER.
    """

    encoded: bytes = b""

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.encoded


def certified_with(
    one: Party,
    issuer: Party,
    algorithm: Mapping[str, object],
    scheme: padding.AsymmetricPadding,
    digest: hashes.HashAlgorithm,
) -> Party:
    """Return a party whose certificate is signed with another algorithm.

    Args:
        one: the party.
        issuer: who signs.
        algorithm: what the certificate says that it is signed with (AlgorithmIdentifier).
        scheme: the padding of the signature.
        digest: the digest algorithm of the signature.
    """
    made = asn1_x509.Certificate.load(one.der)
    made["tbs_certificate"]["signature"] = made["signature_algorithm"] = dict(algorithm)
    made["signature_value"] = issuer.key.sign(made["tbs_certificate"].dump(force=True), scheme, digest)
    return Party(x509.load_der_x509_certificate(made.dump(force=True)), one.key)


def policies(*oids: str) -> tuple[x509.ExtensionType, bool]:
    """Return the extension with certificate policies."""
    information = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    return x509.CertificatePolicies(information), False


def authority_key(issuer: Party) -> tuple[x509.ExtensionType, bool]:
    """Return the extension that names the issuer's key."""
    own = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), False


def directory(value: bytes) -> tuple[x509.ExtensionType, bool]:
    """Return subjectDirectoryAttributes with a value in DER."""
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES, value), False


def holder(
    issuer: Party,
    name: str = "a school",
    *,
    policy: str = profile.COMPATIBILITY_POLICY,
    attributes_: bytes = _SCHOOL,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    **options: Any,
) -> Party:
    """Return a holder's certificate and key, in the form of the cards.

    Args:
        issuer: the issuing CA.
        name: the organisation's.
        policy: OID of the certificate policy.
        attributes_: subjectDirectoryAttributes, in DER.
        more: further extensions, each with whether it is critical.
        options: those of party().
    """
    extensions = [authority_key(issuer), policies(policy), directory(attributes_), *more]
    return party(name, issuer, extensions=extensions, **options)


def encryption(one: Party, issuer: Party, key_name: str = "", **options: Any) -> Party:
    """Return the certificate for encryption (cert2) of a card, beside the one for signatures.

    Args:
        one: the card's holder(), made with the same options.
        issuer: the issuing CA.
        key_name: name of its key; empty: one of its own.
        options: those of holder(), such as the organisation's name.
    """
    key_name = key_name or f"{one.certificate.subject.rfc4514_string()}, for encryption"
    return holder(issuer, key_name=key_name, usage=ENCRYPTION, **options)


def opened(one: Party, envelope: bytes) -> bytes:
    """Return what an envelope holds that is encrypted to a party, as its card would open it.

    Raises:
        ValueError: it is encrypted to others, or was altered.
    """
    found = EncryptedData(BytesIO(envelope))
    recipient = found.recipient(one.der)
    if recipient is None:
        raise ValueError("it is encrypted to others")
    content = BytesIO()
    found.open(recipient, one.key, content)
    return content.getvalue()


def responder(
    issuer: Party, *, purposes: Sequence[x509.ObjectIdentifier] | None = None, end: datetime = NOW + DAY
) -> Party:
    """Return an OCSP responder.

    Args:
        issuer: the issuing CA.
        purposes: its extKeyUsage; None: that of responders; empty: it has none.
        end: notAfter.
    """
    named = [ExtendedKeyUsageOID.OCSP_SIGNING] if purposes is None else purposes
    return party(
        "responder",
        issuer,
        extensions=[(x509.ExtendedKeyUsage(named), False)] if named else [],
        end=end,
    )
