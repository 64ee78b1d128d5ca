# SPDX-License-Identifier: Apache-2.0
"""The calendar of every date that concerns a card: Taipei's. A day ends at 24:00 there."""

from datetime import date, datetime, timedelta, timezone
from typing import Final

TAIPEI: Final = timezone(timedelta(hours=8), "Asia/Taipei")
"""The time zone. Taiwan has had no summer time since 1979, so it needs no table of zones."""


def today() -> date:
    """Return today's date in Taipei."""
    return datetime.now(TAIPEI).date()


def day(when: datetime) -> date:
    """Return the date in Taipei of a moment that has a time zone.

    A moment within eight hours of the end of year 9999 (RFC 5280, section 4.1.2.5: no end) keeps its own day.
    """
    try:
        return when.astimezone(TAIPEI).date()
    except OverflowError:
        return when.date()
