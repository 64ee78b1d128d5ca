# SPDX-License-Identifier: Apache-2.0
"""The centre's pages in Chromium: for screen readers, by keyboard, on a small screen, in the dark."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, Playwright, expect
from starlette.testclient import TestClient

from support.agent.agent_process import CHROMIUM, FLAGS
from support.centre.web import Card
from support.login_http import asgi_site
from xca_centre.life.certificate import CertificateEvent
from xca_centre.web import menu
from xca_centre.web.app import application
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.browser

OPEN_PAGES = (
    *("/", menu.HOW_TO_ACTIVATE, menu.QUESTIONS, menu.COMPONENTS, menu.LOGIN, "/nothing"),
    *("/activate", "/reset-pin", "/change-pin", "/card", "/revoke", "/suspend-resume", "/contact"),
    *("/revoke/confirm?act=revoke&ground=lost", "/suspend-resume/confirm?act=suspend"),
    *("/user-code-reset", "/user-code-reset/ticket", "/user-code/unlock", "/accept-certificate"),
    *("/certificates?card=XC00000000000001", "/certificates?card=XC1", "/problems/form-incomplete"),
)
Scheme = Literal["light", "dark"]
PAGES_OF_HOLDERS = ("/organisation/certificates", "/organisation/expiring")


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
    yield browser
    browser.close()


@pytest.fixture
def origin(frame: Frame, school_card: Card) -> Iterator[str]:
    """A centre that is served, and knows an accepted card."""
    school_card.happen(CertificateEvent.ACCEPT)
    with asgi_site(lambda origin: application(replace(frame, origin=origin))) as origin:
        yield origin


def session_of(frame: Frame, origin: str, card: Card) -> str:
    """Log in, and return what the browser keeps."""
    app = application(replace(frame, origin=origin))
    with TestClient(app, base_url=origin, headers={"Origin": origin}) as client:
        assert card.log_in(client, origin) == 200
        return client.cookies["xca-session"]


@pytest.mark.parametrize("locale", ["zh-TW", "en"])
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (320, "light"), (1200, "dark")])
def test_pages_have_no_barriers_and_fit(
    browser: Browser, frame: Frame, origin: str, school_card: Card, locale: str, width: int, scheme: Scheme
) -> None:
    secret = session_of(frame, origin, school_card)
    with browser.new_context(
        locale=locale, viewport={"width": width, "height": 800}, color_scheme=scheme
    ) as context:
        page, problems = context.new_page(), []
        page.on("pageerror", lambda error: problems.append(str(error)))
        for path in (*OPEN_PAGES, *PAGES_OF_HOLDERS):
            if path in PAGES_OF_HOLDERS:
                context.add_cookies([{"name": "xca-session", "value": secret, "url": origin}])
            page.goto(origin + path)
            problems += [f"{path}: {each['id']}" for each in Axe().run(page).response["violations"]]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                problems.append(f"{path} is too wide")
        assert problems == []


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    """A tab with the home page, in Chinese."""
    with browser.new_context(locale="zh-TW") as context:
        page = context.new_page()
        page.goto(origin)
        yield page


def test_certificate_is_found_by_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="跳到主要內容")).to_be_focused()
    page.get_by_role("link", name="憑證查詢及下載").press("Enter")
    page.get_by_label("卡號").focus()
    page.keyboard.type("XC00000000000001")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(3)
    expect(page.get_by_role("row").get_by_text("有效").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="DER").first.press("Enter")
    assert download.value.suggested_filename.endswith(".cer")


def test_login_without_a_component_says_what_is_missing(page: Page) -> None:
    page.get_by_role("link", name="IC卡登入").click()
    page.evaluate("window.open = () => null")  # as a browser that blocks windows
    page.get_by_role("button", name="IC卡登入").click()
    expect(page.get_by_role("status")).to_contain_text("彈出式視窗")
