# SPDX-License-Identifier: Apache-2.0
"""The trusted sites: their page, and what a site may do for a while without asking."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser
from starlette.testclient import TestClient

from softhsm import remove
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, Start, configure, running, trust, until
from support.agent.browser_tab import HOLD_TIMERS, Tab
from support.agent.component_client import SITE, SiteClient
from support.agent.page_visitor import Visitor, visiting, words
from support.agent.web_sites import site
from xca_plugin.agent.component.allowances import ALLOWANCE_SECONDS, Allowances, UnaskedUse
from xca_plugin.agent.component.result_codes import Code
from xca_plugin.i18n import text
from xca_plugin.model import Card, CardState

OTHER = "https://other.example.gov.tw"
READY = "document.querySelector('[data-consent-delay]')?.ariaDisabled === 'false'"
NEXT_FRAMES = """(requestAnimationFrame(() => requestAnimationFrame(() => {
    window.isPainted = true;
})), true)"""
SENT = {"func": "MakeSignature", "tbs": "contract-4711"}


@pytest.fixture
def agent_of(start_agent: Start, xca_active_card: CardFixture) -> Agent:
    """An agent that trusts two sites."""
    return start_agent(xca_active_card, trusted=(SITE, OTHER))


@pytest.fixture
def home_of(agent_of: Agent) -> Iterator[Visitor]:
    """The pages of that agent."""
    with visiting(agent_of) as visitor:
        yield visitor


def change(visitor: Visitor, action: str, site: str, page: str = "/sites", **more: str) -> str:
    """Press a button of the page, and return the words of the page that comes then."""
    fields = {**visitor.form(page), "action": action, "site": site, **more}
    return words(visitor.send("/sites", fields).text)


def signs(asking: SiteClient, card: CardFixture, **fields: str) -> bool:
    """Tell whether a request of a site that sends the PIN is carried out without asking."""
    reply = asking.popup({**SENT, "pin": card.pin, **fields})
    return "answer" in reply and json.loads(reply["answer"])["ret_code"] == 0


def test_site_allowed_on_the_home_page_signs_without_asking_and_it_is_listed(
    home_of: Visitor, xca_active_card: CardFixture, agent_of: Agent
) -> None:
    card, asking = xca_active_card, SiteClient(agent_of)
    assert not signs(asking, card)
    said = change(home_of, "allow", SITE, "/", card=card.number)
    assert f"signs and decrypts with the card {card.number} without asking" in said
    assert "Your card" in said  # it goes back to where the button was
    assert signs(asking, card, tbs="contract-4711 <b>&\u3164")
    # The PIN is needed all the same, and another site asks.
    assert asking.popup(SENT)["consent"]["pin"]
    assert not signs(SiteClient(agent_of, OTHER), card)
    listed = unescape(home_of.see("/sites"))
    assert "Done without asking since the agent was started" in listed
    assert "contract-4711 <b>&<U+3164>" in listed
    assert str(card.pin) not in listed
    change(home_of, "ask", SITE)
    assert not signs(asking, card)


def test_allowance_of_a_card_that_is_pulled_ends(
    home_of: Visitor, xca_active_card: CardFixture, agent_of: Agent
) -> None:
    card, asking = xca_active_card, SiteClient(agent_of)
    change(home_of, "allow", SITE, card=card.number)
    assert signs(asking, card)
    remove(card.environment, card.number)
    until(lambda: not re.search("Until .* it signs", home_of.see("/sites")))


def test_site_no_longer_trusted_on_the_page_is_unknown(
    home_of: Visitor, xca_active_card: CardFixture, agent_of: Agent
) -> None:
    change(home_of, "allow", SITE, card=xca_active_card.number)
    said = change(home_of, "remove", SITE)
    assert SITE not in said.replace(" ", "")
    assert OTHER in said.replace(" ", "")
    refused = json.loads(SiteClient(agent_of).popup(SENT)["answer"])
    assert refused["ret_code"] == Code.NOT_TRUSTED
    # Trusted again, it asks: nothing of what it was allowed is left.
    assert SITE in change(home_of, "add", SITE).replace(" ", "")
    assert not signs(SiteClient(agent_of), xca_active_card)


def test_site_whose_connection_others_can_read_is_told_from_one_on_this_machine(home_of: Visitor) -> None:
    warning = "not encrypted. Others on the network can read it"
    assert warning not in change(home_of, "add", "http://localhost:8000")
    assert warning in change(home_of, "add", "http://intranet.example")


def test_site_added_with_a_bad_address_says_what_is_wrong(home_of: Visitor, agent_of: Agent) -> None:
    for typed, fault in (
        ("bad.example", "neither https:// nor http://"),
        ("https://*.tw", "* has no meaning here"),
    ):
        assert fault in change(home_of, "add", typed)
        assert typed not in (agent_of.home / ".config/xca/trusted-sites").read_text()


@pytest.mark.parametrize("path", ["/", "/sites"])
def test_page_that_a_site_opened_allows_and_adds_nothing(home_of: Visitor, path: str) -> None:
    opened = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for elsewhere in ("cross-site", "same-site"):
        html = home_of.client.get(path, headers={"Sec-Fetch-Site": elsewhere, **opened}).text
        assert "A web site opened this page" in html
        assert 'value="allow"' not in html
        assert 'value="add"' not in html
    for by_the_person in ("none", "same-origin"):
        html = home_of.client.get(path, headers={"Sec-Fetch-Site": by_the_person, **opened}).text
        assert "A web site opened this page" not in html
        assert 'value="allow"' in html


def test_sites_page_tells_when_a_site_last_asked_after_a_restart(
    xca_active_card: CardFixture, tmp_path: Path
) -> None:
    configure(tmp_path, trusted=(SITE, OTHER), allow="https://allowed.example")
    for restarted in (False, True):
        with running(tmp_path, xca_active_card.variables) as agent, visiting(agent) as visitor:
            said = unescape(visitor.see("/sites"))
            if restarted:
                today = datetime.now(UTC).year
                assert said.count("It has not asked yet.") == 2
                assert f"It last asked at {today}-" in said
            else:
                assert said.count("It has not asked yet.") == 3
                SiteClient(agent).get("/pkcs11info")
                SiteClient(agent, "https://evil.example").get("/pkcs11info")
                file = tmp_path / ".config/xca/sites-asked.json"
                until(file.exists)
                assert list(json.loads(file.read_text())) == [SITE]
            assert "it is on the administrator's list" in said
            assert said.count("No longer trust this site") == 2


def test_sites_form_of_a_foreign_page_or_sent_twice_changes_nothing(
    home_of: Visitor, xca_active_card: CardFixture, agent_of: Agent
) -> None:
    form = {**home_of.form("/sites"), "action": "allow", "site": SITE, "card": xca_active_card.number}
    assert home_of.send("/sites", form, origin=SITE).status_code == 403
    assert not signs(SiteClient(agent_of), xca_active_card)
    assert home_of.send("/sites", {**form, "token": "x"}).status_code == 200
    assert not signs(SiteClient(agent_of), xca_active_card)
    home_of.send("/sites", form)
    assert signs(SiteClient(agent_of), xca_active_card)
    change(home_of, "ask", SITE)
    home_of.send("/sites", form)
    assert not signs(SiteClient(agent_of), xca_active_card)


@pytest.mark.fast
@pytest.mark.parametrize("origin", [None, SITE, "null"])
def test_sites_form_without_its_own_origin_is_refused(client: TestClient, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert client.post("/sites", data={"action": "add", "site": SITE}, headers=headers).status_code == 403


def test_site_added_and_allowed_in_its_window_signs_without_asking(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    agent, card = start_agent(xca_active_card), xca_active_card
    with visiting(agent) as visitor:
        form = visitor.form(f"/addDomain?domain={SITE.partition('//')[2]}")
        assert form["card"] == card.number
        assert "This site is trusted now" in words(visitor.send("/addDomain", {**form, "allow": "yes"}).text)
    assert signs(SiteClient(agent), card)


# --- in a browser


@pytest.mark.browser
def test_sites_page_by_keyboard_allows_and_asks_again(
    agent_of: Agent, xca_active_card: CardFixture, tab: Tab
) -> None:
    tab.go(f"{agent_of.url}/sites")
    tab.see(f"{READY} && document.hasFocus()")
    tab.click("button[value=allow]")
    tab.read("不經詢問即可用卡片")
    assert signs(SiteClient(agent_of), xca_active_card)
    tab.see(READY)
    assert tab.focused() != "action"
    tab.tab_to("action")  # the first button of the first site
    tab.press("Tab")
    tab.see("document.activeElement.value === 'ask'")
    tab.now(NEXT_FRAMES)  # what the key scrolled begins the delay anew
    tab.see(f"window.isPainted && {READY}")
    tab.press("Enter")
    tab.see("!document.body.innerText.includes('不經詢問即可用卡片')")
    assert not signs(SiteClient(agent_of), xca_active_card)


@pytest.mark.browser
def test_sites_page_clicked_too_early_changes_nothing(
    agent_of: Agent, xca_active_card: CardFixture, tab: Tab
) -> None:
    tab.before_scripts(HOLD_TIMERS)
    tab.go(f"{agent_of.url}/sites")
    tab.see("document.readyState === 'complete' && document.hasFocus() && 'submissions' in window")
    for action in ("allow", "remove"):
        tab.click(f"button[value={action}]")
        tab.press("Enter")
        tab.press(" ")
        assert tab.now("submissions === 0"), action
    assert not signs(SiteClient(agent_of), xca_active_card)
    tab.now("letTimePass()")
    tab.click("button[value=allow]")
    tab.read("不經詢問即可用卡片")
    tab.see("document.readyState === 'complete' && 'submissions' in window")
    tab.click("button[value=ask]")
    assert tab.now("submissions === 0")
    assert signs(SiteClient(agent_of), xca_active_card)


@pytest.mark.browser
def test_pages_that_a_site_opened_offer_nothing_that_gives_a_site_more(agent_of: Agent, tab: Tab) -> None:
    """A site can open them in a tiny window, and have clicks meant for the site fall on a button."""
    with site() as origin:
        tab.go(origin)
        tab.now(f"(document.querySelector('#go').onclick = () => open('{agent_of.url}/sites'), true)")
        tab.click("#go")
        page = tab.window()
        page.read("請自行開啟")
        page.see("document.querySelectorAll('button[value=remove]').length === 2")
        assert page.now("document.querySelectorAll('button[value=allow], button[value=add]').length === 0")


@pytest.mark.browser
@pytest.mark.parametrize("language", ["zh-TW", "en"])
def test_sites_page_with_sites_passes_axe_and_fits(
    agent_of: Agent, xca_active_card: CardFixture, browser: Browser, language: str, tmp_path: Path
) -> None:
    trust(agent_of, f"https://{'a' * 63}.{'b' * 63}.example.gov.tw:8443")
    with visiting(agent_of) as visitor:
        change(visitor, "allow", SITE, card=xca_active_card.number)
    assert signs(SiteClient(agent_of), xca_active_card)
    context = browser.new_context(locale=language, viewport={"width": 390, "height": 844})
    page = context.new_page()
    for path in ("/sites", "/"):
        page.goto(f"{agent_of.url}{path}")
        found = Axe().run(page).response["violations"]
        assert [f"{path}: {each['id']}" for each in found if each["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    # The window that asks to trust a site: no part of its origin breaks, and it is large enough to be read.
    page.set_viewport_size({"width": 480, "height": 740})
    page.goto(f"{agent_of.url}/addDomain?domain={'c' * 63}.{'d' * 63}.example.gov.tw")
    page.locator("[data-part=question]").wait_for()
    parts = page.locator(".site .origin > span").evaluate_all(
        "(parts) => parts.map((part) => [part.offsetHeight, part.getBoundingClientRect().right])"
    )
    assert len(parts) == 5
    assert all(11 < height < 22 and right < 480 for height, right in parts), parts
    context.close()


# --- allowances, without an agent


def some_card(number: str, reader: str = "reader", *, real: bool = True) -> Card:
    return Card(number, reader, "model", "family", CardState.ACTIVE, 3, 3, real=real)


def allowed_for(*cards: Card) -> Allowances:
    allowances = Allowances()
    allowances.cards_present([card.number for card in cards])
    for card in cards:
        allowances.allow(SITE, card)
    return allowances


def numbers(allowances: Allowances) -> set[str]:
    return {each.card_number for each in allowances.of_site(SITE)}


@pytest.mark.fast
def test_allowance_after_its_time_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.clock_gettime", lambda clock: now)
    allowances = allowed_for(some_card("A"))
    now = ALLOWANCE_SECONDS - 1
    assert allowances.cover(SITE, "A")
    assert not allowances.cover(OTHER, "A")
    assert not allowances.cover(SITE, "B")
    now = ALLOWANCE_SECONDS
    assert not allowances.cover(SITE, "A")


@pytest.mark.fast
def test_uses_of_a_site_push_out_none_of_another_and_those_dropped_are_counted() -> None:
    allowances = Allowances()
    allowances.record(UnaskedUse(OTHER, "A", text("Sign"), []))
    for _number in range(203):
        allowances.record(UnaskedUse(SITE, "A", text("Sign"), []))
    assert (len(allowances.uses_of(OTHER)), allowances.uses_dropped(OTHER)) == (1, 0)
    assert (len(allowances.uses_of(SITE)), allowances.uses_dropped(SITE)) == (200, 3)


@pytest.mark.fast
def test_allowance_while_nobody_watches_the_cards_is_none() -> None:
    allowances = Allowances()
    allowances.allow(SITE, some_card("A"))
    assert not allowances.cover(SITE, "A")
    allowances = allowed_for(some_card("A"))
    allowances.unwatched()
    allowances.cards_present(["A"])
    assert not allowances.cover(SITE, "A")


@pytest.mark.fast
def test_allowance_with_a_card_or_reader_gone_ends() -> None:
    cards = (
        some_card("A", "one"),
        some_card("B", "two"),
        some_card("C", "odd"),
        some_card("D", "", real=False),
    )
    allowances = allowed_for(*cards)
    allowances.cards_present(["A", "B", "C", "D"])
    assert numbers(allowances) == {"A", "B", "C", "D"}
    # A card that is put back at once is found all the same: its reader told. In doubt it was pulled.
    allowances.reader_changed("one", ["one", "two"])
    assert numbers(allowances) == {"B", "D"}
    allowances.readers_unknown()
    assert numbers(allowances) == {"D"}
    allowances.cards_present([])
    assert numbers(allowances) == set()
