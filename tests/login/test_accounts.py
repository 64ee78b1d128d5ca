# SPDX-License-Identifier: Apache-2.0
"""An account that logged in with a verified origin does not fall back to a declared one unseen."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from support.login_http import posted
from support.login_site import SITE, Desk
from support.postgresql import WITH_POSTGRESQL
from xca_common.i18n import CHINESE, ENGLISH, day
from xca_common.taipei import TAIPEI
from xca_login import Account, AccountStore, Binding, Login, MemoryAccounts, Policy, errors
from xca_login.http import CardLogin, Request
from xca_login.sql_store import METADATA, SqlAccounts, create_tables
from xca_login.testing.parties import NOW, Party, holder
from xca_login.testing.tokens import origin, sign

ACCOUNT = Account("gpki", "2.16.886.111.100000", "0" * 64)


@pytest.fixture(scope="module")
def shared() -> Desk:
    return Desk()


@pytest.fixture
def desk(shared: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(shared, "at", NOW)
    return shared


@pytest.fixture(params=["memory", "sqlite", WITH_POSTGRESQL])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AccountStore:
    """An empty store."""
    if request.param == "memory":
        return MemoryAccounts()
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path / 'accounts.db'}")
    else:
        engine = request.getfixturevalue("server")
        METADATA.drop_all(engine)
    create_tables(engine)
    return SqlAccounts(engine)


def log_in(
    desk: Desk, kept: AccountStore, binding: Binding, *permitted: Account, card: Party | None = None
) -> Login:
    """Log in at a site that was started anew, with the same store, and be let in."""
    asked = desk.challenge()
    more = [origin(SITE.origin)] if binding is Binding.VERIFIED else []
    token = sign(card or desk.school, asked.text, more=more)
    verifier = desk.verifier(policy=Policy(declared_accounts=frozenset(permitted)), accounts=kept)
    login = verifier.verify(token, asked)
    verifier.note_told(login)
    return login


def test_account_that_logged_in_as_verified_is_refused_a_declared_login(
    desk: Desk, kept: AccountStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert log_in(desk, kept, Binding.DECLARED).notice is None
    account = log_in(desk, kept, Binding.VERIFIED).account
    desk.at = NOW + timedelta(seconds=100)
    with pytest.raises(errors.OriginWeaker) as refused:
        log_in(desk, kept, Binding.DECLARED)
    assert (refused.value.code, list(refused.value.facts())) == ("origin_weaker", ["day"])
    for language in (ENGLISH, CHINESE):
        words = refused.value.message(language) + refused.value.next_step(language)
        assert day(refused.value.day)(language) in words
    assert f"refused: the account {'/'.join(account)}" in caplog.text
    assert log_in(desk, kept, Binding.VERIFIED).notice is None
    another = holder(desk.ca, key_name="another card")
    assert log_in(desk, kept, Binding.DECLARED, card=another).binding is Binding.DECLARED


def test_account_that_the_site_names_falls_back_and_its_holder_is_told_once(
    desk: Desk, kept: AccountStore, caplog: pytest.LogCaptureFixture
) -> None:
    account = log_in(desk, kept, Binding.VERIFIED).account
    desk.at = NOW + timedelta(seconds=100)
    fallen = log_in(desk, kept, Binding.DECLARED, account)
    assert (fallen.binding, fallen.fallback) == (Binding.DECLARED, desk.at)
    assert f"let in: the account {'/'.join(account)}" in caplog.text
    desk.at = NOW + timedelta(seconds=200)
    told = log_in(desk, kept, Binding.VERIFIED)
    assert told.fallback == fallen.fallback
    assert fallen.notice is not None
    assert told.notice is not None
    assert {told.notice(one) for one in (ENGLISH, CHINESE)} == {
        fallen.notice(one) for one in (ENGLISH, CHINESE)
    }
    assert log_in(desk, kept, Binding.VERIFIED).notice is None
    with pytest.raises(errors.OriginWeaker):
        log_in(desk, kept, Binding.DECLARED)


def test_logins_at_once_leave_no_way_back_and_tell_the_holder(kept: AccountStore) -> None:
    later = NOW + timedelta(seconds=1)

    def note(number: int) -> object:
        if number % 2:
            return kept.verified(ACCOUNT, NOW)
        return kept.declared(ACCOUNT, later, is_permitted=False)

    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(note, range(16))]
    assert set(answers[1::2]) == {None}
    assert set(answers[::2]) <= {None, NOW}
    assert kept.declared(ACCOUNT, later, is_permitted=True) == NOW
    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(lambda _: kept.verified(ACCOUNT, NOW), range(8))} == {later}
        assert kept.declared(ACCOUNT, later + timedelta(seconds=1), is_permitted=True) == NOW
        kept.told(ACCOUNT, later)
        assert {*pool.map(lambda _: kept.verified(ACCOUNT, NOW), range(8))} == {later + timedelta(seconds=1)}
        kept.told(ACCOUNT, later + timedelta(seconds=1))
        assert {*pool.map(lambda _: kept.verified(ACCOUNT, NOW), range(8))} == {None}


@pytest.mark.parametrize("problem", [errors.AccountClosed, errors.StoreUnavailable])
def test_holder_is_told_of_a_fallback_by_a_login_that_is_let_in(
    desk: Desk, kept: AccountStore, problem: type[errors.LoginRefused]
) -> None:
    account = log_in(desk, kept, Binding.VERIFIED).account
    fallen = log_in(desk, kept, Binding.DECLARED, account)
    problems = [problem]

    def keep(_: Login) -> None:
        if problems:
            raise problems.pop()

    login = CardLogin(SITE, desk.verifier(accounts=kept), on_login=keep, clock=desk.clock)
    statuses, notices = [], []
    for _ in range(3):
        begun = login.answer(Request("POST", "/login/begin", [SITE.origin], "", ""))
        cookies = dict(begun.headers)["Set-Cookie"].partition(";")[0]
        signed = sign(
            desk.school, str(json.loads(begun.body)["statement"]).encode(), more=[origin(SITE.origin)]
        )
        finish = Request("POST", "/login/finish", [SITE.origin], "application/json", cookies, posted(signed))
        answer = login.answer(finish)
        statuses.append(answer.status == 200)
        notices.append(json.loads(answer.body).get("notice"))
    assert statuses == [False, True, True]
    assert fallen.notice is not None
    assert (notices[1] or {}).get("en") == fallen.notice(ENGLISH)
    assert notices[2] is None


def test_time_of_a_fallback_is_told_right_whatever_the_clocks_time_zone(
    desk: Desk, kept: AccountStore
) -> None:
    desk.at = NOW.astimezone(TAIPEI)
    account = log_in(desk, kept, Binding.VERIFIED).account
    desk.at += timedelta(seconds=100)
    assert log_in(desk, kept, Binding.DECLARED, account).fallback == desk.at
    assert log_in(desk, kept, Binding.VERIFIED).fallback == NOW + timedelta(seconds=100)


def test_store_of_accounts_that_cannot_be_reached_lets_nobody_in(desk: Desk, tmp_path: Path) -> None:
    nowhere = SqlAccounts(create_engine(f"sqlite:///{tmp_path / 'nowhere' / 'accounts.db'}"))
    for binding in Binding:
        with pytest.raises(errors.StoreUnavailable):
            log_in(desk, nowhere, binding)


@pytest.mark.fast
def test_page_is_told_of_a_fallback_in_both_languages(desk: Desk) -> None:
    kept, cookies = MemoryAccounts(), ""

    def post(login: CardLogin, action: str, body: bytes = b"") -> tuple[int, dict[str, object]]:
        nonlocal cookies
        request = Request("POST", f"/login/{action}", [SITE.origin], "application/json", cookies, body)
        answer = login.answer(request)
        given = [value.partition(";")[0] for name, value in answer.headers if name == "Set-Cookie"]
        cookies = given[0] if action == "begin" and given else cookies
        return answer.status, json.loads(answer.body)

    def finish(*permitted: Account, **more: object) -> tuple[int, dict[str, object]]:
        policy = Policy(declared_accounts=frozenset(permitted))
        login = CardLogin(SITE, desk.verifier(policy=policy, accounts=kept), clock=desk.clock)
        asked = str(post(login, "begin")[1]["statement"]).encode()
        return post(login, "finish", posted(sign(desk.school, asked, **more)))  # type: ignore[arg-type]  # named

    account = log_in(desk, kept, Binding.VERIFIED).account
    status, refused = finish()
    assert (status, refused["code"]) == (403, "origin_weaker")
    assert refused.keys() >= {"message", "next_step"}
    status, told = finish(account)
    notice = told["notice"]
    assert isinstance(notice, dict)
    assert (status, told["origin"], {*notice}) == (200, "declared", {"zh-TW", "en"})
    assert "did not confirm which site asked" in notice["en"]
