# SPDX-License-Identifier: Apache-2.0
"""The application for certificates over HTTP, from the search to the card in the mail."""

import re
from collections.abc import Callable
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from sqlalchemy import select
from starlette.testclient import TestClient

from support.centre.applicant import TYPED, begun, filled, number_of, post, uploaded, wrong
from support.centre.authority import key
from support.centre.cases import CODE, FIELDS, FIRST, FOUNDATION, OPERATOR, SCHOOL
from support.centre.web import ENGLISH, browser
from xca_centre import applications, case_number, name_changes, network_limits, reissue_blocks
from xca_centre.store.tables import APPLICATIONS, DRAFTS
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.integration
OTHER_CODE = "Zyx-9876"
UNKNOWN = "0b9d4ecb-6b1c-4c0c-9ad2-6f0c6f5d3e11"


def values(page: str) -> dict[str, str]:
    return {
        name: unescape(value) for name, value in re.findall(r'name="(\w+)" type="\w+" value="([^"]*)"', page)
    }


def cases(frame: Frame) -> list[Any]:
    with frame.database.read() as connection:
        return [*connection.execute(select(APPLICATIONS))]


def test_organisation_is_found_by_its_name_and_by_its_tax_id(client: TestClient) -> None:
    for typed in ("青溪", SCHOOL.tax_id, " 測試縣立青溪國民小學 "):
        page = client.get("/apply", params={"name": typed}).text
        assert (SCHOOL.name in page, SCHOOL.oid in page, FOUNDATION.name in page) == (True, True, False)
        assert f'href="/apply/kind?organisation={SCHOOL.oid}"' in page
    assert "查無" in client.get("/apply", params={"name": "沒有這個"}).text
    assert SCHOOL.oid not in client.get("/apply", params={"name": "<script>\0%"}).text


def test_oid_of_the_organisation_is_filled_in_by_the_page(client: TestClient) -> None:
    page = client.get("/apply/kind", params={"organisation": SCHOOL.oid}).text
    assert SCHOOL.oid in page
    assert ("正卡" in page, "附卡" in page) == (True, True)


@pytest.mark.parametrize("path", ["/apply/kind", "/apply/terms"])
@pytest.mark.parametrize("oid", ["", "2.16.886.111.1", "x" * 5000, "1.2'--"])
def test_organisation_that_is_not_in_the_register_is_told(client: TestClient, path: str, oid: str) -> None:
    asked = {"organisation": oid, "wanted": "card", "rank": "secondary"}
    assert client.get(path, params=asked).status_code == 404


def test_nobody_goes_on_without_agreeing_to_the_terms(client: TestClient, frame: Frame) -> None:
    asked = {"organisation": SCHOOL.oid, "wanted": "card", "rank": "secondary"}
    assert frame.rules.terms.report.zh in client.get("/apply/terms", params=asked).text
    for consent in ({}, {"consent": ""}, {"consent": "1999-01"}):
        answer = client.post("/apply/terms", data={**asked, **consent})
        assert (answer.status_code, 'aria-invalid="true"' in answer.text) == (400, True)
    with frame.database.read() as connection:
        assert connection.execute(select(DRAFTS)).all() == []


def test_organisation_in_its_block_is_told_before_anything_is_filled_in(
    client: TestClient, frame: Frame
) -> None:
    with frame.database.change() as change:
        reissue_blocks.block(change, SCHOOL.oid, change.now, frame.rules, OPERATOR)
        name_changes.dissolve(change, FOUNDATION.oid, date(2026, 11, 1), OPERATOR, frame.rules)
    for oid in (SCHOOL.oid, FOUNDATION.oid):
        asked = {"organisation": oid, "wanted": "card", "rank": "secondary", "consent": FIELDS["consent"]}
        assert client.post("/apply/terms", data=asked).status_code == 409


