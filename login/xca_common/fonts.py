# SPDX-License-Identifier: Apache-2.0
"""Fonts of this computer, as fontconfig knows them."""

import subprocess
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final, NamedTuple

from xca_common.i18n import text

TRUE_TYPE: Final = "TrueType"
CFF: Final = "CFF"
"""Formats of OpenType fonts, as fontconfig names them."""


NO_FONT: Final = text(
    "no TrueType font on this computer has all of its characters (Debian: fonts-wqy-microhei)"
)
"""Why a file with text cannot be made."""


class Font(NamedTuple):
    """A font.

    Attributes:
        file: where it is.
        number: its number in the file.
        lacks: which of the characters that were wished for it has not.
    """

    file: str
    number: int
    lacks: frozenset[str]


def font_with(characters: Iterable[str], formats: Collection[str]) -> tuple[str, int] | None:
    """Return a font that has all of some characters: its file, and its number in it; None: there is none.

    Fonts for Traditional Chinese come first.
    """
    found = best_font(characters, (), formats)
    return (found.file, found.number) if found else None


def best_font(needed: Iterable[str], wished: Iterable[str], formats: Collection[str]) -> Font | None:
    """Return the font that has all characters that are needed, and most of others; None: there is none."""
    from fontTools.ttLib import TTFont, TTLibError  # type: ignore[import-untyped]

    wanted = {ord(character) for character in needed if not character.isspace()}
    others = {ord(character) for character in wished if not character.isspace()}
    best: Font | None = None
    for file, number in _fonts(formats):
        with suppress(OSError, TTLibError, KeyError):
            has = (TTFont(file, fontNumber=number, lazy=True).getBestCmap() or {}).keys()
            lacks = frozenset(map(chr, others - has))
            if wanted <= has and (best is None or len(lacks) < len(best.lacks)):
                best = Font(file, number, lacks)
                if not lacks:
                    break
    return best


def _fonts(formats: Collection[str]) -> list[tuple[str, int]]:
    try:
        listed = subprocess.run(  # nothing of it is a stranger's
            ["fc-match", "--sort", ":lang=zh-tw", "--format", "%{fontformat}|%{index}|%{file}\n"],  # noqa: S607  # the system's
            capture_output=True,
            text=True,
            timeout=20,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = [line.split("|", 2) for line in listed.splitlines()]
    return [(one[2], int(one[1])) for one in found if one[0] in formats and one[1].isdecimal()]
