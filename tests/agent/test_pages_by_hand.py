# SPDX-License-Identifier: Apache-2.0
"""The agent's own pages, by keyboard and mouse, in Chromium and Firefox."""

import pytest

from softhsm import IssuedCardState, issue
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, Start
from support.agent.browser_tab import Tab
from support.agent.page_visitor import WRONG

pytestmark = pytest.mark.browser

NEW_PIN = "5g8!Rw2"
RESULT = "document.activeElement?.id === 'result' && document.activeElement.innerText.includes('{}')"
FILES = ["/files/sign", "/files/verify", "/files/encrypt", "/files/decrypt"]
ACTIONS = ["/activate", "/change-pin", "/reset-pin", "/change-user-code"]
NAVIGATION = ["/", *ACTIONS, "/card", "/history", *FILES, "/sites", "/selfTest.htm"]


def walks(tab: Tab) -> list[str]:
    """Return the controls that Tab reaches in a page below the navigation."""
    controls = tab.walk()
    assert controls[0] == "#main"
    assert controls[1] == "/"
    head = controls.index("/selfTest.htm") + 1
    assert controls[3:head] == NAVIGATION
    return controls[head:]


def test_home_by_keyboard_reaches_the_card_page(
    start_agent: Start, active_card: CardFixture, tab: Tab
) -> None:
    tab.go(start_agent(active_card).url)
    tab.read(active_card.number)
    number = active_card.number
    cards = [f"{path}?card={number}" for path in ("/card", *ACTIONS[1:], "/user-code-reset")]
    assert walks(tab) == [*cards, "word", "使用這個詞"]
    tab.tab_to(f"/card?card={number}")
    tab.press("Enter")
    tab.read("SHA-256")


