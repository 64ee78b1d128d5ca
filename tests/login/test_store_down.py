# SPDX-License-Identifier: Apache-2.0
"""A store that cannot be reached: logins are refused in words, and what was signed may be posted again."""

import asyncio
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from sqlalchemy import Engine, NullPool, create_engine, text
from starlette.applications import Starlette
from starlette.middleware import Middleware
from werkzeug.test import Client

from support.login_http import Answer, ask_asgi, posted
from support.login_site import SITE, Desk
from support.postgresql import programs
from xca_common.statement import Statement
from xca_login import Challenges, RegisteredKeys, errors
from xca_login.http import CardLogin
from xca_login.integrations import fastapi, flask
from xca_login.integrations.asgi import AsgiLogin, AsgiSessions
from xca_login.integrations.starlette import LoginMiddleware, login_routes
from xca_login.integrations.wsgi import WsgiLogin, WsgiSessions
from xca_login.sessions import MemorySessions, Session
from xca_login.sql_store import METADATA, SqlAccounts, SqlKeys, SqlSessions, SqlStore, create_tables
from xca_login.testing.parties import encryption, opened
from xca_login.testing.tokens import origin, sign

Ask = Callable[[str, str, bytes, dict[str, str]], Answer]


class Database:
    """A database in a file, which can be taken away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.engine = create_engine(f"sqlite:///{folder / 'site.db'}", poolclass=NullPool)
        create_tables(self.engine)

    @contextmanager
    def being_down(self) -> Iterator[None]:
        """Let nobody reach it until the end of the block."""
        away = self._folder.with_name("away")
        self._folder.rename(away)
        try:
            yield
        finally:
            away.rename(self._folder)


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "kept")


def of_asgi(app: Any) -> Ask:
    return lambda method, path, body, headers: asyncio.run(ask_asgi(app, method, path, body, headers))


def of_wsgi(app: Any) -> Ask:
    def ask(method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        given = Client(app, use_cookies=False).open(path, method=method, data=body, headers=headers)
        return Answer(given.status_code, list(given.headers), given.data)

    return ask


def of_starlette(card_login: CardLogin) -> Ask:
    middleware = [Middleware(LoginMiddleware, card_login=card_login)]
    return of_asgi(Starlette(routes=[login_routes(card_login)], middleware=middleware))


def of_fastapi(card_login: CardLogin) -> Ask:
    app = FastAPI()
    fastapi.add_login(app, card_login)
    return of_asgi(app)


def of_flask(card_login: CardLogin) -> Ask:
    app = Flask(__name__)
    flask.add_login(app, card_login)
    app.add_url_rule("/bids", "bids", flask.login_required(lambda: "bids"))
    return of_wsgi(app)


INTEGRATIONS: dict[str, Callable[[CardLogin], Ask]] = {
    "asgi": lambda card_login: of_asgi(AsgiSessions(AsgiLogin(card_login), card_login)),
    "starlette": of_starlette,
    "fastapi": of_fastapi,
    "wsgi": lambda card_login: of_wsgi(WsgiSessions(WsgiLogin(card_login), card_login)),
    "flask": of_flask,
}


class Browser:
    """A browser at a site; it keeps cookies."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, b"", {"Cookie": self._sent()})

    def post(self, action: str, body: bytes = b"") -> Answer:
        headers = {"Origin": SITE.origin, "Content-Type": "application/json", "Cookie": self._sent()}
        answer = self._ask("POST", f"/login/{action}", body, headers)
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                cookie, _, kept = value.partition(";")[0].partition("=")
                self.cookies[cookie] = kept
        return answer

    def signed(self, desk: Desk) -> bytes:
        return posted(sign(desk.school, self.post("begin").json["statement"].encode()))

    def _sent(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


def is_told(answer: Answer) -> bool:
    """Say whether a person is told, in both languages, that the site cannot look it up now."""
    told = answer.json
    words = [told[part][tag] for part in ("message", "next_step") for tag in ("zh-TW", "en")]
    return answer.status == 503 and told["code"] == "store_unavailable" and all(words)


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_store_that_is_down_refuses_logins_in_words_and_uses_nothing_up(
    integration: str, desk: Desk, database: Database
) -> None:
    stores = SqlStore(database.engine), SqlSessions(database.engine)
    browser = Browser(INTEGRATIONS[integration](CardLogin(SITE, desk.verifier(), *stores, clock=desk.clock)))
    body = browser.signed(desk)
    with database.being_down():
        assert is_told(browser.post("begin"))
        assert is_told(browser.post("finish", body))
    assert browser.post("finish", body).status == 200
    with database.being_down():
        assert is_told(browser.get("/bids"))
        assert is_told(browser.post("logout"))
        assert browser.cookies["__Host-xca-session"]
    assert browser.post("logout").status == 204


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_token_counts_again_whose_session_could_not_be_kept(
    integration: str, desk: Desk, database: Database
) -> None:
    sessions = SqlSessions(database.engine)
    browser = Browser(
        INTEGRATIONS[integration](CardLogin(SITE, desk.verifier(), None, sessions, clock=desk.clock))
    )
    body = browser.signed(desk)
    with database.being_down():
        assert is_told(browser.post("finish", body))
        assert "__Host-xca-session" not in browser.cookies
    assert browser.post("finish", body).status == 200
    assert browser.post("finish", body).json["code"] == "challenge_unknown"


class OnceDown(MemorySessions):
    """Sessions whose store is down once."""

    is_down = True

    def add(self, key: str, session: Session) -> None:
        if self.is_down:
            self.is_down = False
            raise errors.StoreUnavailable
        super().add(key, session)


def test_token_counts_again_whose_account_could_not_be_noted(desk: Desk, database: Database) -> None:
    verifier = desk.verifier(accounts=SqlAccounts(database.engine))
    browser = Browser(INTEGRATIONS["wsgi"](CardLogin(SITE, verifier, clock=desk.clock)))
    body = browser.signed(desk)
    with database.being_down():
        assert is_told(browser.post("finish", body))
    assert browser.post("finish", body).status == 200


def test_token_that_counts_again_is_not_let_in_after_its_time(desk: Desk) -> None:
    at = desk.at
    card_login = CardLogin(SITE, desk.verifier(), None, OnceDown(), clock=lambda: at)
    browser = Browser(INTEGRATIONS["wsgi"](card_login))
    body = browser.signed(desk)
    assert is_told(browser.post("finish", body))
    at += timedelta(seconds=301)
    assert browser.post("finish", body).json["code"] in ("challenge_expired", "challenge_unknown")


def test_envelope_counts_again_whose_proof_could_not_be_noted(desk: Desk, database: Database) -> None:
    keys = RegisteredKeys(SITE, desk.verifier(), SqlKeys(database.engine), clock=desk.clock)
    browser = Browser(INTEGRATIONS["wsgi"](CardLogin(SITE, desk.verifier(), keys=keys, clock=desk.clock)))
    assert browser.post("finish", browser.signed(desk)).status == 200
    cert2 = encryption(desk.school, desk.ca)
    certificates = {"signing": desk.school.der, "encryption": cert2.der}
    body = json.dumps({name: b64encode(der).decode() for name, der in certificates.items()}).encode()
    with database.being_down():
        assert is_told(browser.post("register", body))
    assert browser.post("register", body).status == 200
    envelope = browser.post("prove").json["envelope"]
    nonce = Statement.parse(opened(cert2, b64decode(envelope))).nonce
    proof = json.dumps({"nonce": nonce}).encode()
    with database.being_down():
        assert is_told(browser.post("prove"))
        assert is_told(browser.post("proved", proof))
    proved = browser.post("proved", proof)
    assert (proved.status, proved.json["proved"] is not None) == (200, True)


def test_proof_that_is_not_noted_counts_again(desk: Desk, database: Database) -> None:
    store = SqlKeys(database.engine)
    keys = RegisteredKeys(SITE, desk.verifier(), store, clock=desk.clock)
    account = desk.verifier().check(desk.school.der).account
    cert2 = encryption(desk.school, desk.ca)
    key = keys.register(account, desk.school.der, cert2.der)
    nonce = Statement.parse(opened(cert2, keys.begin_proof(account).content)).nonce
    # The key is read, and then the database is gone.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SqlKeys, "get", lambda self, account: key)
        with database.being_down(), pytest.raises(errors.StoreUnavailable):
            keys.finish_proof(account, nonce)
    assert keys.finish_proof(account, nonce).proved is not None
    with pytest.raises(errors.PossessionUnknown):
        keys.finish_proof(account, nonce)


@contextmanager
def answer_lost(engine: Engine, number: int) -> Iterator[None]:
    """Let a commit of the block be done, and its answer be lost: nobody can tell whether it was done."""
    commit, left = engine.dialect.do_commit, number

    def do_commit(connection: Any) -> None:
        nonlocal left
        commit(connection)
        left -= 1
        if left == -1:
            raise OperationalError("the connection is lost")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine.dialect, "do_commit", do_commit)
        yield


