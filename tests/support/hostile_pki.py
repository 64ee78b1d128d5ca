# SPDX-License-Identifier: Apache-2.0
"""Signatures and certificates that no honest program makes, each with one thing wrong."""

from asn1crypto import algos, cms, core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from xca_common.pki.authority import ENCRYPTION
from xca_login.testing.parties import DAY, NOW, Party, altered


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


def plain(
    name: str,
    issuer: Party,
    *extensions: tuple[x509.ExtensionType, bool],
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
) -> Party:
    """Return a party whose certificate has these extensions alone.

    Args:
        name: its name (O).
        issuer: who signs the certificate.
        extensions: each with whether it is critical.
        key: the certificate's; None: the issuer's, as the party's.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    builder = (
        x509.CertificateBuilder(issuer.certificate.subject, subject, (key or issuer.key).public_key(), 7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    own = key if isinstance(key, rsa.RSAPrivateKey) else issuer.key
    return Party(builder.sign(issuer.key, hashes.SHA256()), own)


def short_key(name: str, issuer: Party, *extensions: tuple[x509.ExtensionType, bool]) -> Party:
    """Return a party whose RSA key is too short."""
    own = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return plain(name, issuer, *extensions, key=own)


def elliptic(name: str, issuer: Party) -> Party:
    """Return a party whose certificate for encryption is of a key on an elliptic curve."""
    return plain(name, issuer, (ENCRYPTION, True), key=ec.generate_private_key(ec.SECP256R1()))


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
