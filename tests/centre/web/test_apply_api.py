# SPDX-License-Identifier: Apache-2.0
"""Applications that a program sends, and their progress."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from sqlalchemy import func, select
from starlette.testclient import TestClient

from support.centre.authority import key
from support.centre.cases import CODE, FIELDS, SCHOOL, with_organisations
from support.centre.web import browser, frame_of
from support.moved_clock import MovedClock
from xca_centre.store.database import Database
from xca_centre.store.tables import APPLICATIONS, REPEATABLE_REQUESTS
from xca_centre.user_codes import TRIES
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.integration
ASKED = {**FIELDS, "organisation": SCHOOL.oid, "user_code": CODE}


@pytest.fixture
def program(client: TestClient) -> TestClient:
    """A program: it sends no origin, and wants no pages."""
    client.headers.pop("Origin")
    client.headers["Accept"] = "application/json"
    return client


def progress(program: TestClient, number: str, code: str = CODE) -> Any:
    return sent(program, "/api/applications/progress", {"case_number": number, "user_code": code})


def sent(program: TestClient, path: str, document: dict[str, str]) -> Any:
    return program.post(path, content=json.dumps(document), headers={"Content-Type": "application/json"})


def test_program_applies_for_a_card_and_asks_for_its_progress(program: TestClient, frame: Frame) -> None:
    assert program.get("/api/terms").json()["version"] == FIELDS["consent"]
    answer = program.post("/api/applications", json=ASKED)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["fee"], made["organisation"]) == ("submitted", 420, SCHOOL.oid)
    assert progress(program, made["case_number"]).json() == made
    assert CODE not in answer.text


def test_program_applies_for_a_certificate_with_a_request(program: TestClient, frame: Frame) -> None:
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key("own"), hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    assert program.post("/api/applications", json={**ASKED, "request": pem}).json()["fee"] == 320
    assert program.post("/api/applications", json={**ASKED, "request": "none"}).status_code == 400


def test_what_is_wrong_is_told_by_field_in_both_languages(program: TestClient, frame: Frame) -> None:
    answer = program.post("/api/applications", json={**ASKED, "contact_phone": "x", "consent": "1999"})
    assert (answer.status_code, answer.json()["code"]) == (400, "form_incomplete")
    problems = answer.json()["problems"]
    assert set(problems) == {"contact_phone", "consent"}
    assert set(problems["consent"]) == {"zh-TW", "en"}
    with frame.database.read() as connection:
        assert connection.execute(select(APPLICATIONS)).all() == []


def test_wrong_code_and_unknown_case_are_told_alike(program: TestClient) -> None:
    made = program.post("/api/applications", json=ASKED).json()
    other = program.post("/api/applications", json={**ASKED, "user_code": "other-code"}).json()
    answers = [progress(program, made["case_number"], "wrong-code"), progress(program, other["case_number"])]
    assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"user_code": 1}', b"[" * 9999, b'"x"', b"\xff"])
def test_body_that_is_no_document_is_refused(program: TestClient, body: bytes) -> None:
    for path in ("/api/applications", "/api/applications/progress"):
        answer = program.post(path, content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "form_malformed")


@pytest.mark.parametrize("name", [*ASKED, "request"])
@pytest.mark.parametrize("value", ["\ud800", "\0", "x" * 20_000, "\u202e"])
def test_hostile_value_is_refused(program: TestClient, name: str, value: str) -> None:
    answer = sent(program, "/api/applications", {**ASKED, name: value})
    assert (answer.status_code // 100, answer.json()["contact"]) == (4, "02-0000-0000")
    assert progress(program, value, value).status_code == 400


def test_page_of_another_site_can_send_no_application(program: TestClient) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        headers = {"Content-Type": kind, "Origin": "https://evil.example"}
        assert program.post("/api/applications", content=b"{}", headers=headers).status_code == 415


KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


def with_key(program: TestClient, key: str = KEY, **other: str) -> Any:
    return program.post("/api/applications", json={**ASKED, **other}, headers={"Idempotency-Key": key})


def cases(frame: Frame) -> int:
    with frame.database.read() as connection:
        return connection.execute(select(func.count()).select_from(APPLICATIONS)).scalar_one()


def test_application_that_is_sent_again_has_the_same_answer_and_is_one_case(
    program: TestClient, frame: Frame
) -> None:
    first = with_key(program)
    order = {name: ASKED[name] for name in reversed(ASKED)}
    again = program.post("/api/applications", json=order, headers={"Idempotency-Key": KEY})
    assert (first.status_code, again.status_code, again.text) == (201, 201, first.text)
    assert again.headers["content-type"] == "application/json"
    assert cases(frame) == 1
    other = with_key(program, '"8e03978e-40d5-43dd-bc93-6894a57f9325"').json()
    assert other["case_number"] != first.json()["case_number"]


@pytest.mark.parametrize("other", [{"user_code": "other-code"}, {"contact_name": "別人"}, {"extra": "x"}])
def test_other_application_with_the_same_key_is_refused(
    program: TestClient, frame: Frame, other: dict[str, str]
) -> None:
    with_key(program)
    answer = with_key(program, **other)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert cases(frame) == 1


def test_wrong_codes_for_an_application_that_is_sent_again_cost_its_tries(program: TestClient) -> None:
    number = with_key(program).json()["case_number"]
    for number_of_try in range(TRIES):
        answer = with_key(program, user_code=f"Guessed-{number_of_try}")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert with_key(program).status_code == 422
    assert progress(program, number).status_code == 403


def test_two_applications_at_once_with_one_key_are_one_case(database: Database, clock: MovedClock) -> None:
    frame = frame_of(with_organisations(database), clock)
    with browser(frame) as program, ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda _: with_key(program), range(4))]
    assert {(answer.status_code, answer.text) for answer in answers} == {(201, answers[0].text)}
    assert cases(frame) == 1


def test_application_that_was_refused_is_judged_anew(program: TestClient, frame: Frame) -> None:
    assert with_key(program, organisation="2.16.886.1").status_code == 404
    assert with_key(program).status_code == 201


def test_key_can_be_used_anew_after_a_day(program: TestClient, frame: Frame, clock: MovedClock) -> None:
    with_key(program)
    clock.move(timedelta(hours=24))
    assert with_key(program, contact_name="別人").status_code == 201
    assert cases(frame) == 2
    with frame.database.read() as connection:
        assert len(connection.execute(select(REPEATABLE_REQUESTS)).all()) == 1


def test_key_and_user_code_are_not_kept(program: TestClient, frame: Frame) -> None:
    with_key(program)
    with frame.database.read() as connection:
        (kept,) = connection.execute(select(REPEATABLE_REQUESTS)).all()
    assert KEY.strip('"') not in str(kept)
    assert CODE not in str(kept)


@pytest.mark.parametrize("key", ["", '""', KEY.strip('"'), f"{KEY};a=1", f"{KEY}, {KEY}", f'"{"x" * 129}"'])
def test_key_of_another_form_is_refused(program: TestClient, frame: Frame, key: str) -> None:
    answer = with_key(program, key)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_malformed")
    assert cases(frame) == 0
