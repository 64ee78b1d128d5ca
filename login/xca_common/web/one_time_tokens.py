# SPDX-License-Identifier: Apache-2.0
"""One-time tokens for forms: issued by this program only, valid for one purpose and one use."""

import secrets
import time
from collections.abc import Callable
from typing import Final

from itsdangerous import BadData, URLSafeSerializer

LIFETIME: Final = 3600.0
"""Seconds that a token may wait in a page."""


class OneTimeTokens:
    """Issues tokens and takes each once.

    Only spent tokens are stored, so a client that requests many takes no room from others. One clock measures
    both a token's age and how long it is remembered as spent. It must be monotonic: a system clock that is
    set back must not make a spent token valid again.

    Args:
        clock: returns seconds; it is monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._signer = URLSafeSerializer(secrets.token_bytes(32))
        self._clock = clock
        self._spent: dict[str, float] = {}

    def issue(self, purpose: str) -> str:
        """Return a new token for a purpose, such as the path of a form."""
        token = self._signer.dumps([secrets.token_urlsafe(16), self._clock()], salt=purpose)
        return token if isinstance(token, str) else token.decode()

    def spend(self, purpose: str, token: str) -> bool:
        """Spend a token; tell whether it was issued for this purpose, is not too old and was not spent."""
        try:
            # The signed name is remembered, not the token: base64 can write one signature in several ways.
            name, issued = self._signer.loads(token, salt=purpose)
        except BadData:
            return False
        now = self._clock()
        self._spent = {spent: at for spent, at in self._spent.items() if now - at <= LIFETIME}
        if name in self._spent or now - issued > LIFETIME:
            return False
        self._spent[name] = issued
        return True
