# SPDX-License-Identifier: Apache-2.0
"""docs/glossary.md has one word for one thing, and messages keep to it."""

import re
import tomllib
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
from babel.messages.pofile import read_po

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("login/xca_common", "login/xca_login", "softhsm", "xca_centre", "xca_plugin")


def _rows() -> Iterator[tuple[list[str], list[str]]]:
    """The words of each row of the glossary, and the synonyms that are not used."""
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[-1] != "not":
            english, chinese, _, synonyms = cells
            yield re.split("[,、]", f"{english},{chinese}"), [word for word in synonyms.split(", ") if word]


_LONGER: Final = {"指令列", "處理程序", "連接埠", "目錄屬性", "組織團體快過期憑證清單查詢"}
"""Words that hold a synonym and are none, and what the issuer calls a function."""
WORDS: Final = {word.strip() for words, _ in _rows() for word in words} | _LONGER
SYNONYMS: Final = [synonym for _, synonyms in _rows() for synonym in synonyms]
_HAS_ANY: Final = re.compile("|".join(map(re.escape, SYNONYMS)), re.IGNORECASE)
"""Most sentences hold no synonym, not even in a word: those are not searched for each."""


def _synonyms_in(sentence: str) -> list[str]:
    """Find synonyms in a sentence, but not in a word of the glossary, such as 程序 in 處理程序."""
    sentence = re.sub(r"\{[^}]*\}", "", sentence)
    return [each for each in SYNONYMS if _says(sentence, each)] if _HAS_ANY.search(sentence) else []


def _says(sentence: str, synonym: str) -> bool:
    for word in WORDS:
        if synonym in word:
            sentence = sentence.replace(word, "|")
    pattern = rf"\b{re.escape(synonym)}\b" if synonym.isascii() else re.escape(synonym)
    return re.search(pattern, sentence, re.IGNORECASE) is not None


def test_glossary_has_each_word_and_each_synonym_once() -> None:
    words = [word.strip().lower() for words, _ in _rows() for word in words]
    assert len(words) > 60
    assert [word for word in words if words.count(word) > 1] == []
    assert [each for each in SYNONYMS if SYNONYMS.count(each) > 1 or each in WORDS] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_catalogue_has_no_synonym_of_a_word_of_the_glossary(package: str) -> None:
    catalogue = (ROOT / package / "locale/zh_TW/LC_MESSAGES/messages.po").read_bytes()
    messages = [each for each in read_po(BytesIO(catalogue), "zh_TW") if each.id]
    sentences = chain.from_iterable(
        [side] if isinstance(side, str) else side or []
        for each in messages
        for side in (each.id, each.string)
    )
    found = {sentence: synonyms for sentence in sentences if (synonyms := _synonyms_in(sentence))}
    assert found == {}


def test_issuers_wordings_have_no_synonym_of_a_word_of_the_glossary() -> None:
    found = {
        said: synonyms
        for path in sorted((ROOT / "xca_centre" / "issuers").glob("*.toml"))
        for rule in _rules(tomllib.loads(path.read_text(encoding="utf-8")))
        for said in (rule["zh"], rule["en"])
        if (synonyms := _synonyms_in(said))
    }
    assert found == {}


def _rules(table: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The wordings in a file of an issuer's rules, each in two languages."""
    if "zh" in table:
        yield table
    else:
        yield from chain.from_iterable(_rules(each) for each in table.values() if isinstance(each, dict))


def test_documents_have_no_chinese_synonym_of_a_word_of_the_glossary() -> None:
    documents = {ROOT / "README.zh-TW.md", *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "glossary.md"}
    lines = chain.from_iterable(each.read_text(encoding="utf-8").splitlines() for each in documents)
    chinese = [line for line in lines if not line.isascii()]
    found = {line: [each for each in _synonyms_in(line) if not each.isascii()] for line in chinese}
    assert {line: synonyms for line, synonyms in found.items() if synonyms} == {}


def test_synonym_in_a_sentence_is_found() -> None:
    assert _synonyms_in("請結束這個程序，再輸入命令。") == ["命令", "程序"]
    assert _synonyms_in("簽署者的憑證串鏈、PIN 碼") == ["PIN 碼", "憑證串鏈"]
    assert _synonyms_in("請結束這個處理程序，再輸入指令。Type the passphrase.") == ["passphrase"]
