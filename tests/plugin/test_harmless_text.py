# SPDX-License-Identifier: Apache-2.0
"""Text of strangers has no effect on a terminal or page, and all of it is visible."""

import json
import sys
import unicodedata

import pytest

from xca_common.harmless_text import LONGEST, harmless, harmless_json
from xca_plugin.errors import PinRefused
from xca_plugin.i18n import text

HOSTILE = {
    "escape": ("\x1b[2J", "<U+001B>[2J"),
    "C1": ("\x9b2J", "<U+009B>2J"),
    "newline": ("a\nb", "a<U+000A>b"),
    "newlines": ("a\r\n\r\nb", "a<U+000D><U+000A><U+000D><U+000A>b"),
    "tab, bell, delete": ("\t\a\x7f", "<U+0009><U+0007><U+007F>"),
    "bidi": ("\u202eevil\u2066\u061c\u200f", "<U+202E>evil<U+2066><U+061C><U+200F>"),
    "line separators": ("\u2028\u2029\x85", "<U+2028><U+2029><U+0085>"),
    "no width": ("a\u200b\u2060\ufeff\u00adb", "a<U+200B><U+2060><U+FEFF><U+00AD>b"),
    "empty letters": (
        "\u034f\u2800\u3164\u115f\uffa0\u17b4",
        "<U+034F><U+2800><U+3164><U+115F><U+FFA0><U+17B4>",
    ),
    "tags": ("a\U000e0041", "a<U+E0041>"),
    "variation selectors": ("a\ufe0f\U000e0101\u180b", "a<U+FE0F><U+E0101><U+180B>"),
    "blanks": ("a\u00a0\u2003b", "a<U+00A0><U+2003>b"),
    "half a character": ("a\udc80\ud800", "a<U+DC80><U+D800>"),
    "private and unassigned": ("\ue000\U0010ffff\u0378", "<U+E000><U+10FFFF><U+0378>"),
    "a flood of marks": ("e" + "\u0301" * 1000, "e\u0301\u0301\u0301<U+0301 x997>"),
    "a flood of letters that join": ("\u1100" + "\u1161" * 9, "\u1100\u1161\u1161\u1161<U+1161 x6>"),
    "a flood of blanks": ("a" + " " * 70 + "\u3000" * 4 + "b", "a<U+0020 x70><U+3000 x4>b"),
    "a mark on nothing": ("\u0301a \u0302", "<U+0301>a <U+0302>"),
}
GOOD = (
    "國立臺灣大學　附設醫院（測試）",
    "C=TW,O=Société Générale, Ðuro's «Ħ»",
    "Việt Nam; cafe\u0301; \u0e19\u0e49\u0e33; \u05e9\u05c1\u05b8",
    "한국 \u1112\u1161\u11ab 日本ガ",
    "[bold]:smile: {brace} %s \\ <b>",
)


@pytest.mark.parametrize(("hostile", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_character_that_acts_or_hides_is_shown_by_its_code(hostile: str, shown: str) -> None:
    assert harmless(hostile) == shown
    assert harmless(shown) == shown
    assert text("{name}.").format(name=hostile)() == f"{shown}."
    assert shown in PinRefused(reasons=[hostile]).message("en")


@pytest.mark.parametrize("good", GOOD)
def test_text_without_hostile_characters_stays(good: str) -> None:
    assert harmless(good) == good


def test_text_in_one_line_that_is_too_long_is_cut_and_says_so() -> None:
    assert harmless("a" * LONGEST) == "a" * LONGEST
    assert harmless("a" * 1_000_000) == "a" * LONGEST + f"<… +{1_000_000 - LONGEST}>"
    assert "valid" not in harmless("a" * 9999 + "The signature is valid.")
    assert text("{name}.").format(name="字" * 5000)() == "字" * LONGEST + f"<… +{5000 - LONGEST}>."
    assert harmless("a" * 5000, longest=None) == "a" * 5000
    assert harmless("a" * 5000, lines=True) == "a" * 5000


def test_text_in_several_lines_keeps_them_where_allowed() -> None:
    assert harmless("a          b", lines=True) == "a          b"
    assert harmless("a\tb\r\nc\n\x1bd\r", lines=True) == "a\tb\nc\n<U+001B>d<U+000D>"


@pytest.mark.parametrize(("hostile", "_"), HOSTILE.values(), ids=HOSTILE)
def test_json_of_hostile_text_keeps_the_data_and_is_harmless(hostile: str, _: str) -> None:
    document = {hostile: [hostile, 1, None]}
    for indent in (None, 2):
        said = harmless_json(document, indent=indent)
        assert json.loads(said) == document
        assert harmless(said, lines=True) == said
    assert harmless_json({"name": "國立臺灣大學"}, indent=None) == '{"name": "國立臺灣大學"}'


def test_text_with_any_unicode_character_hides_nothing() -> None:
    """Characters that Unicode ignores by default, or that move a cursor, are never kept."""
    kept = {
        character for character in map(chr, range(sys.maxunicode + 1)) if harmless(character) == character
    }
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me", "Mc"}
    assert not {character for character in kept if unicodedata.category(character) in hidden}
    ignorable = (
        *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
        *range(0xFFF0, 0xFFF9),
        *range(0x1BCA0, 0x1BCA4),
        *range(0x1D173, 0x1D17B),
        *range(0xE0000, 0xE1000),
    )
    assert not kept & set(map(chr, ignorable))
    assert all(harmless(f"a{character}") != f"a{character}" for character in map(chr, ignorable))
