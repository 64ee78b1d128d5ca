# SPDX-License-Identifier: Apache-2.0
"""A text as the pixels of a picture.

Pages read an answer in this form where the browser keeps them from reading it as text.
"""

from io import BytesIO
from typing import Final

from PIL import Image

WIDTH: Final = 2000
"""Pixels of the picture, which is one line high. Pages rely on this number."""
CAPACITY: Final = 3 * (WIDTH - 1)
"""Bytes of text that fit. The last pixel stays black and ends the text."""


def encode(text: str) -> bytes:
    """Return a Windows bitmap (24 bits, no compression) with the text from byte 54 on.

    Pages read up to the first pixel whose first byte is 0. So blanks fill the text up to whole pixels.

    Args:
        text: ASCII, at most CAPACITY bytes.
    """
    octets = text.encode("ascii")
    octets += b" " * (-len(octets) % 3)
    if len(octets) > CAPACITY:
        raise ValueError(f"{len(octets)} bytes do not fit")
    picture = Image.frombytes("RGB", (WIDTH, 1), octets.ljust(3 * WIDTH, b"\0"), "raw", "BGR")
    file = BytesIO()
    picture.save(file, "BMP")
    return file.getvalue()
