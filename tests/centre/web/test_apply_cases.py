# SPDX-License-Identifier: Apache-2.0
"""What became of an application, over HTTP: progress, fee, correction, withdrawal, certificate, renewal."""

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from sqlalchemy import select
from starlette.testclient import TestClient

from support.centre.applicant import TYPED, begun, filled, number_of, post, sent, uploaded, wrong
from support.centre.authority import issuer, key
from support.centre.cases import CODE, FIRST, SECOND
from support.centre.web import ORIGIN, Card, browser
from support.moved_clock import MovedClock
from xca_centre import applications, case_number, orders
from xca_centre.life.application import ApplicationEvent
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.job_queue import work_on_one
from xca_centre.store.tables import APPLICATIONS, SLIPS, USER_CODES
from xca_centre.web.frame import Frame
from xca_login.testing.tokens import origin, sign

pytestmark = pytest.mark.integration
PRODUCER = Actor(Role.PRODUCER, "producer")


def rows(frame: Frame, table: Any) -> list[Any]:
    with frame.database.read() as connection:
        return [*connection.execute(select(table))]


def only(frame: Frame) -> Any:
    (row,) = rows(frame, APPLICATIONS)
    return row


def proved(client: TestClient, number: str, code: str = CODE) -> Any:
    return client.post("/apply/progress", data={"case_number": number, "user_code": code})


def approve(frame: Frame, case: UUID) -> None:
    for act, officer in ((applications.receive, FIRST), (applications.pass_first, FIRST)):
        with frame.database.change() as change:
            act(change, frame.rules, case, officer)
    with frame.database.change() as change:
        applications.approve(change, frame.rules, case, SECOND)


def paid(client: TestClient, frame: Frame, case: str) -> None:
    assert post(client, f"{case}/slip").status_code == 303
    (slip,) = rows(frame, SLIPS)
    assert post(client, f"/test-payments/{slip.number}").status_code == 303


def test_progress_is_shown_for_case_number_and_user_code(client: TestClient, frame: Frame) -> None:
    uploaded(client)
    number = only(frame).case_number
    with browser(frame) as other:
        for typed in (number, case_number.shown(number), f" {case_number.shown(number).replace('-', ' ')} "):
            page = other.get(proved(other, typed).headers["location"]).text
            assert number_of(page) == case_number.shown(number)
            assert "已上傳" in page


def test_answer_does_not_tell_whether_there_is_such_a_case(client: TestClient, frame: Frame) -> None:
    uploaded(client)
    right, other = only(frame).case_number, case_number.new_case_number()
    pages = [proved(client, number, code) for number, code in ((right, "wrong-code"), (other, CODE))]
    said = {page.text.replace(right, "").replace(other, "") for page in pages}
    assert ({page.status_code for page in pages}, len(said)) == ({403}, 1)


def test_mistyped_case_number_is_told_beside_its_field_and_spends_no_try(
    client: TestClient, frame: Frame
) -> None:
    uploaded(client)
    number = only(frame).case_number
    digit = str((int(number[3]) + 1) % 10)
    for typed in (number[:3] + digit + number[4:], "", "x" * 9999, number[:-1]):
        page = proved(client, typed)
        assert (page.status_code, wrong(page.text)) == (400, {"case_number"})
    assert rows(frame, USER_CODES)[0].spent == 0
    assert proved(client, number, "short").status_code == 400
    assert rows(frame, USER_CODES)[0].spent == 0


def test_third_wrong_code_locks_the_case_and_looks_like_the_first(client: TestClient, frame: Frame) -> None:
    uploaded(client)
    number = only(frame).case_number
    pages = [proved(client, number, code) for code in ("wrong-code", "wrong-codf", "wrong-codg", CODE)]
    assert {(page.status_code, page.text) for page in pages} == {(403, pages[0].text)}


def test_case_numbers_that_are_guessed_are_limited_by_network(client: TestClient) -> None:
    statuses = [proved(client, case_number.new_case_number()).status_code for _ in range(31)]
    assert statuses == [403] * 30 + [429]


def test_case_is_closed_half_an_hour_after_the_upload(
    client: TestClient, frame: Frame, clock: MovedClock
) -> None:
    draft = sent(client)
    case = client.get(draft).headers["location"]
    assert client.get(case).status_code == 200
    clock.move(timedelta(minutes=30))
    for address in (case, draft, f"{draft}/check"):
        assert client.get(address).status_code == 403
    assert post(client, f"{draft}/send").status_code == 403


