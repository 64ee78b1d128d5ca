# SPDX-License-Identifier: Apache-2.0
"""Cards in the reader, contact persons, certificates without a card, secure e-mail addresses."""

import base64
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from starlette.testclient import TestClient

from support.centre.authority import issuer, key
from support.centre.cases import (
    APPLICANT,
    BANK,
    CODE,
    FIELDS,
    FIRST,
    RULES,
    SCHOOL,
    SECOND,
    codes,
    form,
    with_organisations,
)
from support.centre.holders import HeldCard
from support.centre.web import ENGLISH
from support.moved_clock import MovedClock
from xca_centre import applications, certificate_sets, orders
from xca_centre.case_number import shown
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.store.job_queue import work_on_one
from xca_centre.web.frame import Frame
from xca_centre.web.once import new_token
from xca_common.pki.certificate import Certificate
from xca_common.secret import Secret

PROGRAM = {"Accept": "application/json", "Accept-Language": "en"}
CONTACT = {name: value for name, value in FIELDS.items() if name.startswith("contact_")}


@pytest.fixture
def card(frame: Frame) -> HeldCard:
    return HeldCard(frame)


def facts(client: TestClient, der: bytes) -> dict[str, object]:
    """What the page of a card in the reader is told."""
    fields = {"signing": base64.b64encode(der).decode()}
    answer = client.post("/card/facts", data=fields, headers=PROGRAM)
    return dict(answer.json()) if answer.status_code == 200 else {"status": answer.status_code}


def refusal(found: object) -> str:
    assert isinstance(found, dict)
    return str(found["message"])


