# SPDX-License-Identifier: Apache-2.0
"""The agent's own pages in Chromium: by keyboard, for screen readers, on a small screen."""

import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Locator, Page, expect

from softhsm import Application, Environment, IssuedCardState, issue, remove
from softhsm.card_fixture import CardFixture
from softhsm.virtual_reader import VirtualReader
from support.agent.agent_process import SECONDS, Agent, Start, running
from support.agent.component_client import SiteClient
from support.agent.page_visitor import WRONG, CardLocation
from support.agent.web_sites import site

pytestmark = pytest.mark.browser

NEW_PIN = "5g8!Rw2"
PAGES = (
    "/",
    "/activate",
    "/change-pin",
    "/change-user-code",
    "/user-code-reset",
    "/card",
    "/files/sign",
    "/files/verify",
    "/sites",
    "/history",
    "/selfTest.htm?run=yes",
)
SERIOUS = ("serious", "critical")


def enter(field: Locator, text: str) -> None:
    """Click into a field and type, key by key."""
    field.click()
    field.page.keyboard.type(text)


def result(page: Page) -> str:
    """Return the result that a page shows; it must have the focus."""
    expect(page.locator("#result")).to_be_focused()
    return page.locator("#result").inner_text()


def barriers(page: Page) -> list[str]:
    """Return the violations of accessibility rules that axe-core finds."""
    found = Axe().run(page).response["violations"]
    return [f"{page.url}: {each['id']}: {each['help']}" for each in found if each["impact"] in SERIOUS]


def secrets_in(page: Page, *secrets: str) -> bool:
    """Tell whether the page, its fields, its address or its storage hold one of the secrets."""
    held = page.evaluate(
        """() => [
            document.documentElement.outerHTML, location.href,
            JSON.stringify(localStorage), JSON.stringify(sessionStorage),
            ...[...document.querySelectorAll("input")].map((field) => field.value),
        ].join()"""
    )
    return any(secret in held for secret in secrets)


def by_another_program(card: CardFixture, *arguments: str, secrets: Sequence[str]) -> None:
    """Run xcactl on the card that a page shows."""
    subprocess.run(
        [sys.executable, "-P", "-m", "xca_plugin.cli", *arguments],
        env={**card.variables, "HOME": str(card.environment.path), "LANG": "C.UTF-8"},
        input="".join(f"{secret}\n" for secret in secrets).encode(),
        capture_output=True,
        check=False,
    )


def test_activation_typed_and_clicked_shows_the_receipt(
    start_agent: Start, xca_issued_card: CardFixture, page: Page
) -> None:
    """By keyboard alone, with a wrong user code first; the words are those of the issuer's page."""
    agent, card = start_agent(xca_issued_card), xca_issued_card
    page.goto(agent.url)
    page.get_by_role("link", name="開卡作業").first.click()
    for words in ("1.選擇卡片", "2.卡號", "3.卡片持有者資訊", "4.卡片效期", "5.用戶代碼", "6.新的PIN碼"):
        expect(page.get_by_text(words)).to_be_visible()
    for button in ("偵測卡片", "進行開卡", "重新輸入"):
        expect(page.get_by_role("button", name=button)).to_be_enabled()
    expect(page.locator("#number")).to_contain_text(card.number)

    code, pin = page.get_by_label("5.用戶代碼"), page.get_by_label("6.新的PIN碼")
    with (
        page.expect_navigation()
    ):  # until its script is there too: it complains in words, the browser by itself
        page.get_by_role("button", name="偵測卡片").click()
    expect(page.locator("#number")).to_contain_text(card.number)
    code.click()
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    expect(code).to_be_focused()
    expect(page.get_by_text("用戶代碼為6~10碼")).to_be_visible()
    expect(code).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="重新輸入").click()
    expect(code).to_be_focused()
    expect(code).to_have_value("")

    page.keyboard.type(WRONG[0])
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(pin).to_be_focused()
    page.keyboard.type(NEW_PIN)
    page.keyboard.press("Enter")
    expect(page.get_by_text("PIN碼為6~8碼")).to_be_visible()  # the second one is missing
    page.keyboard.type(NEW_PIN[:-1] + "x")
    page.keyboard.press("Enter")
    expect(page.get_by_text("兩次輸入的新PIN碼不同。")).to_be_visible()
    page.keyboard.press("Backspace")
    page.keyboard.type(NEW_PIN[-1])
    page.keyboard.press("Enter")
    assert "用戶代碼錯誤，還可再試2次" in result(page)
    expect(code).to_have_value("")
    assert not secrets_in(page, WRONG[0], NEW_PIN)
    assert barriers(page) == []

    enter(code, card.user_code)
    enter(pin, NEW_PIN)
    enter(page.get_by_label("再次輸入新的PIN碼"), NEW_PIN)
    page.keyboard.press("Enter")
    assert "開卡成功" in result(page)
    assert card.state is IssuedCardState.ACTIVE
    assert page.title().startswith("開卡成功")
    assert not secrets_in(page, card.user_code, NEW_PIN)
    assert barriers(page) == []
    with page.expect_download() as saved:
        page.get_by_role("link", name="儲存開卡紀錄").click()
    assert card.number in saved.value.path().read_text()

    for step in (page.go_back, page.go_forward, page.reload):
        step()
        assert not secrets_in(page, WRONG[0], card.user_code, NEW_PIN)


