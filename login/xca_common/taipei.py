# SPDX-License-Identifier: Apache-2.0
"""Days as a card's dates count them: in Taipei, eight hours ahead of UTC all year."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

TAIPEI: Final = timezone(timedelta(hours=8))
"""The zone. It needs no database of zones, which not every system has."""


def day(when: datetime) -> date:
    """Return the day in Taipei; the day in its own zone where the calendar ends before that (year 9999)."""
    try:
        return when.astimezone(TAIPEI).date()
    except (OverflowError, ValueError):
        return when.date()


def moment(when: datetime) -> str:
    """Return a time to the second, in Taipei, with the zone's offset from UTC."""
    with suppress(OverflowError, ValueError):  # a time at the ends of datetime's range keeps its zone
        when = when.astimezone(TAIPEI)
    said = when.isoformat(" ", "seconds")
    return f"{said[:19]} {said[19:]}"


def midnight(when: date) -> datetime:
    """Return the first moment of a day in Taipei, in UTC."""
    return datetime(when.year, when.month, when.day, tzinfo=TAIPEI).astimezone(UTC)


def today() -> date:
    """Return the day that it is in Taipei."""
    return datetime.now(TAIPEI).date()
