# SPDX-License-Identifier: Apache-2.0
"""The popups, by keyboard and mouse, in Chromium and Firefox."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page

from softhsm import issue
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, Start, enforcing, trust
from support.agent.browser_tab import HOLD_TIMERS, Tab
from support.agent.chromium import Chromium
from support.agent.component_client import Json, verify
from support.agent.page_visitor import visiting
from support.agent.web_sites import site
from xca_plugin.agent.component.result_codes import Code

pytestmark = pytest.mark.browser

NEW_PIN = "5g8!Rw2"
ASKS = "document.querySelector('[data-part=consent]')?.hidden === false"
TRUSTS = "document.querySelector('[data-part=question]')?.hidden === false"
FITTED = "!document.body.classList.contains('fitting')"
IN_FRONT = f"document.readyState === 'complete' && document.hasFocus() && {FITTED}"
READY = "document.querySelector('[data-consent-delay]').ariaDisabled === 'false'"
WAITS = "document.querySelector('[data-consent-delay]').ariaDisabled === 'true'"
BOX_OF_SITE = """(() => {
    const range = document.createRange();
    range.selectNodeContents(document.querySelector('[data-part=site]'));
    const [first, last] = [[...range.getClientRects()][0], [...range.getClientRects()].at(-1)];
    return JSON.stringify([first.left, first.top + 5, last.right, last.bottom - 5]);
})()"""
UNREAD = "document.querySelector('[data-part=consent] [data-unread]').hidden === false"
SMALL = "document.body.classList.contains('small')"
GO_ON_READY = "document.querySelector('[data-part=go-on]').ariaDisabled === 'false'"
CHANGED = "document.querySelector('[data-part=changed]')?.hidden === false"
IN_VIEW = """(() => {
    const element = document.querySelector('[data-part=PART], .PART');
    const box = element.getBoundingClientRect();
    return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight + 1;
})()"""
OWN_PAGE = "document.querySelector('[data-part=own-page]')?.hidden === false"
COUNT_PAUSES = """(() => {
    const start = setTimeout;
    window.pauses = 0;
    window.setTimeout = (act, pause) => { window.pauses += pause === 1000; return start(act, pause); };
})()"""
CLICK_TWICE = """(() => {
    addEventListener("submit", (event) => event.preventDefault(), {once: true});
    document.querySelector("[data-part=agree]").click();
    document.querySelector("[data-part=agree]").click();
})()"""
FITTED_BY_HAND = """
const start = setTimeout;
window.setTimeout = (act, pause) => {
    if (pause !== 1500) return start(act, pause);
    window.endFitting = () => { act(); return true; };
};
window.resizeTo = () => {};
"""
"""The popup cannot enlarge itself; the wait for it is over at endFitting(), not before."""
CLOCK_RUNS_ON = """
const clock = performance.now.bind(performance);
performance.now = () => clock() + (window.isLate ? 1_000_000 : 0);
"""
NO_ANSWERS = """
window.sent = [];
window.fetch = (address, { body }) => { sent.push(body); return new Promise(() => {}); };
Navigator.prototype.sendBeacon = (address, body) => sent.push(body);
"""
HOLD_REQUESTS = """
const send = window.fetch.bind(window);
window.held = [];
window.fetch = (address, init) => {
    if (!window.isHeld) return send(address, init);
    held.push(address);
    return new Promise(() => {});
};
"""
"""Once isHeld is true, the agent gets no requests and the popup no answers; held has their addresses."""
WRONG = "document.querySelector('[data-part=wrong]').hidden === false"
SIGN = {"func": "MakeSignature", "tbs": "contract-4711"}


@dataclass(frozen=True)
class Portal:
    """A page of a web site, open in a browser."""

    origin: str
    agent: Agent
    tab: Tab

    def click(self, request: Json, path: str = "/ChtPopupForm") -> Tab:
        """Click the site's button and return the popup that opens."""
        self.tab.now(f"(answers = [], ask({json.dumps(path)}, {json.dumps(request)}), true)")
        self.tab.click("#go")
        return self.tab.window()

    def answer(self) -> Json:
        answers: list[Json] = json.loads(self.tab.see("answers.length ? JSON.stringify(answers) : ''"))
        (answer,) = answers
        return answer

    def asks(self, request: Json) -> Tab:
        window = self.click(request)
        window.see(f"{ASKS} && {IN_FRONT}")
        return window

    def adds_itself(self) -> Tab:
        window = self.adds("")
        window.read(self.origin, "[data-part=site]")
        window.see(IN_FRONT)
        return window

    def adds(self, host: str) -> Tab:
        """Open the question whether to trust a host, by default the site's own."""
        self.tab.now(f"(addDomain({json.dumps(host)}), true)")
        self.tab.click("#go")
        window = self.tab.window()
        window.see(f"{TRUSTS} && {IN_FRONT}")
        return window


