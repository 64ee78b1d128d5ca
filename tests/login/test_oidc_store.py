# SPDX-License-Identifier: Apache-2.0
"""What the processes of an OpenID Connect provider share, in SQLite and in PostgreSQL."""

import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url

from support.postgresql import postgresql, programs
from xca_login import Binding
from xca_login.errors import StoreUnavailable
from xca_login.login import Account
from xca_login.oidc.keys import SigningKeys
from xca_login.oidc.store import Code, DatabaseExposed, NewTokens, OidcStore, open_database
from xca_login.sessions import MOST_OF_AN_ACCOUNT, Session
from xca_login.sql_store import METADATA, SqlSessions, create_tables
from xca_login.testing.parties import NOW

ACCOUNT = Account("gpki", "2.16.886.111.100000", "ab" * 32)
SESSION = Session(
    ACCOUNT,
    "學校",
    "2.16.886.1.100.3.1",
    None,
    None,
    "primary",
    Binding.VERIFIED,
    NOW,
    NOW + timedelta(hours=8),
)
AT = int(NOW.timestamp())
CODE = Code("code", "bids", "https://rp.example.org/", "openid", "", "", "a session", "{}", AT + 60)
KINDS = (
    pytest.param("sqlite", marks=pytest.mark.fast),
    pytest.param(
        "postgresql",
        marks=[
            pytest.mark.integration,
            pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL here"),
        ],
    ),
)

