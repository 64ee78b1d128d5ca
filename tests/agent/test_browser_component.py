# SPDX-License-Identifier: Apache-2.0
"""Web sites of other origins use the card through Chromium."""

import base64
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from softhsm import Environment, issue, remove
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import CHROMIUM, FLAGS, SECONDS, Agent, Start, configure, running, trust
from support.agent.component_client import Json, b64, openssl, verify
from support.agent.web_sites import PAGE, site
from xca_plugin.agent.component.result_codes import Code

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Portal:
    """A page of a web site in a browser, and the agent on the same computer.

    Attributes:
        origin: the site's.
        agent: the agent.
        page: the tab.
    """

    origin: str
    agent: Agent
    page: Page

    @classmethod
    def open(cls, origin: str, agent: Agent, context: BrowserContext) -> "Portal":
        context.clock.install()
        page = context.new_page()
        page.goto(f"{origin}/?agent={agent.url}")
        return cls(origin, agent, page)

    def click(self, request: Json, path: str = "/ChtPopupForm") -> Page:
        """Click and return the popup that opens."""
        self.page.evaluate("([path, request]) => { answers = []; ask(path, request); }", [path, request])
        with self.page.expect_popup() as popup:
            self.page.click("#go")
        return popup.value

    def answer(self) -> Json:
        self.page.wait_for_function("answers.length")
        answers: list[Json] = self.page.evaluate("answers")
        (answer,) = answers
        return answer

    def agree(self, request: Json, path: str = "/ChtPopupForm") -> Json:
        window = self.click(request, path)
        agree(window)
        answer = self.answer()
        if not window.is_closed():
            window.wait_for_event("close")
        return answer


def press(window: Page, button: str) -> None:
    """Press a button once it is enabled; the test's own clock saves the delay."""
    window.wait_for_selector(f"{button}:visible")
    window.clock.fast_forward(1000)
    window.wait_for_selector(f"{button}:enabled")
    try:
        window.click(button)
    except Error:
        assert window.is_closed()  # by what the click did, before the click was over


def enter(window: Page, field: str, text: str) -> None:
    """Click into a field and replace its text, key by key."""
    window.click(field)
    window.keyboard.press("Control+A")
    window.keyboard.press("Backspace")
    window.keyboard.type(text)


def agree(window: Page) -> None:
    """Read what is longer than its box to the end, and agree."""
    window.wait_for_selector("[data-part=consent]:visible")
    window.locator("[data-part=content]").evaluate("(box) => box.scrollTo(0, box.scrollHeight)")
    press(window, "[data-part=agree]")


@pytest.fixture
def origin() -> Iterator[str]:
    with site() as origin:
        yield origin


@pytest.fixture
def portal(origin: str, shared: Agent, context: BrowserContext) -> Portal:
    """A trusted site. The test must not change the card."""
    trust(shared, origin)
    return Portal.open(origin, shared, context)


@pytest.fixture
def own_portal(
    origin: str, start_agent: Start, xca_active_card: CardFixture, context: BrowserContext
) -> Portal:
    """A trusted site, and a card for this test alone."""
    return Portal.open(origin, start_agent(xca_active_card, trusted=(origin,)), context)


def signing(card: CardFixture, **fields: Any) -> Json:
    # As the vendor's library does: raw JSON, in which %2B stands for each plus sign of the text.
    return {"func": "MakeSignature", "tbs": "contract-4711", "tbsEncoding": "NONE", "pin": card.pin, **fields}


# --- information


def test_information_by_bitmap_and_by_popup_is_the_same(portal: Portal, active_card: CardFixture) -> None:
    told = portal.page.evaluate("information()")
    assert told["slots"][0]["token"]["serialNumber"] == active_card.number
    whole = portal.page.evaluate("get('/pkcs11info')")
    assert {**whole, **told, "slots": whole["slots"]} == whole
    assert told["slots"][0]["token"].items() <= whole["slots"][0]["token"].items()
    for func, path in (("CheckEnvir", "/popupForm"), ("GetUserCert", "/CardManagement/CMCPopForm")):
        portal.click({"func": func}, path)
        answer = portal.answer()
        assert (answer["func"], answer["ret_code"]) == ("pkcs11info", 0)
        token = answer["slots"][0]["token"]
        assert token["serialNumber"] == active_card.number
        assert ("certs" in token) == (func == "GetUserCert")


