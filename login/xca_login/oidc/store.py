# SPDX-License-Identifier: Apache-2.0
"""What the processes of a provider share, in a database: codes, tokens, consents, keys and secrets.

Codes and tokens are kept as digests: who reads the database can use none of them.
"""

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    Text,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from xca_login.errors import Misconfigured
from xca_login.i18n import text
from xca_login.login import Account
from xca_login.sql_store import METADATA, account_digest, is_session_kept, transaction

_SWEEP_SECONDS: Final = 60.0
_SECONDS: Final = 10
"""Seconds that a database is waited for, before it counts as one that cannot be reached."""

_codes = Table(
    "xca_oidc_code",
    METADATA,
    Column("code", String(64), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("redirect_uri", String(512), nullable=False),
    Column("scope", String(256), nullable=False),
    Column("nonce", String(512), nullable=False),
    Column("challenge", String(128), nullable=False),
    Column("session_key", String(64), nullable=False),
    Column("session", Text, nullable=False),
    Column("until", BigInteger, nullable=False, index=True),
)
_grants = Table(
    "xca_oidc_grant",
    METADATA,
    Column("code", String(64), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("session_key", String(64), nullable=False),
    Column("session", Text, nullable=False),
    Column("until", BigInteger, nullable=False, index=True),
)
"""What a code was exchanged for: all tokens that come from it end with it (RFC 9700, section 4.14.2)."""
_tokens = Table(
    "xca_oidc_token",
    METADATA,
    Column("access", String(64), primary_key=True),
    Column("refresh", String(64), unique=True),
    Column("code", String(64), nullable=False),
    Column("scope", String(256), nullable=False),
    Column("access_until", BigInteger, nullable=False),
    Column("is_spent", Boolean, nullable=False),
    Column("until", BigInteger, nullable=False, index=True),
)
_consents = Table(
    "xca_oidc_consent",
    METADATA,
    Column("account", String(64), primary_key=True),
    Column("client", String(64), primary_key=True),
    Column("scope", String(64), primary_key=True),
    Column("at", BigInteger, nullable=False),
)
_keys = Table(
    "xca_oidc_key",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
_secrets = Table(
    "xca_oidc_secret",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)


# Statements of each exchange are made once: to make one takes longer than the database needs for it.
# Each of them asks for the session too: however that ended, and whenever, nothing that came from it counts.
_OWN_CODE: Final = (
    (_codes.c.code == bindparam("code"))
    & (_codes.c.client == bindparam("client"))
    & (_codes.c.until > bindparam("at"))
    & is_session_kept(_codes.c.session_key)
)
_FIND_CODE: Final = select(_codes).where(_OWN_CODE)
_TAKE_CODE: Final = delete(_codes).where(_OWN_CODE).returning(_codes.c.session_key, _codes.c.session)
_END_GRANT: Final = delete(_grants).where(
    _grants.c.code == bindparam("code"), _grants.c.client == bindparam("client")
)
_ADD_CODE: Final = insert(_codes)
_ADD_GRANT: Final = insert(_grants)
_ADD_TOKENS: Final = insert(_tokens)
_FIND_TOKEN: Final = (
    select(_grants.c.client, _tokens.c.scope, _grants.c.session_key, _grants.c.session)
    .join_from(_tokens, _grants, _tokens.c.code == _grants.c.code)
    .where(is_session_kept(_grants.c.session_key))
)
_FIND_ACCESS: Final = _FIND_TOKEN.where(
    _tokens.c.access == bindparam("token"), _tokens.c.access_until > bindparam("at")
)
_FIND_REFRESH: Final = _FIND_TOKEN.where(
    _tokens.c.refresh == bindparam("token"),
    _tokens.c.until > bindparam("at"),
    _grants.c.client == bindparam("client"),
    ~_tokens.c.is_spent,
)


class DatabaseExposed(Misconfigured):
    """Others may read the file of the database, which holds the signing keys."""

    path: Path
    _message = text("Others may read the database {path}, which holds the keys that sign.")
    _next_step = text("Give the file mode 0600. If somebody may have read it, empty the table xca_oidc_key.")


@dataclass(frozen=True)
class Code:
    """An authorization code.

    Attributes:
        code: the code; the store keeps its digest.
        client: id of the client that may exchange it.
        redirect_uri: where it was sent.
        scope: what the person agreed to.
        nonce: of the request; "": it had none.
        challenge: code_challenge (S256); "": there was none.
        session_key: what the session that it comes from is kept under.
        session: who is logged in, as sql_store.encode_session() writes it.
        until: when it ends.
    """

    code: str
    client: str
    redirect_uri: str
    scope: str
    nonce: str
    challenge: str
    session_key: str
    session: str
    until: int


@dataclass(frozen=True)
class Kept:
    """A token, as it was found.

    Attributes:
        client: id of its client.
        scope: its scopes.
        session_key, session: as of Code.
    """

    client: str
    scope: str
    session_key: str
    session: str


@dataclass(frozen=True)
class NewTokens:
    """Tokens that are to be given out.

    Attributes:
        access: the access token.
        refresh: the refresh token; None: there is none.
        scope: their scopes.
        access_until: when the access token ends.
        until: when the session ends, and the refresh token with it.
    """

    access: str
    refresh: str | None
    scope: str
    access_until: int
    until: int


class OidcStore:
    """Keeps what the processes share.

    Each method raises StoreUnavailable if the database cannot be reached; then nothing was done. Times are
    seconds since 1970.

    Args:
        engine: of SQLite from 3.35, or PostgreSQL.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._swept = -_SWEEP_SECONDS

    def add_code(self, code: Code, at: int) -> None:
        """Keep a code."""
        row = {**vars(code), "code": _digest(code.code)}
        with transaction(self._engine) as connection:
            self._sweep(connection, at)
            connection.execute(_ADD_CODE, row)

    def code(self, code: str, client: str, at: int) -> Code | None:
        """Return a code that is still good; it stays. One that was used ends the tokens that it gave."""
        own = {"code": _digest(code), "client": client}
        with transaction(self._engine) as connection:
            row = connection.execute(_FIND_CODE, {**own, "at": at}).one_or_none()
            if row is None:
                connection.execute(_END_GRANT, own)
                return None
        return Code(code, *(getattr(row, name) for name in list(Code.__dataclass_fields__)[1:]))

    def exchange(self, code: str, client: str, tokens: NewTokens, at: int) -> bool:
        """Take a code out, and keep its tokens. It succeeds once; a later try ends those tokens."""
        own = {"code": _digest(code), "client": client}
        with transaction(self._engine) as connection:
            row = connection.execute(_TAKE_CODE, {**own, "at": at}).one_or_none()
            if row is None:
                connection.execute(_END_GRANT, own)
                return False
            session = {"session_key": row.session_key, "session": row.session}
            connection.execute(_ADD_GRANT, {**own, **session, "until": tokens.until})
            _add_tokens(connection, own["code"], tokens)
        return True

    def access(self, token: str, at: int) -> Kept | None:
        """Return an access token that is still good."""
        return self._kept(_FIND_ACCESS, {"token": _digest(token), "at": at})

    def refresh(self, token: str, client: str, at: int) -> Kept | None:
        """Return a refresh token that is still good; it stays. One that was used ends all of its code's."""
        found = self._kept(_FIND_REFRESH, {"token": _digest(token), "client": client, "at": at})
        if found is None:
            with transaction(self._engine) as connection:
                _revoke_spent(connection, token, client)
        return found

    def rotate(self, token: str, client: str, tokens: NewTokens, at: int) -> bool:
        """Spend a refresh token, and keep those that take its place. It succeeds once; see refresh()."""
        is_going_on = is_session_kept(_grants.c.session_key)
        own = select(_grants.c.code).where(_grants.c.client == client, is_going_on)
        chosen = (
            update(_tokens)
            .where(_tokens.c.refresh == _digest(token), _tokens.c.until > at)
            .where(~_tokens.c.is_spent, _tokens.c.code.in_(own))
            .values(is_spent=True)
        )
        with transaction(self._engine) as connection:
            code = connection.execute(chosen.returning(_tokens.c.code)).scalar()
            if code is None:
                _revoke_spent(connection, token, client)
                return False
            _add_tokens(connection, code, tokens)
        return True

    def consented(self, account: Account, client: str) -> frozenset[str]:
        """Return the scopes that the holder of an account agreed to hand over to a client."""
        chosen = _consents.c.account == account_digest(account), _consents.c.client == client
        with transaction(self._engine) as connection:
            return frozenset(connection.execute(select(_consents.c.scope).where(*chosen)).scalars())

    def consent(self, account: Account, client: str, scopes: Iterable[str], at: int) -> None:
        """Remember that the holder of an account agreed."""
        for scope in scopes:
            row = {"account": account_digest(account), "client": client, "scope": scope}
            self._add_once(_consents, {**row, "at": at})

    def keys(self) -> list[tuple[int, str, int]]:
        """Return the signing keys: number, JSON Web Key, and when it was made."""
        with transaction(self._engine) as connection:
            rows = connection.execute(select(_keys).order_by(_keys.c.number))
            return [(row.number, row.key, row.at) for row in rows]

    def add_key(self, number: int, key: str, at: int) -> None:
        """Keep a signing key, unless another process has already kept one with its number."""
        self._add_once(_keys, {"number": number, "key": key, "at": at})

    def remove_keys(self, numbers: Iterable[int]) -> None:
        """Forget signing keys."""
        with transaction(self._engine) as connection:
            connection.execute(delete(_keys).where(_keys.c.number.in_(list(numbers))))

    def secret(self, name: str) -> bytes:
        """Return the secret of a name, which is made at its first use and stays."""
        chosen = select(_secrets.c.value).where(_secrets.c.name == name)
        for _ in range(2):
            with transaction(self._engine) as connection:
                found: bytes | None = connection.execute(chosen).scalar()
            if found is not None:
                return found
            self._add_once(_secrets, {"name": name, "value": secrets.token_bytes(32)})
        with transaction(self._engine) as connection:
            made: bytes = connection.execute(chosen).scalar_one()
        return made

    def _add_once(self, table: Table, row: dict[str, Any]) -> None:
        with transaction(self._engine) as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(table).values(row))
            except IntegrityError:
                return  # it is there already

    def _kept(self, found: Select[tuple[str, str, str, str]], values: dict[str, object]) -> Kept | None:
        with transaction(self._engine) as connection:
            row = connection.execute(found, values).one_or_none()
        return Kept(row.client, row.scope, row.session_key, row.session) if row is not None else None

    def _sweep(self, connection: Connection, at: int) -> None:
        """Drop what has ended, now and then."""
        if time.monotonic() < self._swept + _SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        for table in (_codes, _grants, _tokens):
            connection.execute(delete(table).where(table.c.until < at))


def open_database(url: URL) -> Engine:
    """Return the engine of a database. A file of SQLite is made for this user alone.

    Raises:
        DatabaseExposed: others may read the file.
        OSError: the file cannot be made.
    """
    if url.drivername != "sqlite":
        # libpq, 34.1.2: without these, a machine that says nothing any more is waited for minutes.
        limits = {"connect_timeout": _SECONDS, "tcp_user_timeout": 1000 * _SECONDS}
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=0,
            pool_timeout=_SECONDS,
            connect_args=limits,
        )
    path = Path(url.database or "")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise DatabaseExposed(path=path)
    engine = create_engine(url, connect_args={"timeout": _SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        # Writers do not stop readers, and a commit waits for no disk. After a loss of power the last moments
        # may be missing: whoever logged in then logs in again.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _revoke_spent(connection: Connection, token: str, client: str) -> None:
    """Revoke all that comes from the code of a refresh token that was spent (RFC 9700, section 4.14.2)."""
    spent = select(_tokens.c.code).where(_tokens.c.refresh == _digest(token), _tokens.c.is_spent)
    connection.execute(delete(_grants).where(_grants.c.code.in_(spent), _grants.c.client == client))


def _add_tokens(connection: Connection, code: str, tokens: NewTokens) -> None:
    row = {
        "access": _digest(tokens.access),
        "refresh": _digest(tokens.refresh) if tokens.refresh is not None else None,
        "code": code,
        "scope": tokens.scope,
        "access_until": tokens.access_until,
        "is_spent": False,
        "until": tokens.until,
    }
    connection.execute(_ADD_TOKENS, row)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