@pytest.fixture
def origin() -> Iterator[str]:
    with site() as origin:
        yield origin


@pytest.fixture
def stranger(origin: str, shared: Agent, tab: Tab) -> Portal:
    """A site that is not trusted yet."""
    tab.go(f"{origin}/?agent={shared.url}")
    return Portal(origin, shared, tab)


@pytest.fixture
def portal(stranger: Portal) -> Portal:
    """A trusted site. The test must not change the card."""
    trust(stranger.agent, stranger.origin)
    return stranger


@pytest.fixture
def lone_stranger(origin: str, start_agent: Start, active_card: CardFixture, tab: Tab) -> Portal:
    """A site that is not trusted yet, and an agent for this test alone.

    An agent that tests share remembers the questions that they leave without an answer.
    """
    agent = start_agent(active_card)
    tab.go(f"{origin}/?agent={agent.url}")
    return Portal(origin, agent, tab)


@pytest.fixture
def lone_portal(lone_stranger: Portal) -> Portal:
    """The same site, trusted."""
    trust(lone_stranger.agent, lone_stranger.origin)
    return lone_stranger


@pytest.fixture
def asking_portal(origin: str, start_agent: Start, xca_active_card: CardFixture, tab: Tab) -> Portal:
    """A trusted site of an agent with page_pin = ask. The card is for this test alone."""
    agent = start_agent(xca_active_card, trusted=(origin,), page_pin="ask")
    tab.go(f"{origin}/?agent={agent.url}")
    return Portal(origin, agent, tab)


# --- by keyboard alone


def test_consent_with_pin_typed_signs(
    asking_portal: Portal, xca_active_card: CardFixture, tmp_path: Path
) -> None:
    window = asking_portal.asks(SIGN)
    assert window.focused() == "pin"
    window.type(f"{xca_active_card.pin}x")
    window.press("Backspace")
    window.see(READY)
    window.press("Enter")
    verify(asking_portal.answer(), "SHA256", b"contract-4711", tmp_path)
    window.closes()


def test_consent_with_malformed_pin_is_not_sent(asking_portal: Portal, xca_active_card: CardFixture) -> None:
    window = asking_portal.asks(SIGN)
    window.type("short")
    window.see(READY)
    window.press("Enter")
    assert window.now(ASKS)
    assert window.focused() == "pin"
    window.press("Control+a", "Backspace")
    window.type(str(xca_active_card.pin))
    window.press("Tab", " ")  # the button
    assert asking_portal.answer()["ret_code"] == 0


def test_consent_by_keyboard_reaches_every_control(portal: Portal, active_card: CardFixture) -> None:
    window = portal.asks({**SIGN, "pin": active_card.pin})
    window.see(READY)
    assert window.walk() == ["holder-more", "for-a-while", "agree", "refuse"]
    window.tab_to("for-a-while")
    window.press(" ")
    assert window.now("document.querySelector('[data-part=for-a-while]').checked")
    window.press(" ")
    assert not window.now("document.querySelector('[data-part=for-a-while]').checked")
    window.press("Tab", "Tab", "Enter")
    assert portal.answer()["ret_code"] == Code.CANCELLED
    window.closes()


def test_consent_with_new_pin_typed_changes_the_pin(
    asking_portal: Portal, xca_active_card: CardFixture
) -> None:
    card = xca_active_card
    window = asking_portal.asks(
        {"func": "changeUserPINCode", "currentPIN": "", "newpin": "", "cardid": card.number}
    )
    assert window.walk() == ["holder-more", "pin", "new-pin", "again", "agree", "refuse"]
    left = "[...document.querySelectorAll('.field input')].map((field) => field.getBoundingClientRect().left)"
    assert window.now(f"new Set({left}).size") == 1
    window.tab_to("pin")
    window.type(str(card.pin))
    window.press("Tab")
    window.type(NEW_PIN)
    window.press("Tab")
    window.type(f"{NEW_PIN}x")
    window.see(READY)
    window.press("Enter")
    window.see("document.querySelector('[data-part=different]').hidden === false")
    window.press("Backspace")
    window.see(READY)
    window.press("Enter")
    assert asking_portal.answer() == {"func": "changeUserPINCode", "ret_code": 0, "last_error": 0}