def test_application_is_filled_in_checked_uploaded_and_printed(client: TestClient, frame: Frame) -> None:
    draft = begun(client)
    assert "請輸入6~10碼組合" in client.get(draft).text
    assert filled(client, draft).status_code == 303
    page = client.get(f"{draft}/check").text
    for value in (
        SCHOOL.name,
        SCHOOL.oid,
        *filter(None, (TYPED[name] for name in TYPED if name != "published")),
    ):
        assert value in unescape(page)
    answer = post(client, f"{draft}/send")
    case = client.get(answer.headers["location"]).text
    (row,) = cases(frame)
    assert case_number.read(number_of(case)) == row.case_number
    assert (row.organisation, row.rank, row.state) == (SCHOOL.oid, "secondary", "submitted")
    assert re.search('src="data:image/png;base64,[A-Za-z0-9+/]{200,}=*"', case)
    printed = client.get(answer.headers["location"].partition("?")[0] + "/application.pdf")
    assert (printed.headers["content-type"], printed.content[:5]) == ("application/pdf", b"%PDF-")


def test_user_code_is_in_no_page_no_address_no_log_and_not_in_clear_in_the_database(
    client: TestClient, frame: Frame, sqlite_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    draft = begun(client)
    pages = [filled(client, draft, contact_name=""), client.get(draft), filled(client, draft, code="")]
    pages += [client.get(f"{draft}/check"), post(client, f"{draft}/save"), post(client, f"{draft}/send")]
    pages += [client.get(pages[-1].headers["location"])]
    number = number_of(pages[-1].text)
    with browser(frame) as other:
        for code in (CODE, "wrong-code"):
            pages.append(other.post("/apply/progress", data={"case_number": number, "user_code": code}))
    for page in pages:
        assert CODE not in page.text + str(page.headers) + str(page.url)
    assert CODE not in caplog.text
    folder = Path(sqlite_address.removeprefix("sqlite:///")).parent
    assert not any(CODE.encode() in file.read_bytes() for file in folder.iterdir())


def test_form_with_mistakes_comes_back_with_what_was_typed_and_each_mistake_beside_its_field(
    client: TestClient, frame: Frame
) -> None:
    draft = begun(client)
    page = filled(client, draft, contact_email="no address", contact_phone="", contact_title="=1+1")
    assert page.status_code == 400
    assert wrong(page.text) == {"contact_email", "contact_phone", "contact_title"}
    kept = values(page.text)
    assert (kept["contact_email"], kept["contact_title"]) == ("no address", "=1+1")
    assert kept["contact_name"] == TYPED["contact_name"]
    assert cases(frame) == []


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ("", "", "user_code"),
        ("short", "short", "user_code"),
        ("elevenchars", "elevenchars", "user_code"),
        ("with blank", "with blank", "user_code"),
        ("用戶代碼用戶代碼", "用戶代碼用戶代碼", "user_code"),
        (CODE, "", "user_code_again"),
        (CODE, CODE.lower(), "user_code_again"),
    ],
)
def test_user_code_that_breaks_a_rule_is_told_beside_its_field(
    client: TestClient, first: str, second: str, field: str
) -> None:
    page = filled(client, begun(client), code="", user_code=first, user_code_again=second)
    assert (page.status_code, wrong(page.text)) == (400, {field})


def test_user_code_is_typed_once_though_the_form_comes_back(client: TestClient) -> None:
    draft = begun(client)
    assert wrong(filled(client, draft, contact_name="").text) == {"contact_name"}
    assert filled(client, draft, code="").headers["location"] == f"{draft}/check"


def test_code_that_was_chosen_last_is_that_of_the_case(client: TestClient, frame: Frame) -> None:
    draft = begun(client)
    filled(client, draft)
    filled(client, draft, code=OTHER_CODE)
    number = number_of(client.get(post(client, f"{draft}/send").headers["location"]).text)
    answers = [
        client.post("/apply/progress", data={"case_number": number, "user_code": code}).status_code
        for code in (CODE, OTHER_CODE)
    ]
    assert answers == [403, 303]


def test_upload_that_is_sent_again_is_one_application(client: TestClient, frame: Frame) -> None:
    draft = begun(client)
    filled(client, draft)
    for _ in range(2):  # also by the back button, in both places
        assert post(client, f"{draft}/send").headers["location"].startswith("/apply/cases/")
    for answer in (client.get(draft), client.get(f"{draft}/check"), filled(client, draft)):
        assert answer.headers["location"].startswith("/apply/cases/")
    assert len(cases(frame)) == 1


def test_two_windows_are_two_applications(client: TestClient, frame: Frame) -> None:
    first, second = begun(client), begun(client, oid=FOUNDATION.oid)
    filled(client, second, contact_name="林美麗")
    filled(client, first)
    for draft in (second, first):
        post(client, f"{draft}/send")
    assert sorted(row.organisation for row in cases(frame)) == [SCHOOL.oid, FOUNDATION.oid]