def test_activation_without_scripts_activates_the_card(
    start_agent: Start, xca_issued_card: CardFixture, browser: Browser
) -> None:
    agent, card = start_agent(xca_issued_card), xca_issued_card
    with browser.new_context(locale="en-US", java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{agent.url}/activate")
        page.get_by_role("button", name="Detect cards").click()
        enter(page.get_by_label("5. User code"), card.user_code)
        enter(page.get_by_label("6. New PIN"), NEW_PIN)
        enter(page.get_by_label("New PIN again"), NEW_PIN)
        page.get_by_role("button", name="Activate").click()
        expect(page.get_by_role("heading", name="The card is activated.")).to_be_visible()
        assert card.state is IssuedCardState.ACTIVE
        page.get_by_role("link", name="繁體中文").click()
        expect(page.get_by_role("heading", name="開卡成功")).to_be_visible()
        page.goto(f"{agent.url}/change-pin")
        expect(page.get_by_label("5.目前的PIN碼")).to_be_visible()


def test_pin_made_by_the_agent_is_shown_until_it_is_noted(
    start_agent: Start, xca_issued_card: CardFixture, page: Page
) -> None:
    """It is in the page until the person says so, in no other place, and then it is the card's PIN."""
    agent, card = start_agent(xca_issued_card), xca_issued_card
    page.goto(f"{agent.url}/activate")
    code = page.get_by_label("5.用戶代碼")
    enter(code, card.user_code)
    page.get_by_role("button", name="產生PIN碼").click()
    noted = page.get_by_label("我已記下")
    expect(noted).to_be_focused()
    made = page.locator("output").inner_text()
    assert re.fullmatch("[0-9]{8}", made)
    page.get_by_role("button", name="進行開卡").click()
    expect(page.get_by_text("請先記下PIN碼")).to_be_visible()
    assert card.state is IssuedCardState.ISSUED
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="進行開卡")).to_be_focused()
    assert made not in page.locator("main").inner_text()
    expect(page.get_by_label("6.新的PIN碼")).to_have_attribute("type", "password")
    assert barriers(page) == []
    page.keyboard.press("Enter")
    assert "開卡成功" in result(page)
    assert not secrets_in(page, made)
    page.goto(f"{agent.url}/change-pin")
    enter(page.get_by_label("5.目前的PIN碼"), made)
    enter(page.get_by_label("6.新的PIN碼"), NEW_PIN)
    enter(page.get_by_label("再次輸入新的PIN碼"), NEW_PIN)
    page.keyboard.press("Enter")
    assert "PIN碼已更改" in result(page)
    assert made not in agent.log


def test_pin_made_and_started_over_is_gone(agent: Agent, page: Page) -> None:
    page.goto(f"{agent.url}/reset-pin")
    page.get_by_role("button", name="產生PIN碼").click()
    expect(page.locator("output")).to_have_text(re.compile("[0-9]{8}"))
    made = page.locator("output").inner_text()
    page.get_by_role("button", name="重新輸入").click()
    expect(page.get_by_label("6.新的PIN碼")).to_be_editable()
    assert not secrets_in(page, made)


def test_typed_secrets_after_leaving_the_page_are_gone(agent: Agent, page: Page) -> None:
    page.goto(f"{agent.url}/change-pin")
    old = page.get_by_label("5.目前的PIN碼")
    enter(old, WRONG[0])
    page.get_by_role("button", name="顯示").first.click()
    expect(old).to_have_attribute("type", "text")
    page.get_by_role("link", name="您的卡片").click()
    page.go_back()
    expect(old).to_have_value("")
    expect(old).to_have_attribute("type", "password")


