# SPDX-License-Identifier: Apache-2.0
"""The clocks of a centre: the computer's, and for trials one that can be moved ahead."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from xca_centre.errors import ClockNotMoved
from xca_common import atomic_file

_MOST: Final = timedelta(days=40 * 366)


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class MovableClock:
    """A clock that is ahead of the computer's. All processes of a centre that read one file have one clock.

    Args:
        path: the file with the seconds by which it is ahead; no file: none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> datetime:
        """Return the time."""
        return now() + self.ahead

    @property
    def ahead(self) -> timedelta:
        """By how much it is ahead."""
        try:
            return timedelta(seconds=int(self._path.read_bytes()))
        except FileNotFoundError:
            return timedelta()

    def move(self, by: timedelta) -> None:
        """Move it ahead. It never goes back: what was signed would lie in the future.

        Raises:
            ClockNotMoved: it would go back, or more than 40 years ahead.
        """
        ahead = self.ahead + by
        if by < timedelta() or ahead > _MOST:
            raise ClockNotMoved
        atomic_file.write(self._path, str(int(ahead.total_seconds())).encode())