def test_consent_with_last_try_ticked_signs(asking_portal: Portal, xca_active_card: CardFixture) -> None:
    window = asking_portal.asks(SIGN)
    assert not window.now(WRONG)
    window.type("wrong-1")
    window.see(READY)
    window.press("Enter")
    # The window asks again itself, until one try is left.
    window.see(f"{ASKS} && {WRONG}")
    window.read("PIN碼錯誤", "[data-part=wrong]")
    window.read("PIN碼： 還可再試2次", ".tries")
    assert asking_portal.tab.now("answers.length === 0")
    assert window.focused() == "pin"
    window.type("wrong-2")
    window.see(READY)
    window.press("Enter")
    assert asking_portal.answer()["ret_code"] == Code.LOGIN_FAILED
    window.closes()
    window = asking_portal.asks(SIGN)
    window.type(str(xca_active_card.pin))
    window.see(READY)
    window.press("Enter")
    assert window.now(ASKS)
    window.tab_to("last-try")
    window.press(" ")
    window.see(READY)
    window.press("Enter")
    if not window.is_closed() and window.now(ASKS):  # where Enter on a box sends nothing
        window.press("Tab", "Enter")
    assert asking_portal.answer()["ret_code"] == 0


def test_holder_is_a_name_and_its_distinguished_name_one_click_away(
    portal: Portal, active_card: CardFixture
) -> None:
    window = portal.asks({**SIGN, "pin": active_card.pin})
    shown = "document.querySelector('[data-part=card]').innerText"
    assert "C=TW" not in window.now(shown)
    assert not window.now("document.querySelector('[data-part=holder]').checkVisibility()")
    window.click("[data-part=holder-more]")
    window.read("C=TW", "[data-part=holder]")
    window.see(READY)
    window.click("[data-part=refuse]")
    assert portal.answer()["ret_code"] == Code.CANCELLED


def test_activation_asked_by_a_site_is_done_on_the_agents_page(
    origin: str, start_agent: Start, xca_issued_card: CardFixture, tab: Tab
) -> None:
    card = xca_issued_card
    agent = start_agent(card, trusted=(origin,))
    tab.go(f"{origin}/?agent={agent.url}")
    portal = Portal(origin, agent, tab)
    asked = {"func": "openCard", "sid": "U1", "cmsresponse": "", "currentPIN": "", "newpin": "x"}
    window = portal.click({**asked, "cardid": card.number}, "/CardManagement/CMCPopForm")
    window.read("此網站要求開卡", "[data-part=wanted]")
    window.see(IN_FRONT)
    assert window.walk() == ["own-page-go", "own-page-refuse"]
    heights = (
        "[...document.querySelector('[data-part=own-page] footer').children].map((each) => each.offsetHeight)"
    )
    assert window.now(f"new Set({heights}).size") == 1
    window.click("[data-part=own-page-go]")
    with visiting(agent) as visitor:
        visitor.fill("/activate", card.user_code, NEW_PIN, again=NEW_PIN)
    assert portal.answer() == {"func": "openCard", "ret_code": 0, "last_error": 0}
    window.closes()


def test_activation_asked_by_a_site_and_refused_is_cancelled(portal: Portal) -> None:
    window = portal.click({"func": "resetUserPIN", "cmsresponse": ""}, "/CardManagement/CMCPopForm")
    window.read("重設PIN碼", "[data-part=wanted]")
    window.see(FITTED)
    window.click("[data-part=own-page-refuse]")
    assert portal.answer()["ret_code"] == Code.CANCELLED
    window.closes()


def test_add_domain_button_with_enter_trusts(lone_stranger: Portal, active_card: CardFixture) -> None:
    window = lone_stranger.adds_itself()
    window.see(READY)
    assert window.walk() == ["allow", "agree"]
    lone_stranger.tab.now("(window.before = true)")
    window.press("Enter")
    window.closes()
    lone_stranger.tab.see("window.before === undefined && document.readyState === 'complete'")
    portal = lone_stranger.asks({**SIGN, "pin": active_card.pin})
    portal.tab_to("refuse")
    portal.press(" ")
    assert lone_stranger.answer()["ret_code"] == Code.CANCELLED


@pytest.mark.parametrize("func", ["CheckEnvir", "GetUserCert"])
def test_information_popup_asks_nothing_and_closes(
    portal: Portal, active_card: CardFixture, func: str
) -> None:
    window = portal.click({"func": func}, "/popupForm")
    assert portal.answer()["slots"][0]["token"]["serialNumber"] == active_card.number
    window.closes()


def test_popup_without_a_site_explains_itself(shared: Agent, tab: Tab) -> None:
    tab.go(f"{shared.url}/ChtPopupForm")
    tab.read("same-origin-allow-popups", "[data-part=no-opener]")