def test_case_that_was_left_is_closed_to_the_browser_until_its_code_is_given(
    client: TestClient, frame: Frame
) -> None:
    draft = sent(client)
    case = client.get(draft).headers["location"].partition("?")[0]
    number = only(frame).case_number
    again = proved(client, number).headers["location"]
    left = post(client, f"{again}/leave")
    assert (left.headers["location"], left.headers["clear-site-data"]) == ("/apply/progress", '"cache"')
    for address in (again, case, draft, f"{draft}/check"):
        assert client.get(address).status_code == 403
    assert {post(client, f"{case}/withdraw").status_code, post(client, f"{draft}/send").status_code} == {403}
    assert client.get(proved(client, number).headers["location"]).status_code == 200


def test_case_that_one_browser_left_stays_open_in_another(client: TestClient, frame: Frame) -> None:
    case = uploaded(client)
    with browser(frame) as other:
        theirs = proved(other, only(frame).case_number).headers["location"]
        for address in (theirs, case):
            post(client, f"{address}/leave")
        assert (client.get(case).status_code, other.get(theirs).status_code) == (403, 200)


def test_fee_is_paid_at_the_test_provider(client: TestClient, frame: Frame, clock: MovedClock) -> None:
    case = uploaded(client)
    for _ in range(2):  # the second one is the first
        post(client, f"{case}/slip")
    (slip,) = rows(frame, SLIPS)
    assert slip.number in client.get(case).text
    assert "420" in client.get(f"/test-payments/{slip.number}").text
    for _ in range(2):
        assert post(client, f"/test-payments/{slip.number}").status_code == 303
    assert only(frame).state == "paid"
    assert post(client, f"{case}/slip").status_code == 409
    assert client.get("/test-payments/1234567890123452").status_code == 404


def test_slip_that_lapsed_is_followed_by_another(client: TestClient, frame: Frame, clock: MovedClock) -> None:
    case = uploaded(client)
    post(client, f"{case}/slip")
    clock.move(timedelta(days=15))
    case = proved(client, only(frame).case_number).headers["location"]
    post(client, f"{case}/slip")
    assert sorted(row.state for row in rows(frame, SLIPS)) == ["lapsed", "open"]


def test_correction_is_taken_with_its_mistakes_told(client: TestClient, frame: Frame) -> None:
    case = uploaded(client)
    sent = {**TYPED, "rank": "primary", "version": "1"}
    assert 'name="version" value="1"' in client.get(f"{case}/correct").text
    page = client.post(f"{case}/correct", data={**sent, "contact_phone": "x"})
    assert (page.status_code, wrong(page.text)) == (400, {"contact_phone"})
    answer = client.post(f"{case}/correct", data={**sent, "contact_name": "林美麗"})
    assert "林美麗" in client.get(answer.headers["location"]).text
    assert (only(frame).revision, only(frame).rank) == (2, "primary")


def test_correction_in_a_second_window_is_refused(client: TestClient, frame: Frame) -> None:
    case = uploaded(client)
    sent = {**TYPED, "rank": "secondary", "version": "1"}
    assert client.post(f"{case}/correct", data={**sent, "contact_name": "林美麗"}).status_code == 303
    for version in ("1", "", "x", "9" * 99, "-1"):
        answer = client.post(f"{case}/correct", data={**sent, "version": version, "contact_name": "陳大文"})
        assert answer.status_code >= 400
    assert "陳大文" not in only(frame).form


def test_application_is_withdrawn_once_and_its_money_is_paid_back(client: TestClient, frame: Frame) -> None:
    case = uploaded(client)
    paid(client, frame, case)
    assert "撤回" in client.get(f"{case}/withdraw").text
    assert only(frame).state == "paid"  # a page that is only looked at changes nothing
    for _ in range(2):
        assert post(client, f"{case}/withdraw").status_code == 303
    assert only(frame).state == "withdrawn"
    assert rows(frame, SLIPS)[0].state == "refund_due"


def test_application_whose_card_is_made_is_neither_corrected_nor_withdrawn(
    client: TestClient, frame: Frame
) -> None:
    case = uploaded(client)
    paid(client, frame, case)
    approve(frame, only(frame).id)
    with frame.database.change() as change:
        applications.advance(change, frame.rules, only(frame).id, ApplicationEvent.MAKE, PRODUCER)
    page = client.get(case).text
    assert (f"{case}/correct" in page, f"{case}/withdraw" in page) == (False, False)
    assert post(client, f"{case}/withdraw").status_code == 409
    sent = {**TYPED, "rank": "secondary", "version": str(only(frame).version)}
    assert client.post(f"{case}/correct", data=sent).status_code == 409


