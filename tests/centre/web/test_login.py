# SPDX-License-Identifier: Apache-2.0
"""Logins with the card, and the sessions that begin with them."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from support.centre.cases import CODE, SCHOOL, with_organisations
from support.centre.web import OPERATOR, Card, browser, frame_of
from support.moved_clock import MovedClock
from xca_centre import network_limits, officers
from xca_centre.errors import PageStale
from xca_centre.life.certificate import CertificateEvent, CertificateState, Reason
from xca_centre.life.transitions import Role
from xca_centre.store.database import Database
from xca_centre.store.tables import CERTIFICATE_SETS, SESSIONS
from xca_centre.web import once, sessions
from xca_centre.web.frame import Frame
from xca_login.keys import key_of

ACCEPT, SUSPEND = CertificateEvent.ACCEPT, CertificateEvent.SUSPEND
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def is_logged_in(client: TestClient) -> bool:
    """Tell whether pages show that somebody is."""
    return 'action="/logout"' in client.get("/").text


def test_login_with_a_valid_card_is_shown_until_the_logout(client: TestClient, school_card: Card) -> None:
    school_card.happen(ACCEPT)
    assert (is_logged_in(client), school_card.log_in(client), is_logged_in(client)) == (False, 200, True)
    assert school_card.number in client.get("/").text
    left = client.post("/logout", headers=FORM)
    assert (left.status_code, left.headers["clear-site-data"]) == (303, '"cache"')
    assert not is_logged_in(client)


def test_logout_ends_the_session_for_who_copied_its_cookie(
    client: TestClient, frame: Frame, school_card: Card
) -> None:
    school_card.log_in(client)
    with browser(frame) as thief:
        thief.cookies.update(client.cookies)
        assert is_logged_in(thief)
        client.post("/logout", headers=FORM)
        assert not is_logged_in(thief)


def test_session_cookie_is_for_this_host_alone_and_for_no_script(
    client: TestClient, school_card: Card
) -> None:
    school_card.log_in(client)
    cookies = [cookie for cookie in client.cookies.jar if "session" in cookie.name]
    assert [cookie.name for cookie in cookies] == ["__Host-xca-session"]
    assert cookies[0].secure
    assert cookies[0].has_nonstandard_attr("HttpOnly")


def test_login_gives_a_new_session_and_ends_what_was_planted_before(
    client: TestClient, frame: Frame, school_card: Card, foundation_card: Card
) -> None:
    foundation_card.log_in(client)  # somebody else's, whose cookie was put into this browser
    planted = client.cookies["__Host-xca-session"]
    school_card.log_in(client)
    assert client.cookies["__Host-xca-session"] != planted
    with frame.database.read() as connection:
        assert sessions.find(connection, planted, frame.clock()) is None


@pytest.mark.parametrize("event", [SUSPEND, CertificateEvent.REVOKE])
@pytest.mark.parametrize("is_accepted", [True, False])
def test_login_with_a_suspended_or_revoked_card_is_refused_and_its_session_ends(
    client: TestClient, school_card: Card, event: CertificateEvent, is_accepted: bool
) -> None:
    if is_accepted:
        school_card.happen(ACCEPT)
    school_card.log_in(client)
    assert is_logged_in(client)
    school_card.happen(event, Reason.KEY_COMPROMISE if event is CertificateEvent.REVOKE else None)
    assert not is_logged_in(client)
    assert school_card.log_in(client) == 403


def test_login_by_a_component_that_did_not_look_at_the_origin_is_refused(
    client: TestClient, school_card: Card
) -> None:
    assert school_card.log_in(client, None) == 403
    assert school_card.log_in(client, "https://centre.test.evil.example") == 403
    assert not is_logged_in(client)


def test_login_after_the_last_day_of_the_acceptance_is_refused(
    client: TestClient, school_card: Card, clock: MovedClock
) -> None:
    clock.move(timedelta(days=90, seconds=1))
    assert school_card.log_in(client) == 403


def test_session_that_is_not_used_ends_and_one_that_is_used_goes_on_until_its_time_is_over(
    client: TestClient, school_card: Card, clock: MovedClock
) -> None:
    school_card.happen(ACCEPT)
    school_card.log_in(client)
    begun = clock.at
    while clock.at + sessions.IDLE - timedelta(minutes=5) < begun + sessions.LIFE:
        clock.move(sessions.IDLE - timedelta(minutes=5))
        assert is_logged_in(client)
    clock.move(timedelta(minutes=25))
    assert not is_logged_in(client)
    school_card.log_in(client)
    clock.move(sessions.IDLE)
    assert not is_logged_in(client)


def test_sessions_of_a_card_are_few_and_the_oldest_goes(
    frame: Frame, school_card: Card, clock: MovedClock
) -> None:
    clients = [browser(frame) for _ in range(sessions.MOST_OF_A_CARD + 1)]
    for each in clients:
        clock.move(timedelta(seconds=1))
        assert school_card.log_in(each) == 200
    assert [is_logged_in(each) for each in clients] == [False] + [True] * sessions.MOST_OF_A_CARD
    with frame.database.read() as connection:
        kept = connection.execute(select(func.count()).select_from(SESSIONS)).scalar_one()
    assert kept == sessions.MOST_OF_A_CARD


def test_login_of_an_unaccepted_card_is_asked_whether_it_accepts_and_accepts(
    client: TestClient, frame: Frame, school_card: Card
) -> None:
    school_card.log_in(client)
    asked = client.get("/login/done?next=/certificates")
    assert asked.status_code == 200
    for certificate in (school_card.signing, school_card.encryption):
        assert f"{certificate.certificate.serial_number:X}" in asked.text
    assert school_card.log_in(client) == 200
    answer = client.post("/login/accept", data={"next": "/certificates"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/accepted?next=%2Fcertificates")
    assert "有效" in client.get(answer.headers["location"]).text
    with frame.database.read() as connection:
        assert connection.execute(select(CERTIFICATE_SETS.c.state)).scalar_one() == CertificateState.VALID
    assert client.get("/login/done?next=/certificates").headers["location"] == "/certificates"


def test_acceptance_is_not_done_for_who_is_not_logged_in(client: TestClient, school_card: Card) -> None:
    assert client.post("/login/accept", headers=FORM).status_code == 401
    assert client.get("/login/done").headers["location"].startswith("/login?next=")


@pytest.mark.parametrize(
    "named",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "/a\r\nb", "javascript:alert(1)"],
)
def test_login_leads_to_no_other_site(client: TestClient, school_card: Card, named: str) -> None:
    school_card.happen(ACCEPT)
    school_card.log_in(client)
    assert client.get("/login/done", params={"next": named}).headers["location"] == "/"
    shown = re.search('data-next="([^"]*)"', client.get("/login", params={"next": named}).text)
    assert shown is not None
    assert shown[1] == "/login/done?next=%2F"


def test_card_of_an_officer_is_known_and_is_not_when_he_has_left(
    client: TestClient, frame: Frame, school_card: Card
) -> None:
    school_card.happen(ACCEPT)

    digest = hashlib.sha256(key_of(school_card.signing.certificate)).hexdigest()
    with frame.database.change() as change:
        officers.record(change, "lin", "林小姐", [Role.FIRST_REVIEWER], None, OPERATOR)
        officers.give_card(change, "lin", school_card.number, digest, OPERATOR)
    school_card.log_in(client)
    assert "林小姐" in client.get("/").text
    with frame.database.change() as change:
        officers.deactivate(change, "lin", OPERATOR)
    assert "林小姐" not in client.get("/").text


def test_logins_of_a_network_are_limited(client: TestClient, frame: Frame) -> None:
    with frame.database.change() as change:
        for _ in range(600):
            network_limits.count(change, "login", "unknown")
    answer = client.post("/login/begin", json=None, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3600")


@pytest.mark.parametrize(("act", "most"), [("login", 601), ("user_code", 30)])
def test_network_that_had_its_share_waits_for_nobody_and_keeps_nobody_waiting(
    client: TestClient, frame: Frame, act: str, most: int
) -> None:
    with frame.database.change() as change:
        for _ in range(most):
            network_limits.count(change, act, "unknown")
    asked = {"number": "XC00000000000001", "serial": "1", "code": CODE, "act": "suspend"}
    with frame.database.change():  # nobody else writes meanwhile
        if act == "login":
            answer = client.post("/login/begin", json=None, headers={"Content-Type": "application/json"})
        else:
            answer = client.post("/suspend-resume", data=asked)
    assert answer.status_code == 429


def test_form_that_is_sent_twice_at_once_does_its_act_once(frame: Frame) -> None:
    fields = {"token": once.new_token(frame.clock())}

    def act(_: int) -> bool:
        try:
            with frame.database.change() as change:
                once.spend(change, fields)
        except PageStale:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(act, range(4))) == [False, False, False, True]


@pytest.mark.parametrize(
    ("token", "hours"),
    [("", 0), ("1." + "a" * 32, 0), ("x", 0), ("99999999999." + "a" * 32, 0), (None, 5)],
)
def test_form_with_a_token_that_is_old_or_made_up_does_nothing(
    frame: Frame, clock: MovedClock, token: str | None, hours: int
) -> None:
    fields = {"token": once.new_token(frame.clock()) if token is None else token}
    clock.move(timedelta(hours=hours))
    with pytest.raises(PageStale), frame.database.change() as change:
        once.spend(change, fields)


def test_session_and_form_live_in_the_database_and_any_worker_serves_them(
    database: Database, clock: MovedClock
) -> None:
    frame = frame_of(with_organisations(database), clock)
    card = Card(frame, "XC00000000000001", SCHOOL.oid, SCHOOL.name)
    card.happen(ACCEPT)
    with browser(frame) as one, browser(frame_of(database, clock)) as other:
        assert card.log_in(one) == 200
        other.cookies.update(one.cookies)
        clock.move(sessions.IDLE - timedelta(minutes=1))
        assert is_logged_in(other)
        clock.move(sessions.IDLE - timedelta(minutes=1))
        assert is_logged_in(one)
        fields = {"token": once.new_token(clock.at)}
        with database.change() as change:
            once.spend(change, fields)
        with pytest.raises(PageStale), database.change() as change:
            once.spend(change, fields)
        other.post("/logout", headers=FORM)
        assert not is_logged_in(one)
