# SPDX-License-Identifier: Apache-2.0
"""Every sentence is translated in the catalogue of its package, which holds no other sentences."""

import re
from collections import Counter
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from xca_common.i18n import speaking
from xca_plugin.i18n import _, text

PACKAGES = [
    Path(__file__).parents[2] / name
    for name in ("login/xca_common", "login/xca_login", "softhsm", "xca_centre", "xca_plugin")
]
KEYWORDS = {"_": None, "text": None, "plural": (1, 2)}

each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


def sentences(package: Path) -> set[str]:
    found = extract_from_dir(package, [("**.py", "python"), ("**.html", "jinja2")], keywords=KEYWORDS)
    return {message if isinstance(message, str) else message[0] for _, _, message, *_ in found}


def catalogue(package: Path) -> Catalog:
    return read_po(BytesIO((package / "locale/zh_TW/LC_MESSAGES/messages.po").read_bytes()), "zh_TW")


@each_package
def test_sentence_of_a_package_is_translated(package: Path) -> None:
    translated = {
        message.id if isinstance(message.id, str) else message.id[0]
        for message in catalogue(package)
        if message.id and not message.fuzzy and message.string not in ("", ("",))
    }
    assert sentences(package) - translated == set()
    assert len(sentences(package)) > 10


def test_language_inside_a_speaking_block_is_the_chosen() -> None:
    with speaking("zh_TW"):
        assert (_("User code"), text("User code")(), text("User code")("en")) == (
            "用戶代碼",
            "用戶代碼",
            "User code",
        )
        with speaking("en"):
            assert _("User code") == "User code"
        assert _("User code") == "用戶代碼"
        assert f"{text('User code')}" == "用戶代碼"


@each_package
def test_catalogue_of_a_package_has_no_other_sentence(package: Path) -> None:
    entries = catalogue(package)
    assert entries.obsolete == {}
    kept = {
        message.id if isinstance(message.id, str) else message.id[0]
        for message in entries
        if message.id and "click" not in message.user_comments
    }
    assert kept - sentences(package) == set()


@each_package
def test_catalogue_of_a_package_has_each_sentence_once(package: Path) -> None:
    lines = (package / "locale/zh_TW/LC_MESSAGES/messages.po").read_text("utf-8").splitlines()
    said = [line for line in lines if line.startswith("msgid ") and line != 'msgid ""']
    assert [line for line, times in Counter(said).items() if times > 1] == []


@each_package
def test_translation_has_the_placeholders_of_its_sentence(package: Path) -> None:
    for message in catalogue(package):
        if message.id:
            assert not list(message.check()), message.id


HAN = "\u3400-\u9fff"
FULL_WIDTH = "，。；：、！？（）「」"
HALF_WIDTH = {
    "punctuation at a Chinese character": rf"[{HAN}{FULL_WIDTH}][,;:!?](?=\s|$)|[,;!?][{HAN}]",
    "bracket at a Chinese character": rf"[{HAN}][()]|[()][{HAN}]",
    "full stop at a Chinese character": rf"[{HAN}{FULL_WIDTH}]\.(?=\s|$)|(?<!\d)\.(?=[{HAN}])",
    "punctuation behind a fact": r"\}[,;:!?.](?=\s|$)",
    "blank at full-width punctuation": rf" [{FULL_WIDTH}]|[{FULL_WIDTH}] ",
    "blank between Chinese characters": rf"[{HAN}] +[{HAN}]",
    "quotation mark at a Chinese character": rf"['\"][{HAN}]|[{HAN}]['\"]",
    "English unit": r"\d-(bit|byte)",
}
"""Patterns of what a Chinese sentence has not; the Ministry of Education's rules for punctuation."""


def chinese(package: Path) -> list[str]:
    """The Chinese sentences of a package, without those that have no Chinese character."""
    found = [message.string for message in catalogue(package) if message.id]
    every = [str(said) for one in found for said in (one if isinstance(one, (tuple, list)) else (one,))]
    return [said for said in every if re.search(f"[{HAN}]", said)]


@each_package
@pytest.mark.parametrize("kind", HALF_WIDTH)
def test_chinese_sentence_has_full_width_punctuation(package: Path, kind: str) -> None:
    assert [said for said in chinese(package) if re.search(HALF_WIDTH[kind], said, re.MULTILINE)] == []


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        ("缺少引數 檔案.", "full stop at a Chinese character"),
        ("缺少引數 '檔案'", "quotation mark at a Chinese character"),
        ("錯誤: {name}", "punctuation at a Chinese character"),
        ("檔案 {path}: 無效", "punctuation behind a fact"),
        ("無效 。", "blank at full-width punctuation"),
        ("請輸入 檔案", "blank between Chinese characters"),
        ("64-bit，", "English unit"),
    ],
)
def test_half_width_punctuation_is_found(odd: str, kind: str) -> None:
    assert re.search(HALF_WIDTH[kind], odd)


def test_list_in_a_sentence_has_the_commas_of_the_language() -> None:
    said = text("There are several cards: {numbers}.").format(numbers=["A", "B"])
    assert (said("en"), said("zh_TW")[-4:]) == ("There are several cards: A, B.", "A、B。")


def test_day_in_a_sentence_is_written_as_the_language_does() -> None:
    said = text("It expired on {day}.").format(day=date(2032, 1, 9))
    assert said("en") == "It expired on 2032-01-09."
    assert "2032年1月9日" in said("zh_TW")


def test_time_in_a_sentence_is_that_of_taipei_with_its_zone() -> None:
    said = text("It expired on {day}.").format(day=datetime(2032, 1, 9, 20, 30, tzinfo=UTC))
    assert said("en") == "It expired on 2032-01-10 04:30:00 +08:00."