def test_popup_first_message_comes_before_cards_are_read(portal: Portal, active_card: CardFixture) -> None:
    portal.page.evaluate("ask('/popupForm', {func: 'CheckEnvir'})")
    # The module waits for this lock before it returns anything of a card.
    with active_card.environment.store.lock(exclusive=True):
        portal.page.click("#go")
        portal.page.wait_for_function("helloAfter !== null")
        assert portal.page.evaluate("answers.length") == 0
    assert portal.answer()["ret_code"] == 0


# --- signing in


def test_login_with_pkcs7_and_pkcs1_verifies(
    portal: Portal, active_card: CardFixture, tmp_path: Path
) -> None:
    card = active_card
    window = portal.click(
        signing(
            card, signatureType="PKCS7", tbs="contract-4711" + "\n" * 40, nonce="5f1c0a", withCardSN="true"
        )
    )
    window.wait_for_selector("[data-part=consent]:visible")
    shown = window.inner_text("body")
    assert portal.origin in shown
    assert card.number in shown
    assert "contract-4711" in shown
    # It is in one scrolling box, and no part of it in another.
    assert window.evaluate(
        "[...document.querySelectorAll('[data-part=facts] dd')]"
        ".every((dd) => dd.scrollHeight <= dd.clientHeight)"
    )
    agree(window)
    answer = portal.answer()
    assert (answer["func"], answer["ret_code"], answer["cardSN"]) == ("sign", 0, card.number)
    der = base64.b64decode(answer["signature"])
    content = openssl(
        "cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any", "-noverify", stdin=der
    )
    assert content == b"contract-4711" + b"\n" * 40
    answer = portal.agree(signing(card, signatureType="PKCS1", hashAlgorithm="SHA256"), "/popupForm")
    verify(answer, "SHA256", b"contract-4711", tmp_path)


def test_popup_clicked_too_early_stays_disabled(portal: Portal, active_card: CardFixture) -> None:
    """The button is enabled a moment after the popup has opened: a double click agrees to nothing."""
    clock = portal.page.context.clock
    clock.pause_at(datetime.now() + timedelta(hours=1))
    window = portal.click(signing(active_card))
    window.wait_for_selector("[data-part=consent]:visible")
    clock.run_for(900)
    assert window.is_disabled("[data-part=agree]")
    window.locator("[data-part=agree]").click(force=True)  # it starts anew
    clock.run_for(900)
    assert window.is_disabled("[data-part=agree]")
    window.keyboard.press("Enter")
    clock.run_for(900)
    assert window.is_disabled("[data-part=agree]")
    clock.run_for(5000)  # also those in which the window may still get its size
    expect(window.locator("[data-part=agree]")).to_be_enabled()


def test_batch_with_an_allowance_asks_once(portal: Portal, active_card: CardFixture, tmp_path: Path) -> None:
    for number in range(3):
        document = f"document {number}".encode()
        window = portal.click(signing(active_card, tbs=document.decode()))
        if number == 0:
            window.wait_for_selector("[data-part=consent]:visible")
            window.check("[data-part=for-a-while]")
            agree(window)
        verify(portal.answer(), "SHA256", document, tmp_path)


def test_decryption_by_popup_returns_the_content(
    portal: Portal, active_card: CardFixture, tmp_path: Path
) -> None:
    portal.click({"func": "GetUserCert"})
    certs = {item["label"]: item for item in portal.answer()["slots"][0]["token"]["certs"]}
    cert2 = tmp_path / "cert2.pem"
    cert2.write_bytes(openssl("x509", "-inform", "DER", stdin=base64.b64decode(certs["cert2"]["certb64"])))
    der = openssl("cms", "-encrypt", "-aes256", "-binary", "-outform", "DER", cert2, stdin="機密".encode())
    answer = portal.agree(
        {
            "func": "DecryptData",
            "cipher": b64(der),
            "cipherType": "PKCS7",
            "plainEncoding": "NONE",
            "pin": active_card.pin,
        }
    )
    assert (answer["func"], answer["plain"]) == ("decrypt", "機密")