Open = Callable[[], OidcStore]


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    with postgresql() as url:
        yield make_url(url)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database."""
    if request.param == "sqlite":
        url = URL.create("sqlite", database=str(tmp_path / "oidc.db"))
    else:
        url = request.getfixturevalue("server")
        METADATA.drop_all(create_engine(url, poolclass=NullPool))
    create_tables(create_engine(url, poolclass=NullPool))
    if request.param == "sqlite":
        (tmp_path / "oidc.db").chmod(0o600)
    return url


@pytest.fixture
def stores(database: URL) -> Iterator[list[OidcStore]]:
    """The store, as two processes open it, while somebody is logged in."""
    engines = [open_database(database) for _ in range(2)]
    SqlSessions(engines[0]).add("a session", SESSION)
    yield [OidcStore(engine) for engine in engines]
    for engine in engines:
        engine.dispose()


def tokens(name: str, refresh: str | None = None) -> NewTokens:
    return NewTokens(name, refresh, "openid", AT + 500, AT + 1000)


def test_code_is_exchanged_by_one_of_many_processes(stores: list[OidcStore]) -> None:
    stores[0].add_code(CODE, AT)
    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(
                lambda number: stores[number % 2].exchange("code", "bids", tokens(str(number)), AT),
                range(16),
            )
        )
    assert sorted(done) == [False] * 15 + [True]


def test_refresh_token_is_spent_by_one_of_many_processes_and_then_ends_all(stores: list[OidcStore]) -> None:
    stores[0].add_code(CODE, AT)
    assert stores[1].exchange("code", "bids", tokens("a", "r"), AT)
    assert stores[0].refresh("r", "archive", AT) is None
    assert stores[0].refresh("r", "bids", AT + 1001) is None
    assert stores[0].refresh("r", "bids", AT) is not None

    def rotate(number: int) -> bool:
        return stores[number % 2].rotate("r", "bids", tokens(f"a{number}", f"r{number}"), AT)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(rotate, range(8)))
    assert sum(done) == 1
    assert stores[0].access("a", AT) is None
    assert stores[0].access(f"a{done.index(True)}", AT) is None


def test_code_stays_when_it_is_read_and_ends_in_time(stores: list[OidcStore]) -> None:
    stores[0].add_code(CODE, AT)
    assert stores[1].code("code", "archive", AT) is None
    assert stores[1].code("code", "bids", AT + 59) == replace(CODE)
    assert stores[1].code("code", "bids", AT + 60) is None
    assert not stores[1].exchange("code", "bids", tokens("a"), AT + 60)


def test_code_and_tokens_end_with_the_session_however_it_ends(stores: list[OidcStore], database: URL) -> None:
    sessions = SqlSessions(open_database(database))

    def log_out() -> None:
        sessions.remove("a session")

    def crowd_out() -> None:
        for number in range(MOST_OF_AN_ACCOUNT):
            sessions.add(f"key {number}", replace(SESSION, at=NOW + timedelta(seconds=number + 1)))

    for end in (log_out, crowd_out):
        one = end.__name__
        stores[0].add_code(replace(CODE, code=one), AT)
        stores[0].add_code(replace(CODE, code=f"{one}, new"), AT)
        assert stores[1].exchange(one, "bids", tokens(one, f"r {one}"), AT)
        assert stores[1].access(one, AT) is not None
        end()
        assert stores[1].access(one, AT) is None
        assert stores[1].refresh(f"r {one}", "bids", AT) is None
        assert not stores[1].rotate(f"r {one}", "bids", tokens("b", "s"), AT)
        assert stores[1].code(f"{one}, new", "bids", AT) is None
        assert not stores[1].exchange(f"{one}, new", "bids", tokens("b", "s"), AT)
        sessions.add("a session", SESSION)


def test_access_token_ends_before_the_session(stores: list[OidcStore]) -> None:
    stores[0].add_code(CODE, AT)
    assert stores[1].exchange("code", "bids", tokens("a", "r"), AT)
    assert stores[0].access("a", AT + 499) is not None
    assert stores[0].access("a", AT + 500) is None
    assert stores[0].refresh("r", "bids", AT + 999) is not None
    assert stores[0].refresh("r", "bids", AT + 1000) is None


def test_secret_is_the_same_in_all_processes(stores: list[OidcStore]) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda number: stores[number % 2].secret("subjects"), range(8)))
    assert len(found) == 1
    assert stores[0].secret("requests") not in found


def test_consent_is_of_one_account_and_client(stores: list[OidcStore]) -> None:
    for _ in range(2):
        stores[0].consent(ACCOUNT, "bids", ["openid", "profile"], AT)
    assert stores[1].consented(ACCOUNT, "bids") == {"openid", "profile"}
    assert stores[1].consented(ACCOUNT, "archive") == set()
    assert stores[1].consented(ACCOUNT._replace(key="cd" * 32), "bids") == set()


def test_signing_key_is_published_a_day_before_it_signs_and_a_day_after(
    stores: list[OidcStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xca_login.oidc.keys._AGAIN", 0)
    at = NOW

    def clock() -> datetime:
        return at

    one, other = (SigningKeys(store, clock) for store in stores)
    first = one.signing()
    assert other.signing().kid == first.kid
    at = NOW + timedelta(days=91)
    assert one.signing().kid == other.signing().kid == first.kid
    published = [key["kid"] for key in one.published()["keys"]]
    assert len(published) == 2
    assert [key["kid"] for key in other.published()["keys"]] == published
    at = NOW + timedelta(days=92, seconds=1)
    assert one.signing().kid == other.signing().kid == published[1]
    assert [key["kid"] for key in one.published()["keys"]] == published
    at = NOW + timedelta(days=93, seconds=1)
    assert [key["kid"] for key in one.published()["keys"]] == published[1:]
    assert other.signing().kid == published[1]


def test_keys_are_known_further_while_the_database_cannot_be_reached(
    stores: list[OidcStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xca_login.oidc.keys._AGAIN", 0)
    keys = SigningKeys(stores[0], lambda: NOW)
    kid = keys.signing().kid

    def fail() -> list[tuple[int, str, int]]:
        raise StoreUnavailable

    monkeypatch.setattr(stores[0], "keys", fail)
    assert keys.signing().kid == kid
    with pytest.raises(StoreUnavailable):
        SigningKeys(stores[0], lambda: NOW).signing()


def test_session_is_kept_whole_and_only_the_newest_of_an_account(database: URL) -> None:
    sessions = SqlSessions(open_database(database))
    for number in range(MOST_OF_AN_ACCOUNT + 1):
        sessions.add(f"key {number}", replace(SESSION, at=NOW + timedelta(seconds=number)))
    assert sessions.get("key 0") is None
    assert sessions.get("key 1") == replace(SESSION, at=NOW + timedelta(seconds=1))
    sessions.remove("key 1")
    assert sessions.get("key 1") is None
    sessions.add("other", replace(SESSION, at=NOW + timedelta(days=1), account=ACCOUNT._replace(key="cd")))
    assert sessions.get("key 2") is None


@pytest.mark.fast
def test_database_in_a_file_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "oidc.db"
    open_database(URL.create("sqlite", database=str(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(DatabaseExposed):
        open_database(URL.create("sqlite", database=str(path)))
