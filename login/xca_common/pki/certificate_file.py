# SPDX-License-Identifier: Apache-2.0
"""Files that hold certificates: DER, PEM, base64 alone, PKCS #7 (p7b); alone or among other objects."""

from collections.abc import Iterator
from typing import Final

from xca_common.i18n import text
from xca_common.pki import asn1_stream, text_forms
from xca_common.pki.cms_types import cms
from xca_common.pki.malformed import Malformed, TooMuchError, reading

_MOST: Final = 1000
_CERTIFICATE: Final = "CERTIFICATE"
_CERTIFICATES: Final = frozenset({_CERTIFICATE, "X509 CERTIFICATE"})
_SIGNED_DATA: Final = frozenset({"CMS", "PKCS7", "PKCS #7 SIGNED DATA"})


def certificates_in(data: bytes) -> list[bytes]:
    """Return the certificates of a file in their order, in DER, each once; their parts are not read.

    Args:
        data: all of the file. Keys, lists and text between objects in PEM are passed over.

    Raises:
        Malformed: it holds none, or cannot be read.
        TooMuchError: it has more certificates, or one of them more parts, than are read.
    """
    found: dict[bytes, None] = {}
    for count, (label, encoding) in enumerate(text_forms.objects(data, _CERTIFICATE), 1):
        if label in _CERTIFICATES or label in _SIGNED_DATA:
            found.update(dict.fromkeys(_certificates(encoding)))
        if len(found) > _MOST or count > _MOST:
            raise TooMuchError(text("it has more than {count} certificates").format(count=_MOST))
    if not found:
        raise Malformed(text("it holds something else in PEM"))
    return list(found)


def _certificates(encoding: bytes) -> Iterator[bytes]:
    """Yield a certificate in DER as it is, or those in a SignedData (RFC 5652, section 5.1)."""
    with reading(text("its structure")):
        asn1_stream.check_size(encoding)
        _, start = asn1_stream.read_length(encoding, 1)
        is_content_info = encoding[start : start + 1] == bytes((asn1_stream.OID,))
    if not is_content_info:
        yield encoding
        return
    with reading(text("its structure")):
        content_info = cms.ContentInfo.load(encoding, strict=True)
        is_signed_data = content_info["content_type"].native == "signed_data"
    if not is_signed_data:
        raise Malformed(text("it is PKCS #7 of another kind, without certificates"))
    with reading(text("its certificates")):
        # What a signature holds is its sender's choice: taken for a root, it would prove itself.
        is_signature = len(content_info["content"]["signer_infos"]) > 0
    if is_signature:
        raise Malformed(text("it is a signature; export its certificates if you trust them"))
    with reading(text("its certificates")):
        for choice in content_info["content"]["certificates"]:
            if choice.name == "certificate":
                yield bytes(choice.chosen.untag().dump())