def test_form_sent_shows_progress_until_the_card_answers(
    agent: Agent, xca_active_card: CardFixture, page: Page
) -> None:
    assert xca_active_card.pin
    page.goto(f"{agent.url}/change-pin")
    enter(page.get_by_label("5.目前的PIN碼"), xca_active_card.pin)
    enter(page.get_by_label("6.新的PIN碼"), NEW_PIN)
    enter(page.get_by_label("再次輸入新的PIN碼"), NEW_PIN)
    with xca_active_card.environment.store.lock(exclusive=True):
        page.get_by_role("button", name="更改PIN碼").click()
        expect(page.get_by_role("status").filter(has_text="更改PIN碼作業進行中")).to_be_visible()
        expect(page.get_by_role("button", name="更改PIN碼")).to_be_disabled()
        assert not secrets_in(page, xca_active_card.pin, NEW_PIN)
    assert "PIN碼已更改" in result(page)


def test_last_try_without_the_words_is_not_sent(
    start_agent: Start, xca_issued_card: CardFixture, page: Page
) -> None:
    agent, card = start_agent(xca_issued_card), xca_issued_card
    for wrong in WRONG[:2]:
        by_another_program(
            card, "activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin", secrets=(wrong, NEW_PIN)
        )
    page.goto(f"{agent.url}/activate")
    enter(page.get_by_label("5.用戶代碼"), card.user_code)
    enter(page.get_by_label("6.新的PIN碼"), NEW_PIN)
    enter(page.get_by_label("再次輸入新的PIN碼"), NEW_PIN)
    page.get_by_role("button", name="進行開卡").click()
    phrase = page.get_by_label("請輸入：最後一次")
    expect(phrase).to_be_focused()
    assert barriers(page) == []
    enter(phrase, "最後一次")
    page.keyboard.press("Enter")
    assert "開卡成功" in result(page)


# --- live


def test_home_with_cards_changing_follows(
    start_agent: Start, xca_environment: Environment, page: Page
) -> None:
    card = CardFixture(xca_environment, "", "Code~8642", None)
    page.goto(start_agent(card).url)
    expect(page.get_by_role("heading", name="讀卡機內沒有卡片。")).to_be_visible()
    number = issue(xca_environment, card.user_code, Application()).number
    expect(page.get_by_role("heading", name=number)).to_be_visible()
    expect(page.locator("#news")).to_have_text("頁面已更新：卡片或讀卡機有變動。")
    expect(page.get_by_text("還可再試3次")).to_be_visible()
    by_another_program(
        card, "activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin", secrets=(WRONG[0], NEW_PIN)
    )
    expect(page.get_by_text("還可再試2次")).to_be_visible()
    remove(xca_environment, number)
    expect(page.get_by_role("heading", name="讀卡機內沒有卡片。")).to_be_visible()


def test_form_with_another_card_coming_keeps_what_is_typed(
    agent: Agent, xca_active_card: CardFixture, page: Page
) -> None:
    page.goto(f"{agent.url}/change-pin?card={xca_active_card.number}")
    old = page.get_by_label("5.目前的PIN碼")
    enter(old, WRONG[0])
    number = issue(xca_active_card.environment, "Code~8642").number
    expect(page.get_by_role("option")).to_have_count(2)
    expect(old).to_have_value(WRONG[0])
    expect(old).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_label("1.選擇卡片")).to_be_focused()
    page.keyboard.press("ArrowDown" if number > xca_active_card.number else "ArrowUp")
    expect(page.get_by_role("heading", name=f"卡號 {number} 的卡片尚未開卡。")).to_be_visible()


def test_home_with_a_mute_card_names_its_reader(
    start_agent: Start, xca_environment: Environment, xca_virtual_reader: VirtualReader, page: Page
) -> None:
    reader = xca_virtual_reader
    page.goto(start_agent(CardLocation(xca_environment.exports() | reader.variables)).url)
    expect(page.get_by_role("listitem").filter(has_text=reader.name)).to_contain_text("沒有卡片")
    reader.insert_upside_down()
    expect(page.get_by_role("heading", name=f"讀卡機 {reader.name} 內的卡片沒有回應。")).to_be_visible()
    expect(page.get_by_text("晶片")).to_be_visible()


