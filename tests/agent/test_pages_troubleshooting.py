# SPDX-License-Identifier: Apache-2.0
"""troubleshooting.md lists every code in both languages, and its numbers are right."""

import re
from pathlib import Path

import pytest

from xca_plugin.agent.component.result_codes import Code, MinorCode

pytestmark = pytest.mark.fast

DOCS = Path(__file__).parents[2] / "docs"
both = pytest.mark.parametrize(
    "text",
    [(folder / "troubleshooting.md").read_text(encoding="utf-8") for folder in (DOCS, DOCS / "zh-TW")],
    ids=["en", "zh-TW"],
)


@both
def test_troubleshooting_page_read_whole_lists_every_code(text: str) -> None:
    for code in Code:
        if code is not Code.OK:
            row = re.search(rf"^\| 0x{code % (1 << 32):08X} \| (.*) \| {code.text} \|", text, re.MULTILINE)
            assert row, code
            assert str(int(code)) in row[1].split(", "), code
    for minor in MinorCode:
        if minor is not MinorCode.NONE:
            row = re.search(rf"^\| {int(minor)} \(0x{minor % (1 << 32):x}\) \| ", text, re.MULTILINE)
            assert row, minor


@both
def test_troubleshooting_numbers_in_both_forms_agree(text: str) -> None:
    twins = re.findall(r"\b([2-9]\d{3}) \(([0-9a-f]{3,4})\)", text)
    assert len(twins) > 20
    assert [(number, twin) for number, twin in twins if f"{int(number):x}" != twin] == []
    for number, decimals in re.findall(r"^\| (0x[0-9A-F]{8}) \| (.*?) \|", text, re.MULTILINE):
        assert int(decimals.split(",")[0]) == int(number, 16), number