@pytest.mark.parametrize("number", range(6))
def test_token_is_let_in_at_most_once_whichever_commits_answer_is_lost(
    number: int, desk: Desk, database: Database
) -> None:
    engine = database.engine
    verifier = desk.verifier(accounts=SqlAccounts(engine))
    stores = SqlStore(engine), SqlSessions(engine)
    browser = Browser(INTEGRATIONS["wsgi"](CardLogin(SITE, verifier, *stores, clock=desk.clock)))
    asked = Statement.parse(browser.post("begin").json["statement"].encode())
    body = posted(sign(desk.school, asked.encode(), more=[origin(SITE.origin)]))
    with answer_lost(engine, number):
        answers = [browser.post("finish", body) for _ in range(4)]
    told = [str(one.json.get("code", "let in")) for one in answers]
    assert told.count("let in") <= 1
    assert told[-1] == "challenge_unknown"
    assert set(told) <= {"let in", "store_unavailable", "challenge_unknown"}
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT count(*) FROM xca_login_session")).scalar_one()
    # One of a login whose answer was lost has a name that nobody was told.
    assert kept - told.count("let in") in (0, 1)


@pytest.mark.integration
@pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL here")
def test_challenge_stays_when_the_server_ends_the_connection(server: Engine) -> None:
    METADATA.drop_all(server)
    store = SqlStore(server)
    create_tables(server)
    challenge = Challenges(SITE, store).new("a")
    session = hashlib.sha256(b"a").hexdigest()
    with create_engine(server.url, poolclass=NullPool).begin() as other:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        other.execute(text(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}"))
    with pytest.raises(errors.StoreUnavailable):
        store.take(session, challenge.nonce)
    assert store.take(session, challenge.nonce) == challenge
    assert store.take(session, challenge.nonce) is None
