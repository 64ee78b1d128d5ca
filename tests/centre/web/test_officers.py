# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for applications: each shows what its officer may do now, and does it once."""

import re
from datetime import timedelta
from urllib.parse import unquote

import pytest
from httpx2 import Response
from sqlalchemy import select, update
from starlette.testclient import TestClient

from support.centre.cases import FOUNDATION, NEW_CODE, RULES, SCHOOL, form
from support.centre.staff import officer_in
from support.centre.web import ENGLISH, Card
from support.moved_clock import MovedClock
from xca_centre import applications, officers, user_codes
from xca_centre.applications import Application
from xca_centre.case_number import shown
from xca_centre.life.application import ApplicationState
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.tables import APPLICATIONS, JOBS, USER_CODES
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.integration
STATE = ApplicationState
PDF = b"%PDF-1.7 letter"


@pytest.fixture
def case(frame: Frame) -> Application:
    """An application of the school whose fee is paid."""
    return submitted(frame, SCHOOL.oid)


def submitted(frame: Frame, organisation: str, state: ApplicationState = STATE.PAID) -> Application:
    with frame.database.change() as change:
        made = applications.submit(change, RULES, organisation, form(), NEW_CODE)
        change.connection.execute(
            update(APPLICATIONS).where(APPLICATIONS.c.id == made.id).values(state=state.value)
        )
        return applications.read(change.connection, made.id)


def page_of(case: Application) -> str:
    return f"/officers/cases/{case.id}"


def now_of(frame: Frame, case: Application) -> Application:
    with frame.database.read() as connection:
        return applications.read(connection, case.id)


def act(
    client: TestClient, case: Application, what: str, version: int | None = None, **fields: str
) -> Response:
    """Send the form of an act as the page has it now; with a version, as one had it that is older."""
    if version is None:
        html = client.get(page_of(case)).text
        (found,) = set(re.findall(r'name="version" value="(\d+)"', html)) or {"0"}
        version = int(found)
    return client.post(f"{page_of(case)}/{what}", data={"version": str(version), **fields})


def offered(client: TestClient, case: Application) -> set[str]:
    found = re.findall(rf'action="{page_of(case)}/([a-z]+)"', client.get(page_of(case)).text)
    return set(found) - {"upload"}


def test_application_is_received_reviewed_twice_and_ordered(frame: Frame, case: Application) -> None:
    lin, chen = officer_in(frame, "lin"), officer_in(frame, "chen")
    assert offered(lin, case) == {"receive", "withdraw"}
    assert offered(chen, case) == set()
    answer = act(lin, case, "receive")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{page_of(case)}?done=1")
    assert "作業完成" in lin.get(answer.headers["location"]).text
    assert offered(lin, case) == {"pass", "return", "withdraw"}
    act(lin, case, "pass")
    assert offered(lin, case) == {"withdraw"}
    assert offered(chen, case) == {"approve", "return"}
    act(chen, case, "approve")
    assert now_of(frame, case).state is STATE.APPROVED
    with frame.database.read() as connection:
        assert [*connection.execute(select(JOBS.c.kind)).scalars()].count("make_card") == 1


def test_work_list_shows_the_cases_of_the_officers_counter_by_state(frame: Frame, case: Application) -> None:
    other = submitted(frame, FOUNDATION.oid)
    lin, chen = officer_in(frame, "lin"), officer_in(frame, "chen")
    mine = lin.get("/officers?state=paid").text
    assert shown(case.case_number) in mine
    assert SCHOOL.name in mine
    assert shown(other.case_number) not in mine
    both = chen.get("/officers?state=paid").text
    assert shown(case.case_number) in both
    assert shown(other.case_number) in both


@pytest.mark.parametrize(
    ("officer", "state", "is_opened"),
    [
        ("lin", STATE.PAID, True),
        ("lin", STATE.FIRST_REVIEW, True),
        ("lin", STATE.SECOND_REVIEW, False),
        ("ho", STATE.FIRST_REVIEW, False),
        ("chen", STATE.SECOND_REVIEW, True),
        ("chen", STATE.FIRST_REVIEW, False),
        ("op", STATE.ISSUED, True),
        ("op", STATE.PAID, False),
    ],
)
def test_work_list_opens_on_what_waits_for_the_officer(
    frame: Frame, officer: str, state: ApplicationState, is_opened: bool
) -> None:
    case = submitted(frame, SCHOOL.oid, state)
    html = officer_in(frame, officer).get("/officers").text
    assert (shown(case.case_number) in html, "沒有等待您辦理的案件" in html) == (is_opened, not is_opened)