def test_add_domain_without_a_site_explains_itself(shared: Agent, tab: Tab) -> None:
    tab.go(f"{shared.url}/addDomain?domain=-")
    tab.read("未做任何變更", "[role=alert]")


# --- by mouse


def in_view(window: Tab, *parts: str) -> bool:
    """Tell whether parts of the popup are seen, whole."""
    return all(window.now(IN_VIEW.replace("PART", part)) for part in parts)


def test_consent_of_long_text_works_only_when_it_was_read_to_its_end(
    asking_portal: Portal, xca_active_card: CardFixture, tmp_path: Path
) -> None:
    tbs = "\n".join(f"line {number}" for number in range(120))
    window = asking_portal.asks({**SIGN, "tbs": tbs})
    window.see(UNREAD)
    window.tab_to("pin")
    window.type(str(xca_active_card.pin))
    window.press("Enter")
    assert window.now(f"{ASKS} && {WAITS} && {UNREAD}")
    assert in_view(window, "site", "card", "agree", "refuse")
    window.press("Shift+Tab")
    assert window.focused() == "content"
    window.press(" ", "PageDown")
    window.see("document.querySelector('[data-part=content]').scrollTop > 0")
    assert window.now(f"{WAITS} && {UNREAD}")
    window.press("End")
    window.see(f"!({UNREAD})")
    assert in_view(window, "site", "card", "agree", "refuse")
    window.see(READY)
    window.click("[data-part=agree]")
    verify(asking_portal.answer(), "SHA256", tbs.encode(), tmp_path)


def test_consent_of_long_text_read_with_the_wheel_signs(portal: Portal, active_card: CardFixture) -> None:
    window = portal.asks({**SIGN, "tbs": "long " * 2000, "pin": active_card.pin})
    window.see(UNREAD)
    window.scroll_until("[data-part=content]", f"!({UNREAD})")
    window.see(READY)
    window.click("[data-part=agree]")
    assert portal.answer()["ret_code"] == 0


@pytest.mark.parametrize(("keys", "focused"), [([], "content"), (["Tab"], "holder-more")])
def test_popup_that_is_fitted_to_long_text_focuses_it_unless_the_person_moved_on(
    portal: Portal, active_card: CardFixture, keys: list[str], focused: str
) -> None:
    portal.tab.before_scripts(FITTED_BY_HAND)
    window = portal.click({**SIGN, "tbs": "long " * 2000, "pin": active_card.pin})
    window.see(f"{ASKS} && document.hasFocus() && window.endFitting !== undefined")
    window.resize(600, 700)
    window.see("innerWidth === 600")
    window.press(*keys)
    window.now("endFitting()")
    window.see(FITTED)
    assert window.focused() == focused


@pytest.mark.parametrize(("width", "height"), [(200, 200), (400, 300), (480, 560), (800, 600), (1300, 700)])
def test_popup_of_a_size_shows_head_and_buttons_or_waits_to_be_enlarged(
    portal: Portal, active_card: CardFixture, width: int, height: int
) -> None:
    tbs = "\n".join(f"line {number}" for number in range(120))
    window = portal.asks({**SIGN, "tbs": tbs, "pin": active_card.pin})
    window.see(UNREAD)
    window.resize(width, height)
    window.see(f"innerWidth === {width}")
    if height < 500:
        window.see(f"{SMALL} && {WAITS}")
        assert in_view(window, "too-small")
        window.press("End")
        window.now("document.querySelector('[data-part=content]').scrollTo(0, 100000)")
        window.click("[data-part=refuse]")
        assert portal.answer()["ret_code"] == Code.CANCELLED
        return
    window.see(f"!{SMALL}")
    assert in_view(window, "title", "site", "card", "agree", "refuse")
    assert window.now("document.documentElement.scrollHeight <= innerHeight")
    window.now("document.querySelector('[data-part=content]').scrollTo(0, 100000)")
    window.see(READY)
    window.resize(200, 200)
    window.see(f"{SMALL} && {WAITS}")


def test_consent_text_with_the_mouse_can_be_selected(portal: Portal, active_card: CardFixture) -> None:
    window = portal.asks({**SIGN, "pin": active_card.pin})
    window.see(READY)
    left, top, right, bottom = json.loads(window.now(BOX_OF_SITE))
    window.mouse_move(left + 1, top)
    window.mouse_down()
    window.mouse_move(right + 20, bottom)
    window.see(f"getSelection().toString().includes({json.dumps(portal.origin)})")
    window.mouse_up()


