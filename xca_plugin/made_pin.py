# SPDX-License-Identifier: Apache-2.0
"""A PIN that the program makes for a person."""

import secrets
import string
from collections.abc import Callable
from typing import Final

from pkcs11_shim import rules
from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.model import Card

_MOST_MADE: Final = 20
"""Number of PINs that are made until one is not refused."""


def made_pin(card: Card, check: Callable[[Secret], None]) -> Secret:
    """Return a new PIN for a card. It is shown to the person once, and stored nowhere.

    It has digits only, because a PIN pad has no other keys.

    Args:
        card: its rules decide the length.
        check: raises PinRefused for a PIN that may not be used, for example a weak one such as 12345678.

    Raises:
        PinRefused: every PIN of digits is refused, for example by a plugin.
    """
    length = max(card.pin_min, min(card.pin_max, rules.PIN_MAX))
    for left in reversed(range(_MOST_MADE)):
        pin = Secret("".join(secrets.choice(string.digits) for _ in range(length)))
        try:
            check(pin)
        except errors.PinRefused:
            pin.wipe()
            if left == 0:
                raise
        else:
            return pin
    raise AssertionError("unreachable")
