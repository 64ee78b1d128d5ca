# SPDX-License-Identifier: Apache-2.0
"""What a server signs for others to keep: CMS SignedData (RFC 5652) with a content type of its own.

Each kind of content has its own type, so that none passes for another, or for what a holder's card signs.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Final, Self

from asn1crypto import core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from xca_common.i18n import text
from xca_common.pki import strict_certificate
from xca_common.pki.chain import key_identifier
from xca_common.pki.cms_types import cms
from xca_common.pki.malformed import Malformed
from xca_common.pki.signed_data import SignedData, Signer, content_of
from xca_common.pki.strict_certificate import has_signed

_DIGEST: Final = "sha256"
_SIGNATURES: Final = {"rsassa_pkcs1v15", "sha256_rsa"}
_OTHER_FORM: Final = text("it has another form")


def sign(content_type: str, content: bytes, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> bytes:
    """Return a content as it is signed, in DER. The same content is signed to the same bytes.

    Args:
        content_type: eContentType, dotted.
        content: what is signed.
        certificate: of the signer; it names its key (subjectKeyIdentifier).
        key: the signer's.
    """
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": [content_type]},
            {"type": "message_digest", "values": [hashlib.sha256(content).digest()]},
        ]
    )
    signer = {
        "version": "v3",
        "sid": cms.SignerIdentifier("subject_key_identifier", key_identifier(certificate)),
        "digest_algorithm": {"algorithm": _DIGEST},
        "signed_attrs": attributes,
        "signature_algorithm": {"algorithm": "sha256_rsa"},
        "signature": key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA256()),
    }
    signed = cms.SignedData(
        {
            "version": "v3",
            "digest_algorithms": [{"algorithm": _DIGEST}],
            "encap_content_info": {
                "content_type": content_type,
                "content": core.ParsableOctetString(content),
            },
            "certificates": [cms.CertificateChoices("certificate", strict_certificate.as_asn1(certificate))],
            "signer_infos": [signer],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump())


@dataclass(frozen=True)
class SignedContent:
    """A content with one signature. Who signed it, and whether he may, is judged elsewhere.

    Attributes:
        content_type: eContentType, dotted.
        content: what was signed.
        certificate: the signer's.
    """

    content_type: str
    content: bytes
    certificate: x509.Certificate
    _signer: Signer

    @classmethod
    def read(cls, der: bytes) -> Self:
        """Read what sign() returns.

        Args:
            der: it has a length that the caller has bounded.

        Raises:
            Malformed: it is none, or its signer's certificate cannot be read.
            TooMuchError: it has more parts than are read.
            EOFError: it ends too early.
        """
        signed = SignedData.read(io.BytesIO(der))
        (signer, *more) = signed.signers
        if more or not isinstance(signer, Signer) or not signed.is_attached:
            raise Malformed(_OTHER_FORM)
        own, _ = signed.signer_certificate(signer)
        content = content_of(io.BytesIO(der)).read()
        return cls(str(signed.content_type.dotted), content, strict_certificate.load(own), signer)

    @property
    def is_genuine(self) -> bool:
        """Whether the certificate's key signed the content, with SHA-256 and RSASSA-PKCS1-v1_5."""
        attributes, info = self._signer.attributes, self._signer.info
        if (
            attributes is None
            or attributes.content_type != self.content_type
            or attributes.message_digest != hashlib.sha256(self.content).digest()
            or not isinstance(info["unsigned_attrs"], core.Void)
            or self._signer.digest != _DIGEST
            or info["signature_algorithm"]["algorithm"].native not in _SIGNATURES
        ):
            return False
        message = info["signed_attrs"].untag().dump()  # as a SET OF (RFC 5652, section 5.4)
        return has_signed(self.certificate, info["signature"].native, message, hashes.SHA256())
