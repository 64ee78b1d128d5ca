# SPDX-License-Identifier: Apache-2.0
"""When what was signed is signed again, although nothing has changed."""

from datetime import datetime
from hashlib import sha256
from typing import Final

_JITTER: Final = 0.1  # of its life


def renew_at(at: datetime, until: datetime, what: str) -> datetime:
    """Return the moment from which on something is signed again at its next use: after half of its life.

    What was signed at one moment is not due at one moment.

    Args:
        at: thisUpdate.
        until: nextUpdate.
        what: names it; the same name, the same moment.
    """
    share = int.from_bytes(sha256(what.encode()).digest()[:2]) / 0xFFFF
    return at + (until - at) * (0.5 + _JITTER * share)
