# SPDX-License-Identifier: Apache-2.0
"""An answer as a picture, which a page may read where its browser keeps other answers from it."""

from io import BytesIO
from typing import Final

from PIL import Image

WIDTH: Final = 2000
"""Pixels of the picture, which has one line; pages count on it."""
ROOM: Final = 3 * (WIDTH - 1)
"""Bytes of text that fit: the last pixel stays black and ends the text."""


def draw(text: str) -> bytes:
    """Return a Windows bitmap (24 bits, no compression) whose bytes from offset 54 on are the text.

    Pages read pixels until one whose first byte is 0, so the text is filled up with blanks to whole pixels.

    Args:
        text: ASCII, at most ROOM bytes.
    """
    octets = text.encode("ascii")
    octets += b" " * (-len(octets) % 3)
    if len(octets) > ROOM:
        raise ValueError(f"{len(octets)} bytes do not fit")
    picture = Image.frombytes("RGB", (WIDTH, 1), octets.ljust(3 * WIDTH, b"\0"), "raw", "BGR")
    written = BytesIO()
    picture.save(written, "BMP")
    return written.getvalue()
