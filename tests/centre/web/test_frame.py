# SPDX-License-Identifier: Apache-2.0
"""The frame of the centre's pages: home, languages, refusals, headers."""

import re
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from support.centre.web import ENGLISH
from xca_centre.web.app import application
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.fast
LINE = "02-0000-0000"


def test_home_page_has_the_doors_the_thirteen_functions_and_the_line(client: TestClient) -> None:
    html = client.get("/").text
    for words in ("申請憑證", "如何開卡", "常見問題集", "元件下載", LINE):
        assert words in html
    functions = (
        *("開卡作業", "非IC卡類憑證接受", "鎖卡解碼/重設PIN碼", "更改PIN碼", "用戶代碼重設"),
        *("憑證查詢及下載", "憑證廢止", "憑證停用/復用", "憑證IC卡聯絡人修改", "檢視憑證IC卡資訊"),
        *("線上查詢組織團體所有憑證", "組織團體快過期憑證清單查詢", "寫入憑證內安全電子郵件信箱"),
    )
    places = [html.index(f">{function}</a>") for function in functions]
    assert places == sorted(places)


def test_home_page_in_english_has_no_chinese_but_the_way_back(client: TestClient) -> None:
    html = client.get("/", headers=ENGLISH).text.replace("中文", "")
    assert "Apply for certificates" in html
    assert not [character for character in html if "\u4e00" <= character <= "\u9fff"]


def test_language_that_was_chosen_stays(client: TestClient) -> None:
    answer = client.get("/?lang=en&x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?x=1")
    assert "Frequently asked questions" in client.get("/").text


def test_language_choice_leads_to_no_other_site(client: TestClient) -> None:
    assert client.get("https://centre.test//evil.example/?lang=en").headers["location"] == "/evil.example/"


def test_page_cannot_be_framed_or_kept(client: TestClient) -> None:
    headers = client.get("/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("POST", "/", {"Content-Type": "application/x-www-form-urlencoded"}, 405),
        ("POST", "/", {"Origin": "https://evil.example"}, 403),
        ("POST", "/", {"Content-Type": "text/plain"}, 415),
        ("GET", "/", {"Host": "evil.example"}, 421),
    ],
)
def test_request_that_is_refused_is_told_in_words_with_the_line(
    client: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    page = client.request(method, path, headers=headers)
    assert (page.status_code, LINE in page.text, "<h1>" in page.text) == (status, True, True)
    document = client.request(method, path, headers={**headers, "Accept": "application/json"}).json()
    assert (document["status"], document["contact"]) == (status, LINE)
    described = client.get(document["type"])
    assert described.status_code == 200
    assert document["title"] in described.text


@pytest.mark.parametrize(
    "name", ["certificate-revoked", "acceptance-differs", "user-code-refused", "form-incomplete", "lost"]
)
def test_kind_of_problem_has_a_page_in_both_languages(client: TestClient, name: str) -> None:
    for headers in ({}, ENGLISH):
        answer = client.get(f"/problems/{name}", headers=headers)
        assert answer.status_code == (404 if name == "lost" else 200)


def test_repository_answers_under_its_own_host_and_no_page_does(client: TestClient, frame: Frame) -> None:
    path = frame.hierarchy.repository.issuers_path
    assert client.get(path, headers={"Host": "xca.test"}).status_code == 200
    assert client.get("/", headers={"Host": "xca.test"}).status_code == 421


def test_repository_answers_who_leaves_the_port_out_of_its_host(frame: Frame) -> None:
    """OpenSSL's client of OCSP does."""
    origin = "http://127.0.0.1:8000"
    client = TestClient(application(replace(frame, origin=origin)), base_url=origin)
    path = frame.hierarchy.repository.issuers_path
    assert client.get(path, headers={"Host": "127.0.0.1"}).status_code == 200
    assert client.get("/", headers={"Host": "127.0.0.1"}).status_code == 421


def test_links_of_the_pages_lead_to_pages(client: TestClient) -> None:
    seen, to_see = {"/"}, ["/"]
    while to_see:
        page = client.get(path := to_see.pop(), follow_redirects=True)
        assert page.status_code == 200, path
        found = {address.partition("?")[0] for address in re.findall(r'<a [^>]*href="(/[^"#]*)"', page.text)}
        to_see += found - seen
        seen |= found
    assert len(seen) > 20
