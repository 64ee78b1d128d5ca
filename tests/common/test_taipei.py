# SPDX-License-Identifier: Apache-2.0
"""Days are those of Taipei, wherever the computer is."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from xca_common import taipei


@pytest.mark.parametrize(
    ("when", "day"),
    [
        (datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 3, 1, 16, 0, 0, tzinfo=UTC), date(2026, 3, 2)),
        (datetime(2026, 7, 1, 23, 0, 0, tzinfo=timezone(timedelta(hours=-12))), date(2026, 7, 2)),
        # The end of what has no end (RFC 5280, section 4.1.2.5): the calendar has no day after it.
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), date(9999, 12, 31)),
    ],
)
def test_day_of_any_moment_is_that_of_taipei(when: datetime, day: date) -> None:
    assert taipei.day(when) == day


@pytest.mark.parametrize("day", [date(2026, 1, 1), date(2028, 2, 29)])
def test_midnight_of_a_day_is_its_first_moment_in_taipei(day: date) -> None:
    midnight = taipei.midnight(day)
    assert (midnight.tzinfo, midnight.hour) == (UTC, 16)
    assert taipei.day(midnight) == day
    assert taipei.day(midnight - timedelta(microseconds=1)) == day - timedelta(days=1)
