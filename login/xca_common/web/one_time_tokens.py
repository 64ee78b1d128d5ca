# SPDX-License-Identifier: Apache-2.0
"""One-time tokens: only a page of ours can know one, and each is good for one form, once."""

import secrets
import time
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

LIFETIME: Final = 3600
"""Seconds that a token may wait in a page."""


class Tokens:
    """Issues tokens and takes each once. Only those that were spent are kept: nobody can crowd others out."""

    def __init__(self) -> None:
        self._signer = URLSafeTimedSerializer(secrets.token_bytes(32))
        self._spent: dict[str, float] = {}

    def issue(self, purpose: str) -> str:
        """Return a new token for a purpose, such as the path of a form."""
        return self._signer.dumps(secrets.token_urlsafe(16), salt=purpose)

    def spend(self, purpose: str, token: str) -> bool:
        """Tell whether a token is of ours, for this purpose, not too old and not spent; spend it."""
        try:
            # What is signed, not the token: the same signature can be written in several ways.
            name: str = self._signer.loads(token, max_age=LIFETIME, salt=purpose)
        except BadData:
            return False
        now = time.monotonic()
        self._spent = {spent: at for spent, at in self._spent.items() if now - at <= LIFETIME}
        if name in self._spent:
            return False
        self._spent[name] = now
        return True
