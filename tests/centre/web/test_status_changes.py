# SPDX-License-Identifier: Apache-2.0
"""Revocation, suspension and resumption on the centre's pages: who may, what is asked, what is told."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from support.centre.holders import HeldCard
from support.centre.web import ENGLISH
from support.moved_clock import MovedClock
from xca_centre.certificate_sets import change_state
from xca_centre.life.certificate import CertificateEvent, CertificateState
from xca_centre.life.transitions import Actor, Role
from xca_centre.web.frame import Frame
from xca_centre.web.login import where_to
from xca_centre.web.once import new_token

PROGRAM = {"Accept": "application/json"}


@pytest.fixture
def card(frame: Frame) -> HeldCard:
    made = HeldCard(frame)
    made.happen(CertificateEvent.ACCEPT)
    return made


def done(client: TestClient, path: str, fields: dict[str, str], clock: MovedClock) -> str:
    """Post a form, and return the page that comes next."""
    answer = client.post(path, data={**fields, "token": new_token(clock())})
    assert answer.status_code == 303, answer.text
    page = client.get(answer.headers["location"])
    assert page.status_code == 200
    return page.text


def test_certificates_are_suspended_and_resumed_with_the_user_code(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    assert "停用" in done(client, "/suspend-resume", card.fields(act="suspend"), clock)
    assert card.state == "held"
    done(client, "/suspend-resume", card.fields(act="resume"), clock)
    assert card.state == "valid"


def test_certificates_are_revoked_for_good_with_the_user_code(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    page = done(client, "/revoke", card.fields(act="revoke", ground="lost"), clock)
    assert "廢止" in page
    assert card.state == "revoked"
    again = client.post(
        "/suspend-resume", data=card.fields(act="resume", token=new_token(clock())), headers=ENGLISH
    )
    assert (again.status_code, "that is final" in again.text) == (409, True)


def test_certificates_are_revoked_by_who_is_logged_in_with_the_card(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    fields = {"act": "revoke", "ground": "not_needed", "login": "yes", "token": new_token(clock())}
    assert client.post("/revoke", data=fields).status_code == 401
    assert card.log_in(client) == 200
    assert client.post("/revoke", data=fields).status_code == 303
    assert card.state == "revoked"


def test_revocation_with_an_old_login_asks_for_the_card_again_and_a_suspension_does_not(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    assert card.log_in(client) == 200
    clock.move(timedelta(minutes=16))
    fields = {"act": "revoke", "ground": "not_needed", "login": "yes", "token": new_token(clock())}
    refused = client.post("/revoke", data=fields)
    assert (refused.status_code, card.state) == (401, "valid")
    back = "/revoke/confirm?act=revoke&ground=not_needed&login=yes"
    assert f'href="/login?next={quote(back)}"' in unescape(refused.text)
    assert where_to(back) == back
    suspended = client.post("/suspend-resume", data={**fields, "act": "suspend"})
    assert (suspended.status_code, card.state) == (303, "held")


def test_revocation_without_a_ground_spends_no_try_and_changes_nothing(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    for ground in ("", "whim"):
        fields = card.fields(act="revoke", ground=ground, code="wrong-1", token=new_token(clock()))
        assert client.post("/revoke", data=fields).status_code == 422
    assert card.state == "valid"


def test_wrong_code_and_unknown_card_are_refused_in_the_same_words(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    answers = []
    for wrong in (
        {"code": "wrong-1"},
        {"number": "XC99999999999999"},
        {"serial": "AB"},
        {"number": "1" * 25},
    ):
        fields = {**card.fields(act="suspend"), **wrong, "token": new_token(clock())}
        answers.append(client.post("/suspend-resume", data=fields, headers=PROGRAM))
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert card.state == "valid"


def test_form_that_is_shown_again_has_the_number_and_never_the_code(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    fields = card.fields(act="suspend", code="wrong-99", token=new_token(clock()))
    answer = client.post("/suspend-resume", data=fields)
    assert answer.status_code == 403
    assert card.number in answer.text
    assert "wrong-99" not in answer.text


def test_three_wrong_codes_lock_it_for_the_right_one(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    for _ in range(3):
        client.post(
            "/suspend-resume", data=card.fields(act="suspend", code="wrong-1", token=new_token(clock()))
        )
    answer = client.post("/suspend-resume", data=card.fields(act="suspend", token=new_token(clock())))
    assert (answer.status_code, card.state) == (403, "valid")


def test_suspension_of_a_court_is_not_resumed_with_the_user_code(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    with frame.database.change() as change:
        court = Actor(Role.COURT, "letter 1")
        change_state(change, card.certificates, CertificateEvent.SUSPEND, court, frame.rules)
    answer = client.post(
        "/suspend-resume", data=card.fields(act="resume", token=new_token(clock())), headers=ENGLISH
    )
    assert (answer.status_code, "a court" in answer.text) == (409, True)
    assert card.state == CertificateState.HELD


def test_form_that_is_sent_twice_acts_once(client: TestClient, card: HeldCard, clock: MovedClock) -> None:
    token = new_token(clock())
    assert client.post("/suspend-resume", data=card.fields(act="suspend", token=token)).status_code == 303
    done(client, "/suspend-resume", card.fields(act="resume"), clock)
    assert client.post("/suspend-resume", data=card.fields(act="suspend", token=token)).status_code == 409
    assert card.state == "valid"


def test_page_before_the_act_says_what_cannot_be_undone(client: TestClient, card: HeldCard) -> None:
    asked = {"number": card.number, "serial": card.serial, "ground": "lost", "act": "revoke"}
    page = client.get("/revoke/confirm", params=asked, headers=ENGLISH).text
    assert "This is final. Nobody can take it back" in page
    assert (card.number in page, "The card is lost" in page) == (True, True)
    assert card.state == "valid"
    assert re.search('<input id="code" name="code" type="password"', page)


def test_program_is_told_the_state(client: TestClient, card: HeldCard) -> None:
    answer = client.post("/suspend-resume", data=card.fields(act="suspend"), headers=PROGRAM)
    assert answer.json() | {"since": ""} == {
        "card": card.number,
        "state": "held",
        "reason": "certificate_hold",
        "since": "",
    }


@pytest.mark.parametrize("path", ["/revoke", "/suspend-resume"])
def test_pages_are_complete_in_both_languages(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200
    english = client.get(path, headers=ENGLISH).text.replace("中文", "")
    assert not [character for character in english if "\u4e00" <= character <= "\u9fff"]
    assert client.get(f"{path}/confirm?act=nothing").status_code == 404
    assert client.get(f"{path}/done?set=nothing").status_code == 404
