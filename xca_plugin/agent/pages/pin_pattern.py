# SPDX-License-Identifier: Apache-2.0
"""Length and characters of PINs and user codes, for an early check in the browser. The card decides."""

from dataclasses import dataclass
from typing import Final

from pkcs11_shim import rules
from xca_common.errors import XcaError
from xca_plugin import errors
from xca_plugin.i18n import text
from xca_plugin.model import Card

TYPE_AT_READER: Final = text(
    "This card reader has a keypad. Enter nothing here: type on the reader when it asks."
)
"""What pages and popups say in place of the fields for a card with Card.has_keypad."""


@dataclass(frozen=True)
class SecretPattern:
    """What a PIN or a user code looks like.

    Attributes:
        min_length: fewest characters.
        max_length: most characters.
        mismatch: tells a person what is wrong with a value that does not match.
    """

    min_length: int
    max_length: int
    mismatch: XcaError

    @property
    def regex(self) -> str:
        """A regular expression for the HTML attribute `pattern`."""
        return rf"[\x{rules.CHAR_FIRST:02x}-\x{rules.CHAR_LAST:02x}]{{{self.min_length},{self.max_length}}}"


USER_CODE_PATTERN: Final = SecretPattern(rules.USER_CODE_MIN, rules.USER_CODE_MAX, errors.InvalidUserCode())


def pin_pattern(card: Card) -> SecretPattern:
    """Return what a PIN of a card looks like, with the lengths that the card reports."""
    mismatch = errors.InvalidPin(shortest=card.pin_min, longest=card.pin_max)
    return SecretPattern(card.pin_min, card.pin_max, mismatch)