# --- the delay of the button


def click(window: Tab) -> None:
    window.click("[data-consent-delay]")


def double_click(window: Tab) -> None:
    window.click("[data-consent-delay]")
    window.click("[data-consent-delay]")


def mouse_pressed_before_and_let_go_after(window: Tab) -> None:
    window.point_at("[data-consent-delay]")
    window.mouse_down()
    window.now("letTimePass()")
    window.mouse_up()


def enter(window: Tab) -> None:
    window.press("Enter")


def enter_on_the_button(window: Tab) -> None:
    window.tab_to("agree")
    window.press("Enter")


def space_on_the_button(window: Tab) -> None:
    window.tab_to("agree")
    window.press(" ")


def space_pressed_before_and_let_go_after(window: Tab) -> None:
    window.tab_to("agree")
    window.key_down(" ")
    window.now("letTimePass()")
    window.key_up(" ")


def enter_kept_pressed(window: Tab) -> None:
    window.tab_to("agree")
    window.key_down("Enter")
    window.now("letTimePass()")
    window.key_down("Enter")
    window.key_up("Enter")


EARLY = (
    enter,
    click,
    double_click,
    mouse_pressed_before_and_let_go_after,
    enter_on_the_button,
    space_on_the_button,
    space_pressed_before_and_let_go_after,
    enter_kept_pressed,
)
"""Keys and clicks of a person who means another window."""


def test_agreement_too_early_does_not_count(portal: Portal, active_card: CardFixture) -> None:
    portal.tab.before_scripts(HOLD_TIMERS)
    window = portal.asks({**SIGN, "pin": active_card.pin})
    for act in EARLY:
        act(window)
        assert window.now(f"submissions === 0 && {ASKS} && {WAITS}"), act
    window.see(f"letTimePass() && {READY}")
    window.click("[data-part=agree]")
    assert portal.answer()["ret_code"] == 0


def test_trust_too_early_does_not_count(lone_stranger: Portal) -> None:
    lone_stranger.tab.before_scripts(HOLD_TIMERS)
    window = lone_stranger.adds_itself()
    for act in EARLY:
        act(window)
        assert window.now(f"submissions === 0 && {WAITS}"), act
    window.see(f"letTimePass() && {READY}")
    window.now(CLICK_TWICE)
    assert window.now("submissions") == 1
    window.click("[data-consent-delay]")  # the delay begins anew
    window.see(f"letTimePass() && {READY}")
    window.click("[data-consent-delay]")
    window.closes()


def test_agreement_given_twice_with_enter_is_sent_once(
    origin: str, shared: Agent, active_card: CardFixture, firefox_tab: Tab
) -> None:
    """The second Enter comes while the button with the focus is hidden."""
    trust(shared, origin)
    firefox_tab.before_scripts(HOLD_REQUESTS)
    firefox_tab.go(f"{origin}/?agent={shared.url}")
    window = Portal(origin, shared, firefox_tab).asks({**SIGN, "pin": active_card.pin})
    window.see(READY)
    window.now("(window.isHeld = true)")
    window.tab_to("agree")
    window.press("Enter", "Enter")
    assert window.now("held.length") == 1


def test_choice_of_cards_in_a_small_window_shows_all_and_is_made_once(
    origin: str, start_agent: Start, xca_active_card: CardFixture, firefox_tab: Tab
) -> None:
    """The site opens the window very small; then some margins collapse, and it must grow all the same."""
    issue(xca_active_card.environment, "Code~8642")
    agent = start_agent(xca_active_card, trusted=(origin,))
    firefox_tab.before_scripts(HOLD_REQUESTS)
    firefox_tab.go(f"{origin}/?agent={agent.url}")
    window = Portal(origin, agent, firefox_tab).click(SIGN)
    window.see(f"document.querySelector('[data-part=choice]')?.hidden === false && {IN_FRONT}")
    assert window.focused() == "choice-title"  # not the list, which is shown whole
    window.see("document.querySelector('[data-part=cards] button').ariaDisabled === 'false'")
    window.now("(window.isHeld = true)")
    window.press("Tab", "Enter", "Enter")
    assert window.now("held.length") == 1


def test_key_held_down_does_not_count(
    origin: str, shared: Agent, active_card: CardFixture, page: Page
) -> None:
    """The key may have been pressed in another window. Not in Firefox: its driver repeats none."""
    trust(shared, origin)
    page.goto(f"{origin}/?agent={shared.url}")
    window = Portal(origin, shared, Chromium(page)).asks({**SIGN, "pin": active_card.pin})
    window.see(READY)
    window.key_down("Enter")  # on the title
    window.press("Tab", "Tab", "Tab")
    assert window.focused() == "agree"
    window.key_down("Enter")
    assert window.now(f"{ASKS} && {WAITS}")
    window.key_up("Enter")
    window.see(READY)
    window.press("Enter")
    window.closes()


