# SPDX-License-Identifier: Apache-2.0
"""Case numbers, as they are printed and typed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xca_centre import case_number
from xca_centre.errors import BadCaseNumber

pytestmark = pytest.mark.fast

NUMBER = case_number.new_case_number()
FULL_WIDTH = NUMBER.translate({ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)})


def test_case_number_has_25_digits_in_five_groups() -> None:
    assert re.fullmatch(r"\d{5}(-\d{5}){4}", case_number.shown(NUMBER))


def test_case_numbers_are_never_alike() -> None:
    assert len({case_number.new_case_number()[:24] for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "typed",
    [
        NUMBER,
        case_number.shown(NUMBER),
        f"  {case_number.shown(NUMBER)}\r\n",
        case_number.shown(NUMBER).replace("-", " "),
        case_number.shown(NUMBER).replace("-", "\N{IDEOGRAPHIC SPACE}"),
        case_number.shown(NUMBER).replace("-", "\N{EM DASH}"),
        case_number.shown(NUMBER).replace("-", "\N{FULLWIDTH HYPHEN-MINUS}"),
        FULL_WIDTH,
    ],
    ids=["digits", "printed", "pasted", "blanks", "wide blanks", "dashes", "wide hyphens", "full-width"],
)
def test_case_number_as_people_type_it_is_read(typed: str) -> None:
    assert case_number.read(typed) == NUMBER


@given(place=st.integers(0, 24), added=st.integers(1, 9))
def test_case_number_with_one_wrong_digit_is_refused(place: int, added: int) -> None:
    wrong = f"{NUMBER[:place]}{(int(NUMBER[place]) + added) % 10}{NUMBER[place + 1 :]}"
    with pytest.raises(BadCaseNumber):
        case_number.read(wrong)


@pytest.mark.parametrize(
    "typed",
    ["", NUMBER[:-1], NUMBER + "0", "٠" * 25, "十" * 25, NUMBER[:-1] + "x", " " * 10**6 + NUMBER, "\0"],
    ids=["empty", "short", "long", "Arabic digits", "Chinese digits", "a letter", "many blanks", "NUL"],
)
def test_case_number_of_another_form_is_refused(typed: str) -> None:
    with pytest.raises(BadCaseNumber):
        case_number.read(typed)
