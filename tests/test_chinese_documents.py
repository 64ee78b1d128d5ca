# SPDX-License-Identifier: Apache-2.0
"""What clerks read is there in Chinese, with the same chapters, commands and tables as in English.

The tests run the English examples. The Chinese ones are the same, so they are run with them.
"""

import re
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.fast

ROOT: Final = Path(__file__).parents[1]
PAIRS: Final = {
    ROOT / "README.md": ROOT / "README.zh-TW.md",
    **{
        ROOT / "docs" / name: ROOT / "docs" / "zh-TW" / name
        for name in ("troubleshooting.md", "pdf.md", "real-cards.md", "deploying.md")
    },
}

both = pytest.mark.parametrize(
    ("english", "chinese"),
    [
        pytest.param(*(file.read_text(encoding="utf-8") for file in pair), id=pair[0].stem)
        for pair in PAIRS.items()
    ],
)


def headings(page: str) -> list[str]:
    """The signs of the headings: their levels, in the order of the page."""
    return re.findall(
        r"^(#+) ", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )


def examples(page: str) -> list[str]:
    """The blocks of code and the commands behind a $, without comments and the blanks before these."""
    blocks = re.findall(r"^```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^    \$ (.*)$", page, re.MULTILINE)
    return [re.sub(r"\s*(^|\s)[#;] .*", "", code, flags=re.MULTILINE) for code in blocks + commands]


def tables(page: str) -> list[tuple[int, int]]:
    """The rows and columns of each table."""
    found = re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE)
    return [(len(rows := table.splitlines()), rows[1].count("|")) for table in found]


@both
def test_chinese_document_has_the_chapters_of_the_english_one(english: str, chinese: str) -> None:
    assert headings(english)
    assert headings(chinese) == headings(english)


@both
def test_chinese_document_has_the_examples_of_the_english_one(english: str, chinese: str) -> None:
    assert examples(chinese) == examples(english)


@both
def test_chinese_document_has_the_tables_of_the_english_one(english: str, chinese: str) -> None:
    assert tables(chinese) == tables(english)


@both
def test_chinese_document_names_the_programs_options_and_codes_of_the_english_one(
    english: str, chinese: str
) -> None:
    """Options, exit statuses' classes, return values and settings are not translated."""
    pattern = r"--[a-z][a-z-]+|\b(?:0x[0-9A-F]{8}|CK[RUF]_\w+)|(?<=`)[A-Z][a-z]+[A-Z]\w+(?=`)"
    assert set(re.findall(pattern, english)) == set(re.findall(pattern, chinese))


def test_chinese_readme_leads_to_chinese_documents() -> None:
    page = (ROOT / "README.zh-TW.md").read_text(encoding="utf-8")
    for chinese in (file for file in PAIRS.values() if file.parent.name == "zh-TW"):
        name = chinese.relative_to(ROOT).as_posix()
        assert f"]({name}" in page, name
        assert f"](docs/{chinese.name}" not in page, name