def test_work_list_opens_on_no_second_review_of_who_made_the_first(frame: Frame, case: Application) -> None:
    both, chen = officer_in(frame, "both"), officer_in(frame, "chen")
    act(both, case, "receive")
    act(both, case, "pass")
    assert shown(case.case_number) not in both.get("/officers").text
    assert shown(case.case_number) in chen.get("/officers").text


def test_case_is_opened_by_its_number(frame: Frame, case: Application) -> None:
    lin = officer_in(frame, "lin")
    found = lin.get("/officers/search", params={"case": shown(case.case_number)})
    assert found.headers["location"] == page_of(case)
    assert lin.get("/officers/search", params={"case": "1234"}).status_code == 400
    other = submitted(frame, FOUNDATION.oid)
    assert lin.get("/officers/search", params={"case": other.case_number}).status_code == 403


def test_second_click_and_second_tab_do_nothing_and_show_the_case_as_it_is(
    frame: Frame, case: Application
) -> None:
    lin, wu = officer_in(frame, "lin"), officer_in(frame, "wu")
    assert act(lin, case, "receive", case.version).status_code == 303
    for client in (lin, wu):
        again = act(client, case, "receive", case.version)
        assert again.status_code == 409
        assert "已有變動" in again.text
        assert f'action="{page_of(case)}/pass"' in again.text
    assert now_of(frame, case).version == case.version + 1


def test_version_that_was_corrected_meanwhile_is_not_passed(frame: Frame, case: Application) -> None:
    lin = officer_in(frame, "lin")
    act(lin, case, "receive")
    seen = now_of(frame, case)
    with frame.database.change() as change:
        by = Actor(Role.APPLICANT, case.case_number)
        applications.correct(change, RULES, case.id, form(contact_name="林美麗"), by)
    assert act(lin, case, "pass", seen.version).status_code == 409
    assert now_of(frame, case).state is STATE.PAID


def test_officer_who_made_the_first_review_is_not_offered_the_second(frame: Frame, case: Application) -> None:
    both = officer_in(frame, "both")
    act(both, case, "receive")
    act(both, case, "pass")
    assert "approve" not in offered(both, case)
    assert "您已做過初審" in both.get(page_of(case)).text
    refused = act(both, case, "approve")
    assert refused.status_code == 409
    assert now_of(frame, case).state is STATE.SECOND_REVIEW


def test_return_tells_why_and_keeps_what_was_typed_if_it_is_refused(frame: Frame, case: Application) -> None:
    lin = officer_in(frame, "lin")
    act(lin, case, "receive")
    refused = act(lin, case, "return", reason="字" * 501)
    assert refused.status_code == 400
    assert "字" * 501 in refused.text
    act(lin, case, "return", reason="申請書\r\n未蓋印信")
    after = now_of(frame, case)
    assert (after.state, after.reason) == (STATE.RETURNED, "申請書 未蓋印信")
    assert "申請書 未蓋印信" in lin.get(page_of(case)).text
    assert "receive" in offered(lin, case)


def test_second_review_with_an_old_login_asks_for_the_card_again(
    frame: Frame, case: Application, clock: MovedClock
) -> None:
    lin, chen = officer_in(frame, "lin"), officer_in(frame, "chen")
    act(lin, case, "receive")
    act(lin, case, "pass")
    clock.move(timedelta(minutes=16))
    refused = act(chen, case, "approve")
    assert refused.status_code == 401
    assert f"/login?next={page_of(case)}" in refused.text
    assert now_of(frame, case).state is STATE.SECOND_REVIEW


def test_withdrawal_with_an_old_login_asks_for_the_card_again(
    frame: Frame, case: Application, clock: MovedClock
) -> None:
    lin = officer_in(frame, "lin")
    clock.move(timedelta(minutes=16))
    assert act(lin, case, "withdraw").status_code == 401
    assert now_of(frame, case) == case


