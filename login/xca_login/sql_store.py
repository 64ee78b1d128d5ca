# SPDX-License-Identifier: Apache-2.0
"""Challenges in a database, for sites with several processes, through SQLAlchemy."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from xca_login.challenges import MOST_OF_A_SESSION, Challenge
from xca_login.errors import StoreUnavailable, TooManyChallenges

METADATA = MetaData()
"""The tables, for whoever makes them with tools of their own."""

_challenges = Table(
    "xca_login_challenge",
    METADATA,
    Column("session", String(64), primary_key=True),
    Column("nonce", String(64), primary_key=True),
    Column("text", LargeBinary, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False, index=True),
)


class SqlStore:
    """Keeps challenges in a database.

    Args:
        engine: of a database that knows DELETE … RETURNING: SQLite from 3.35, PostgreSQL.
        most: challenges that are open at once.
    """

    def __init__(self, engine: Engine, most: int = 100_000) -> None:
        self._engine = engine
        self._most = most

    def create_tables(self) -> None:
        """Make the tables that are not there.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        with self._transaction() as connection:
            METADATA.create_all(connection)

    def add(self, session: str, challenge: Challenge, at: datetime) -> None:
        """Keep a challenge (ChallengeStore.add)."""
        own = _challenges.c.session == session
        with self._transaction() as connection:
            connection.execute(delete(_challenges).where(_challenges.c.until < at))
            others = select(func.count()).select_from(_challenges).where(~own)
            if connection.execute(others).scalar_one() >= self._most:
                raise TooManyChallenges
            row = {
                "session": session,
                "nonce": challenge.nonce,
                "text": challenge.text,
                "until": challenge.until,
            }
            connection.execute(insert(_challenges).values(row))
            # The new one stays, also if the clock was set back and it ends first.
            earlier = own & (_challenges.c.nonce != challenge.nonce)
            newest = (
                select(_challenges.c.nonce)
                .where(earlier)
                .order_by(_challenges.c.until.desc())
                .limit(MOST_OF_A_SESSION - 1)
            )
            connection.execute(delete(_challenges).where(earlier, _challenges.c.nonce.not_in(newest)))

    def take(self, session: str, nonce: str) -> Challenge | None:
        """Take a challenge out (ChallengeStore.take): of several that try at once, one gets it."""
        chosen = delete(_challenges).where(_challenges.c.session == session, _challenges.c.nonce == nonce)
        with self._transaction() as connection:
            row = connection.execute(chosen.returning(_challenges.c.text, _challenges.c.until)).one_or_none()
        if row is None:
            return None
        until: datetime = row.until
        return Challenge(row.text, nonce, until if until.tzinfo else until.replace(tzinfo=UTC))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreUnavailable from error
