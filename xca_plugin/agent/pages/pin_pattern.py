# SPDX-License-Identifier: Apache-2.0
"""The form of a PIN and of a user code, for an early check in a page; the card decides."""

from dataclasses import dataclass
from typing import Final

from pkcs11_shim import rules
from xca_common.errors import XcaError
from xca_plugin import errors
from xca_plugin.model import Card


@dataclass(frozen=True)
class Shape:
    """A form.

    Attributes:
        shortest: fewest characters.
        longest: most characters.
        otherwise: what is said of a value that has another form.
    """

    shortest: int
    longest: int
    otherwise: XcaError

    @property
    def pattern(self) -> str:
        """A regular expression for HTML's attribute of that name."""
        return rf"[\x{rules.CHAR_FIRST:02x}-\x{rules.CHAR_LAST:02x}]{{{self.shortest},{self.longest}}}"


USER_CODE: Final = Shape(rules.USER_CODE_MIN, rules.USER_CODE_MAX, errors.InvalidUserCode())


def pin_of(card: Card) -> Shape:
    """Return the form of a card's PIN, by the numbers that the card reports."""
    return Shape(card.pin_min, card.pin_max, errors.InvalidPin(shortest=card.pin_min, longest=card.pin_max))
