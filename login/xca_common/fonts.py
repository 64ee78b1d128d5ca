# SPDX-License-Identifier: Apache-2.0
"""Fonts of this computer, as fontconfig knows them."""

import subprocess
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final

from xca_common.i18n import text

TRUE_TYPE: Final = "TrueType"
CFF: Final = "CFF"
"""Formats of OpenType fonts, as fontconfig names them."""


NO_FONT: Final = text(
    "no TrueType font on this computer has all of its characters (Debian: fonts-wqy-microhei)"
)
"""Why a file with text cannot be made."""


def font_with(characters: Iterable[str], formats: Collection[str]) -> tuple[str, int] | None:
    """Return a font that has all of some characters: its file, and its number in it; None: there is none.

    Fonts for Traditional Chinese come first.
    """
    from fontTools.ttLib import TTFont, TTLibError  # type: ignore[import-untyped]

    wanted = {ord(character) for character in characters if not character.isspace()}
    for file, number in _fonts(formats):
        with suppress(OSError, TTLibError, KeyError):
            found = TTFont(file, fontNumber=number, lazy=True).getBestCmap() or {}
            if wanted <= found.keys():
                return file, number
    return None


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