@pytest.mark.parametrize("what", ["receive", "pass", "return", "withdraw"])
def test_officer_of_another_counter_sees_and_does_nothing(frame: Frame, case: Application, what: str) -> None:
    ho = officer_in(frame, "ho")
    assert ho.get(page_of(case)).status_code == 403
    assert act(ho, case, what, case.version, reason="不行").status_code == 403
    assert now_of(frame, case) == case


def test_officer_who_was_dismissed_is_out_at_once(frame: Frame, case: Application) -> None:
    lin = officer_in(frame, "lin")
    with frame.database.change() as change:
        officers.deactivate(change, "lin", Actor(Role.OPERATOR, "op"))
    assert lin.get("/officers").status_code == 403
    assert act(lin, case, "receive", case.version).status_code == 403
    assert now_of(frame, case) == case


def test_holder_and_stranger_are_not_let_in(
    frame: Frame, client: TestClient, case: Application, school_card: Card
) -> None:
    asked = client.get(page_of(case))
    assert asked.status_code == 303
    assert unquote(asked.headers["location"]) == f"/login?next={page_of(case)}"
    school_card.happen(CertificateEvent.ACCEPT)
    assert school_card.log_in(client) == 200
    for path in ("/officers", page_of(case), "/officers/log"):
        assert client.get(path).status_code == 403
    assert act(client, case, "receive", case.version).status_code == 403


@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 30, "１"])
def test_form_without_a_version_is_refused(frame: Frame, case: Application, version: str) -> None:
    lin = officer_in(frame, "lin")
    answer = lin.post(f"{page_of(case)}/receive", data={"version": version})
    assert answer.status_code == 400
    assert now_of(frame, case) == case


def test_act_that_officers_do_not_do_has_no_address(frame: Frame, case: Application) -> None:
    lin = officer_in(frame, "lin")
    for what in ("issue", "pay", "nothing"):
        assert lin.post(f"{page_of(case)}/{what}", data={"version": "1"}).status_code == 404
    assert lin.get(f"{page_of(case)}/pass").headers["location"] == page_of(case)


def test_scan_is_kept_and_given_out_as_a_file_only(frame: Frame, case: Application) -> None:
    lin = officer_in(frame, "lin")
    answer = lin.post(f"{page_of(case)}/upload", files={"scan": ("letter.pdf", PDF)})
    assert answer.status_code == 303
    (path,) = re.findall(r'href="(/officers/scans/[^"]+)"', lin.get(page_of(case)).text)
    given = officer_in(frame, "chen").get(path)
    assert given.content == PDF
    assert given.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in given.headers["content-security-policy"]
    assert officer_in(frame, "ho").get(path).status_code == 403


@pytest.mark.parametrize("content", [b"<script>", b""], ids=["html", "empty"])
def test_file_that_is_no_scan_is_refused_on_the_page_of_the_case(
    frame: Frame, case: Application, content: bytes
) -> None:
    lin = officer_in(frame, "lin")
    answer = lin.post(f"{page_of(case)}/upload", files={"scan": ("letter.pdf", content)})
    assert answer.status_code == 400
    assert "無法作為掃描檔" in answer.text


def test_lock_of_a_user_code_is_lifted_once(frame: Frame, case: Application) -> None:
    lin = officer_in(frame, "lin")
    with frame.database.change() as change:
        own = update(USER_CODES).where(USER_CODES.c.id == case.code)
        change.connection.execute(own.values(spent=user_codes.TRIES))
    html = lin.get(page_of(case)).text
    (token,) = re.findall(r'name="token" value="([^"]+)"', html)
    assert lin.post(f"{page_of(case)}/unlock", data={"token": token}).status_code == 303
    assert lin.post(f"{page_of(case)}/unlock", data={"token": token}).status_code == 409
    with frame.database.read() as connection:
        assert not user_codes.is_locked(connection, case.code)
    assert "unlock" not in offered(lin, case)


def test_applicants_words_act_on_nothing(frame: Frame) -> None:
    with frame.database.change() as change:
        filled = form(contact_name="<b>王</b>")
        made = applications.submit(change, RULES, SCHOOL.oid, filled, NEW_CODE)
    html = officer_in(frame, "lin").get(page_of(made)).text
    assert "&lt;b&gt;王&lt;/b&gt;" in html
    assert "<b>王" not in html