def test_card_that_is_not_activated_may_be_until_its_last_day(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    told = facts(client, card.signing.der)
    assert (told["card"], told["serial"], told["activation"]) == (card.number, card.serial, None)
    assert told["label"] == "Not activated"
    clock.move(timedelta(days=91))
    assert "had to be accepted by" in refusal(facts(client, card.signing.der)["activation"])


def test_pin_is_not_reset_while_the_certificates_are_suspended_revoked_or_expired(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    card.happen(CertificateEvent.ACCEPT)
    assert facts(client, card.signing.der)["pin_reset"] is None
    card.happen(CertificateEvent.SUSPEND)
    assert "suspended" in refusal(facts(client, card.signing.der)["pin_reset"])
    card.happen(CertificateEvent.RESUME)
    clock.move(timedelta(days=7 * 366))
    assert "expired" in refusal(facts(client, card.signing.der)["pin_reset"])


def test_pin_of_a_revoked_card_is_not_reset(client: TestClient, card: HeldCard) -> None:
    card.happen(CertificateEvent.REVOKE, Reason.KEY_COMPROMISE)
    told = facts(client, card.signing.der)
    assert "revoked" in refusal(told["pin_reset"])
    assert "revoked" in refusal(told["activation"])


@pytest.mark.parametrize(
    "strange", [b"", b"no certificate", issuer().certificate.public_bytes(serialization.Encoding.DER)]
)
def test_card_of_somebody_else_is_told_nothing(client: TestClient, strange: bytes) -> None:
    assert facts(client, strange) == {"status": 404}


def test_contact_person_changes_with_the_user_code_after_the_page_that_says_so(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    fields = {"number": card.number, "serial": card.serial, **CONTACT, "contact_name": "林小華"}
    page = client.post("/contact/confirm", data=fields)
    assert (page.status_code, "林小華" in page.text) == (200, True)
    answer = client.post("/contact", data={**fields, "code": CODE, "token": new_token(clock())})
    assert (answer.status_code, answer.headers["location"]) == (303, "/contact/done")
    with frame.database.read() as connection:
        application = orders.of_card(connection, card.number).application
        assert applications.read(connection, application).form.contact.name == "林小華"


def test_contact_person_stays_after_a_wrong_code_or_a_wrong_field(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    fields = {"number": card.number, "serial": card.serial, **CONTACT, "contact_name": "林小華"}
    wrong = client.post("/contact", data={**fields, "code": "wrong-1", "token": new_token(clock())})
    assert (wrong.status_code, "wrong-1" in wrong.text) == (403, False)
    bad = client.post("/contact/confirm", data={**fields, "contact_email": "nobody"}, headers=ENGLISH)
    assert (bad.status_code, 'id="contact_email-wrong"' in bad.text, "林小華" in bad.text) == (
        400,
        True,
        True,
    )
    with frame.database.read() as connection:
        application = orders.of_card(connection, card.number).application
        assert applications.read(connection, application).form.contact.name == "王小明"


def test_contact_person_changes_for_who_is_logged_in(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    card.happen(CertificateEvent.ACCEPT)
    fields = {**CONTACT, "contact_name": "林小華", "login": "yes"}
    assert client.post("/contact", data={**fields, "token": new_token(clock())}).status_code == 401
    card.log_in(client)
    assert client.post("/contact", data={**fields, "token": new_token(clock())}).status_code == 303


def certificate_without_a_card(frame: Frame) -> str:
    """The case number of an application whose certificate is issued."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key("elsewhere"), hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    code = codes(frame.database).choose(Secret(CODE))
    with with_organisations(frame.database).change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), code, request=request)
        slip = applications.fetch_slip(change, RULES, case.id, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
        applications.receive(change, RULES, case.id, FIRST)
        applications.pass_first(change, RULES, case.id, FIRST)
        applications.approve(change, RULES, case.id, SECOND)
    work = orders.certificate_handler(RULES, {2: issuer(2)})
    assert work_on_one(frame.database, {orders.ISSUE_CERTIFICATE: work})
    return shown(case.case_number)


@pytest.mark.parametrize(("answer", "label"), [("accept", "Valid"), ("refuse", "Revoked")])
def test_certificate_without_a_card_is_looked_at_and_answered(
    client: TestClient, frame: Frame, answer: str, label: str
) -> None:
    fields = {"number": certificate_without_a_card(frame), "code": CODE}
    page = client.post("/accept-certificate/look", data=fields, headers=ENGLISH)
    assert (page.status_code, SCHOOL.name in page.text, CODE in page.text) == (200, True, False)
    done = client.post("/accept-certificate", data={**fields, "answer": answer})
    assert done.status_code == 303
    assert f"State: {label}" in client.get(done.headers["location"], headers=ENGLISH).text


def test_certificates_of_a_card_are_not_accepted_with_a_case_number(
    client: TestClient, frame: Frame, card: HeldCard
) -> None:
    with frame.database.read() as connection:
        application = orders.of_card(connection, card.number).application
        case = shown(applications.read(connection, application).case_number)
    answer = client.post("/accept-certificate/look", data={"number": case, "code": CODE}, headers=ENGLISH)
    assert (answer.status_code, "asks for a card" in answer.text, card.state) == (409, True, "issued")


def test_secure_email_is_in_new_certificates_for_the_same_keys(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    assert client.get("/secure-email").headers["location"].startswith("/login?")
    card.happen(CertificateEvent.ACCEPT)
    card.log_in(client)
    clock.move(timedelta(minutes=1))
    email = "office@school.example.tw"
    assert client.post("/secure-email/confirm", data={"email": "nobody"}).status_code == 422
    confirm = client.post("/secure-email/confirm", data={"email": email}, headers=ENGLISH).text
    assert "This cannot be taken back" in confirm
    answer = client.post("/secure-email", data={"email": email, "token": new_token(clock())})
    page = client.get(answer.headers["location"]).text
    with frame.database.read() as connection:
        new, old = certificate_sets.of_card(connection, card.number)
        issued = certificate_sets.certificates_of(connection, new.id)
    assert (new.standing.state.value, old.standing.state.value) == ("valid", "superseded")
    for each in issued:
        assert base64.b64encode(each.der).decode() in page
        assert Certificate.parse("", "", each.der).email == email


def test_secure_email_with_an_old_login_asks_for_the_card_again(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    card.happen(CertificateEvent.ACCEPT)
    card.log_in(client)
    clock.move(timedelta(minutes=16))
    fields = {"email": "office@school.example.tw", "token": new_token(clock())}
    refused = client.post("/secure-email", data=fields)
    assert (refused.status_code, 'href="/login?next=/secure-email"' in refused.text) == (401, True)
    with frame.database.read() as connection:
        assert len(certificate_sets.of_card(connection, card.number)) == 1


@pytest.mark.parametrize(
    "path", ["/activate", "/reset-pin", "/change-pin", "/card", "/contact", "/accept-certificate"]
)
def test_pages_of_holders_are_complete_in_both_languages(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200
    english = client.get(path, headers=ENGLISH).text.replace("中文", "")
    english = english.replace(RULES.about.name.zh, "")  # what the component is asked with
    assert not [character for character in english if "\u4e00" <= character <= "\u9fff"]


def test_activation_page_has_the_words_of_the_issuer(client: TestClient) -> None:
    page = client.get("/activate").text
    for words in ("開卡作業", "偵測卡片", "卡號", "進行開卡", "開卡成功", "請於發卡日期後90天內"):
        assert words in page
    assert "<input" not in page  # no user code and no PIN is typed here
