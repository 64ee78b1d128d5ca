# SPDX-License-Identifier: Apache-2.0
"""Challenges, sessions, accounts and registered keys in a database that processes share, by SQLAlchemy."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from xca_common.utc_datetime import UtcDateTime
from xca_login.challenges import MOST_OF_A_SESSION, Challenge, Room
from xca_login.errors import StoreUnavailable
from xca_login.login import Account, Binding
from xca_login.registered_keys import RegisteredKey
from xca_login.sessions import MOST_OF_AN_ACCOUNT, Session

METADATA = MetaData()
"""The tables, for whoever makes them with tools of their own."""


def _account_columns() -> tuple[Column[str], ...]:
    """Return the columns of a table with one row for each account, in the order of Account."""
    lengths = {"domain": 64, "organisation": 255, "account_key": 64}
    return tuple(Column(name, String(most), primary_key=True) for name, most in lengths.items())


_challenges = Table(
    "xca_login_challenge",
    METADATA,
    Column("session", String(64), primary_key=True),
    Column("nonce", String(64), primary_key=True),
    Column("text", LargeBinary, nullable=False),
    Column("until", UtcDateTime, nullable=False, index=True),
)

_sessions = Table(
    "xca_login_session",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("account", String(64), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False, index=True),
    Column("session", Text, nullable=False),
)

_accounts = Table(
    "xca_login_verified",
    METADATA,
    *_account_columns(),
    Column("verified", UtcDateTime, nullable=False),
    Column("declared", UtcDateTime),  # of which the holder was not told yet
)

_keys = Table(
    "xca_login_key",
    METADATA,
    *_account_columns(),
    Column("holder_name", Text, nullable=False),
    Column("rank", String(16), nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("key", String(64), nullable=False),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("valid_until", UtcDateTime, nullable=False),
    Column("registered", UtcDateTime, nullable=False),
    Column("proved", UtcDateTime),
)


def create_tables(engine: Engine) -> None:
    """Make the tables of all stores here that are not there.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    with transaction(engine) as connection:
        METADATA.create_all(connection)


class SqlStore:
    """Keeps challenges in a database.

    Args:
        engine: of a database that knows DELETE … RETURNING: SQLite from 3.35, PostgreSQL.
        most: challenges that are open at once.
    """

    def __init__(self, engine: Engine, most: int = 100_000) -> None:
        self._engine = engine
        self._room = Room(most)

    def add(self, session: str, challenge: Challenge, at: datetime) -> None:
        """Keep a challenge (ChallengeStore.add)."""
        own = _challenges.c.session == session
        with transaction(self._engine) as connection:
            ended = connection.execute(delete(_challenges).where(_challenges.c.until < at))
            self._room.give_back(ended.rowcount)
            held = select(func.count()).select_from(_challenges).where(own)
            is_replacing = connection.execute(held).scalar_one() >= MOST_OF_A_SESSION
            if not is_replacing:
                every = select(func.count()).select_from(_challenges)
                self._room.take(lambda: int(connection.execute(every).scalar_one()))
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
        with transaction(self._engine) as connection:
            row = connection.execute(chosen.returning(_challenges.c.text, _challenges.c.until)).one_or_none()
        if row is None:
            return None
        self._room.give_back(1)
        return Challenge(row.text, nonce, row.until)


class SqlSessions:
    """Keeps sessions in a database (SessionStore).

    Args:
        engine: as of SqlStore.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, key: str, session: Session) -> None:
        """Keep a session (SessionStore.add)."""
        account = account_digest(session.account)
        row = {
            "key": key,
            "account": account,
            "at": session.at,
            "until": session.until,
            "session": encode_session(session),
        }
        with transaction(self._engine) as connection:
            connection.execute(delete(_sessions).where(_sessions.c.until < session.at))
            connection.execute(insert(_sessions).values(row))
            earlier = (_sessions.c.account == account) & (_sessions.c.key != key)
            newest = (
                select(_sessions.c.key)
                .where(earlier)
                .order_by(_sessions.c.at.desc(), _sessions.c.key)
                .limit(MOST_OF_AN_ACCOUNT - 1)
            )
            connection.execute(delete(_sessions).where(earlier, _sessions.c.key.not_in(newest)))

    def get(self, key: str) -> Session | None:
        """Return a session (SessionStore.get)."""
        with transaction(self._engine) as connection:
            found = connection.execute(select(_sessions.c.session).where(_sessions.c.key == key)).scalar()
        return decode_session(found) if found is not None else None

    def remove(self, key: str) -> None:
        """Forget a session (SessionStore.remove)."""
        with transaction(self._engine) as connection:
            connection.execute(delete(_sessions).where(_sessions.c.key == key))


class SqlAccounts:
    """Keeps in a database which accounts logged in as verified (AccountStore).

    Args:
        engine: of SQLite from 3.35, or of PostgreSQL.

    Raises:
        ValueError: it is of another database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = _upsert_of(engine)

    def verified(self, account: Account, at: datetime) -> datetime | None:
        """Note a login as verified (AccountStore.verified)."""
        kept = select(_accounts.c.declared).where(_is_of(_accounts, account))
        with transaction(self._engine) as connection:
            found = connection.execute(kept).one_or_none()
            if found is None:  # the others read alone
                noted = self._insert(_accounts).values(**_named(account), verified=at)
                connection.execute(noted.on_conflict_do_nothing())
        return found.declared if found else None

    def declared(self, account: Account, at: datetime, *, is_permitted: bool) -> datetime | None:
        """Note a login as declared (AccountStore.declared)."""
        own = _is_of(_accounts, account)
        noted = update(_accounts).where(own).values(declared=at).returning(_accounts.c.verified)
        with transaction(self._engine) as connection:
            asked = noted if is_permitted else select(_accounts.c.verified).where(own)
            found: datetime | None = connection.execute(asked).scalar()
        return found

    def told(self, account: Account, declared: datetime) -> None:
        """Note that the holder was told (AccountStore.told)."""
        own = _is_of(_accounts, account) & (_accounts.c.declared <= declared)
        with transaction(self._engine) as connection:
            connection.execute(update(_accounts).where(own).values(declared=null()))


