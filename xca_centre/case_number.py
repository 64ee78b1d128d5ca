# SPDX-License-Identifier: Apache-2.0
"""The case number 案件流水號: 25 digits in five groups, by which an applicant finds a case again.

24 digits are random (79 bits), so that nobody finds another's case by trying. The last one is a check digit
(Verhoeff), so that a number that was copied wrongly is told before a try of the user code is spent.
"""

import re
import secrets
import unicodedata
from typing import Final

from stdnum import verhoeff
from stdnum.exceptions import ValidationError

from xca_centre.errors import BadCaseNumber

DIGITS: Final = 25
_GROUP: Final = 5
_MOST_TYPED: Final = 100
# Between the groups people type blanks, and whatever their keyboard or their word processor has for a hyphen.
_SEPARATORS: Final = re.compile(r"[\s._/·・\u2010-\u2015\u2212-]+")


def new_case_number() -> str:
    """Return the digits of a number that nobody can guess."""
    digits = "".join(secrets.choice("0123456789") for _ in range(DIGITS - 1))
    return digits + verhoeff.calc_check_digit(digits)


def shown(number: str) -> str:
    """Return a number as it is printed: five groups with hyphens between them."""
    return "-".join(number[at : at + _GROUP] for at in range(0, DIGITS, _GROUP))


def read(typed: str) -> str:
    """Return the digits of a number that somebody typed, with blanks, hyphens or full-width digits.

    Raises:
        BadCaseNumber: it is no case number; the person mistyped it.
    """
    if len(typed) > _MOST_TYPED:
        raise BadCaseNumber
    number = _SEPARATORS.sub("", unicodedata.normalize("NFKC", typed))
    if len(number) != DIGITS or not (number.isascii() and number.isdecimal()):
        raise BadCaseNumber
    try:
        return str(verhoeff.validate(number))
    except ValidationError:
        raise BadCaseNumber from None
