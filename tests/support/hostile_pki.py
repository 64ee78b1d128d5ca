# SPDX-License-Identifier: Apache-2.0
"""Signatures and certificates that no honest program makes, each with one thing wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asn1crypto import algos, cms, core  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from xca_common.pki.authority import SIGNING

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
_CERTIFYING = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
_KEYS: dict[str, rsa.RSAPrivateKey] = {}


def key(name: str) -> rsa.RSAPrivateKey:
    """Return the key of a name. It is made once, because that takes long."""
    if name not in _KEYS:
        _KEYS[name] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _KEYS[name]


@dataclass(frozen=True)
class Party:
    """A party: a certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, path: Path) -> Path:
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
    """Return a party with a new certificate. Without an issuer it is self-signed."""
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
    """Replace the last occurrence of some bytes in a party's certificate, and sign it anew."""
    whole = asn1_x509.Certificate.load(one.der)
    tbs = whole["tbs_certificate"].dump()
    assert len(before) == len(after)
    start, found, end = tbs.rpartition(before)
    assert found
    odd = start + after + end
    signature = issuer.key.sign(odd, padding.PKCS1v15(), hashes.SHA256())
    return OddParty(one.certificate, one.key, one.der.replace(tbs, odd)[: -len(signature)] + signature)


@dataclass(frozen=True)
class OddParty(Party):
    """Return a party whose certificate may be unreadable."""

    encoded: bytes = b""

    @property
    def der(self) -> bytes:
        return self.encoded


def certified_with(
    one: Party,
    issuer: Party,
    algorithm: Mapping[str, object],
    scheme: padding.AsymmetricPadding,
    digest: hashes.HashAlgorithm,
) -> Party:
    """Return a party whose certificate is signed with another algorithm."""
    made = asn1_x509.Certificate.load(one.der)
    made["tbs_certificate"]["signature"] = made["signature_algorithm"] = dict(algorithm)
    made["signature_value"] = issuer.key.sign(made["tbs_certificate"].dump(force=True), scheme, digest)
    return Party(x509.load_der_x509_certificate(made.dump(force=True)), one.key)


def pss_algorithm(mask: str) -> dict[str, object]:
    """Return RSASSA-PSS with SHA-256, and another digest algorithm in its mask."""
    parameters = algos.RSASSAPSSParams(
        {
            "hash_algorithm": {"algorithm": "sha256"},
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": mask}},
            "salt_length": 32,
        }
    )
    return {"algorithm": "rsassa_pss", "parameters": parameters}


def short_key(name: str, issuer: Party, *extensions: tuple[x509.ExtensionType, bool]) -> Party:
    """Return a party whose RSA key is too short."""
    own = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    builder = (
        x509.CertificateBuilder(issuer.certificate.subject, subject, own.public_key(), 7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Party(builder.sign(issuer.key, hashes.SHA256()), own)


def repeated(signature: bytes) -> bytes:
    """Return a SignedData with its signer twice."""
    whole = cms.ContentInfo.load(signature)
    (info,) = whole["content"]["signer_infos"]
    whole["content"]["signer_infos"] = [info, info.copy()]
    return bytes(whole.dump(force=True))


def with_bad_extension(one: Party, issuer: Party, extension: str) -> Party:
    """Return a party whose certificate has an extension, by its OID, with a value of the wrong type."""
    name = x509.ObjectIdentifier(extension)
    der = one.der
    start = der.index(core.ObjectIdentifier(name.dotted_string).dump())
    value = der.index(b"\x04", start + 5)
    size = 2 if der[value + 1] < 0x80 else 2 + (der[value + 1] & 0x7F)
    before = der[start : value + size + 4]
    after = before[:-4] + b"\x09" + before[-3:]
    return altered(one, issuer, before, after)


def responder(issuer: Party, *, purposes: Sequence[x509.ObjectIdentifier] | None = None) -> Party:
    """Return an OCSP responder, with or without the right to answer for the issuer."""
    named = [ExtendedKeyUsageOID.OCSP_SIGNING] if purposes is None else purposes
    return party(
        "responder",
        issuer,
        extensions=[(x509.ExtendedKeyUsage(named), False)] if named else [],
    )


def attribute(kind: str, *values: core.Asn1Value) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": kind, "values": list(values)})


def attributes(content: bytes, *more: cms.CMSAttribute) -> list[cms.CMSAttribute]:
    """Return the mandatory signed attributes, and others."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(content)
    return [
        attribute("content_type", cms.ContentType("data")),
        attribute("message_digest", core.OctetString(digest.finalize())),
        *more,
    ]


def signed(
    signer: Party,
    content: bytes,
    others: Sequence[Party] = (),
    *,
    signed_attributes: Sequence[cms.CMSAttribute] | None = None,
    content_type: str = "data",
    scheme: padding.AsymmetricPadding | None = None,
    algorithm: dict[str, object] | None = None,
) -> bytes:
    """Return a detached signature with these signed attributes; an empty list means none."""
    given = attributes(content) if signed_attributes is None else signed_attributes
    message = cms.CMSAttributes(given).dump() if given else content
    info = {
        "version": "v1",
        "sid": cms.SignerIdentifier(
            "issuer_and_serial_number",
            {"issuer": _asn1(signer).issuer, "serial_number": signer.certificate.serial_number},
        ),
        "digest_algorithm": {"algorithm": "sha256"},
        "signature_algorithm": algorithm or {"algorithm": "sha256_rsa"},
        "signature": signer.key.sign(message, scheme or padding.PKCS1v15(), hashes.SHA256()),
    }
    if given:
        info["signed_attrs"] = cms.CMSAttributes(given)
    data = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {"content_type": content_type},
            "certificates": [cms.CertificateChoices("certificate", _asn1(one)) for one in (signer, *others)],
            "signer_infos": [info],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": data}).dump())


def _asn1(one: Party) -> "cms.Certificate":
    return cms.Certificate.load(one.der)
