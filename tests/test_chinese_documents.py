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
        for name in (
            "cli.md",
            "agent.md",
            "troubleshooting.md",
            "pdf.md",
            "xca.md",
            "real-cards.md",
            "deploying.md",
            "login.md",
            "oidc.md",
            "centre.md",
            "procurement.md",
        )
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


def tables(page: str) -> list[list[list[str]]]:
    """The cells of each table: codes and numbers as they are, and what is said in a language empty."""
    found = re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE)
    return [
        [[_code(cell.strip()) for cell in re.split(r"(?<!\\)\|", row)] for row in table.splitlines()]
        for table in found
    ]


def _code(cell: str) -> str:
    cell = cell.replace("、", ", ")
    return cell if re.fullmatch(r"(?:(?:`[^`]+`|CK\w+|[-–\d]+|0x\w+)(?:, )?)+", cell, re.ASCII) else ""


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