def test_log_shows_who_did_what_to_a_case_without_secrets(frame: Frame, case: Application) -> None:
    lin, chen = officer_in(frame, "lin"), officer_in(frame, "chen")
    act(lin, case, "receive")
    log = chen.get("/officers/log", params={"about": case.case_number}).text
    (body,) = re.findall(r"<tbody>(.*?)</tbody>", log, re.DOTALL)
    received = next(row for row in body.split("<tr>") if "application_receive" in row)
    assert re.search(r'data-label="人員">林審驗 \(lin\)<', received)
    assert "公文及申請書送達" in received
    assert "MII" not in chen.get("/officers/log").text
    assert lin.get("/officers/log").status_code == 403


def test_history_tells_people_and_programs_in_words(frame: Frame) -> None:
    with frame.database.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE)
        slip = applications.fetch_slip(change, RULES, case.id, Actor(Role.APPLICANT, case.case_number))
        bank = Actor(Role.PAYMENT_PROVIDER, "test provider")
        applications.pay(change, RULES, slip.number, slip.due, change.now, bank)
    lin = officer_in(frame, "lin")
    act(lin, case, "receive")
    html = lin.get(page_of(case)).text
    for word in ("林審驗 (lin)", shown(case.case_number)):
        assert f'data-label="人員">{word}<' in html
    assert "test provider" not in html
    assert case.case_number not in html


def test_log_names_what_an_event_is_about_and_leads_there(
    frame: Frame, case: Application, school_card: Card
) -> None:
    school_card.happen(CertificateEvent.ACCEPT)
    chen = officer_in(frame, "chen")
    log = chen.get("/officers/log").text
    pages = {
        page_of(case): shown(case.case_number),
        f"/officers/certificates/{school_card.certificates}": school_card.number,
        "/officers/staff/chen": "陳複審",
    }
    for path, name in pages.items():
        assert f'<a href="{path}">{name}</a>' in log
        assert chen.get(path).status_code == 200


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (Actor(Role.CENTRE, "sweep"), "the centre"),
        (Actor(Role.PRODUCER, "make_card"), "the card producer"),
        (Actor(Role.OPERATOR, "user wang"), "wang, in a terminal"),
        (Actor(Role.OPERATOR, "beginning"), "the beginning of the centre"),
        (Actor(Role.COURT, "114-1"), "letter 114-1"),
        (Actor(Role.HOLDER, "link"), "who had the mailed link"),
        (Actor(Role.HOLDER, "XC00000000000001"), "XC00000000000001"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_log_tells_who_it_was_in_words(frame: Frame, by: Actor, said: str) -> None:
    with frame.database.change() as change:
        change.event("logged_in", "subject", by, {})
    log = officer_in(frame, "chen").get("/officers/log", params={"about": "subject"}, headers=ENGLISH).text
    assert f'data-label="Who">{said}<' in log


@pytest.mark.parametrize(
    "query",
    [
        {"first": "0001-01-01", "last": "9999-12-31"},
        {"before": "x~y"},
        {"before": "0001-01-01T00:00:00+14:00~00000000-0000-0000-0000-000000000000"},
        {"about": "\x00", "person": "\ud800", "kind": "%"},
        {"first": "yesterday"},
    ],
)
def test_log_answers_whatever_is_asked(frame: Frame, query: dict[str, str]) -> None:
    chen = officer_in(frame, "chen")
    asked = {name: value.encode("utf-8", "surrogatepass") for name, value in query.items()}
    assert chen.get("/officers/log", params=asked).status_code == 200


def test_pages_in_english_have_no_chinese_of_their_own(frame: Frame, case: Application) -> None:
    chen = officer_in(frame, "chen")
    words = {
        SCHOOL.name,
        SCHOOL.counter,
        "王小明",
        "採購組組長",
        "測試市明湖區測試路一段 1 號",
        "陳複審",
        "中文",
        "統一編號",
    }
    for path in (page_of(case), "/officers?state=paid", "/officers/log"):
        html = chen.get(path, headers=ENGLISH).text
        for word in words:
            html = html.replace(word, "")
        html = re.sub(r"<title>.*?</title>", "", html)
        assert not re.findall("[\u4e00-\u9fff]+", html)
