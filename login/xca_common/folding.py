# SPDX-License-Identifier: Apache-2.0
"""Lines of a terminal: how wide a text is there, and where it may be broken."""

import re
import unicodedata
from typing import Final

_OPENING: Final = "（「『《〈【"
_CLOSING: Final = "，。、；：？！）」』》〉】…"
_WIDE: Final = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6"
)
_PIECE: Final = rf"[{_OPENING}]*[{_WIDE}][{_CLOSING}]*|\s+|[^\s{_WIDE}]+[{_CLOSING}]*"
"""A part of a line that is not broken: a word, or a Chinese character with its punctuation."""


def columns(shown: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in shown)


def folded(paragraph: str, width: int) -> list[str]:
    """Return the lines of a paragraph. A word wider than a line stays whole, so that it can be copied."""
    lines = [""]
    for piece in re.findall(_PIECE, paragraph):
        if columns(lines[-1] + piece.rstrip()) > width and lines[-1]:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines]
