# SPDX-License-Identifier: Apache-2.0
"""Text of strangers, made harmless before a person reads it: in a terminal, on a page, in a log.

A name in a certificate, of a file or a reader, an address or a server's answer may hold what clears a screen,
turns the direction of writing, or cannot be seen. All of that is shown as <U+001B>; so is a flood of blanks,
and of a text in one line that is too long the rest is counted.
"""

import json
import unicodedata
from collections.abc import Callable
from enum import Enum, auto
from functools import lru_cache
from itertools import groupby
from typing import Final

LONGEST: Final = 1000
"""Characters of one text that are shown: fewer than a terminal's screen has."""
_MARKS: Final = 3
"""Combining marks that one character may carry; scripts need no more, and more cover other lines."""
_BLANKS: Final = 3
"""Blanks that may follow each other in a line; more push what comes next to where another line begins."""
_SPACE: Final = "\N{IDEOGRAPHIC SPACE}"
"""The only separator beside the blank that names are written with."""
# Parts of the names of characters that pass for printable, and show nothing.
_EMPTY: Final = (
    "FILLER",
    "VARIATION SELECTOR",
    "GRAPHEME JOINER",
    "BRAILLE PATTERN BLANK",
    "NULL NOTEHEAD",
    "VOWEL INHERENT",
)
_JOINED: Final = ("HANGUL JUNGSEONG", "HANGUL JONGSEONG")
"""Letters that stand on the one before, as marks do."""


def harmless(text: str, *, lines: bool = False, longest: int | None = LONGEST) -> str:
    """Return a text that acts on nothing, and in which all can be seen.

    Args:
        text: what somebody else wrote.
        lines: it may have several lines and tabs, and any length; else these are shown as characters too.
        longest: how many characters of a text in one line are shown; None: all, for what is to be copied.
    """
    if lines:
        text = text.replace("\r\n", "\n")
        seen = all(_visibility(each) is _Visibility.SEEN for each in {*text} - {"\n", "\t"})
        return text if seen else _rewritten(text, True, _named)
    plain = text.isascii() and text.isprintable() and " " * (_BLANKS + 1) not in text
    shown = text if plain else _rewritten(text, False, _named)
    rest = 0 if longest is None else len(shown) - longest
    return f"{shown[:longest]}<… +{rest}>" if rest > 0 else shown


def harmless_json(document: object, *, indent: int | None = 2, ascii_only: bool = False) -> str:
    """Return a document as JSON that says the same, with what harmless() would change as escapes."""
    return _rewritten(json.dumps(document, ensure_ascii=ascii_only, indent=indent), True, _escaped)


class _Visibility(Enum):
    SEEN = auto()
    MARK = auto()
    """Stands on the character before."""
    HIDDEN = auto()


def _rewritten(text: str, lines: bool, shown: Callable[[str, int], str]) -> str:
    said = []
    room = 0  # for marks on the character before; none where there is no character
    for character, run in groupby(text):
        count = sum(1 for _ in run)
        kind = _Visibility.SEEN if lines and character in "\n\t" else _visibility(character)
        if kind is _Visibility.SEEN:
            crowded = not lines and character in (" ", _SPACE) and count > _BLANKS
            said.append(shown(character, count) if crowded else character * count)
            room = 0 if character.isspace() else _MARKS
            continue
        kept = min(count, room) if kind is _Visibility.MARK else 0
        said.append(character * kept)
        room -= kept
        if count > kept:
            said.append(shown(character, count - kept))
            room = 0
    return "".join(said)


@lru_cache(4096)
def _visibility(character: str) -> _Visibility:
    if not character.isprintable():
        return _Visibility.SEEN if character == _SPACE else _Visibility.HIDDEN
    if character.isascii():
        return _Visibility.SEEN
    name = unicodedata.name(character, "")
    if any(part in name for part in _EMPTY):
        return _Visibility.HIDDEN
    marks = unicodedata.category(character).startswith("M") or name.startswith(_JOINED)
    return _Visibility.MARK if marks else _Visibility.SEEN


def _named(character: str, count: int) -> str:
    code = f"U+{ord(character):04X}"
    return f"<{code}>" if count == 1 else f"<{code} x{count}>"


def _escaped(character: str, count: int) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return count * "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
