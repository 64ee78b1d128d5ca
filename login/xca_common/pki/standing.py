# SPDX-License-Identifier: Apache-2.0
"""How a certificate stands, by all that was said of it.

A list or response that was verified is a statement about a certificate. All statements are weighed together:

- A revocation for good decides, whoever says it and however long ago: it never ends.
- A suspension (停用, certificateHold) may end: the newest statement decides; of two of one time, it does.
- That a certificate is good must be said by a statement that is still current.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from xca_common.i18n import Text, text

SKEW: Final = timedelta(minutes=5)
"""How far the issuer's clock and this one may differ."""


class Standing(IntEnum):
    """How a certificate stands; the higher, the worse."""

    GOOD = 1
    UNKNOWN = 2
    SUSPENDED = 3
    """停用: certificateHold (RFC 5280, section 5.3.1)."""
    REVOKED = 4
    """廢止: for good."""


class Unusable(Exception):  # a situation
    """A list or response says nothing of a certificate that could be believed.

    Attributes:
        detail: why.
    """

    def __init__(self, detail: Text) -> None:
        super().__init__()
        self.detail = detail


@dataclass(frozen=True)
class SourceStatus:
    """What one list or response, signed by whom the issuer lets say so, says of a certificate.

    Attributes:
        standing: GOOD, SUSPENDED or REVOKED.
        at: as of when (thisUpdate).
        current: it is neither out of date nor of the future.
        since: when it was suspended or revoked.
    """

    standing: Standing
    at: datetime
    current: bool
    since: datetime | None = None


@dataclass(frozen=True)
class Judgement:
    """How a certificate stands by all that is known.

    Attributes:
        standing: how.
        since: when it was suspended or revoked.
        detail: why it is not known, as far as something was said.
    """

    standing: Standing
    since: datetime | None = None
    detail: Text | str | None = None


def judge(statements: Iterable[SourceStatus]) -> Judgement:
    """Weigh statements about one certificate; without any, nothing is known."""
    known = list(statements)
    if revoked := [one for one in known if one.standing is Standing.REVOKED]:
        return Judgement(Standing.REVOKED, min(one.since or one.at for one in revoked))
    newest = max(known, key=lambda one: (one.at, one.standing), default=None)
    if newest is None:
        return Judgement(Standing.UNKNOWN)
    if newest.standing is Standing.SUSPENDED:
        return Judgement(Standing.SUSPENDED, newest.since)
    held_at = max((one.at for one in known if one.standing is Standing.SUSPENDED), default=None)
    good = any(
        one.standing is Standing.GOOD and one.current and (held_at is None or one.at > held_at)
        for one in known
    )
    return Judgement(Standing.GOOD) if good else Judgement(Standing.UNKNOWN, detail=text("it is out of date"))
