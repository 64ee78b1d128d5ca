# SPDX-License-Identifier: Apache-2.0
"""The OpenID Connect provider, over HTTP, with authlib's client and cards in software."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import KeySet

from support.login_http import asgi_site, issuer_of
from support.login_site import Desk
from support.oidc import BACK, FORM, LEFT, SECRET, Holder, client, provider, query_of
from support.postgresql import WITH_POSTGRESQL
from xca_login.errors import StoreUnavailable
from xca_login.oidc import settings as oidc_settings
from xca_login.oidc.app import make_app
from xca_login.oidc.server import Server
from xca_login.oidc.store import OidcStore
from xca_login.testing.parties import Party

VERIFIER = generate_token(48)
get, post = partial(httpx.get, timeout=60), partial(httpx.post, timeout=60)  # a busy machine may be slow


@pytest.fixture(scope="module")
def desk() -> Desk:
    made = Desk()
    made.at -= timedelta(hours=1)  # authlib compares when a token was issued with the time of this machine
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider")


@pytest.fixture(scope="module")
def card(desk: Desk, folder: Path) -> Iterator[Party]:
    with issuer_of(desk, folder) as made:
        yield made


@pytest.fixture(scope="module")
def origin(desk: Desk, folder: Path, card: Party) -> Iterator[str]:
    with provider(folder, desk) as served:
        yield served


@pytest.fixture
def holder(origin: str, card: Party, desk: Desk) -> Holder:
    desk.at += timedelta(seconds=1)  # an account's oldest sessions end: they are those of earlier tests
    return Holder(origin, card)


@contextmanager
def two_workers(folder: Path, desk: Desk, database: str) -> Iterator[tuple[str, str]]:
    """Serve a provider twice over one database; give its origin, and where the second one listens."""
    with provider(folder, desk, f'database = "{database}"') as origin:
        settings = oidc_settings.read(folder / "oidc.toml")
        with asgi_site(lambda _: make_app(settings, desk.clock)) as second:
            yield origin, second


def asked(origin: str, **changes: str | None) -> str:
    """Return the address of an authentication request."""
    fields: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "bids",
        "redirect_uri": BACK,
        "scope": "openid profile organisation",
        "state": "a state",
        "nonce": "a nonce",
        "code_challenge": create_s256_code_challenge(VERIFIER),
        "code_challenge_method": "S256",
        **changes,
    }
    return f"/authorize?{urlencode({name: value for name, value in fields.items() if value is not None})}"


def tokens_of(holder: Holder, name: str = "bids", uri: str = BACK) -> dict[str, Any]:
    """Log in and exchange the code."""
    address = holder.through(asked(holder.origin, client_id=name, redirect_uri=uri))
    found: dict[str, Any] = client(holder.origin, name, uri).fetch_token(
        authorization_response=address, code_verifier=VERIFIER, state="a state"
    )
    return found


def claims_of(origin: str, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(get(f"{origin}/jwks").json())
    return dict(jwt.decode(token, keys, ["RS256"]).claims)


def exchange(origin: str, code: str, **changes: str) -> httpx.Response:
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }
    auth = httpx.BasicAuth(changes.pop("client_id", "bids"), changes.pop("secret", SECRET))
    headers = {"Host": changes.pop("host", origin.partition("://")[2])}
    return post(f"{origin}/token", data=fields | changes, auth=auth, headers=headers)


def refreshed(origin: str, token: str, host: str | None = None) -> httpx.Response:
    fields = {"grant_type": "refresh_token", "refresh_token": token}
    headers = {"Host": host or origin.partition("://")[2]}
    return post(f"{origin}/token", data=fields, auth=httpx.BasicAuth("bids", SECRET), headers=headers)


def userinfo(origin: str, token: str) -> httpx.Response:
    return get(f"{origin}/userinfo", headers={"Authorization": f"Bearer {token}"})


def has_ended(origin: str, tokens: dict[str, Any]) -> bool:
    """Tell whether tokens count no more."""
    refused = refreshed(origin, tokens["refresh_token"]).json().get("error")
    return (userinfo(origin, tokens["access_token"]).status_code, refused) == (401, "invalid_grant")


def shows_no_token(address: str, token: str) -> bool:
    """Tell whether nobody can read an ID token out of an address."""
    read = urlsafe_b64decode(query_of(address)["request"].partition(".")[0] + "===")
    return all(part not in address and part.encode() not in read for part in token.split("."))


def hints_that_are_no_token(token: str) -> list[str]:
    """Return an ID token with heads that nobody writes."""
    head, rest = json.loads(urlsafe_b64decode(token.partition(".")[0] + "==")), token.partition(".")[2]
    made = json.dumps({**head, "crit": 5}).encode(), b"[" * 1100
    return [f"{urlsafe_b64encode(one).decode().rstrip('=')}.{rest}" for one in made]


def test_holder_of_a_card_is_let_in_at_a_client(holder: Holder, desk: Desk) -> None:
    origin = holder.origin
    described = get(f"{origin}/.well-known/openid-configuration").json()
    assert described["issuer"] == origin
    relying = client(origin)
    address, state = relying.create_authorization_url(
        described["authorization_endpoint"], nonce="once", code_verifier=VERIFIER, prompt="consent"
    )
    page = holder.follow(address.removeprefix(origin))
    assert page.header("Cross-Origin-Opener-Policy") == "same-origin-allow-popups"
    assert "connect-src 'self' http://localhost:61161;" in (page.header("Content-Security-Policy") or "")
    asking = holder.after_login(page)
    assert "a school" in asking.body.decode()
    back = holder.submit(asking, "allow").header("Location") or ""
    assert back.startswith(f"{BACK}?")
    assert query_of(back)["iss"] == origin
    token = relying.fetch_token(authorization_response=back, state=state, code_verifier=VERIFIER)
    assert (token["token_type"], token["scope"]) == ("Bearer", "openid profile organisation")
    claims = claims_of(origin, token["id_token"])
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (origin, "bids", "once")
    told = {name: claims[name] for name in ("name", "org_oid", "card_rank", "origin_binding", "acr", "amr")}
    assert told == {
        "name": "a school",
        "org_oid": "2.16.886.111.100000",
        "card_rank": "secondary",
        "origin_binding": "declared",
        "acr": "urn:xca:acr:card",
        "amr": ["sc", "pin", "mfa"],
    }
    assert claims["auth_time"] == int(desk.at.timestamp())
    assert claims["holder_kind"].startswith("2.16.886.1.100.3.")
    told_later = userinfo(origin, token["access_token"]).json()
    assert told_later.items() <= claims.items()
    assert told_later["sub"] == claims["sub"]


def test_consent_is_asked_once_for_a_client_and_its_scopes(origin: str, card: Party) -> None:
    holder = Holder(origin, card)
    address = asked(
        origin, client_id="archive-too", redirect_uri="https://archive.example.org/second", scope="openid"
    )
    page = holder.follow(address)
    assert b'value="allow"' in (page := holder.after_login(page)).body
    assert holder.submit(page, "refuse").header("Location") is not None
    assert b'value="allow"' in (page := holder.follow(address)).body
    assert "code" in query_of(holder.submit(page, "allow").header("Location") or "")
    assert "code" in query_of(holder.follow(address).header("Location") or "")
    assert b'value="allow"' in holder.follow(f"{address}&prompt=consent").body
    assert b'value="allow"' in holder.follow(address.replace("scope=openid", "scope=openid+profile")).body


def test_person_who_refuses_is_sent_back_without_a_code(holder: Holder) -> None:
    page = holder.after_login(holder.follow(asked(holder.origin, prompt="consent")))
    told = query_of(holder.submit(page, "refuse").header("Location") or "")
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "a state", holder.origin)
    assert "code" not in told


def test_answer_that_is_neither_yes_nor_no_is_none(holder: Holder) -> None:
    page = holder.after_login(holder.follow(asked(holder.origin, prompt="consent")))
    for answer in ("maybe", None):
        assert holder.submit(page, answer).status == 400
    assert "code" in query_of(holder.submit(page, "allow").header("Location") or "")


def test_consent_of_another_session_or_page_is_refused(
    holder: Holder, card: Party, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = holder.after_login(holder.follow(asked(holder.origin, prompt="consent")))
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=1))
    other = Holder(holder.origin, card)
    other.log_in(card)
    assert other.submit(page, "allow").status == 400
    assert holder.submit(page, "allow", Origin="https://evil.example").status == 403
    assert "code" in query_of(holder.submit(page, "allow").header("Location") or "")


def test_code_that_is_posted_many_times_at_once_is_exchanged_at_most_once(holder: Holder) -> None:
    code = query_of(holder.through(asked(holder.origin)))["code"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: exchange(holder.origin, code), range(6)))
    assert sorted(one.status_code for one in answers) == [200] + [400] * 5
    assert {one.json()["error"] for one in answers if one.status_code == 400} == {"invalid_grant"}


def test_code_that_is_used_again_ends_the_tokens_that_it_gave(holder: Holder) -> None:
    code = query_of(holder.through(asked(holder.origin)))["code"]
    tokens = exchange(holder.origin, code).json()
    assert userinfo(holder.origin, tokens["access_token"]).status_code == 200
    assert exchange(holder.origin, code).json()["error"] == "invalid_grant"
    assert userinfo(holder.origin, tokens["access_token"]).status_code == 401
    assert refreshed(holder.origin, tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["sqlite", WITH_POSTGRESQL])
def test_workers_that_share_a_database_are_one_provider(
    kind: str, request: pytest.FixtureRequest, folder: Path, desk: Desk, card: Party, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'shared.db'}"
    if kind == "postgresql":
        database = request.getfixturevalue("server").url.render_as_string()
    with two_workers(folder, desk, database) as (origin, second):
        host = origin.partition("://")[2]
        holder = Holder(origin, card)
        tokens = exchange(second, query_of(holder.through(asked(origin)))["code"], host=host).json()
        assert userinfo(origin, tokens["access_token"]).status_code == 200
        newer = refreshed(origin, tokens["refresh_token"]).json()
        used = refreshed(second, tokens["refresh_token"], host)
        assert used.json()["error"] == "invalid_grant"
        assert has_ended(origin, newer)

        code = query_of(holder.follow(asked(origin)).header("Location") or "")["code"]
        with ThreadPoolExecutor(6) as pool:
            answers = list(
                pool.map(lambda number: exchange((origin, second)[number % 2], code, host=host), range(6))
            )
        assert sorted(one.status_code for one in answers) == [200] + [400] * 5
        (first,) = (one.json() for one in answers if one.status_code == 200)
        assert has_ended(origin, first)


def test_refresh_token_that_is_used_again_ends_its_family(holder: Holder) -> None:
    origin = holder.origin
    first = tokens_of(holder)
    second = refreshed(origin, first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert claims_of(origin, second["id_token"])["sub"] == claims_of(origin, first["id_token"])["sub"]
    third = refreshed(origin, second["refresh_token"]).json()
    assert userinfo(origin, third["access_token"]).status_code == 200
    assert refreshed(origin, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert refreshed(origin, third["refresh_token"]).json()["error"] == "invalid_grant"
    assert userinfo(origin, third["access_token"]).status_code == 401


def test_refresh_token_ends_with_the_session(
    holder: Holder, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tokens_of(holder)
    monkeypatch.setattr(desk, "at", desk.at + timedelta(hours=8, seconds=1))
    assert refreshed(holder.origin, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_code_ends_after_a_minute(holder: Holder, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    code = query_of(holder.through(asked(holder.origin)))["code"]
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=61))
    assert exchange(holder.origin, code).json()["error"] == "invalid_grant"


def test_code_is_exchanged_by_its_client_alone_as_it_was_asked_for(holder: Holder) -> None:
    code = query_of(holder.through(asked(holder.origin)))["code"]
    for error, changes in (
        ("invalid_grant", {"code_verifier": "A" * 43}),
        ("invalid_request", {"code_verifier": ""}),
        ("invalid_grant", {"redirect_uri": "https://rp.example.org/other?a=1"}),
        ("invalid_grant", {"client_id": "archive"}),
        ("invalid_client", {"secret": "wrong"}),
        ("invalid_client", {"client_id": "nobody"}),
        ("unsupported_grant_type", {"grant_type": "password"}),
        ("unsupported_grant_type", {"grant_type": '"\\\u4e2d'}),
    ):
        refused = exchange(holder.origin, code, **changes)
        assert (refused.json()["error"], refused.headers["Cache-Control"]) == (error, "no-store")
    assert exchange(holder.origin, code).status_code == 200


def test_client_without_a_secret_needs_its_verifier_and_no_secret(holder: Holder) -> None:
    uri = "com.example.app:/callback"
    address = asked(holder.origin, client_id="app", redirect_uri=uri)
    back = holder.through(address)
    assert back.startswith(f"{uri}?code=")
    fields = {
        "grant_type": "authorization_code",
        "client_id": "app",
        "redirect_uri": uri,
        "code": query_of(back)["code"],
    }
    refused = post(f"{holder.origin}/token", data=fields)
    assert refused.json()["error"] == "invalid_request"
    done = post(f"{holder.origin}/token", data=fields | {"code_verifier": VERIFIER})
    assert done.status_code == 200
    assert "refresh_token" not in done.json()


def test_subjects_of_pairwise_clients_are_those_of_their_sector(holder: Holder) -> None:
    found = {
        name: claims_of(holder.origin, tokens_of(holder, name, uri)["id_token"])
        for name, uri in (
            ("bids", BACK),
            ("archive", "https://archive.example.org/callback"),
            ("archive-too", "https://archive.example.org/second"),
        )
    }
    subjects = {name: claims["sub"] for name, claims in found.items()}
    assert subjects["archive"] == subjects["archive-too"] != subjects["bids"]
    assert len({claims["sid"] for claims in found.values()}) == 3
    assert len({claims["auth_time"] for claims in found.values()}) == 1


def test_consent_at_an_address_that_other_programs_can_take_is_asked_each_time(holder: Holder) -> None:
    for uri in ("com.example.app:/callback", "http://127.0.0.1:5000/callback"):
        address = asked(holder.origin, client_id="app", redirect_uri=uri)
        assert "code" in query_of(holder.through(address))
        assert b'value="allow"' in holder.follow(address).body
        silent = holder.ask("GET", f"{address}&prompt=none").header("Location") or ""
        assert query_of(silent)["error"] == "consent_required"


def test_client_is_told_no_more_than_its_scopes(holder: Holder) -> None:
    tokens = tokens_of(holder, "archive", "https://archive.example.org/callback")
    claims = claims_of(holder.origin, tokens["id_token"])
    assert tokens["scope"] == "openid profile"
    assert "name" in claims
    assert not {"org_oid", "tax_id", "holder_kind", "card_rank"} & set(claims)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": f"{BACK}/"},
        {"redirect_uri": f"{BACK}?more=1"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "https://rp.example.org\\@evil.example/"},
        {"scope": 'openid "\\'},
        {"nonce": "n" * 513},
        {"state": "\0"},
    ],
    ids=str,
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(holder: Holder, changes: dict[str, str]) -> None:
    answer = holder.ask("GET", asked(holder.origin, **changes))
    assert (answer.status, answer.header("Location")) == (400, None)
    assert "evil.example" not in answer.body.decode()
    assert "frame-ancestors 'none'" in (answer.header("Content-Security-Policy") or "")
    assert answer.header("Cache-Control") == "no-store"


def test_parameter_that_is_there_twice_is_refused(holder: Holder) -> None:
    answer = holder.ask("GET", f"{asked(holder.origin)}&redirect_uri=https://evil.example/")
    assert (answer.status, answer.header("Location")) == (400, None)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"client_id": "app", "redirect_uri": "com.example.app:/callback", "code_challenge": None,
          "code_challenge_method": None}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"request": "e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_client_that_asks_in_a_wrong_way_is_told(holder: Holder, changes: dict[str, str], error: str) -> None:
    answer = holder.ask("GET", asked(holder.origin, **changes))
    told = query_of(answer.header("Location") or "")
    assert (told.get("error"), told.get("state"), told.get("iss")) == (error, "a state", holder.origin)


def test_consent_that_is_missing_is_told_where_nobody_may_be_asked(holder: Holder) -> None:
    uri = "https://archive.example.org/second"
    address = asked(holder.origin, client_id="archive-too", redirect_uri=uri, prompt="none")
    holder.log_in(holder.card)
    consented = holder.ask("GET", address).header("Location") or ""
    assert query_of(consented).get("error", "consent_required") == "consent_required"
    holder.through(address.replace("prompt=none", "prompt=consent"))
    assert "code" in query_of(holder.ask("GET", address).header("Location") or "")


def test_request_for_one_holder_is_answered_with_no_other(
    holder: Holder, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tokens_of(holder)["id_token"]
    others = tokens_of(holder, "archive", "https://archive.example.org/callback")["id_token"]
    assert "code" in query_of(holder.through(asked(holder.origin, id_token_hint=own)))
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=1))
    for hint in (others, "e30.e30.e30", "x", *hints_that_are_no_token(own)):
        address = asked(holder.origin, id_token_hint=hint)
        silent = holder.ask("GET", f"{address}&prompt=none").header("Location") or ""
        assert query_of(silent)["error"] == "login_required"
        page = holder.follow(address)
        assert b"data-xca-login=" in page.body
    sent = holder.ask("POST", "/authorize", urlencode(query_of(asked("", id_token_hint=own))).encode(), FORM)
    assert shows_no_token(sent.header("Location") or "", own)
    told = query_of(holder.after_login(page).header("Location") or "")
    assert (told["error"], told["state"]) == ("login_required", "a state")


@pytest.mark.parametrize("more", ["prompt=login", "prompt=select_account", "max_age=0", "max_age=60"])
def test_login_that_is_too_old_is_made_anew(
    holder: Holder, desk: Desk, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    address = asked(holder.origin)
    holder.through(address)
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=61))
    page = holder.follow(f"{address}&{more}")
    assert b"data-xca-login=" in page.body
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=1))
    assert "code" in query_of(holder.after_login(page).header("Location") or "")


def test_max_age_holds_when_the_code_is_given(
    holder: Holder, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = holder.after_login(holder.follow(asked(holder.origin, prompt="consent", max_age="60")))
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=60))
    assert "code" in query_of(holder.submit(page, "allow").header("Location") or "")
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=1))
    again = holder.submit(page, "allow")
    assert b"data-xca-login=" in again.body
    back = holder.submit(holder.after_login(again), "allow").header("Location") or ""
    code = query_of(back)["code"]
    claims = claims_of(holder.origin, exchange(holder.origin, code).json()["id_token"])
    assert claims["auth_time"] == int(desk.at.timestamp())


def test_tokens_end_with_the_session_at_the_latest(
    holder: Holder, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tokens_of(holder)
    assert first["expires_in"] == 3600
    monkeypatch.setattr(desk, "at", desk.at + timedelta(hours=7, minutes=59, seconds=50))
    second = refreshed(holder.origin, first["refresh_token"]).json()
    code = query_of(holder.follow(asked(holder.origin)).header("Location") or "")["code"]
    assert second["expires_in"] == 10
    assert userinfo(holder.origin, second["access_token"]).status_code == 200
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=10))
    assert userinfo(holder.origin, second["access_token"]).status_code == 401
    assert exchange(holder.origin, code).json()["error"] == "invalid_grant"


def test_request_that_is_long_comes_through_all_pages(holder: Holder) -> None:
    state = "".join(sha256(bytes([number])).hexdigest() for number in range(60))
    address = asked(holder.origin, state=state, prompt="consent")
    page = holder.follow(address)
    english = re.search(r'href="([^"]+lang=en)"', page.body.decode())
    assert english is not None
    assert b"data-xca-login=" in holder.follow(unescape(english[1])).body
    assert query_of(holder.through(address))["state"] == state


def test_request_that_another_sites_form_sends_is_answered_like_a_link(holder: Holder) -> None:
    query = asked(holder.origin).partition("?")[2]
    sent = holder.ask("POST", "/authorize", query.encode(), FORM | {"Origin": "https://rp.example.org"})
    assert sent.status == 303
    assert "code" in query_of(holder.through(sent.header("Location") or ""))


def test_request_that_waits_is_this_providers_and_not_too_old(
    holder: Holder, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = holder.ask("POST", "/authorize", asked(holder.origin).partition("?")[2].encode(), FORM)
    waiting = sent.header("Location") or ""
    assert holder.ask("GET", waiting[:-3] + "AAA").status == 400
    assert holder.ask("GET", waiting).status == 200
    monkeypatch.setattr(desk, "at", desk.at + timedelta(minutes=31))
    assert b"asked_too_late" in holder.ask("GET", waiting).body


def test_person_who_does_not_log_in_goes_back(holder: Holder) -> None:
    page = holder.follow(asked(holder.origin)).body.decode()
    cancel = page.partition('<a href="/authorize/cancel')[2].partition('"')[0]
    told = query_of(holder.ask("GET", f"/authorize/cancel{cancel}").header("Location") or "")
    assert told["error"] == "access_denied"


def test_client_ends_the_session_with_its_id_token(holder: Holder) -> None:
    tokens = tokens_of(holder)
    fields = urlencode({"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": LEFT, "state": "s"})
    copied = dict(holder.cookies)
    posted = holder.ask(
        "POST", "/end-session", fields.encode(), FORM | {"Origin": "https://rp.example.org", "Cookie": ""}
    )
    for sent in (posted, holder.ask("GET", f"/end-session?{fields}")):
        own = sent.header("Location") or ""
        assert own.startswith("/end-session/confirm?")
        assert shows_no_token(own, tokens["id_token"])
        left = holder.follow(own)
        assert left.header("Location") == f"{LEFT}?state=s"
    holder.cookies = copied
    assert b"data-xca-login=" in holder.follow(asked(holder.origin)).body
    assert has_ended(holder.origin, tokens)


def test_logout_at_the_provider_ends_the_tokens_of_the_session(holder: Holder) -> None:
    code = query_of(holder.through(asked(holder.origin)))["code"]
    tokens = tokens_of(holder)
    other = Holder(holder.origin, holder.card)
    others = tokens_of(other)
    assert holder.ask("POST", "/login/logout").status == 204
    assert has_ended(holder.origin, tokens)
    assert exchange(holder.origin, code).json()["error"] == "invalid_grant"
    assert userinfo(other.origin, others["access_token"]).status_code == 200
    other.log_in(other.card)  # another session takes the place of the first in this browser
    assert has_ended(other.origin, others)


def test_person_is_asked_before_anybodys_request_ends_the_session(holder: Holder) -> None:
    tokens = tokens_of(holder)
    for fields in (
        {},
        {"id_token_hint": "e30.e30.e30", "post_logout_redirect_uri": LEFT},
        {"client_id": "bids", "post_logout_redirect_uri": LEFT},
        *({"id_token_hint": hint} for hint in hints_that_are_no_token(tokens["id_token"])),
    ):
        page = holder.follow(f"/end-session?{urlencode(fields)}")
        assert (page.status, page.header("Location")) == (200, None)
        assert userinfo(holder.origin, tokens["access_token"]).status_code == 200
    assert holder.submit(page, Origin="https://evil.example").status == 403
    ended = holder.submit(page)
    assert (ended.status, ended.header("Location")) == (200, None)
    assert userinfo(holder.origin, tokens["access_token"]).status_code == 401


def test_end_of_a_session_is_confirmed_by_the_one_whose_session_it_is(
    holder: Holder, card: Party, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tokens_of(holder)
    page = holder.follow("/end-session?")
    monkeypatch.setattr(desk, "at", desk.at + timedelta(seconds=1))
    other = Holder(holder.origin, card)
    others = tokens_of(other)
    assert other.submit(page).status == 400
    assert userinfo(other.origin, others["access_token"]).status_code == 200
    assert holder.submit(page).status == 200
    assert has_ended(holder.origin, tokens)


@pytest.mark.parametrize("to", ["https://evil.example/", f"{LEFT}/", BACK])
def test_logout_leads_to_no_address_that_is_not_registered_for_it(holder: Holder, to: str) -> None:
    tokens = tokens_of(holder)
    fields = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": to}
    ended = holder.follow(f"/end-session?{urlencode(fields)}")
    assert (ended.status, ended.header("Location")) == (200, None)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}],
)
def test_userinfo_without_a_token_that_counts_is_refused(origin: str, headers: dict[str, str]) -> None:
    refused = get(f"{origin}/userinfo", headers=headers)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].lower().startswith("bearer")


@pytest.mark.parametrize(
    "credentials",
    ["Basic /w==", "Basic !!!!", "Basic", "Bearer x", "Basic " + "A" * 4000],
    ids=lambda one: one[:12],
)
def test_credentials_of_a_client_that_cannot_be_read_are_refused(origin: str, credentials: str) -> None:
    fields = {"grant_type": "authorization_code", "code": "x"}
    refused = post(f"{origin}/token", data=fields, headers={"Authorization": credentials})
    assert refused.status_code in (400, 401)
    assert refused.json()["error"] in ("invalid_client", "invalid_request")


def test_body_of_a_client_that_is_too_long_or_no_form_is_refused(origin: str) -> None:
    assert post(f"{origin}/token", content=b"a=" + bytes(20_000), headers=FORM).status_code == 413
    assert post(f"{origin}/token", json={"grant_type": "x"}).status_code == 415
    assert (
        post(f"{origin}/token", content="&".join(f"a{n}=1" for n in range(40)), headers=FORM).status_code
        == 400
    )
    assert post(f"{origin}/token", content=b"code=%ff", headers=FORM).status_code == 400


def test_query_that_is_too_long_is_refused(holder: Holder) -> None:
    for path in ("/authorize", "/authorize/resume"):
        assert holder.ask("GET", f"{path}?request={'A' * 40_000}").status == 400


def test_client_whose_secret_is_another_or_is_missing_gets_nothing(holder: Holder) -> None:
    code = query_of(holder.through(asked(holder.origin)))["code"]
    for client_id, secret in (("bids", "another"), ("app", SECRET)):
        refused = exchange(holder.origin, code, client_id=client_id, secret=secret)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert exchange(holder.origin, code).status_code == 200


def test_program_is_told_when_the_database_is_down(
    holder: Holder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: object, **__: object) -> None:
        raise StoreUnavailable

    tokens = tokens_of(holder)
    monkeypatch.setattr(OidcStore, "access", down)
    refused = userinfo(holder.origin, tokens["access_token"])
    assert (refused.status_code, refused.json()) == (503, {"error": "temporarily_unavailable"})
    assert "See that the database is there" in caplog.text
    assert tokens["access_token"] not in caplog.text


def test_person_is_told_of_a_problem_that_nobody_expected_without_its_words(
    holder: Holder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(Server, "query_client", broken)
    page = holder.ask("GET", asked(holder.origin))
    assert page.status == 500
    assert "a secret" not in page.body.decode() + caplog.text
    assert "unexpected problem" in caplog.text


def test_pages_are_in_both_languages(holder: Holder) -> None:
    address = asked(holder.origin)
    assert "登入「投標網」" in holder.ask("GET", address).body.decode()
    english = holder.ask("GET", address, headers={"Accept-Language": "en"}).body.decode()
    assert "Log in to 投標網" in english
    assert "<script>" not in english
    assert holder.ask("GET", "/nothing").status == 404
    page = holder.ask("GET", address).body.decode()
    chosen = page.partition('href="/authorize/resume')[2].partition('"')[0].replace("&amp;", "&")
    assert "Log in to" in holder.follow(f"/authorize/resume{chosen}").body.decode()


def test_script_of_a_client_reads_what_it_needs_and_pages_of_others_do_not(origin: str) -> None:
    own, other = {"Origin": "http://127.0.0.1:5000"}, {"Origin": "https://evil.example"}
    fields = {"grant_type": "authorization_code"}
    assert post(f"{origin}/token", data=fields, headers=own).headers["Access-Control-Allow-Origin"]
    assert "Access-Control-Allow-Origin" not in post(f"{origin}/token", data=fields, headers=other).headers
    assert get(f"{origin}/jwks", headers=other).headers["Access-Control-Allow-Origin"] == "*"


def test_request_to_another_name_is_refused(origin: str) -> None:
    assert get(f"{origin}/jwks", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("path", ["/authorize/", "/token/", "/end-session/", "/login/finish/"])
def test_address_with_a_slash_too_many_leads_nowhere(holder: Holder, path: str) -> None:
    for answer in (
        holder.ask("GET", f"{path}?{urlencode({'id_token_hint': 'e30.e30.e30'})}"),
        holder.ask("POST", path, b"client_secret=x", FORM),
    ):
        assert (answer.status, answer.header("Location")) == (404, None)


def test_published_keys_are_public_alone(origin: str) -> None:
    (key,) = get(f"{origin}/jwks").json()["keys"]
    assert set(key) == {"kty", "n", "e", "use", "alg", "kid"}
    assert json.dumps(key).find('"d"') < 0
