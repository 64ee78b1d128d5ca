# SPDX-License-Identifier: Apache-2.0
"""Everything that is said is translated, and nothing else is."""

from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from xca_plugin.i18n import _, speaking, text

SOURCES = Path(__file__).parents[2] / "xca_plugin"
KEYWORDS = {"_": None, "text": None, "plural": (1, 2)}


def said() -> set[str]:
    found = extract_from_dir(SOURCES, [("**.py", "python"), ("**.html", "jinja2")], keywords=KEYWORDS)
    return {message if isinstance(message, str) else message[0] for _, _, message, *_ in found}


def catalogue() -> Catalog:
    return read_po(BytesIO((SOURCES / "locale/zh_TW/LC_MESSAGES/messages.po").read_bytes()), "zh_TW")


def test_all_of_it_is_translated() -> None:
    translated = {
        message.id if isinstance(message.id, str) else message.id[0]
        for message in catalogue()
        if message.id and not message.fuzzy and message.string not in ("", ("",))
    }
    assert said() - translated == set()
    assert len(said()) > 150


def test_a_language_can_be_spoken_for_a_while() -> None:
    with speaking("zh_TW"):
        assert (_("User code"), text("User code")(), text("User code")("en")) == (
            "用戶代碼",
            "用戶代碼",
            "User code",
        )
        with speaking("en"):
            assert _("User code") == "User code"
        assert _("User code") == "用戶代碼"


def test_nothing_is_left_over() -> None:
    entries = catalogue()
    assert entries.obsolete == {}
    kept = {
        message.id if isinstance(message.id, str) else message.id[0]
        for message in entries
        if message.id and "click" not in message.user_comments
    }
    assert kept - said() == set()


def test_the_placeholders_are_the_same() -> None:
    for message in catalogue():
        if message.id:
            assert not list(message.check()), message.id
