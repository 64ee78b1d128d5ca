# SPDX-License-Identifier: Apache-2.0
"""DER (X.690): what holders' certificates and tokens share."""

from cryptography import x509
from cryptography.hazmat import asn1


@asn1.sequence
class Attribute:
    """An attribute: of a holder (RFC 5280, section 4.2.1.8), or signed (RFC 5652, section 5.3)."""

    kind: x509.ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


def element(tag: bytes, content: bytes) -> bytes:
    """Return an element.

    Args:
        tag: its tag, encoded.
        content: its content.
    """
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1)
    return tag + (size if len(content) < 0x80 else bytes((0x80 | len(size),)) + size) + content
