# SPDX-License-Identifier: Apache-2.0
"""Login tokens, each part of which can be made wrong."""

from collections.abc import Callable, Sequence

from asn1crypto import core  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from xca_common.pki.cms_types import cms
from xca_common.statement import ORIGIN_ATTRIBUTE
from xca_login.testing.parties import Party


def attribute(kind: str, *values: core.Asn1Value) -> cms.CMSAttribute:
    """Return an attribute of a kind, by its name in asn1crypto or its OID."""
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


def origin(value: str) -> cms.CMSAttribute:
    """Return the attribute with the origin of the page that asked."""
    return cms.CMSAttribute({"type": ORIGIN_ATTRIBUTE, "values": [core.UTF8String(value)]})


def sign(
    signer: Party,
    content: bytes,
    others: Sequence[Party] = (),
    *,
    inside: bytes | None = None,
    signed_attributes: Sequence[cms.CMSAttribute] | None = None,
    more: Sequence[cms.CMSAttribute] = (),
    content_type: str = "data",
    scheme: padding.AsymmetricPadding | None = None,
    algorithm: dict[str, object] | None = None,
    change: Callable[[cms.SignedData], None] = lambda signed_data: None,
) -> bytes:
    """Return a token: the signature with its content inside.

    Args:
        signer: who signs.
        content: what is signed.
        others: whose certificates are inside beside the signer's.
        inside: the content, if it is another than what is signed.
        signed_attributes: all signed attributes; empty: there are none; None: those that are mandatory.
        more: further signed attributes, unless all are given.
        content_type: of the content.
        scheme: padding of the signature; None: PKCS1v15.
        algorithm: what the token says that it is signed with.
        change: changes what stands beside the signature.
    """
    given = attributes(content, *more) if signed_attributes is None else signed_attributes
    given = sorted(given, key=lambda one: bytes(one.dump()))
    whole = cms.ContentInfo.load(
        signed(
            signer,
            content,
            others,
            signed_attributes=given,
            content_type=content_type,
            scheme=scheme,
            algorithm=algorithm,
        )
    )
    signed_data = whole["content"]
    signed_data["encap_content_info"] = {
        "content_type": content_type,
        "content": content if inside is None else inside,
    }
    change(signed_data)
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump())


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
    """Return a detached signature.

    Args:
        signer: who signs.
        content: what is signed.
        others: whose certificates are inside beside the signer's.
        signed_attributes: all signed attributes; empty: there are none; None: those that are mandatory.
        content_type: of the content.
        scheme: padding of the signature; None: PKCS1v15.
        algorithm: what the signature says that it is made with.
    """
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
