# SPDX-License-Identifier: Apache-2.0
"""CMS SignedData (RFC 5652, section 5) with its content and the signer's certificate alone inside."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from asn1crypto import core, x509  # type: ignore[import-untyped]

from xca_common.pki.certificate import Certificate
from xca_common.pki.cms_types import cms
from xca_common.statement import ORIGIN_ATTRIBUTE
from xca_plugin.model import Hash

Attribute = dict[str, Any]
"""A signed attribute, as asn1crypto takes it."""


def origin_attribute(origin: str) -> Attribute:
    """Return the attribute with the origin of who asked for a signature."""
    return {"type": ORIGIN_ATTRIBUTE, "values": [core.UTF8String(origin)]}


def signed_data(
    content: bytes,
    certificate: Certificate,
    sign: Callable[[bytes], bytes],
    *,
    digest_hash: Hash = Hash.SHA256,
    attributes: Sequence[Attribute] = (),
) -> bytes:
    """Return SignedData in DER, with one signer.

    Args:
        content: what is signed.
        certificate: of the key that signs.
        sign: returns the signature (RSASSA-PKCS1-v1_5) of a digest.
        digest_hash: of the content and of the attributes.
        attributes: signed attributes beside the content's type and digest.
    """
    digest = hashlib.new(digest_hash, content).digest()
    signed = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["data"]},
            {"type": "message_digest", "values": [digest]},
            *attributes,
        ]
    )
    signer_certificate = x509.Certificate.load(certificate.der)
    algorithm = {"algorithm": digest_hash.value}
    signer = {
        "version": "v1",
        "sid": cms.SignerIdentifier(
            "issuer_and_serial_number",
            {"issuer": signer_certificate.issuer, "serial_number": signer_certificate.serial_number},
        ),
        "digest_algorithm": algorithm,
        "signed_attrs": signed,
        "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
        "signature": sign(hashlib.new(digest_hash, signed.dump()).digest()),
    }
    whole = {
        "version": "v1",
        "digest_algorithms": [algorithm],
        "encap_content_info": {"content_type": "data", "content": content},
        "certificates": [signer_certificate],
        "signer_infos": [signer],
    }
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": whole}).dump())