def test_typing_during_the_delay_changes_nothing(asking_portal: Portal, xca_active_card: CardFixture) -> None:
    asking_portal.tab.before_scripts(HOLD_TIMERS)
    window = asking_portal.asks(SIGN)
    window.type(str(xca_active_card.pin))
    assert window.now(WAITS)
    assert window.now("document.querySelector('[data-part=pin]').value") == xca_active_card.pin
    window.see(f"letTimePass() && {READY}")
    window.type("x")
    window.press("Backspace", "Tab", "Tab", "Shift+Tab")
    assert window.now(READY)
    window.press(" ")
    assert asking_portal.answer()["ret_code"] == 0


def test_key_pressed_during_the_delay_begins_it_anew(portal: Portal, active_card: CardFixture) -> None:
    """Who began to type for another window may still be typing."""
    portal.tab.before_scripts(HOLD_TIMERS)
    window = portal.asks({**SIGN, "pin": active_card.pin})
    assert window.now(WAITS)
    window.now(COUNT_PAUSES)
    window.press("a")
    assert window.now("window.pauses") == 1


CHANGES = {
    "resized": "resizeTo(600, 700)",
    "scrolled by a program": "document.querySelector('[data-part=content]').scrollTo(0, 1)",
    "navigated to a fragment": "location.hash = 'agree'",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_popup_that_is_changed_delays_the_button_again(
    portal: Portal, active_card: CardFixture, change: str
) -> None:
    portal.tab.before_scripts(HOLD_TIMERS)
    window = portal.asks({**SIGN, "tbs": "long " * 2000, "pin": active_card.pin})
    window.see(f"letTimePass() && {UNREAD}")
    window.now("document.querySelector('[data-part=content]').scrollTo(0, 100000)")
    window.see(f"letTimePass() && {READY}")
    window.now(f"({change}, true)")
    window.see(WAITS)
    window.see(f"letTimePass() && {READY}")


# --- one question at a time


def test_trust_question_put_in_the_place_of_another_begins_with_a_screen_that_says_so(
    lone_portal: Portal,
) -> None:
    """The site that opened the window loads it anew, with a stranger's name."""
    stranger = lone_portal
    window = stranger.adds("other.example")
    window.see(f"{IN_FRONT} && {READY}")
    evil = f"{stranger.agent.url}/addDomain?domain=evil.example"
    stranger.tab.now(f"(popup.location = {json.dumps(evil)}, true)")
    window.see(f"{CHANGED} && {IN_FRONT}")
    assert not window.now(IN_VIEW.replace("PART", "site"))
    window.press("Enter")
    window.see(GO_ON_READY)
    window.click("[data-part=go-on]")
    window.read("https://evil.example", "[data-part=site]")
    assert window.now(f"{WAITS} && !({CHANGED})")
    stranger.tab.now(f"(popup.location = {json.dumps(evil)} + '&again', true)")
    window.see(f"location.search.endsWith('again') && {CHANGED}")
    window.see(GO_ON_READY)
    window.tab_to("changed-refuse")
    window.press("Enter")
    window.closes()
    assert stranger.agent.home.joinpath(".config/xca/trusted-sites").read_text().count("evil.example") == 0


def test_consent_question_put_in_the_place_of_another_begins_with_a_screen_that_says_so(
    lone_portal: Portal, active_card: CardFixture
) -> None:
    """The window first asked to trust another site."""
    portal = lone_portal
    window = portal.adds("other.example")
    window.see(READY)
    portal.tab.now(f"(ask('/ChtPopupForm', {json.dumps({**SIGN, 'pin': active_card.pin})}), true)")
    portal.tab.now("(answers = [], listen(), popup.location = base + '/ChtPopupForm', true)")
    window.see(f"{CHANGED} && {IN_FRONT}")
    assert window.now(f"!({ASKS})")
    window.see(GO_ON_READY)
    window.press("Tab", "Enter")
    window.see(ASKS)
    assert window.now(WAITS)
    window.see(READY)
    window.click("[data-part=refuse]")
    assert portal.answer()["ret_code"] == Code.CANCELLED


def loaded_at_another_name(portal: Portal, window: Tab, path: str) -> Tab:
    """The site loads its window anew, at another of the agent's names."""
    host = "127.0.0.1" if path == "/popupForm" else "[::1]"
    other = f"http://{host}:{portal.agent.port}"
    portal.tab.now(
        f"(base = {json.dumps(other)}, window.listen?.(), popup.location = base + {json.dumps(path)}, true)"
    )
    window.see(f"location.origin === {json.dumps(other)}")
    return window


def opened_again(portal: Portal, window: Tab, path: str) -> Tab:
    """The site closes its window and opens another one."""
    portal.tab.now("(popup.close(), true)")
    window.closes()
    opens = f"window.popup = open(base + {json.dumps(path)}, 'new')"
    portal.tab.now(f"(go.onclick = () => {{ window.listen?.(); {opens}; }}, true)")
    portal.tab.click("#go")
    return portal.tab.window()


TAKING_ITS_PLACE = (loaded_at_another_name, opened_again)


@pytest.mark.parametrize("take_its_place", TAKING_ITS_PLACE)
def test_consent_question_that_follows_one_without_an_answer_begins_with_a_screen_that_says_so(
    lone_portal: Portal, active_card: CardFixture, take_its_place: Callable[[Portal, Tab, str], Tab]
) -> None:
    window = lone_portal.asks({**SIGN, "pin": active_card.pin})
    window.see(READY)
    another = {**SIGN, "tbs": "another", "pin": active_card.pin}
    lone_portal.tab.now(f"(ask('', {json.dumps(another)}), true)")
    window = take_its_place(lone_portal, window, "/popupForm")
    window.see(f"({CHANGED} || {ASKS}) && {IN_FRONT}")
    assert window.now(f"{CHANGED} && !({ASKS})")
    window.see(GO_ON_READY)
    window.click("[data-part=changed-refuse]")
    window.closes()


@pytest.mark.parametrize("take_its_place", TAKING_ITS_PLACE)
def test_trust_question_that_follows_one_without_an_answer_begins_with_a_screen_that_says_so(
    lone_portal: Portal, take_its_place: Callable[[Portal, Tab, str], Tab]
) -> None:
    window = lone_portal.adds("good.example")
    window.see(f"{IN_FRONT} && {READY}")
    window = take_its_place(lone_portal, window, "/addDomain?domain=evil.example")
    window.see(f"location.search.endsWith('evil.example') && ({CHANGED} || {TRUSTS}) && {IN_FRONT}")
    assert window.now(f"{CHANGED} && !({TRUSTS})")


def test_question_is_taken_back_when_its_window_goes_before_the_agent_answers(
    shared: Agent, tab: Tab
) -> None:
    """Else a site that closes its windows at once would leave questions behind."""
    tab.before_scripts(NO_ANSWERS)
    tab.go(f"{shared.url}/addDomain?domain=other.example")
    tab.see("window.sent?.length === 1")
    tab.now("dispatchEvent(new PageTransitionEvent('pagehide'))")
    tab.now("(Promise.all(sent.map((body) => body.text())).then((texts) => { window.texts = texts; }), true)")
    shown, gone = map(json.loads, json.loads(tab.see("window.texts && JSON.stringify(texts)")))
    assert (shown["event"], gone["event"]) == ("shown", "gone")
    assert shown["question"] == gone["question"]


def test_question_that_nobody_answered_in_time_counts_for_the_next_one(lone_portal: Portal) -> None:
    request, path = {"func": "resetUserPIN", "cmsresponse": ""}, "/CardManagement/CMCPopForm"
    lone_portal.tab.before_scripts(CLOCK_RUNS_ON)
    window = lone_portal.click(request, path)
    window.see(f"{OWN_PAGE} && {FITTED}")
    window.now("(window.isLate = true)")
    assert lone_portal.answer()["ret_code"] == Code.CANCELLED
    window.closes()
    window = lone_portal.click(request, path)
    window.see(f"({CHANGED} || {OWN_PAGE}) && {FITTED}")
    assert window.now(CHANGED)


# --- requests whose content no window can show


def test_blind_request_switched_on_by_keyboard_is_then_asked(
    portal: Portal, active_card: CardFixture
) -> None:
    window = portal.click({**SIGN, "signatureType": "RAW", "tbs": "A" * 43 + "=", "pin": active_card.pin})
    window.see(f"document.querySelector('[data-part=blind-off]')?.hidden === false && {IN_FRONT}")
    assert window.walk() == ["blind-off-refuse", "blind-more"]
    window.tab_to("blind-more")
    window.press("Enter")
    window.see("document.querySelector('[data-part=blind]').hidden === false")
    window.tab_to("switch-on")
    window.press("Enter")  # too early
    window.see("document.querySelector('[data-part=switch-on]').ariaDisabled === 'false'")
    window.press("Enter")
    window.see(ASKS)
    window.see(READY)
    window.click("[data-part=agree]")
    assert portal.answer()["ret_code"] == 0


def test_blind_request_refused_with_the_mouse_stays_off(portal: Portal, active_card: CardFixture) -> None:
    request = {**SIGN, "signatureType": "RAW", "tbs": "A" * 43 + "=", "pin": active_card.pin}
    window = portal.click(request)
    window.see(f"document.querySelector('[data-part=blind-off]')?.hidden === false && {READY}")
    window.click("[data-part=blind-more]")
    window.see(READY)
    window.click("[data-part=blind-refuse]")
    assert portal.answer()["ret_code"] == Code.CANCELLED
    window.closes()
    window = portal.click(request)
    window.see(f"document.querySelector('[data-part=blind-off]')?.hidden === false && {READY}")
    window.click("[data-part=blind-off-refuse]")
    assert portal.answer()["ret_code"] == Code.CANCELLED


def test_blind_request_that_the_administrator_forbids_offers_no_switch(
    tmp_path: Path, active_card: CardFixture, origin: str, tab: Tab
) -> None:
    with enforcing(tmp_path, active_card, trusted=(origin,)) as agent:
        tab.go(f"{origin}/?agent={agent.url}")
        portal = Portal(origin, agent, tab)
        window = portal.click({**SIGN, "signatureType": "RAW", "tbs": "A" * 43 + "=", "pin": active_card.pin})
        window.see(f"document.querySelector('[data-part=blind-off]')?.hidden === false && {IN_FRONT}")
        assert window.walk() == ["blind-off-refuse"]
        assert "管理者未允許" in window.now("document.querySelector('[data-part=blind-off]').innerText")
        window.click("[data-part=blind-off-refuse]")
        assert portal.answer()["ret_code"] == Code.CANCELLED


def test_popup_navigated_to_a_fragment_focuses_nothing_and_delays_the_button(
    portal: Portal, active_card: CardFixture
) -> None:
    """The site that opened the popup can navigate it: its controls must be no targets."""
    portal.tab.before_scripts(HOLD_TIMERS)
    window = portal.asks({**SIGN, "pin": active_card.pin})
    window.see(f"letTimePass() && {READY}")
    for fragment in ("agree", "pin", "consent"):
        window.now(f"(location.hash = '{fragment}', true)")
        window.see(WAITS)
        assert window.focused() == "title"
        assert window.now("scrollY === 0")
        window.see(f"letTimePass() && {READY}")


def test_popup_back_in_front_delays_the_button_again(
    origin: str, shared: Agent, active_card: CardFixture, firefox_tab: Tab
) -> None:
    """Not in Chromium: with Playwright every page has the focus there."""
    trust(shared, origin)
    firefox_tab.go(f"{origin}/?agent={shared.url}")
    portal = Portal(origin, shared, firefox_tab)
    firefox_tab.before_scripts(HOLD_TIMERS)
    window = portal.asks({**SIGN, "pin": active_card.pin})
    window.see(f"letTimePass() && {READY}")  # the popup may still be growing, which delays the button again
    firefox_tab.bring_to_front()
    window.see("!document.hasFocus()")
    assert window.now(WAITS)
    window.now("letTimePass()")
    assert window.now(WAITS)  # for as long as it is behind
    window.bring_to_front()
    window.see("document.hasFocus()")
    assert window.now(WAITS)
    window.see(f"letTimePass() && {READY}")  # the popup may still be growing, which delays the button again


def test_site_button_pressed_again_while_the_popup_asks_is_answered(
    origin: str, shared: Agent, active_card: CardFixture, firefox_tab: Tab
) -> None:
    """The vendor's library reuses the popup for its new request; no earlier answer may arrive for it.

    Not in Chromium, for the same reason.
    """
    trust(shared, origin)
    firefox_tab.go(f"{origin}/?agent={shared.url}")
    portal = Portal(origin, shared, firefox_tab)
    window = portal.asks({**SIGN, "pin": active_card.pin})
    firefox_tab.bring_to_front()
    window.see("!document.hasFocus()")
    portal.click({"func": "CheckEnvir"})
    assert portal.answer()["func"] == "pkcs11info"


def test_information_by_bitmap_is_read(portal: Portal, active_card: CardFixture) -> None:
    portal.tab.see("information().then((told) => { window.told = JSON.stringify(told); }) && true")
    told = json.loads(portal.tab.see("window.told"))
    assert told["slots"][0]["token"]["serialNumber"] == active_card.number
