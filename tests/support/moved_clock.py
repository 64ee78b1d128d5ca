# SPDX-License-Identifier: Apache-2.0
"""A clock that a test moves."""

from datetime import UTC, datetime, timedelta


class MovedClock:
    """A clock that a test moves.

    Attributes:
        at: the time that it tells.
    """

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def move(self, by: timedelta) -> None:
        self.at += by
