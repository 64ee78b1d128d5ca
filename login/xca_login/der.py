# SPDX-License-Identifier: Apache-2.0
"""Elements in DER (X.690, section 8.1), put together."""


def element(tag: bytes, content: bytes) -> bytes:
    """Return an element.

    Args:
        tag: its tag, encoded.
        content: its content.
    """
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1)
    return tag + (size if len(content) < 0x80 else bytes((0x80 | len(size),)) + size) + content
