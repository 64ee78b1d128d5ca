# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for user code resets, certificates and the post."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from support.centre.cases import SCHOOL
from support.centre.holders import HeldCard
from support.centre.staff import officer_in
from support.centre.web import ENGLISH, Card
from support.moved_clock import MovedClock
from xca_centre import certificate_sets, orders
from xca_centre.life.certificate import CertificateEvent, CertificateState, Hold, Reason
from xca_centre.store.tables import JOBS
from xca_centre.web.frame import Frame
from xca_centre.web.once import new_token

pytestmark = pytest.mark.integration
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


def jobs_of(frame: Frame) -> list[str]:
    """The kinds of the jobs that the worker was given."""
    with frame.database.read() as connection:
        return [*connection.execute(select(JOBS.c.kind)).scalars()]


def test_user_code_reset_is_approved_once_and_its_link_goes_to_the_mail(
    frame: Frame, client: TestClient, clock: MovedClock
) -> None:
    held = HeldCard(frame)
    asked = {"number": held.number, "serial": held.serial, "secret": "Fern-42", "secret_again": "Fern-42"}
    assert client.post("/user-code-reset", data={**asked, "token": new_token(clock())}).status_code == 303
    lin = officer_in(frame, "lin")
    html = lin.get("/officers/requests").text
    (path,) = re.findall(r'action="(/officers/requests/\d{10}/approve)"', html)
    assert held.number in html
    before = jobs_of(frame)
    form = {"token": new_token(clock())}
    assert lin.post(path, data=form).headers["location"] == "/officers/requests?done=1"
    assert lin.post(path, data=form).status_code == 409
    after = jobs_of(frame)
    assert after[len(before) :] == ["send_mail"]
    assert path not in lin.get("/officers/requests").text


def test_cards_of_a_batch_are_printed_and_mailed_once(frame: Frame) -> None:
    held = HeldCard(frame)
    op = officer_in(frame, "op")
    chosen = {f"card.{held.number}": "on"}
    assert f'name="card.{held.number}"' in op.get("/officers/post").text
    for what in ("letters", "list", "labels"):
        printed = op.get(f"/officers/post/{what}.pdf", params=chosen)
        assert (printed.status_code, printed.content[:5]) == (200, b"%PDF-")
    before = jobs_of(frame)
    for _ in range(2):
        op.post("/officers/post/mailed", data=chosen)
    assert len(jobs_of(frame)) == len(before) + 1
    with frame.database.read() as connection:
        assert orders.of_card(connection, held.number).mailed == frame.clock()
    assert held.number not in op.get("/officers/post").text


def test_pages_in_english_have_no_chinese_of_their_own(frame: Frame, card: Card) -> None:
    op = officer_in(frame, "op")
    for path in (page_of(card), "/officers/post", "/officers/certificates?number=x"):
        html = op.get(path, headers=ENGLISH).text
        for word in (SCHOOL.name, SCHOOL.counter, "管理員", "中文", "法人或團體"):
            html = html.replace(word, "")
        assert not re.findall("[\u4e00-\u9fff]+", re.sub(r"<title>.*?</title>", "", html))