def test_draft_and_case_are_not_there_in_another_browser(client: TestClient, frame: Frame) -> None:
    draft = begun(client)
    filled(client, draft)
    case = uploaded(client, oid=FOUNDATION.oid)
    with browser(frame) as other:
        begun(other)  # it has a cookie of its own
        for path in (draft, f"{draft}/check", f"{draft}/saved"):
            assert other.get(path).status_code == 404
        assert filled(other, draft).status_code == 404
        assert post(other, f"{draft}/send").status_code == 404
        assert post(other, f"{draft}/save").status_code == 404
        for path in ("", "/application.pdf", "/correct", "/withdraw", "/certificate.cer"):
            assert other.get(case + path).status_code == 403
        for path in ("/slip", "/correct", "/withdraw"):
            assert post(other, case + path).status_code == 403
        post(other, f"{case}/leave")
    assert client.get(case).status_code == 200
    assert len(cases(frame)) == 1


@pytest.mark.parametrize("path", ["/apply/drafts/x", f"/apply/drafts/{UNKNOWN}", f"/apply/cases/{UNKNOWN}"])
def test_address_that_was_guessed_leads_nowhere(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (403, 404)


def test_post_of_another_site_begins_and_uploads_nothing(client: TestClient, frame: Frame) -> None:
    draft = begun(client)
    filled(client, draft)
    for origin in ("https://evil.example", "null", "http://centre.test"):
        for path in (f"{draft}/send", "/apply/terms", "/apply/progress"):
            assert client.post(path, headers={"Origin": origin}, data={"a": "b"}).status_code == 403
    assert cases(frame) == []


def test_hostile_fields_are_refused_and_harm_nothing(client: TestClient, frame: Frame) -> None:
    draft = begun(client)
    for value in ("x" * 100_000, "\0", "\u202e", "<script>alert(1)</script>" * 99):
        page = filled(client, draft, contact_name=value)
        assert (page.status_code, "contact_name" in wrong(page.text)) == (400, True)
        assert "<script>alert" not in page.text
    sent = {"contact_name": ["王小明", "林美麗"], "rank": ["primary"], "organisation": [FOUNDATION.oid]}
    parts = [
        (name, (None, value)) for name, value in {**TYPED, "user_code": CODE, "user_code_again": CODE}.items()
    ]
    parts += [(name, (None, value)) for name, more in sent.items() for value in more]
    assert client.post(f"{draft}/upload", files=parts).status_code == 303
    post(client, f"{draft}/send")
    (row,) = cases(frame)
    assert (row.rank, row.organisation) == ("secondary", SCHOOL.oid)
    many = {f"field{number}": (None, "x") for number in range(500)}
    assert client.post(f"{draft}/upload", files=many).status_code == 400
    assert client.post(f"{draft}/upload", data={"a": "b"}).status_code == 415


def test_second_card_is_applied_for_with_the_saved_data(client: TestClient, frame: Frame) -> None:
    first = begun(client)
    filled(client, first)
    saved = post(client, f"{first}/save")
    assert saved.content.startswith(b"-----BEGIN CMS-----")
    assert "attachment" in saved.headers["content-disposition"]
    post(client, f"{first}/send")
    second = begun(client)
    form = client.get(f"{second}/saved").text
    assert 'type="file"' in form
    loaded = client.post(f"{second}/saved/upload", files={"file": saved.content}, data={"user_code": CODE})
    assert loaded.headers["location"].startswith(second)
    assert values(client.get(loaded.headers["location"]).text)["contact_name"] == TYPED["contact_name"]
    assert filled(client, second, code="").status_code == 303
    post(client, f"{second}/send")
    assert len({row.case_number for row in cases(frame)}) == 2
    assert {row.form for row in cases(frame)} == {cases(frame)[0].form}


def test_saved_file_opens_for_three_wrong_codes_no_more(client: TestClient) -> None:
    draft = begun(client)
    saved = filled(client, draft, save="yes", contact_name="").content
    for code in ("wrong-code", "wrong-codf", "wrong-codg", CODE):
        page = client.post(f"{draft}/saved/upload", files={"file": saved}, data={"user_code": code})
        assert (page.status_code, TYPED["contact_email"] in page.text) == (403, False)
    for file in (b"", b"x", b"-----BEGIN CMS-----\nAAAA\n-----END CMS-----"):
        page = client.post(f"{draft}/saved/upload", files={"file": file}, data={"user_code": CODE})
        assert page.status_code == 400


def test_what_is_half_filled_in_is_saved_if_the_code_is_there(client: TestClient) -> None:
    draft = begun(client)
    page = filled(client, draft, code="", save="yes", contact_name="")
    assert (page.status_code, wrong(page.text)) == (400, {"user_code"})
    assert filled(client, draft, save="yes", contact_name="").status_code == 200


def test_certificate_without_a_card_is_applied_for_with_a_request(client: TestClient, frame: Frame) -> None:
    draft = begun(client, wanted="certificate")
    name = x509.Name([])
    request = x509.CertificateSigningRequestBuilder(name).sign(key("own"), hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    for text in ("", "no request", pem.replace("A", "B")):
        assert wrong(filled(client, draft, request_text=text).text) == {"request"}
    assert filled(client, draft, code="", request_text=pem).status_code == 303
    post(client, f"{draft}/send")
    (row,) = cases(frame)
    assert (row.request, row.fee) == (pem.encode(), frame.rules.fees.certificate.ntd)


def test_certificate_request_is_taken_as_a_file_in_der(client: TestClient, frame: Frame) -> None:
    draft = begun(client, wanted="certificate")
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key("own"), hashes.SHA256())
    der = request.public_bytes(serialization.Encoding.DER)
    typed = {**TYPED, "user_code": CODE, "user_code_again": CODE}
    answer = client.post(f"{draft}/upload", data=typed, files={"request": der})
    assert answer.status_code == 303
    post(client, f"{draft}/send")
    assert cases(frame)[0].request == der


def test_second_primary_card_is_refused_at_the_upload_and_the_draft_stays(
    client: TestClient, frame: Frame
) -> None:
    uploaded(client, rank="primary")
    with frame.database.change() as change:
        applications.receive(change, frame.rules, cases(frame)[0].id, FIRST)
    draft = begun(client, rank="primary")
    filled(client, draft)
    answer = post(client, f"{draft}/send")
    assert (answer.status_code, SCHOOL.name in answer.text) == (409, True)
    assert client.get(draft).status_code == 200


def test_pages_of_the_application_in_english_have_no_chinese_but_names(client: TestClient) -> None:
    client.headers.update(ENGLISH)
    draft = begun(client)
    filled(client, draft, contact_name="Wang", contact_title="Head", contact_address="1 Test Road")
    asked = f"organisation={SCHOOL.oid}&wanted=card&rank=primary"
    paths = ["/apply", f"/apply/kind?{asked}", f"/apply/terms?{asked}", draft, f"{draft}/saved"]
    paths += [
        f"{draft}/check",
        "/apply/progress",
        client.post(f"{draft}/send", data={"x": ""}).headers["location"],
    ]
    for path in paths:
        page = client.get(path).text
        for known in (SCHOOL.name, SCHOOL.counter, "統一編號", "案件流水號", "中文"):
            page = page.replace(known, "")
        assert not re.findall("[\u4e00-\u9fff]+", page), path


def test_draft_that_is_not_filled_in_and_comes_signed_shows_the_form_again(client: TestClient) -> None:
    answer = client.post(f"{begun(client, wanted='renewal')}/signed", data={"token": "bm90aGluZw=="})
    assert (answer.status_code, 'name="contact_name"' in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("act", "most", "asks"),
    [
        ("draft_code", 600, lambda client, draft: filled(client, draft)),
        ("load", 300, lambda client, draft: client.post(f"{draft}/saved/upload", files={"file": b"x"})),
        ("print", 300, lambda client, draft: client.get(f"{uploaded(client)}/application.pdf")),
    ],
    ids=["form with a user code", "saved file", "printed application"],
)
def test_what_takes_the_centre_long_is_limited_by_network(
    client: TestClient, frame: Frame, act: str, most: int, asks: Callable[[TestClient, str], Any]
) -> None:
    draft = begun(client)
    assert asks(client, draft).status_code < 429
    with frame.database.change() as change:
        for _ in range(most):
            network_limits.count(change, act, "unknown")
    refused = asks(client, draft)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
