# SPDX-License-Identifier: Apache-2.0
"""The days on which Taiwan's authorities work.

The library `holidays` knows them: it was checked with the work calendars of the Directorate-General of
Personnel Administration (行政院人事行政總處), Saturdays that make up for another day included. Where no
calendar is out yet, it follows the law. What nobody knows in advance, such as a typhoon, an operator adds.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holidays import HolidayBase

_DAY: Final = timedelta(days=1)


class WorkCalendar:
    """The days on which the authorities work.

    Args:
        days_off: on which they do not, beside the holidays.
        working_days: on which they do, although it is a weekend or a holiday. These go before days_off.
    """

    def __init__(self, days_off: Iterable[date] = (), working_days: Iterable[date] = ()) -> None:
        self._days_off = frozenset(days_off)
        self._working_days = frozenset(working_days)

    def is_working(self, day: date) -> bool:
        """Tell whether it is a working day."""
        if day in self._working_days:
            return True
        return day not in self._days_off and _holidays(day.year).is_working_day(day)

    def after(self, day: date, count: int) -> date:
        """Return the working day that is so many after a day, which is not counted itself."""
        while count:
            day += _DAY
            count -= self.is_working(day)
        return day


@lru_cache(maxsize=8)
def _holidays(year: int) -> "HolidayBase":
    from holidays import country_holidays  # slow to load, and few need it

    # With the next year: 27 December 2014 made up for 2 January 2015.
    return country_holidays("TW", years=(year, year + 1), expand=False)