class SqlKeys:
    """Keeps registered keys in a database (KeyStore).

    Args:
        engine: of SQLite from 3.35, or of PostgreSQL.

    Raises:
        ValueError: it is of another database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = _upsert_of(engine)

    def put(self, key: RegisteredKey) -> RegisteredKey | None:
        """Keep a key (KeyStore.put). One statement reads and writes: of several at once none is lost."""
        row = {
            **_named(key.account),
            "holder_name": key.holder_name,
            "rank": key.rank,
            "certificate": key.certificate,
            "key": key.key,
            "valid_from": key.valid_from,
            "valid_until": key.valid_until,
            "registered": key.registered,
            "proved": None,
        }
        added = self._insert(_keys).values(row)
        new = added.excluded
        names = ("holder_name", "rank", "certificate", "key", "valid_from", "valid_until")
        changed: dict[str, ColumnElement[Any]] = {name: new[name] for name in names}
        is_same = _keys.c.certificate == new.certificate
        changed["registered"] = case((is_same, _keys.c.registered), else_=new.registered)
        changed["proved"] = case((_keys.c.key == new.key, _keys.c.proved), else_=null())
        kept = added.on_conflict_do_update(
            index_elements=[*_keys.primary_key], set_=changed, where=_keys.c.valid_from <= new.valid_from
        ).returning(*_keys.c)
        with transaction(self._engine) as connection:
            found = connection.execute(kept).one_or_none()
        return _key(found) if found else None

    def get(self, account: Account) -> RegisteredKey | None:
        """Return the key of an account (KeyStore.get)."""
        chosen = select(_keys).where(_is_of(_keys, account))
        with transaction(self._engine) as connection:
            found = connection.execute(chosen).one_or_none()
        return _key(found) if found else None

    def of_organisation(self, domain: str, organisation: str) -> Sequence[RegisteredKey]:
        """Return the keys of an organisation's cards (KeyStore.of_organisation)."""
        chosen = select(_keys).where(_keys.c.domain == domain, _keys.c.organisation == organisation)
        with transaction(self._engine) as connection:
            return [_key(row) for row in connection.execute(chosen.order_by(_keys.c.account_key))]

    def prove(self, key: RegisteredKey, at: datetime) -> RegisteredKey | None:
        """Note that a key is proved (KeyStore.prove)."""
        is_kept = _is_of(_keys, key.account) & (_keys.c.certificate == key.certificate)
        noted = (
            update(_keys)
            .where(is_kept)
            .values(proved=func.coalesce(_keys.c.proved, literal(at, _keys.c.proved.type)))
            .returning(*_keys.c)
        )
        with transaction(self._engine) as connection:
            found = connection.execute(noted).one_or_none()
        return _key(found) if found else None


def _upsert_of(engine: Engine) -> Callable[[Table], Any]:
    """Return what makes a statement INSERT … ON CONFLICT for a database."""
    makers: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    if engine.dialect.name not in makers:
        raise ValueError("engine: only SQLite and PostgreSQL")
    return makers[engine.dialect.name]


def _named(account: Account) -> dict[str, str]:
    """Return the values of an account's columns."""
    return dict(zip((one.name for one in _accounts.primary_key), account, strict=True))


def _is_of(table: Table, account: Account) -> ColumnElement[bool]:
    """Return whether a row is an account's."""
    return and_(*(table.c[name] == value for name, value in _named(account).items()))


def _key(row: Row[tuple[object, ...]]) -> RegisteredKey:
    return RegisteredKey(
        Account(row.domain, row.organisation, row.account_key),
        row.holder_name,
        row.rank,
        row.certificate,
        row.key,
        row.valid_from,
        row.valid_until,
        row.registered,
        row.proved,
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Do what is in the block in one transaction.

    Raises:
        StoreUnavailable: the database cannot be reached; nothing was done.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StoreUnavailable from error


def is_session_kept(key: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a session is kept under a key, for statements in the same database."""
    return exists().where(_sessions.c.key == key)


def account_digest(account: Account) -> str:
    """Return what an account is found under: SHA-256, hexadecimal."""
    return hashlib.sha256(json.dumps(account).encode("ascii")).hexdigest()


def encode_session(session: Session) -> str:
    """Return a session as JSON."""
    times = {"at": session.at.isoformat(), "until": session.until.isoformat()}
    return json.dumps(
        {**asdict(session), "account": session.account, "binding": session.binding.name, **times}
    )


def decode_session(document: str) -> Session:
    """Return the session that encode_session() wrote."""
    fields = json.loads(document)
    return Session(
        **{
            **fields,
            "account": Account(*fields["account"]),
            "binding": Binding[fields["binding"]],
            "at": datetime.fromisoformat(fields["at"]),
            "until": datetime.fromisoformat(fields["until"]),
        }
    )
