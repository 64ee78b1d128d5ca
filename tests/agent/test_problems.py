# SPDX-License-Identifier: Apache-2.0
"""HTTP errors outside the vendor's protocol: documents for programs, pages for people."""

import pytest
from starlette.testclient import TestClient

from support.agent.page_visitor import words
from xca_common.errors import FileProblem, XcaError
from xca_common.web.request_guard import RefusalReason
from xca_plugin import errors
from xca_plugin.agent.pages.problems import problem_of, refusal_of

pytestmark = pytest.mark.fast

HOME = "http://localhost:61161"
PERSON = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "en"}
OPENED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": HOME}


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "name"),
    [
        ("GET", "/nothing", {}, None, 404, "unknown-address"),
        ("GET", "/static/nothing.js", {}, None, 404, "unknown-address"),
        ("GET", "/certificate?form=exe", {}, None, 404, "unknown-address"),
        ("GET", "/events?of=nothing", {}, None, 404, "unknown-address"),
        ("GET", "/problems/nothing", {}, None, 404, "unknown-address"),
        ("GET", "/receipt?result=nothing", {}, None, 404, "receipt-gone"),
        ("POST", "/card", FORM, b"", 405, "wrong-method"),
        ("DELETE", "/agent.json", FORM, None, 405, "wrong-method"),
        ("GET", "/", {"Host": "evil.example"}, None, 421, "wrong-host"),
        ("POST", "/sign", {"Host": "evil.example"}, b"{}", 421, "wrong-host"),
        ("GET", "/card", {"Origin": "https://evil.example"}, None, 403, "foreign-origin"),
        ("POST", "/activate", {**FORM, "Content-Type": "text/plain"}, b"a", 415, "wrong-content-type"),
        ("POST", "/activate", FORM, b"a" * 4097, 413, "body-too-large"),
        ("POST", "/activate", FORM, b"a=%ff", 400, "malformed-form"),
    ],
)
def test_error_outside_the_protocol_is_a_problem_document_or_a_page(
    client: TestClient,
    method: str,
    path: str,
    headers: dict[str, str],
    content: bytes | None,
    status: int,
    name: str,
) -> None:
    for wished, sentence in (("en", "."), ("zh-TW", "。")):
        wish = headers | {"Accept-Language": wished}
        answer = client.request(method, path, headers=wish, content=content)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        document = answer.json()
        assert (document["type"], document["status"]) == (f"{HOME}/problems/{name}", status)
        assert document["title"].endswith(sentence)
        assert document["detail"].endswith(sentence)
        page = client.request(method, path, headers=wish | {"Accept": PERSON["Accept"]}, content=content)
        assert page.status_code == status
        assert document["title"] in words(page.text)
        home = f"{HOME}/" if name == "wrong-host" else "/"
        assert f'<a class="go" href="{home}">' in page.text


def test_problem_type_opened_describes_the_kind(client: TestClient) -> None:
    for reason in RefusalReason:
        name = refusal_of(reason).name
        page = client.get(f"/problems/{name}", headers=PERSON)
        assert page.status_code == 200
        assert refusal_of(reason).title("en") in words(page.text), name


def test_method_that_an_address_does_not_take_names_those_that_it_takes(client: TestClient) -> None:
    assert client.post("/card", headers=FORM).headers["allow"] == "GET, HEAD"
    # A page and its form are two routes.
    assert client.delete("/activate", headers=FORM).headers["allow"] == "GET, HEAD, POST"


def test_refused_request_of_the_protocol_keeps_the_vendors_answer(client: TestClient) -> None:
    answer = client.post("/sign", content=b"a" * (8 << 20) + b"a", headers={"Origin": "https://a.example"})
    assert answer.status_code == 413
    assert answer.json()["ret_code"] == 0x7600000A


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (errors.NoCard(), 404, "card-absent"),
        (errors.CardNotFound(number="XC00000000000001"), 404, "card-absent"),
        (errors.CardWorkerBusy(), 503, "card-busy"),
        (errors.CardFault(detail="CKR_DEVICE_ERROR"), 500, "failed"),
        (errors.AgentNotInstalled(name="x"), 500, "failed"),
        (FileProblem(path="x", detail="No space left on device"), 507, "file-unusable"),
    ],
)
def test_problem_of_an_error_has_its_status_and_sentences(error: XcaError, status: int, name: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.name) == (status, name)
    assert error.message() in problem.detail()


@pytest.mark.parametrize(
    ("opened_by", "status"), [("none", 303), ("same-origin", 303), ("same-site", 200), ("cross-site", 200)]
)
def test_language_in_an_address_counts_if_the_person_or_the_page_itself_chose_it(
    client: TestClient, opened_by: str, status: int
) -> None:
    answer = client.get(
        "/problems/unknown-address?lang=en",
        headers={"Sec-Fetch-Site": opened_by, **OPENED, "Accept-Language": "zh-TW"},
        follow_redirects=False,
    )
    assert answer.status_code == status
    assert ("set-cookie" in answer.headers) is (status == 303)