def test_signature_with_pin_typed_into_the_popup_verifies(
    origin: str, start_agent: Start, xca_active_card: CardFixture, context: BrowserContext
) -> None:
    card = xca_active_card
    portal = Portal.open(origin, start_agent(card, trusted=(origin,), page_pin="ask"), context)
    window = portal.click(signing(card, pin="wrong-1"))
    window.wait_for_selector("[data-part=consent]:visible")
    window.keyboard.type("shorter")  # the field has the focus
    window.keyboard.press("Backspace")
    window.keyboard.press("Backspace")
    press(window, "[data-part=agree]")
    assert window.input_value("[data-part=pin]") == "short"
    mismatch = "document.querySelector('[data-part=pin]').validity.patternMismatch"
    assert window.evaluate(mismatch)  # what is no PIN goes nowhere
    enter(window, "[data-part=pin]", str(card.pin))
    agree(window)
    assert portal.answer()["ret_code"] == 0
    change = {"func": "changeUserPINCode", "currentPIN": "", "newpin": "", "cardid": card.number}
    window = portal.click(change)
    enter(window, "[data-part=pin]", str(card.pin))
    enter(window, "[data-part=new-pin]", "new4711!")
    enter(window, "[data-part=again]", "new4712!")
    agree(window)
    assert window.is_visible("[data-part=different]")
    enter(window, "[data-part=again]", "new4711!")
    agree(window)
    assert portal.answer() == {"func": "changeUserPINCode", "ret_code": 0, "last_error": 0}


def test_wrong_pins_in_the_popup_lock_the_card(own_portal: Portal, xca_active_card: CardFixture) -> None:
    seen = []
    for wrong in ("wrong-1", "wrong-2", "wrong-3"):
        window = own_portal.click(signing(xca_active_card, pin=wrong))
        window.wait_for_selector("[data-part=agree]:enabled")
        if wrong == "wrong-3":
            window.click("[data-part=agree]")  # does nothing yet
            window.check("[data-part=last-try]")
        agree(window)
        answer = own_portal.answer()
        seen.append((answer["ret_code"], answer["last_error"]))
    assert seen == [(1980760070, -2147483646), (1980760070, -2147483647), (1980760070, 164)]
    own_portal.click(signing(xca_active_card))
    assert own_portal.answer()["last_error"] == 164  # without asking


# --- trust and consent; a question to trust a site takes the place of any, so these agents are not shared


def test_add_domain_button_clicked_trusts_the_site(
    origin: str, start_agent: Start, active_card: CardFixture, context: BrowserContext
) -> None:
    portal = Portal.open(origin, start_agent(active_card), context)
    page = portal.page
    portal.click(signing(active_card))
    assert portal.answer()["ret_code"] == 0x76000031
    told = page.evaluate("information()")
    assert (told["ret_code"], told["slots"]) == (0x76000031, [])
    assert page.evaluate("get('/pkcs11info')") is None  # not readable at all
    page.evaluate("addDomain()")
    with page.expect_popup() as popup:
        page.click("#go")
    window = popup.value
    window.wait_for_selector("[data-part=site]:visible")
    assert window.inner_text("[data-part=site]") == origin
    with page.expect_navigation():
        press(window, "[data-part=agree]")
    assert page.evaluate("information()")["ret_code"] == 0


def test_popup_of_any_size_grows_to_show_the_question(
    origin: str, start_agent: Start, active_card: CardFixture, browser: Browser
) -> None:
    """Sites open popups very small."""
    agent = start_agent(active_card)
    with browser.new_context(locale="zh-TW", no_viewport=True) as context:
        page = context.new_page()
        page.goto(f"{origin}/?agent={agent.url}")
        page.evaluate("addDomain()")
        with page.expect_popup() as popup:
            page.click("#go")
        window = popup.value
        expect(window.get_by_role("button")).to_be_in_viewport(ratio=1)


