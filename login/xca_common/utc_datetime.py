# SPDX-License-Identifier: Apache-2.0
"""A type of column that SQLite and PostgreSQL keep alike. It needs SQLAlchemy, which only extras bring."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, to the microsecond. It is given with a time zone and comes back in UTC.

    A naive datetime is refused with ValueError, which SQLAlchemy wraps in StatementError: nobody can say
    which moment it means. SQLite keeps no time zone, and compares texts: so all of them are in UTC.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what is stored."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("a datetime without a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what was stored."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
