# SPDX-License-Identifier: Apache-2.0
"""The keys that sign ID tokens: made, published, used, kept and dropped by their age alone."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from threading import Lock
from typing import Any, Final

from joserfc.jwk import KeyParameters, KeySet, RSAKey

from xca_login.errors import StoreUnavailable
from xca_login.oidc.store import OidcStore

ALGORITHM: Final = "RS256"
"""What every client has to know (OpenID Connect Core, section 15.1)."""
ID_TOKEN_SECONDS: Final = 3600

_DAY: Final = 24 * 3600
_SIGNS: Final = 90 * _DAY
_BEFORE: Final = _DAY
"""A key is published for so long before it signs: clients and other processes keep what they have read."""
_AFTER: Final = _DAY
"""A key stays published for so long after it signed: longer than a token lasts, or the session it ends."""
_AGAIN: Final = 60.0  # seconds until the database is looked at again


@dataclass(frozen=True)
class _Key:
    number: int
    document: str
    key: RSAKey
    signs_from: int


class SigningKeys:
    """The keys.

    Args:
        store: keeps them.
        clock: tells the time, with a time zone.
    """

    def __init__(self, store: OidcStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._keys: list[_Key] = []
        self._read_at = 0.0

    def signing(self) -> RSAKey:
        """Return the key that signs now.

        Raises:
            StoreUnavailable: no key is known, and the database cannot be reached.
        """
        keys, at = self._current(), int(self._clock().timestamp())
        return next((one.key for one in reversed(keys) if one.signs_from <= at), keys[0].key)

    def verifying(self) -> KeySet:
        """Return all keys whose tokens still count.

        Raises:
            StoreUnavailable: as signing().
        """
        return KeySet([one.key for one in self._current()])

    def published(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set (RFC 7517, section 5).

        Raises:
            StoreUnavailable: as signing().
        """
        return dict(self.verifying().as_dict(private=False))

    def _current(self) -> list[_Key]:
        with self._lock:
            if not self._keys or time.monotonic() >= self._read_at + _AGAIN:
                try:
                    self._keys = self._renewed()
                except StoreUnavailable:
                    if not self._keys:
                        raise
                self._read_at = time.monotonic()
            return self._keys

    def _renewed(self) -> list[_Key]:
        at = int(self._clock().timestamp())
        keys = self._read()
        if not keys or keys[-1].signs_from + _SIGNS <= at:
            number = keys[-1].number + 1 if keys else 0
            made = RSAKey.generate_key(2048, private=True)
            self._store.add_key(number, json.dumps(made.as_dict(private=True)), at)
            keys = self._read()
        ended = [one for one, after in pairwise(keys) if after.signs_from + _AFTER <= at]
        if ended:
            self._store.remove_keys(one.number for one in ended)
        return keys[len(ended) :]

    def _read(self) -> list[_Key]:
        imported = {one.document: one.key for one in self._keys}
        return [
            _Key(number, key, imported.get(key) or _imported(key), at + _BEFORE if place else at)
            for place, (number, key, at) in enumerate(self._store.keys())
        ]


def _imported(key: str) -> RSAKey:
    loaded = RSAKey.import_key(json.loads(key))
    options: KeyParameters = {"use": "sig", "alg": ALGORITHM, "kid": loaded.thumbprint()}
    return RSAKey.import_key(json.loads(key), options)
