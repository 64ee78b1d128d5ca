# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for user code resets, certificates and the post."""

import re
from datetime import timedelta

import pytest

from support.centre.cases import SCHOOL
from support.centre.staff import officer_in
from support.centre.web import ENGLISH, Card
from support.moved_clock import MovedClock
from xca_centre import certificate_sets
from xca_centre.life.certificate import CertificateEvent, CertificateState, Hold, Reason
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.fast
FIRST = {"role": "first_reviewer"}


@pytest.fixture
def card(frame: Frame, school_card: Card) -> Card:
    """A card of the school that is accepted."""
    school_card.happen(CertificateEvent.ACCEPT)
    return school_card


def page_of(card: Card) -> str:
    return f"/officers/certificates/{card.certificates}"


def state_of(frame: Frame, card: Card) -> certificate_sets.CertificateSet:
    with frame.database.read() as connection:
        return certificate_sets.find(connection, card.certificates)


def version_of(frame: Frame, card: Card) -> dict[str, str]:
    return {"version": str(state_of(frame, card).version)}


def test_certificates_are_found_and_suspended_once(frame: Frame, card: Card) -> None:
    lin = officer_in(frame, "lin")
    for number in (card.number.lower(), SCHOOL.oid, f"{card.signing.certificate.serial_number:x}"):
        found = lin.get("/officers/certificates", params={"number": number}).text
        assert page_of(card) in found
    seen = version_of(frame, card)
    html = lin.get(page_of(card)).text
    assert f'action="{page_of(card)}/suspend"' in html
    assert f'action="{page_of(card)}/resume"' not in html
    assert lin.post(f"{page_of(card)}/suspend", data={**seen, **FIRST}).status_code == 303
    assert lin.post(f"{page_of(card)}/suspend", data={**seen, **FIRST}).status_code == 409
    assert state_of(frame, card).standing.holds == {Hold.OFFICER}


def test_revocation_needs_a_login_of_the_last_minutes(frame: Frame, card: Card, clock: MovedClock) -> None:
    lin = officer_in(frame, "lin")
    asked = {**version_of(frame, card), **FIRST, "reason": "key_compromise"}
    clock.move(timedelta(minutes=16))
    assert lin.post(f"{page_of(card)}/revoke", data=asked).status_code == 401
    assert state_of(frame, card).standing.state is CertificateState.VALID


def test_revocation_has_the_reason_that_was_chosen(frame: Frame, card: Card) -> None:
    lin = officer_in(frame, "lin")
    asked = {**version_of(frame, card), **FIRST, "reason": "key_compromise"}
    assert lin.post(f"{page_of(card)}/revoke", data=asked).status_code == 303
    assert state_of(frame, card).standing.reason is Reason.KEY_COMPROMISE


def test_court_order_without_its_letter_is_refused_on_the_page(frame: Frame, card: Card) -> None:
    op = officer_in(frame, "op")
    asked = {**version_of(frame, card), "role": "court"}
    assert op.post(f"{page_of(card)}/suspend", data=asked).status_code == 409
    assert op.post(f"{page_of(card)}/suspend", data={**asked, "letter": "1"}).status_code == 303
    assert state_of(frame, card).standing.holds == {Hold.COURT}


@pytest.mark.parametrize("more", [{"role": "holder"}, {"role": "operator"}, {"role": "x"}, {"version": "x"}])
def test_act_in_a_role_that_is_not_his_is_refused(frame: Frame, card: Card, more: dict[str, str]) -> None:
    lin = officer_in(frame, "lin")
    asked = {**version_of(frame, card), **FIRST, **more}
    assert lin.post(f"{page_of(card)}/suspend", data=asked).status_code in (400, 403)
    assert state_of(frame, card).standing.state is CertificateState.VALID


def test_officer_of_another_counter_finds_nothing(frame: Frame, card: Card) -> None:
    ho = officer_in(frame, "ho")
    assert page_of(card) not in ho.get("/officers/certificates", params={"number": card.number}).text
    assert ho.get(page_of(card)).status_code == 403


def test_post_is_for_operators(frame: Frame) -> None:
    assert officer_in(frame, "lin").get("/officers/post").status_code == 403
    op = officer_in(frame, "op")
    assert "沒有" in op.get("/officers/post").text
    assert op.post("/officers/post/mailed", data={"x": "1"}).status_code == 400
    assert op.post("/officers/post/mailed", data={"card.XC00000000000001": "on"}).status_code == 404
    assert op.get("/officers/post/letters.pdf").status_code == 400


def test_requests_are_for_registration_officers(frame: Frame) -> None:
    assert officer_in(frame, "op").get("/officers/requests").status_code == 403
    lin = officer_in(frame, "lin")
    html = lin.get("/officers/requests").text
    assert "沒有" in html
    assert lin.post("/officers/requests/1234567890/approve", data={"token": "x"}).status_code == 409
    assert lin.post("/officers/requests/1234567890/other", data={"x": "1"}).status_code == 404


def test_pages_in_english_have_no_chinese_of_their_own(frame: Frame, card: Card) -> None:
    op = officer_in(frame, "op")
    for path in (page_of(card), "/officers/post", "/officers/certificates?number=x"):
        html = op.get(path, headers=ENGLISH).text
        for word in (SCHOOL.name, SCHOOL.counter, "管理員", "中文", "法人或團體"):
            html = html.replace(word, "")
        assert not re.findall("[\u4e00-\u9fff]+", re.sub(r"<title>.*?</title>", "", html))
