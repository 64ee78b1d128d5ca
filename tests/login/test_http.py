# SPDX-License-Identifier: Apache-2.0
"""What a browser posts to log in, and what it is answered, without a framework."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from support.login_http import posted
from support.login_site import SITE, Desk, Saying
from xca_common.statement import Statement, StatementKind
from xca_login import Binding, Login, Policy, Site, TrustFolder, Verifier, errors
from xca_login.http import MOST_BODY_BYTES, CardLogin, Request, Response
from xca_login.sessions import MOST_OF_AN_ACCOUNT
from xca_login.sql_store import SqlAccounts, SqlStore, create_tables
from xca_login.testing.tokens import sign

pytestmark = pytest.mark.fast


class Browser:
    """A browser that keeps cookies; each of its posts comes from a page of the site."""

    def __init__(self, desk: Desk, card_login: CardLogin) -> None:
        self.desk = desk
        self.card_login = card_login
        self.cookies: dict[str, str] = {}

    def post(self, action: str, body: bytes = b"", **changes: object) -> Response:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        request = Request("POST", f"/login/{action}", [SITE.origin], "application/json", cookies, body)
        response = self.card_login.answer(replace(request, **changes))  # type: ignore[arg-type]  # named fields
        for name, value in response.headers:
            if name == "Set-Cookie":
                cookie, _, kept = value.partition(";")[0].partition("=")
                self.cookies[cookie] = kept
        return response

    def token(self) -> bytes:
        return sign(self.desk.school, json.loads(self.post("begin").body)["statement"].encode())

    def log_in(self) -> Response:
        return self.post("finish", posted(self.token()))

    def is_logged_in(self) -> bool:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return self.card_login.session(cookies) is not None


def code(response: Response) -> str:
    found: str = json.loads(response.body)["code"]
    return found


@pytest.fixture(scope="module")
def shared() -> Desk:
    return Desk()


@pytest.fixture
def desk(shared: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(shared, "at", shared.at)
    return shared


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return Browser(desk, CardLogin(SITE, desk.verifier(), clock=desk.clock))


def test_login_begins_with_a_statement_and_ends_with_a_session(browser: Browser) -> None:
    begun = json.loads(browser.post("begin").body)
    statement = Statement.parse(begun["statement"].encode())
    assert (statement.kind, statement.origin, begun["seconds"]) == (StatementKind.LOGIN, SITE.origin, 300)
    finished = browser.post("finish", posted(sign(browser.desk.school, begun["statement"].encode())))
    assert finished.status == 200
    assert json.loads(finished.body) == {
        "holder_name": "a school",
        "organisation_oid": "2.16.886.111.100000",
        "tax_id": None,
        "rank": "secondary",
        "origin": "declared",
        "at": browser.desk.at.isoformat(),
        "notice": None,
    }
    assert ("Cache-Control", "no-store") in finished.headers
    assert browser.is_logged_in()


def test_cookies_of_a_login_are_of_the_host_alone_and_hidden_from_scripts(browser: Browser) -> None:
    responses = browser.post("begin"), browser.log_in()
    set_cookies = [value for one in responses for name, value in one.headers if name == "Set-Cookie"]
    assert [one.partition("=")[0] for one in set_cookies] == ["__Host-xca-browser", "__Host-xca-session"]
    assert [one.partition("; ")[2] for one in set_cookies] == [
        "Path=/; HttpOnly; SameSite=Strict; Secure",
        "Path=/; HttpOnly; SameSite=Lax; Secure",
    ]


def test_session_that_somebody_planted_is_nobodys(browser: Browser) -> None:
    planted = "A" * 43
    browser.cookies["__Host-xca-session"] = planted
    assert browser.log_in().status == 200
    assert browser.cookies["__Host-xca-session"] != planted
    browser.cookies["__Host-xca-session"] = planted
    assert not browser.is_logged_in()


def test_session_before_another_login_ends_with_it(browser: Browser) -> None:
    browser.log_in()
    before = dict(browser.cookies)
    browser.log_in()
    assert browser.is_logged_in()
    browser.cookies = before
    assert not browser.is_logged_in()


def test_session_cookie_that_is_there_twice_counts_as_none(browser: Browser) -> None:
    browser.log_in()
    own = f"__Host-xca-session={browser.cookies['__Host-xca-session']}"
    assert browser.card_login.session(own)
    assert browser.card_login.session(f"{own}; __Host-xca-session={'A' * 43}") is None


@pytest.mark.parametrize("byte", ["\xa0", "\x85", "\x1c", "\x1d", "\x1e", "\x1f"])
def test_cookie_whose_name_begins_with_another_space_is_not_the_sessions(browser: Browser, byte: str) -> None:
    browser.log_in()
    own = f"__Host-xca-session={browser.cookies['__Host-xca-session']}"
    session = browser.card_login.session(own)
    assert session is not None
    assert browser.card_login.session(f"{byte}{own}") is None
    assert browser.card_login.session(f"{own}{byte}") is None
    assert browser.card_login.session(f"a=b;\t {own} ; {byte}__Host-xca-session={'A' * 43}") == session


@pytest.mark.parametrize("path", ["begin", "finish", "logout"])
@pytest.mark.parametrize(
    "origins", [[], ["null"], ["https://evil.example"], [SITE.origin, "https://evil.example"]], ids=str
)
def test_post_that_is_not_of_the_sites_own_page_does_nothing(
    browser: Browser, path: str, origins: list[str]
) -> None:
    browser.log_in()
    token = browser.token()
    refused = browser.post(path, posted(token), origins=origins)
    assert (refused.status, code(refused)) == (403, "request_foreign")
    assert "Set-Cookie" not in dict(refused.headers)
    assert browser.is_logged_in()
    assert browser.post("finish", posted(token)).status == 200


def test_token_of_another_browser_is_refused_and_uses_nothing_up(browser: Browser) -> None:
    token = browser.token()
    other = Browser(browser.desk, browser.card_login)
    assert code(other.post("finish", posted(token))) == "challenge_unknown"
    other.post("begin")
    assert code(other.post("finish", posted(token))) == "challenge_unknown"
    assert not other.is_logged_in()
    assert browser.post("finish", posted(token)).status == 200


def test_tabs_of_a_browser_log_in_one_after_the_other(browser: Browser) -> None:
    tokens = [browser.token() for _ in range(3)]
    assert [browser.post("finish", posted(token)).status for token in tokens] == [200] * 3
    assert browser.is_logged_in()


def test_token_that_is_posted_many_times_at_once_is_let_in_once(browser: Browser) -> None:
    body = posted(browser.token())
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: browser.post("finish", body), range(8)))
    assert sorted(one.status for one in responses) == [200] + [403] * 7
    assert {code(one) for one in responses if one.status == 403} == {"challenge_unknown"}


def test_page_that_the_back_button_shows_cannot_log_in_again(browser: Browser) -> None:
    body = posted(browser.token())
    browser.post("finish", body)
    browser.post("logout")
    assert code(browser.post("finish", body)) == "challenge_unknown"
    assert not browser.is_logged_in()


def test_logout_ends_the_session_for_whoever_has_its_cookie(browser: Browser) -> None:
    browser.log_in()
    copied = dict(browser.cookies)
    left = browser.post("logout")
    assert (left.status, left.body, dict(left.headers)["Clear-Site-Data"]) == (204, b"", '"cache"')
    browser.cookies = copied
    assert not browser.is_logged_in()
    assert browser.post("logout").status == 204


def test_session_that_lasted_long_enough_is_over(browser: Browser) -> None:
    browser.log_in()
    browser.desk.at += timedelta(hours=7, minutes=59)
    assert browser.is_logged_in()
    browser.desk.at += timedelta(minutes=1)
    assert not browser.is_logged_in()


def test_account_with_many_sessions_loses_its_oldest(browser: Browser) -> None:
    browsers = [Browser(browser.desk, browser.card_login) for _ in range(MOST_OF_AN_ACCOUNT + 1)]
    for one in browsers:
        assert one.log_in().status == 200
    assert [one.is_logged_in() for one in browsers] == [False] + [True] * MOST_OF_AN_ACCOUNT


@pytest.mark.parametrize(
    ("body", "changes", "expected"),
    [
        (b"", {}, (400, "request_malformed")),
        (b"[]", {}, (400, "request_malformed")),
        (b'{"token": 1}', {}, (400, "request_malformed")),
        (b'{"token": "?"}', {}, (400, "request_malformed")),
        (b'{"token": "AA=="}', {"content_type": "text/plain"}, (400, "request_malformed")),
        (b"[" * 100_000, {}, (400, "request_malformed")),
        (bytes(MOST_BODY_BYTES + 1), {}, (413, "request_too_long")),
        (posted(b"no token"), {}, (403, "token_malformed")),
        (posted(bytes(70 << 10)), {}, (403, "token_too_long")),
        (b"", {"path": "/login/other"}, (404, "request_unknown")),
        (b"", {"method": "GET"}, (404, "request_unknown")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_post_that_is_no_login_is_refused_in_words(
    browser: Browser, body: bytes, changes: dict[str, object], expected: tuple[int, str]
) -> None:
    refused = browser.post("finish", body, **changes)
    assert (refused.status, code(refused)) == expected
    document = json.loads(refused.body)
    assert dict(refused.headers)["Content-Type"] == "application/problem+json"
    assert document["status"] == refused.status
    assert all(document[part][tag] for part in ("message", "next_step") for tag in ("zh-TW", "en"))


@given(st.binary(max_size=300) | st.builds(posted, st.binary(max_size=300)))
def test_whatever_is_posted_is_answered(shared: Desk, body: bytes) -> None:
    browser = Browser(shared, CardLogin(SITE, shared.verifier()))
    assert browser.post("finish", body).status in (400, 403)


def test_store_that_cannot_be_reached_is_told(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqlStore(create_engine(f"sqlite:///{tmp_path / 'challenges.db'}"))
    refused = Browser(desk, CardLogin(SITE, desk.verifier(), store)).post("begin")
    assert (refused.status, code(refused)) == (503, "store_unavailable")
    told = caplog.messages[-1]
    assert "its tables were made. (sqlite3.OperationalError) no such table" in told


def test_page_at_another_address_is_told_to_the_person_and_to_the_operator(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    refused = browser.post("begin", origins=["http://127.0.0.1:8000\nforged"])
    assert SITE.origin in json.loads(refused.body)["next_step"]["zh-TW"]
    (told,) = caplog.records
    assert told.levelname == "WARNING"
    assert 'says "http://127.0.0.1:8000' in told.getMessage()
    assert "\n" not in told.getMessage()


def test_refusal_for_which_the_site_may_be_the_reason_says_what_to_do() -> None:
    hinted = [one for one in vars(errors).values() if getattr(one, "hint", "")]
    assert len(hinted) > 8
    for refused in hinted:
        facts = {fact.name: fact.name for fact in fields(refused)}
        assert refused.hint.format(**facts).endswith(".")


def test_site_with_wrong_settings_keeps_them_to_itself(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xca_login.trust._AGAIN", 0)
    for name, one in (("root", desk.root), ("ca", desk.ca)):
        one.write(tmp_path / name)
    trust = TrustFolder(tmp_path)
    (tmp_path / "other").write_bytes(b"no certificate")
    refused = Browser(desk, CardLogin(SITE, Verifier(SITE, trust, Saying(), clock=desk.clock))).log_in()
    assert (refused.status, code(refused)) == (503, "site_misconfigured")
    assert str(tmp_path) not in refused.body.decode()


def test_login_that_the_site_itself_refuses_begins_no_session(desk: Desk) -> None:
    def refuse(login: Login) -> None:
        raise errors.HolderRefused(kind=login.holder_kind)

    browser = Browser(desk, CardLogin(SITE, desk.verifier(), on_login=refuse))
    assert code(browser.log_in()) == "holder_kind"
    assert not browser.is_logged_in()


def test_processes_that_share_challenges_and_no_accounts_are_warned_of(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine("sqlite://")
    create_tables(engine)
    warned = "each process remembers for itself"
    CardLogin(SITE, desk.verifier(), clock=desk.clock)
    CardLogin(SITE, desk.verifier(accounts=SqlAccounts(engine)), SqlStore(engine), clock=desk.clock)
    CardLogin(SITE, desk.verifier(policy=Policy(binding=Binding.VERIFIED)), SqlStore(engine))
    assert warned not in caplog.text
    CardLogin(SITE, desk.verifier(), SqlStore(engine), clock=desk.clock)
    assert warned in caplog.text


def test_cookies_on_this_machine_need_no_https(desk: Desk) -> None:
    origin = "http://localhost:8000"
    site = Site(origin, "")
    browser = Browser(desk, CardLogin(site, desk.verifier()))
    begun = browser.post("begin", origins=[origin])
    assert dict(begun.headers)["Set-Cookie"].startswith("xca-browser=")
    assert "Secure" not in dict(begun.headers)["Set-Cookie"]