def test_popup_refused_or_closed_answers_cancelled(portal: Portal, active_card: CardFixture) -> None:
    press(portal.click(signing(active_card)), "[data-part=refuse]")
    assert (portal.answer()["func"], portal.answer()["ret_code"]) == ("sign", Code.CANCELLED)
    window = portal.click(signing(active_card))
    window.wait_for_selector("[data-part=consent]:visible")
    window.close(run_before_unload=True)
    assert portal.answer()["ret_code"] == Code.CANCELLED


def test_own_page_that_nobody_uses_answers_cancelled_before_the_site_gives_up(portal: Portal) -> None:
    """Sites wait for 170 seconds; the test's own clock saves them."""
    window = portal.click({"func": "resetUserPIN", "cmsresponse": ""}, "/CardManagement/CMCPopForm")
    window.wait_for_selector("[data-part=own-page]:visible")
    window.clock.fast_forward(100_000)
    assert portal.page.evaluate("answers.length") == 0
    window.clock.fast_forward(69_000)
    assert portal.answer()["ret_code"] == Code.CANCELLED


def test_page_without_origin_is_refused(
    shared: Agent, active_card: CardFixture, context: BrowserContext, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGE)
    trust(shared, "null")
    page = context.new_page()
    page.goto(f"{file.as_uri()}?agent={shared.url}")
    portal = Portal("null", shared, page)
    portal.click(signing(active_card))
    assert portal.answer()["ret_code"] == 0x76000031


# --- limits that browsers set to a site


def test_popup_blocked_without_a_click_opens_with_one(portal: Portal) -> None:
    page = portal.page.context.new_page()
    page.goto(f"{portal.origin}/?agent={portal.agent.url}#at-once")
    assert page.evaluate("blocked")
    page.click("#go")
    page.wait_for_function("answers.length")
    assert page.evaluate("answers[0].ret_code") == 0


@pytest.mark.parametrize("policy", ["same-origin", "same-origin-allow-popups"])
def test_site_that_isolates_itself_is_told_why(shared: Agent, context: BrowserContext, policy: str) -> None:
    with site(Cross_Origin_Opener_Policy=policy) as origin:
        trust(shared, origin)
        portal = Portal.open(origin, shared, context)
        if policy == "same-origin-allow-popups":
            portal.click({"func": "CheckEnvir"})
            assert portal.answer()["ret_code"] == 0
            return
        portal.page.evaluate("ask('/popupForm', {func: 'CheckEnvir'})")
        with context.expect_page() as opened:
            portal.page.click("#go")
        opened.value.wait_for_selector("[data-part=no-opener]:visible")
        assert "same-origin-allow-popups" in opened.value.inner_text("[data-part=no-opener]")


def test_public_site_with_local_network_permission_is_answered(
    browser: Browser, origin: str, shared: Agent
) -> None:
    """Local Network Access: fetching needs the person's permission, popups do not."""
    trust(shared, origin)
    address = origin.removeprefix("http://")
    public = browser.browser_type.launch(
        executable_path=CHROMIUM,
        args=[
            *FLAGS,
            f"--ip-address-space-overrides={address}=public",
            f"--unsafely-treat-insecure-origin-as-secure={origin}",
        ],
    )
    try:
        context = public.new_context()
        portal = Portal.open(origin, shared, context)
        portal.click({"func": "CheckEnvir"})
        assert portal.answer()["ret_code"] == 0
        context.grant_permissions(["local-network-access"], origin=origin)
        assert portal.page.evaluate("information()")["ret_code"] == 0
    finally:
        public.close()


# --- readers, cards, agents that come and go


def test_signature_with_two_cards_uses_the_named_reader(
    own_portal: Portal, xca_active_card: CardFixture
) -> None:
    card = xca_active_card
    other = issue(card.environment, "Kp-4tzQ9w")
    slots = own_portal.page.evaluate("information()")["slots"]
    readers = {slot["token"]["serialNumber"]: slot["slotDescription"] for slot in slots if slot["token"]}
    assert set(readers) == {card.number, other.number}
    answer = own_portal.agree(signing(card, slotDescription=readers[card.number]))
    assert (answer["ret_code"], answer["cardSN"]) == (0, card.number)


