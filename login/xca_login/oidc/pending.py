# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for a person. The person's browser keeps them, signed: no process has to."""

from dataclasses import dataclass
from typing import Any, Final

from itsdangerous import BadData, URLSafeSerializer

LIFETIME: Final = 1800
"""Seconds that a person may take to log in and to agree."""
MOST_CHARACTERS: Final = 16 << 10
"""A signed request that is read."""
_SKEW: Final = 60  # seconds that the clocks of two machines may differ


@dataclass(frozen=True)
class Pending:
    """A request that waits.

    Attributes:
        fields: its parameters.
        at: when it came, in seconds since 1970.
        session_key: what the session is kept under that its page was shown to; "": it was shown to nobody.
        meant: the subject of whom alone is let in; "": nobody is; None: anybody.
    """

    fields: dict[str, str]
    at: float
    session_key: str = ""
    meant: str | None = None


class PendingRequests:
    """Signs requests, and reads them again.

    Args:
        secret: of the provider.
    """

    def __init__(self, secret: bytes) -> None:
        self._signer = URLSafeSerializer(secret)

    def write(self, purpose: str, pending: Pending) -> str:
        """Return a request as a text for a URL or a form; it counts for one purpose alone."""
        parts = [pending.fields, pending.at, pending.session_key, pending.meant]
        made = self._signer.dumps(parts, salt=f"xca-oidc-{purpose}")
        return made if isinstance(made, str) else made.decode("ascii")

    def read(self, purpose: str, written: str, at: float) -> Pending | None:
        """Return the request; None: it is none, of another purpose, or waited too long."""
        if len(written) > MOST_CHARACTERS:
            return None
        try:
            found: Any = self._signer.loads(written, salt=f"xca-oidc-{purpose}")
        except BadData:
            return None
        pending = Pending(*found)
        return pending if pending.at - _SKEW <= at < pending.at + LIFETIME else None
