# SPDX-License-Identifier: Apache-2.0
"""Every sentence is translated in the catalogue of its package, which holds no other sentences."""

from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from xca_common.i18n import speaking
from xca_plugin.i18n import _, text

PACKAGES = [Path(__file__).parents[2] / name for name in ("login/xca_common", "xca_plugin")]
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
def test_translation_has_the_placeholders_of_its_sentence(package: Path) -> None:
    for message in catalogue(package):
        if message.id:
            assert not list(message.check()), message.id