def test_signature_with_two_cards_and_none_named_asks_which(
    own_portal: Portal, xca_active_card: CardFixture
) -> None:
    card = xca_active_card
    issue(card.environment, "Kp-4tzQ9w")
    window = own_portal.click(signing(card))
    expect(window.locator("[data-part=cards] button")).to_have_count(2)
    expect(window.locator("body.fitting")).to_have_count(0)
    expect(window.locator("[data-part=choice-title]")).to_be_focused()  # not the list: all of it is seen
    expect(window.locator("[data-part=choice-site]")).to_have_text(own_portal.origin)
    window.locator("[data-part=remember]").check()
    # Of a site that signs without asking, the choice alone starts it: a click too early chooses nothing.
    assert window.evaluate("""(
        restartConsentDelay(Promise.resolve(), false),
        document.querySelector("[data-part=cards] button").click(),
        document.querySelector("[data-part=choice]").checkVisibility()
    )""")
    press(window, f"[data-part=cards] button:has-text('{card.number}')")
    expect(window.locator("[data-part=card]").first).to_contain_text(card.number)
    press(window, "[data-part=agree]")
    answer = own_portal.answer()
    assert (answer["ret_code"], answer["cardSN"]) == (0, card.number)
    window = own_portal.click(signing(card))
    expect(window.locator("[data-part=card]").first).to_contain_text(card.number)
    window.close()


def test_signature_without_a_card_answers_no_card(
    origin: str, start_agent: Start, xca_environment: Environment, context: BrowserContext
) -> None:
    empty = CardFixture(xca_environment, "", "", None)
    portal = Portal.open(origin, start_agent(empty, trusted=(origin,)), context)
    assert portal.page.evaluate("information()")["slots"] == []
    portal.click({"func": "MakeSignature", "tbs": "x", "pin": "123456"})
    assert portal.answer()["ret_code"] == Code.NO_CARD


def test_signature_without_a_reader_answers_no_reader(
    origin: str, tmp_path: Path, xca_environment: Environment, context: BrowserContext
) -> None:
    # OpenSC shows a slot a reader, and without the readers' daemon none; SoftHSM always shows one.
    listed = subprocess.run(["dpkg", "-L", "opensc-pkcs11"], check=True, capture_output=True, text=True)
    (opensc,) = {Path(line).resolve() for line in listed.stdout.split() if line.endswith("/opensc-pkcs11.so")}
    configure(tmp_path, trusted=(origin,))
    variables = CardFixture(xca_environment, "", "", None).variables
    without = {"XCA_PKCS11_MODULE": str(opensc), "PCSCLITE_CSOCK_NAME": "/nowhere/pcscd.comm"}
    with running(tmp_path, {**variables, **without}) as agent:
        portal = Portal.open(origin, agent, context)
        assert portal.page.evaluate("information()")["slots"] == []
        portal.click({"func": "MakeSignature", "tbs": "x", "pin": "123456"})
        assert portal.answer()["ret_code"] == Code.NO_READER
        page = context.new_page()
        page.goto(f"{agent.url}/activate")
        assert "讀卡機" in page.inner_text("#values")


def test_signature_with_the_card_removed_answers_no_card(
    own_portal: Portal, xca_active_card: CardFixture
) -> None:
    window = own_portal.click(signing(xca_active_card))
    window.wait_for_selector("[data-part=agree]:enabled")
    remove(xca_active_card.environment, xca_active_card.number)
    agree(window)
    assert own_portal.answer()["ret_code"] == Code.NO_CARD


def test_agent_restarted_while_the_popup_asks_answers_again(
    own_portal: Portal, xca_active_card: CardFixture
) -> None:
    window = own_portal.click(signing(xca_active_card))
    window.wait_for_selector("[data-part=agree]:enabled")
    own_portal.agent.process.terminate()
    own_portal.agent.process.wait(SECONDS)
    agree(window)
    assert (own_portal.answer()["func"], own_portal.answer()["ret_code"]) == ("sign", Code.FAILED)
    assert own_portal.page.evaluate("information()") is None  # "not installed or not running"
    with running(own_portal.agent.home, xca_active_card.variables, own_portal.agent.port):
        assert own_portal.page.evaluate("information()")["ret_code"] == 0