def test_skip_link_pressed_moves_to_the_content(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/change-pin")
    tab.see("document.hasFocus() && document.querySelector('[data-shows]')?.hidden === false")
    tab.tab_to("#main")
    tab.press("Enter", "Tab")
    assert tab.focused() == "card"


def test_activation_by_keyboard_activates_the_card(
    start_agent: Start, xca_issued_card: CardFixture, tab: Tab
) -> None:
    agent, card = start_agent(xca_issued_card), xca_issued_card
    tab.go(agent.url)
    tab.tab_to("/activate")
    tab.press("Enter")
    tab.see("location.pathname === '/activate' && document.querySelector('[data-shows]')?.hidden === false")
    assert walks(tab)[:2] == ["card", "偵測卡片"]
    tab.tab_to("secret")
    tab.type("short")
    tab.press("Enter")
    tab.read("6~10碼", "#secret-error")
    assert tab.focused() == "secret"
    tab.press(*["Backspace"] * 5)
    tab.type(WRONG[0])
    tab.press("Tab", " ")
    assert tab.now("document.getElementById('secret').type") == "text"
    tab.press("Tab")
    assert tab.focused() == "new_pin"
    tab.type(NEW_PIN)
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Enter")
    tab.see(RESULT.format("還可再試2次"))
    tab.click("#secret")
    tab.type(card.user_code)
    tab.click("#new_pin")
    tab.type(NEW_PIN)
    tab.click("#again")
    tab.type(NEW_PIN)
    tab.click("button.main")
    tab.see(RESULT.format("開卡成功"))
    assert card.state is IssuedCardState.ACTIVE


def test_start_over_clicked_empties_the_form(
    start_agent: Start, xca_issued_card: CardFixture, tab: Tab
) -> None:
    tab.go(f"{start_agent(xca_issued_card).url}/activate")
    tab.see("document.querySelector('[data-shows]')?.hidden === false")
    tab.click("#secret")
    tab.type(WRONG[0])
    tab.click("[type=reset]")
    tab.see("document.getElementById('secret').value === ''")
    assert tab.focused() == "secret"


def test_done_page_by_keyboard_reaches_every_control(
    start_agent: Start, xca_issued_card: CardFixture, tab: Tab
) -> None:
    agent, card = start_agent(xca_issued_card), xca_issued_card
    tab.go(f"{agent.url}/activate")
    tab.see("document.querySelector('[data-shows]')?.hidden === false")
    tab.tab_to("secret")
    tab.type(card.user_code)
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Enter")
    tab.see(RESULT.format("開卡成功"))
    print_button, receipt, details, home = walks(tab)
    assert (print_button, details, home) == ("列印開卡紀錄", f"/card?card={card.number}", "/")
    assert "receipt" in receipt
    tab.tab_to(details)
    tab.press("Enter")
    tab.see("location.pathname === '/card' || null")


def test_pin_change_by_keyboard_changes_the_pin(
    start_agent: Start, xca_active_card: CardFixture, tab: Tab
) -> None:
    card = xca_active_card
    tab.go(f"{start_agent(card).url}/change-pin")
    tab.see("document.querySelector('[data-shows]')?.hidden === false")
    controls = walks(tab)
    assert [name for name in controls if name in ("card", "secret", "new_pin", "again")] == [
        "card",
        "secret",
        "new_pin",
        "again",
    ]
    tab.tab_to("secret")
    tab.type(str(card.pin))
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Tab", "Tab")
    assert tab.focused() == "產生PIN碼"
    tab.press("Tab")
    assert tab.focused() == "更改PIN碼"
    tab.press(" ")
    tab.see(RESULT.format("PIN碼已更改"))


def test_pin_reset_by_keyboard_resets_the_pin(
    start_agent: Start, xca_active_card: CardFixture, tab: Tab
) -> None:
    card = xca_active_card
    tab.go(f"{start_agent(card).url}/reset-pin")
    tab.see("document.querySelector('[data-shows]')?.hidden === false")
    assert len(walks(tab)) == 12
    tab.tab_to("secret")
    tab.type(card.user_code)
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Enter")
    tab.see("document.activeElement?.id === 'result'")
    assert card.state is IssuedCardState.ACTIVE


def test_last_try_with_the_words_typed_is_spent(
    start_agent: Start, xca_active_card: CardFixture, tab: Tab
) -> None:
    tab.go(f"{start_agent(xca_active_card).url}/change-pin")
    for left, wrong in ((2, WRONG[0]), (1, WRONG[1])):
        tab.see("document.querySelector('[data-shows]')?.hidden === false")
        tab.tab_to("secret")
        tab.type(wrong)
        tab.press("Tab", "Tab")
        tab.type(NEW_PIN)
        tab.press("Tab", "Tab")
        tab.type(NEW_PIN)
        tab.press("Enter")
        tab.see(RESULT.format(f"還可再試{left}次"))
    tab.tab_to("secret")
    tab.type(str(xca_active_card.pin))
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Tab", "Tab")
    tab.type(NEW_PIN)
    tab.press("Enter")
    assert tab.focused() == "last_try"
    tab.type("最後一次")
    tab.press("Enter")
    tab.see(RESULT.format("PIN碼已更改"))


def test_card_chosen_with_arrow_keeps_the_focus(
    start_agent: Start, xca_active_card: CardFixture, tab: Tab
) -> None:
    """Each arrow key chooses and shows a card, and the focus stays for the next one."""
    card = xca_active_card
    numbers = sorted([card.number, *(issue(card.environment, "Code~8642").number for _ in range(2))])
    agent = start_agent(card)
    for path in ("/change-pin", "/card"):
        tab.go(f"{agent.url}{path}?card={numbers[0]}")
        tab.see("document.getElementById('card')?.options.length === 3")
        tab.tab_to("card")
        for number in numbers[1:]:
            tab.press("ArrowDown")
            tab.see(f"location.search.includes('{number}') && document.readyState === 'complete'")
            tab.see("document.activeElement?.id === 'card'")


def test_link_with_another_card_coming_keeps_the_focus(
    start_agent: Start, xca_active_card: CardFixture, tab: Tab
) -> None:
    card = xca_active_card
    tab.go(start_agent(card).url)
    tab.read(card.number)
    link = f"/reset-pin?card={card.number}"
    tab.tab_to(link)
    number = issue(card.environment, "Code~8642").number
    tab.read(number)
    assert tab.focused() == link


def test_card_page_by_keyboard_reaches_every_control(
    shared: Agent, active_card: CardFixture, tab: Tab
) -> None:
    tab.go(f"{shared.url}/card")
    tab.read("SHA-256")
    controls = walks(tab)
    assert any("form=der" in control for control in controls)
    assert any("form=chain" in control for control in controls)


def test_self_test_by_keyboard_runs_the_checks(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/selfTest.htm")
    tab.see("document.getElementById('try-windows')?.hidden === false")
    # There is also a link for each site that asked the agent recently, in any test.
    assert [stop for stop in walks(tab) if "#allow" not in stop] == ["run", "try-windows", "site", "顯示"]
    tab.tab_to("run")
    tab.press("Enter")
    tab.see("document.activeElement?.id === 'result'")
    tab.tab_to("site")
    tab.press("Control+a")
    tab.type("https://portal.example.gov.tw")
    tab.press("Enter")
    tab.read("https://portal.example.gov.tw", "#allow-head")


def test_self_test_popup_opened_closes_itself(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/selfTest.htm")
    tab.see("document.getElementById('try-windows')?.hidden === false")
    tab.tab_to("try-windows")
    tab.press("Enter")
    verdict = tab.see("document.querySelector('[data-verdict]:not([hidden])')?.dataset.verdict")
    assert verdict in (
        "first",
        "both",
    )  # how many, test_browser_pages.py says: whatever a driver does may count as a click
    tab.see("document.hasFocus()")


def test_problem_page_by_keyboard_is_read_and_left(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/certificate?card={active_card.number}&label=none&form=der")
    tab.see("document.activeElement?.id === 'result'")
    tab.press("Tab")
    assert tab.focused() == "/"  # the way home, beside the sentences that were just read
    assert walks(tab) == ["/"]
    tab.tab_to("/")
    tab.press("Enter")
    tab.read(active_card.number)


@pytest.mark.parametrize("path", ["/", "/change-pin", "/reset-pin", "/card", "/selfTest.htm"])
def test_language_link_used_switches_the_language(
    shared: Agent, active_card: CardFixture, tab: Tab, path: str
) -> None:
    tab.go(f"{shared.url}{path}")
    tab.see("document.documentElement.lang === 'zh-Hant-TW'")
    tab.see("document.hasFocus()")
    tab.press("Tab")
    while tab.now("document.activeElement.className") != "language":
        tab.press("Tab")
    tab.press("Enter")
    tab.see("document.documentElement.lang === 'en'")
    assert tab.now("location.pathname") == path
    tab.click(".language")
    tab.see("document.documentElement.lang === 'zh-Hant-TW'")