def test_page_with_the_agent_stopped_says_so(
    start_agent: Start, xca_active_card: CardFixture, page: Page
) -> None:
    agent = start_agent(xca_active_card)
    page.goto(agent.url)
    stopped = page.get_by_role("alert").filter(has_text="這部電腦上的本機元件沒有回應")
    expect(stopped).to_be_hidden()
    agent.process.terminate()
    agent.process.wait(SECONDS)
    expect(stopped).to_be_visible()
    with running(agent.home, xca_active_card.variables, agent.port) as again:
        expect(stopped).to_be_hidden()
        page.goto(f"{agent.url}/change-pin")
        enter(page.get_by_label("5.目前的PIN碼"), WRONG[0])
        enter(page.get_by_label("6.新的PIN碼"), NEW_PIN)
        enter(page.get_by_label("再次輸入新的PIN碼"), NEW_PIN)
        again.process.terminate()
        again.process.wait(SECONDS)
        page.get_by_role("button", name="更改PIN碼").click()
        expect(page.get_by_role("alert")).to_contain_text("先檢視卡片狀態")
        assert not secrets_in(page, WRONG[0], NEW_PIN)


# --- for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_in_every_scheme_pass_axe_and_fit(allowed: SiteClient, browser: Browser, scheme: str) -> None:
    # WCAG 2.2 asks for 320 px (1.4.10); a screen of 1280 px has 640 px at a zoom of 200 %.
    language, width = {"light": ("zh-TW", 320), "dark": ("en-US", 640)}[scheme]
    with browser.new_context(
        locale=language,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
    ) as context:
        page = context.new_page()
        for path in PAGES:
            page.goto(allowed.agent.url + path)
            assert barriers(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


# --- the self-test


def test_self_test_with_a_blocked_popup_shows_how_to_allow_it(allowed: SiteClient, browser: Browser) -> None:
    script = f"""<!doctype html><title>site</title><img crossorigin src="{allowed.agent.url}/p11Image.bmp">
    <button onclick="window.open('{allowed.agent.url}/ChtPopupForm')">go</button>
    <script>window.blocked = open("{allowed.agent.url}/ChtPopupForm") === null</script>"""
    with browser.new_context(locale="zh-TW") as context, site(script) as origin:
        test, elsewhere = context.new_page(), context.new_page()
        elsewhere.goto(origin)
        assert elsewhere.evaluate("window.blocked")
        test.goto(f"{allowed.agent.url}/selfTest.htm")
        visit = test.locator("#recent-sites li", has_text=origin)
        expect(visit).to_contain_text("表示視窗被瀏覽器封鎖")
        visit.get_by_role("link", name="這個網站的設定步驟").click()
        expect(test.get_by_text(f"一律允許 {origin} 的彈出式視窗與重新導向")).to_be_visible()
        expect(test.get_by_text(f"允許 {origin.removeprefix('http://')} 的彈出型視窗")).to_be_visible()
        elsewhere.bring_to_front()
        with elsewhere.expect_popup():
            elsewhere.get_by_role("button").click()
        test.bring_to_front()
        expect(visit).to_contain_text("未被瀏覽器封鎖")


def test_self_test_second_popup_without_a_click_is_reported_blocked(allowed: SiteClient, page: Page) -> None:
    page.goto(f"{allowed.agent.url}/selfTest.htm")
    protocol = page.context.new_cdp_session(page)
    page.get_by_role("button", name="測試彈出式視窗").focus()
    page.keyboard.press("Enter")
    # Not by click() and expect(): every question of Playwright to a page counts as a click there.
    said = """new Promise((resolve) => {
        const look = () => {
            const verdict = document.querySelector("[data-verdict]:not([hidden])");
            if (verdict) resolve(verdict.innerText); else requestAnimationFrame(look);
        };
        look();
    })"""
    answer = protocol.send(
        "Runtime.evaluate", {"expression": said, "awaitPromise": True, "returnByValue": True}
    )
    assert "未經點選的視窗被封鎖" in answer["result"]["value"]


def test_self_test_button_clicked_shows_the_findings(allowed: SiteClient, page: Page) -> None:
    page.goto(f"{allowed.agent.url}/selfTest.htm")
    page.get_by_role("button", name="開始檢測").click()
    assert result(page)
    expect(page.locator(".check")).not_to_have_count(0)
    expect(page.locator(".check").filter(has_text="PKCS#11")).to_contain_text("通過")
