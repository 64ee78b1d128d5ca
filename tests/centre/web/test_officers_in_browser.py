# SPDX-License-Identifier: Apache-2.0
"""The officers' pages in Chromium: for screen readers, by keyboard, on a small screen, in the dark."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, Playwright, expect
from sqlalchemy import update

from support.agent.agent_process import CHROMIUM, FLAGS
from support.centre.cases import NEW_CODE, RULES, SCHOOL, form
from support.centre.holders import HeldCard
from support.centre.staff import STAFF, officer_in
from support.centre.web import Card
from support.login_http import asgi_site
from xca_centre import applications, name_changes, officers, staff_changes
from xca_centre.life.application import ApplicationState
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.transitions import Actor, Role
from xca_centre.staff_changes import Appointment
from xca_centre.store.tables import APPLICATIONS
from xca_centre.web.app import application
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.browser

Scheme = Literal["light", "dark"]
CHANGE = f"/officers/organisations/{SCHOOL.oid}/confirm"


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
    yield browser
    browser.close()


@pytest.fixture
def secrets(frame: Frame) -> dict[str, str]:
    """What the browser of each officer keeps."""
    return {officer: officer_in(frame, officer).cookies["__Host-xca-session"] for officer in STAFF}


@pytest.fixture
def origin(frame: Frame) -> Iterator[str]:
    """A centre that is served."""
    with asgi_site(lambda origin: application(replace(frame, origin=origin))) as origin:
        yield origin


@pytest.fixture
def pages(frame: Frame, secrets: dict[str, str], school_card: Card) -> list[str]:
    """The pages of an officer of the second review, each with something on it."""
    school_card.happen(CertificateEvent.ACCEPT)
    HeldCard(frame)
    with frame.database.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE)
        own = APPLICATIONS.c.id == case.id
        state = ApplicationState.SECOND_REVIEW.value
        change.connection.execute(update(APPLICATIONS).where(own).values(state=state))
        lin = officers.find(change.connection, "lin")
        roles = frozenset({Role.FIRST_REVIEWER})
        wanted = Appointment("new", "新審驗", roles, SCHOOL.counter, school_card.number)
        staff_changes.appoint(change, wanted, lin)
        by = Actor(Role.FIRST_REVIEWER, "lin")
        name_changes.record(
            change,
            SCHOOL.oid,
            change.now.date(),
            by,
            RULES,
            "測試縣立明湖國民小學",
        )
    return [
        *("/officers", f"/officers/cases/{case.id}", "/officers/requests", "/officers/log"),
        *(
            "/officers/certificates?number=XC00000000000001",
            f"/officers/certificates/{school_card.certificates}",
        ),
        *("/officers/organisations", "/officers/organisations?typed=測試"),
        *(f"/officers/organisations/{SCHOOL.oid}", f"{CHANGE}?kind=dissolved&day=2026-10-01"),
        *(f"{CHANGE}?kind=renamed&day=x", "/officers/staff", "/officers/staff/lin"),
    ]


def logged_in(browser: Browser, origin: str, secret: str, **more: object) -> Page:
    context = browser.new_context(**more)  # type: ignore[arg-type]  # options of Playwright
    context.add_cookies([{"name": "xca-session", "value": secret, "url": origin}])
    return context.new_page()


@pytest.mark.parametrize("locale", ["zh-TW", "en"])
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (320, "light"), (1200, "dark")])
def test_officers_pages_have_no_barriers_and_fit(
    browser: Browser,
    origin: str,
    secrets: dict[str, str],
    pages: list[str],
    locale: str,
    width: int,
    scheme: Scheme,
) -> None:
    problems: list[str] = []

    def note(error: object) -> None:
        problems.append(str(error))

    for officer, paths in (("chen", pages), ("op", ["/officers/post"])):
        page = logged_in(
            browser,
            origin,
            secrets[officer],
            locale=locale,
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
        )
        page.on("pageerror", note)
        for path in paths:
            page.goto(origin + path)
            page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            problems += [f"{path}: {each['id']}" for each in Axe().run(page).response["violations"]]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                problems.append(f"{path} is too wide")
        page.context.close()
    assert problems == []


def test_dissolution_is_recorded_by_keyboard_alone(
    browser: Browser, origin: str, secrets: dict[str, str], frame: Frame
) -> None:
    page = logged_in(browser, origin, secrets["lin"], locale="zh-TW")
    page.goto(f"{origin}/officers")
    page.get_by_role("link", name="組織團體", exact=True).press("Enter")
    page.get_by_label("組織團體的名稱").focus()
    page.keyboard.type("青溪")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=SCHOOL.name).press("Enter")
    page.locator("summary", has_text="登載解散").press("Enter")
    page.get_by_label("解散日期").focus()
    page.get_by_label("解散日期").fill("2026-10-01")
    page.get_by_role("button", name="下一步").press("Enter")
    expect(page.get_by_text("2026年10月15日")).to_be_visible()
    page.get_by_role("button", name="登載解散").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("作業完成")
    expect(page.get_by_text("已解散").first).to_be_visible()
    page.context.close()


def test_appointment_that_one_proposed_is_supported_by_another_by_keyboard(
    browser: Browser, origin: str, secrets: dict[str, str], pages: list[str]
) -> None:
    page = logged_in(browser, origin, secrets["wu"], locale="zh-TW")
    page.goto(f"{origin}/officers/staff")
    page.get_by_role("button", name="附議，立即生效").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("作業完成")
    expect(page.get_by_role("link", name="新審驗")).to_be_visible()
    page.context.close()
