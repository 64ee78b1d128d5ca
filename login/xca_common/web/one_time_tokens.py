# SPDX-License-Identifier: Apache-2.0
"""One-time tokens: only a page of this program can hold one, and each is good for one purpose, once."""

import secrets
import time
from collections.abc import Callable
from typing import Final

from itsdangerous import BadData, URLSafeSerializer

LIFETIME: Final = 3600.0
"""Seconds that a token may wait in a page."""


class OneTimeTokens:
    """Issues tokens and takes each once.

    Only spent tokens are kept: whoever asks for many crowds out nobody else's. A token's age and the time for
    which it is remembered as spent are told by one clock, which nobody can set back.

    Args:
        clock: returns seconds, and never fewer than before.
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
            # What is signed, not the token itself: the same signature can be written in several ways.
            name, issued = self._signer.loads(token, salt=purpose)
        except BadData:
            return False
        now = self._clock()
        self._spent = {spent: at for spent, at in self._spent.items() if now - at <= LIFETIME}
        if name in self._spent or now - issued > LIFETIME:
            return False
        self._spent[name] = issued
        return True
