# SPDX-License-Identifier: Apache-2.0
"""The class table: every situation has its status, its words in both languages, and a line in docs/cli.md."""

import re
from pathlib import Path

import pytest

from xca_common.i18n import CHINESE, ENGLISH
from xca_plugin import CardError, errors
from xca_plugin.i18n import text

FACTS = {
    name: f"<{name}>"
    for name in (
        "detail",
        "path",
        "name",
        "number",
        "numbers",
        "option",
        "label",
        "key",
        "reason",
        "port",
        "holder",
        "command",
        "day",
    )
}
SITUATIONS = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, CardError) and hasattr(found, "status")
]


def made(situation: type[CardError]) -> CardError:
    if issubclass(situation, errors.PinRefused):
        return situation(text("All its characters are the same."), "Because.")
    if issubclass(situation, (errors.WrongPin, errors.WrongUserCode)):
        return situation(tries_left=2, **FACTS)
    return situation(**FACTS)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_says_what_happened_and_what_to_do(situation: type[CardError]) -> None:
    error = made(situation)
    for say in (error.message, error.next_step):
        english, chinese = say(ENGLISH), say(CHINESE)
        assert re.search("[a-z]{2}", english)
        assert re.search("[\u4e00-\u9fff]", chinese)
        assert english != chinese
        assert not re.search(r"\{\w+\}", english + chinese)
    assert str(error) == f"{error.message(ENGLISH)} {error.next_step(ENGLISH)}"


def test_statuses_are_all_different_and_free() -> None:
    statuses = [situation.status for situation in SITUATIONS]
    assert len(set(statuses)) == len(statuses)
    assert all(2 < status < 126 for status in statuses)


def test_the_documentation_lists_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| (\d+) \| `(\w+)` \| (\S+) \|", page, re.MULTILINE)
    assert documented == [
        (
            str(situation.status),
            situation.__name__,
            situation.return_value.name if situation.return_value else "–",
        )
        for situation in sorted(SITUATIONS, key=lambda situation: situation.status)
    ]


@pytest.mark.parametrize("situation", [errors.WrongPin, errors.WrongUserCode])
def test_tries_left_are_said_or_said_to_be_unknown(
    situation: type[errors.WrongPin] | type[errors.WrongUserCode],
) -> None:
    assert "2 tries are left" in situation(tries_left=2).message(ENGLISH)
    assert "1 try is left" in situation(tries_left=1).message(ENGLISH)
    assert "還可再試1次" in situation(tries_left=1).message(CHINESE)
    unknown = situation(tries_left=None)
    assert unknown.tries_left is None
    assert "does not say" in unknown.message(ENGLISH)
    assert not re.search(r"\d", unknown.message(ENGLISH))


def test_reasons_of_plugins_are_said_in_the_language() -> None:
    error = made(errors.PinRefused)
    assert error.message(CHINESE) == "不接受這個新的PIN碼。 所有字元都相同。 Because."
