# SPDX-License-Identifier: Apache-2.0
"""The card's rules, read from the one header that the module is compiled with."""

import ast
import re
from pathlib import Path
from typing import Final

_DEFINES: Final = dict(
    re.findall(
        r"^#define XCA_(\w+) (.+)$",
        Path(__file__).with_name("rules.h").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)


def _number(name: str) -> int:
    return int(_DEFINES[name], 0)


def _words(name: str) -> str:
    return str(ast.literal_eval(_DEFINES[name]))


USER_CODE_MIN: Final = _number("USER_CODE_MIN")
"""Shortest user code, in characters."""
USER_CODE_MAX: Final = _number("USER_CODE_MAX")
"""Longest user code, in characters."""
PIN_MIN: Final = _number("PIN_MIN")
"""Shortest PIN, in characters (CK_TOKEN_INFO.ulMinPinLen)."""
PIN_MAX: Final = _number("PIN_MAX")
"""Longest PIN, in characters (CK_TOKEN_INFO.ulMaxPinLen)."""
CHAR_FIRST: Final = _number("CHAR_FIRST")
"""First character code that a PIN or a user code may contain."""
CHAR_LAST: Final = _number("CHAR_LAST")
"""Last character code that a PIN or a user code may contain."""
MAX_TRIES: Final = _number("MAX_TRIES")
"""Wrong values in a row that lock a PIN or a user code."""
CARD_NUMBER_LENGTH: Final = _number("CARD_NUMBER_LENGTH")
"""Characters of a card number (CK_TOKEN_INFO.serialNumber)."""
INNER_LABEL: Final = _words("INNER_LABEL")
"""What the inner token's label starts with when it is a card; the card number follows."""
CARD_LABEL: Final = _words("CARD_LABEL")
"""CK_TOKEN_INFO.label of a card."""
CARD_MANUFACTURER: Final = _words("CARD_MANUFACTURER")
"""CK_TOKEN_INFO.manufacturerID of a card."""