def test_returned_application_says_why(client: TestClient, frame: Frame) -> None:
    case = uploaded(client)
    paid(client, frame, case)
    with frame.database.change() as change:
        applications.receive(change, frame.rules, only(frame).id, FIRST)
        applications.send_back(change, frame.rules, only(frame).id, FIRST, "印信不清楚")
    assert "印信不清楚" in client.get(case).text


def test_certificate_that_was_issued_for_a_request_is_downloaded(client: TestClient, frame: Frame) -> None:
    draft = begun(client, wanted="certificate")
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key("own"), hashes.SHA256())
    filled(client, draft, request_text=request.public_bytes(serialization.Encoding.PEM).decode())
    case = str(post(client, f"{draft}/send").headers["location"]).partition("?")[0]
    assert client.get(f"{case}/certificate.cer").status_code == 404
    paid(client, frame, case)
    approve(frame, only(frame).id)
    handler = orders.certificate_handler(frame.rules, {2: issuer(2)})
    assert work_on_one(frame.database, {orders.ISSUE_CERTIFICATE: handler})
    der, pem = (client.get(f"{case}/certificate.{kind}") for kind in ("cer", "pem"))
    certificate = x509.load_der_x509_certificate(der.content)
    assert certificate.public_key() == key("own").public_key()
    assert x509.load_pem_x509_certificate(pem.content) == certificate
    assert f"{certificate.serial_number:x}".upper() in der.headers["content-disposition"].upper()
    assert f"{case}/certificate.cer" in client.get(case).text


@pytest.fixture
def old_card(school_card: Card, clock: MovedClock) -> Card:
    """The school's accepted card, which ends in some 30 days."""
    school_card.happen(CertificateEvent.ACCEPT)
    clock.at = school_card.signing.certificate.not_valid_after_utc - timedelta(days=30)
    return school_card


def renewal(client: TestClient, card: Card, draft: str, page: str = ORIGIN, **changed: str) -> Any:
    """Sign with the old card, and send it."""
    filled(client, draft)
    asked = post(client, f"{draft}/statement").json()["statement"]
    if changed:
        filled(client, draft, **changed)
    token = sign(card.signing, asked.encode(), more=[origin(page)])
    return client.post(f"{draft}/signed", data={"token": base64.b64encode(token).decode()})


def test_card_is_renewed_with_the_signature_of_the_old_one(
    client: TestClient, frame: Frame, old_card: Card
) -> None:
    draft = begun(client, wanted="renewal")
    filled(client, draft)
    assert "apply_renewal.js" in client.get(f"{draft}/check").text
    answer = renewal(client, old_card, draft)
    assert answer.headers["location"].startswith("/apply/cases/"), answer.text
    assert (only(frame).state, only(frame).renews is not None) == ("letter_arrived", True)
    assert "以原卡簽章換發" in client.get(answer.headers["location"]).text
    again = begun(client, wanted="renewal")
    assert renewal(client, old_card, again).status_code == 409


def test_renewal_without_a_signature_that_counts_is_no_application(
    client: TestClient, frame: Frame, old_card: Card, foundation_card: Card
) -> None:
    foundation_card.happen(CertificateEvent.ACCEPT)
    draft = begun(client, wanted="renewal")
    filled(client, draft)
    for answer in (
        post(client, f"{draft}/send"),
        client.post(f"{draft}/signed", data={"token": "no base64!"}),
        client.post(f"{draft}/signed", data={"token": ""}),
        renewal(client, old_card, draft, "https://evil.example"),
        renewal(client, foundation_card, draft),
        renewal(client, old_card, draft, contact_name="林美麗"),
    ):
        assert 400 <= answer.status_code < 500
    old_card.happen(CertificateEvent.SUSPEND)
    assert renewal(client, old_card, draft).status_code == 400
    assert rows(frame, APPLICATIONS) == []


def test_renewal_too_early_is_told(
    client: TestClient, frame: Frame, old_card: Card, clock: MovedClock
) -> None:
    clock.move(timedelta(days=-40))
    answer = renewal(client, old_card, begun(client, wanted="renewal"))
    assert (answer.status_code, rows(frame, APPLICATIONS)) == (409, [])
