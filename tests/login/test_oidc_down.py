# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect provider whose database cannot be reached: refused in words, and nothing is used up."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy import URL, Engine, create_engine, make_url, text

from support.login_http import issuer_of
from support.login_site import Desk
from support.oidc import BACK, LEFT, SECRET, Holder, provider, query_of
from support.postgresql import WITH_POSTGRESQL
from xca_login.errors import StoreUnavailable
from xca_login.oidc import app, store
from xca_login.oidc.store import OidcStore, open_database

pytestmark = pytest.mark.integration

VERIFIER = generate_token(48)
BASIC = httpx.BasicAuth("bids", SECRET)
REASON = {"sqlite": "unable to open database file", "postgresql": "is not currently accepting connections"}
BeingDown = Callable[[], AbstractContextManager[None]]


def of_sqlite(folder: Path, engines: list[Engine]) -> tuple[str, BeingDown]:
    """Return the URL of a database in a file, and what takes it away."""
    folder.mkdir()

    @contextmanager
    def being_down() -> Iterator[None]:
        away = folder.with_name("away")
        folder.rename(away)
        engines[0].dispose()
        try:
            yield
        finally:
            away.rename(folder)

    return f"sqlite:///{folder / 'oidc.db'}", being_down


def of_postgresql(server: Engine) -> tuple[str, BeingDown]:
    """Return the URL of a database of a server, and what ends its connections and takes no new ones."""

    def tell(*statements: str) -> None:
        with create_engine(server.url, isolation_level="AUTOCOMMIT").connect() as connection:
            for one in statements:
                connection.execute(text(one))

    @contextmanager
    def being_down() -> Iterator[None]:
        end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'oidc'"
        tell("ALTER DATABASE oidc ALLOW_CONNECTIONS false", end)
        try:
            yield
        finally:
            tell("ALTER DATABASE oidc ALLOW_CONNECTIONS true")

    tell("CREATE DATABASE oidc")
    return server.url.set(database="oidc").render_as_string(), being_down


@pytest.mark.parametrize("kind", ["sqlite", WITH_POSTGRESQL])
def test_provider_whose_database_is_down_says_so_and_uses_nothing_up(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engines: list[Engine] = []

    def noted(url: URL) -> Engine:
        engines.append(open_database(url))
        return engines[-1]

    monkeypatch.setattr(app, "open_database", noted)
    if kind == "sqlite":
        url, being_down = of_sqlite(tmp_path / "database", engines)
    else:
        url, being_down = of_postgresql(request.getfixturevalue("server"))
    desk = Desk()
    with issuer_of(desk, tmp_path) as card, provider(tmp_path, desk, f'database = "{url}"') as origin:
        holder, other = Holder(origin, card), Holder(origin, card)

        def asked(**more: str) -> str:
            fields = {
                "response_type": "code",
                "client_id": "bids",
                "redirect_uri": BACK,
                "scope": "openid profile",
                "code_challenge": create_s256_code_challenge(VERIFIER),
                "code_challenge_method": "S256",
            }
            return f"/authorize?{urlencode(fields | more)}"

        def exchange(code: str) -> httpx.Response:
            fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
            return httpx.post(f"{origin}/token", data=fields | {"code_verifier": VERIFIER}, auth=BASIC)

        def refresh() -> httpx.Response:
            fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
            return httpx.post(f"{origin}/token", data=fields, auth=BASIC)

        def userinfo() -> httpx.Response:
            return httpx.get(
                f"{origin}/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}
            )

        tokens = exchange(query_of(holder.through(asked()))["code"]).json()
        code = query_of(holder.through(asked()))["code"]
        asking = holder.follow(asked(prompt="consent"))
        leaving = holder.follow("/end-session")
        hint = urlencode({"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": LEFT})
        signed = other.signed(card)
        cookies = dict(holder.cookies)

        with being_down():
            for page in (
                holder.follow(asked()),
                holder.submit(asking, "allow"),
                holder.submit(leaving),
                holder.follow(f"/end-session?{hint}"),
            ):
                assert (page.status, page.header("Location")) == (503, None)
                assert b"store_unavailable" in page.body
            assert caplog.text.count(REASON[kind]) == 4
            english = holder.ask("GET", asked(), headers={"Accept-Language": "en"}).body.decode()
            assert "This site cannot take logins at this moment." in english
            for told in (
                other.ask("POST", "/login/begin"),
                other.ask("POST", "/login/finish", signed),
                holder.ask("POST", "/login/logout"),
            ):
                assert (told.status, told.json["code"]) == (503, "store_unavailable")
            caplog.clear()
            for refused in (exchange(code), refresh(), userinfo()):
                assert (refused.status_code, refused.json()) == (503, {"error": "temporarily_unavailable"})
            assert caplog.text.count(REASON[kind]) == 3
            assert httpx.get(f"{origin}/jwks").json()["keys"]  # clients verify tokens further
            assert holder.cookies == cookies

        assert other.ask("POST", "/login/finish", signed).status == 200
        assert userinfo().status_code == 200
        assert exchange(code).status_code == 200
        tokens = refresh().json()
        assert userinfo().status_code == 200
        assert "code" in query_of(holder.submit(asking, "allow").header("Location") or "")
        assert holder.follow(f"/end-session?{hint}").header("Location") == LEFT
        assert userinfo().status_code == 401


def test_database_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = make_url(f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/oidc")
        start = time.monotonic()
        with pytest.raises(StoreUnavailable):
            OidcStore(open_database(url)).keys()
    assert time.monotonic() - start < 60  # psycopg would wait for 130 seconds
