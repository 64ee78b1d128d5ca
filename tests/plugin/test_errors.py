# SPDX-License-Identifier: Apache-2.0
"""The class table: every situation has its status, its words in both languages, and a line in docs/cli.md."""

import re
from pathlib import Path

import pytest

from support.errors import with_facts
from xca_common.errors import XcaError
from xca_common.i18n import CHINESE, ENGLISH
from xca_plugin import errors
from xca_plugin.i18n import text
from xca_plugin.terminal.exit_statuses import EXIT_STATUSES

SITUATIONS = list(EXIT_STATUSES)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_says_what_happened_and_what_to_do(situation: type[XcaError]) -> None:
    error = with_facts(situation)
    for say in (error.message, error.next_step):
        english, chinese = say(ENGLISH), say(CHINESE)
        assert re.search("[a-z]{2}", english)
        assert re.search("[\u4e00-\u9fff]", chinese)
        assert english != chinese
        assert not re.search(r"\{\w+\}", english + chinese)
    assert str(error) == f"{error.message(ENGLISH)} {error.next_step(ENGLISH)}"


def test_every_situation_has_a_status_of_its_own() -> None:
    kinds = [XcaError]
    for kind in kinds:
        kinds += [below for below in kind.__subclasses__() if below.__module__.startswith("xca_")]
    assert {kind for kind in kinds if hasattr(kind, "_message")} == set(EXIT_STATUSES)
    statuses = list(EXIT_STATUSES.values())
    assert len(set(statuses)) == len(statuses)
    assert all(2 < status < 126 for status in statuses)


def test_error_without_a_fact_is_refused_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="number"):
        errors.PinLocked()  # type: ignore[call-arg]


def test_fact_of_an_error_can_be_read() -> None:
    assert errors.PinLocked(number="XC00000000091349").number == "XC00000000091349"


def test_the_documentation_lists_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| (\d+) \| `(\w+)` \| (\S+) \|", page, re.MULTILINE)
    assert documented == [
        (
            str(status),
            situation.__name__,
            value.name if (value := getattr(situation, "return_value", None)) else "–",
        )
        for situation, status in sorted(EXIT_STATUSES.items(), key=lambda item: item[1])
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
    error = errors.PinRefused(reasons=[text("All its characters are the same."), "Because."])
    assert error.message(CHINESE) == "不接受這個新的PIN碼。 所有字元都相同。 Because."
