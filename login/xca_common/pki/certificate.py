# SPDX-License-Identifier: Apache-2.0
"""A certificate as people and programs are shown it."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from asn1crypto import x509  # type: ignore[import-untyped]

from xca_common.i18n import text
from xca_common.pki import distinguished_name, profile
from xca_common.pki.malformed import read_extensions, reading


@dataclass(frozen=True)
class Certificate:
    """A certificate, on a card or from elsewhere.

    Attributes:
        label: CKA_LABEL, such as cert1; empty for one that comes from elsewhere.
        id: CKA_ID as text: the key that belongs to it (SIGN, KEYX), or CACert, ROOTCACert; empty likewise.
        der: the certificate itself.
        holder: subject DN in the order of the certificate (卡片持有者資訊), C=TW,L=臺北市,O=國立臺灣大學.
        issuer: issuer DN, in the same form.
        serial: serial number, as serial_text.
        not_before: start of validity (卡片效期).
        not_after: end of validity.
        key_usage: names of RFC 5280 section 4.2.1.3, such as digital_signature.
        organisation_oid: OID of the organisation, if the certificate tells.
        tax_id: 統一編號 of a company, if the certificate tells.
        rank: primary (正卡) or secondary (附卡), if the certificate tells.
        citizen_id: last four characters of a person's national id, if the certificate tells.
        common_name: the subject's commonName, several with blanks between; empty if there is none.
        email: address in the subjectAltName, empty if there is none.
        signature_algorithm: OID of what the issuer signed it with.
    """

    label: str
    id: str
    der: bytes = field(repr=False)
    holder: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    key_usage: tuple[str, ...]
    organisation_oid: str | None
    tax_id: str | None
    rank: str | None
    citizen_id: str | None = None
    common_name: str = ""
    email: str = ""
    signature_algorithm: str = ""

    @classmethod
    def parse(cls, label: str, identifier: str, der: bytes) -> Self:
        """Read an X.509 certificate (RFC 5280).

        Raises:
            Malformed: it is not one, or a part of it cannot be read.
        """
        with reading(text("its structure")):
            certificate = x509.Certificate.load(der, strict=True)
            algorithm = certificate["signature_algorithm"]["algorithm"].dotted
        with reading(text("its serial number")):
            serial = serial_text(certificate.serial_number)
        with reading(text("its issuer")):
            issuer = distinguished_name.as_text(certificate.issuer)
        with reading(text("its holder")):
            holder, common_name = distinguished_name.as_text(certificate.subject), _common_name(certificate)
        with reading(text("its validity")):
            not_before, not_after = (
                _time(end) for end in (certificate.not_valid_before, certificate.not_valid_after)
            )
        with reading(text("its public key")):
            certificate.public_key.dump()
        read_extensions(certificate["tbs_certificate"], "extensions")
        attributes = _directory_attributes(certificate)
        usage = certificate.key_usage_value
        return cls(
            label=label,
            id=identifier,
            der=der,
            holder=holder,
            issuer=issuer,
            serial=serial,
            not_before=not_before,
            not_after=not_after,
            key_usage=tuple(sorted(_named(usage.native))) if usage else (),
            organisation_oid=attributes.get(profile.ORGANISATION_OID),
            tax_id=attributes.get(profile.TAX_ID),
            rank=attributes.get(profile.CARD_RANK),
            citizen_id=attributes.get(profile.CITIZEN_ID),
            common_name=common_name,
            email=_email(certificate),
            signature_algorithm=algorithm,
        )

    @property
    def holder_name(self) -> str:
        """The holder as people say it (distinguished_name.as_name); the subject DN if it has no such part."""
        return distinguished_name.as_name(x509.Certificate.load(self.der).subject) or self.holder

    @property
    def pem(self) -> str:
        """The certificate in PEM (RFC 7468)."""
        body = base64.b64encode(self.der).decode("ascii")
        lines = [body[start : start + 64] for start in range(0, len(body), 64)]
        return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])

    @property
    def public_key(self) -> bytes:
        """The key that is certified: SubjectPublicKeyInfo (RFC 5280, section 4.1), in DER."""
        return bytes(x509.Certificate.load(self.der).public_key.dump())

    @property
    def sha256(self) -> str:
        """SHA-256 fingerprint, hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()


def serial_text(number: int) -> str:
    """Return a serial number as people are shown it: whole bytes in hexadecimal digits."""
    digits = f"{abs(number):x}"
    return ("-" if number < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def _time(read: object) -> datetime:
    # asn1crypto has a kind of its own for the year 0
    if not isinstance(read, datetime) or read.tzinfo is None:
        raise ValueError
    return read.astimezone(UTC)


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.native.get("common_name", "")
    return names if isinstance(names, str) else " ".join(str(name) for name in names)


def _named(bits: set[str | int]) -> Iterator[str]:
    return (bit for bit in bits if isinstance(bit, str))  # the others have no name, and no meaning


def _email(certificate: x509.Certificate) -> str:
    with reading(text("its extension {name}").format(name="subject alt name")):
        names = certificate.subject_alt_name_value or ()
        return next((str(name.native) for name in names if name.name == "rfc822_name"), "")


def _directory_attributes(certificate: x509.Certificate) -> dict[str, str]:
    for extension in certificate["tbs_certificate"]["extensions"]:
        if extension["extn_id"].native == "subject_directory_attributes":
            with reading(text("its extension {name}").format(name="subject directory attributes")):
                return {
                    attribute["type"].dotted: str(attribute["values"][0].native)
                    for attribute in extension["extn_value"].parsed
                }
    return {}
