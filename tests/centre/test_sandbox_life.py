# SPDX-License-Identifier: Apache-2.0
"""The whole life of a card in xca-centre sandbox: a holder and officers with two browsers, and no terminal.

Two cards are applied for, reviewed, made and mailed. One is activated (開卡), suspended and resumed, gets a
new user code, and is revoked (廢止). Nobody activates the other: the clock goes 91 days ahead.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Playwright

from support.agent.agent_process import CHROMIUM, FLAGS
from support.agent.browser_tab import Tab, until
from support.agent.chromium import Chromium
from support.agent.firefox import firefox
from support.centre.cases import FIELDS
from support.centre.running_sandbox import RunningSandbox, running_sandbox

pytestmark = pytest.mark.browser

USER_CODE, NEW_USER_CODE, SECRET, PIN = "Abc-1234", "Def-5678", "Fern-42", "5g8!Rw2"
CONTACT = {name: FIELDS[name] for name in FIELDS if name.startswith("contact_") and FIELDS[name]}
IS_READY = (
    "['consent', 'choice', 'own-page'].find((part) =>"
    " document.querySelector(`[data-part=${part}]`)?.hidden === false)"
)
IN_FRONT = "document.hasFocus() && !document.body.classList.contains('fitting')"
AGREES = "document.querySelector('[data-part=agree]').ariaDisabled === 'false'"


@dataclass(frozen=True)
class Words:
    """What the pages say in a language."""

    activated: str
    not_activated: str
    valid: str
    suspended: str
    revoked: str


CHINESE = Words("開卡成功", "未開卡", "有效", "停用", "廢止")
ENGLISH = Words("The card is activated", "Not activated", "Valid", "Suspended", "Revoked")


@dataclass
class Person:
    """Somebody at a browser, with the cards of the sandbox in the readers.

    Attributes:
        tab: the tab.
        centre: address of the centre.
        pictures: a folder; what the person sees is kept there.
    """

    tab: Tab
    centre: str
    pictures: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def look(self, name: str) -> None:
        """Keep a picture of what is seen."""
        self.tab.picture(self.pictures / f"{next(self._numbers):02}-{name}.png")

    def go(self, path: str) -> None:
        self.tab.bring_to_front()
        self.tab.go(path if path.startswith("http") else self.centre + path)

    def click(self, selector: str) -> None:
        """Click on what leads to another page, and wait until that is there."""
        self.tab.see("document.readyState === 'complete'")
        self.tab.now("window.isOld = true")
        self.tab.click(selector)
        self.tab.see("window.isOld !== true && document.readyState === 'complete'")

    def fill(self, fields: dict[str, str]) -> None:
        """Type into fields, one after the other."""
        for name, value in fields.items():
            self.tab.click(f"main [name={name}]")
            self.tab.press("Control+a")
            self.tab.type(value)

    def text(self, selector: str) -> str:
        """What an element says."""
        return str(self.tab.see(f"document.querySelector({json.dumps(selector)})?.innerText.trim()"))

    def texts(self, selector: str) -> list[str]:
        """What elements say."""
        said = (
            f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.textContent.trim())"
        )
        found: list[str] = json.loads(self.tab.see(f"JSON.stringify({said})"))
        return found

    def log_in(self, card: str, pin: str) -> None:
        """Log in on the page that is open, with one of the cards in the readers."""
        self.tab.see("document.readyState === 'complete'")
        self.tab.click("[data-xca-login]")
        window = self.tab.window()
        if window.see(f"({IN_FRONT}) ? {IS_READY} : null") == "choice":
            at = window.see(
                "1 + [...document.querySelectorAll('[data-part=cards] button')].findIndex((each) =>"
                f" each.innerText.includes('{card}') && each.ariaDisabled === 'false')"
            )
            window.picture(self.pictures / f"{next(self._numbers):02}-choice.png")
            window.click(f"[data-part=cards] > :nth-child({at}) button")
        window.see(f"{IN_FRONT} && {IS_READY} === 'consent'")
        window.type(pin)
        window.see(AGREES)
        window.picture(self.pictures / f"{next(self._numbers):02}-login-window.png")
        window.press("Enter")
        self.tab.see(
            "!['/login', '/login/done'].includes(location.pathname) && document.readyState === 'complete'"
        )

    def log_out(self) -> None:
        self.click("form[action='/logout'] button")


@dataclass
class Desk:
    """What the two browsers share: the sandbox, and the words of a language."""

    sandbox: RunningSandbox
    holder: Person
    officers: Person
    words: Words

    def api(self, path: str) -> Any:
        return httpx.get(f"{self.sandbox.start}/api/{path}").json()

    def known_officers(self) -> list[tuple[str, str]]:
        """The card numbers and PINs of the officers, as the sandbox's page shows them."""
        self.officers.go(self.sandbox.start)
        cells = self.officers.texts("section[aria-labelledby=officers] tbody td")
        return [(card, pin) for card, pin, _ in zip(*[iter(cells)] * 3, strict=True)]


def apply(person: Person) -> str:
    """Apply for a card, pay for it, and return its case number."""
    person.go("/")
    person.click("a[href='/apply']")
    person.tab.click("#name")
    person.tab.type("青溪")
    person.click("form[role=search] button")
    person.click("main table a")
    person.look("kind")
    person.click("main form button")
    person.tab.click("[name=consent]")
    person.look("terms")
    person.click("main form button")
    person.fill({"applicant_email": FIELDS["applicant_email"], **CONTACT})
    person.fill({"user_code": USER_CODE, "user_code_again": USER_CODE})
    person.look("form")
    person.click("form[action$='/upload'] .buttons button")
    person.look("check")
    person.click("form[action$='/send'] .buttons button")
    number = person.text(".number .code")
    person.look("case")
    person.click("form[action$='/slip'] button")
    person.click("a[href^='/test-payments/']")
    person.look("payment")
    person.click("form[action^='/test-payments/'] button")
    person.look("paid")
    return number


def at_case(person: Person, number: str) -> None:
    """Look a case up, as an officer."""
    person.go("/officers")
    person.fill({"case": number})
    person.click("form[role=search] button")


def review(desk: Desk, cases: list[str]) -> None:
    """Note the arrival of the letters, and pass both reviews; the second officer stays logged in."""
    first, second = desk.known_officers()
    person = desk.officers
    person.go("/officers")
    person.log_in(*first)
    for number in cases:
        at_case(person, number)
        person.look("arrival")
        person.click("form[action$='/receive'] button")
        person.click("form[action$='/pass'] button")
        person.look("first-review")
    person.log_out()
    person.go("/officers")
    person.log_in(*second)
    for number in cases:
        at_case(person, number)
        person.click("form[action$='/approve'] button")
        person.look("second-review")


def mail(desk: Desk) -> list[str]:
    """Print what goes to the post with the cards, note that they were mailed, and return their numbers."""
    person = desk.officers
    numbers: list[str] = []

    def are_made() -> bool:
        person.go("/officers/post")
        numbers[:] = person.texts("main .tick")
        return len(numbers) == 2

    until(are_made, "the cards are not made")
    person.look("post")
    person.click("form[action$='/mailed'] > .buttons:last-child button")
    person.go(desk.sandbox.start)
    person.look("sandbox")
    for link in (f"/letters/{numbers[0]}.pdf", "/list.pdf"):
        address = person.tab.see(f"document.querySelector('a[href=\"{link}\"]').href")
        answer = httpx.get(address, headers={"Accept-Language": "zh-TW"})
        assert answer.content.startswith(b"%PDF-")
        (person.pictures / Path(link).name).write_bytes(answer.content)
    return numbers


def activate(desk: Desk, card: str) -> None:
    """Activate a card: the centre's page, the component's window, the component's own page."""
    person = desk.holder
    person.go("/activate")
    person.tab.click("[data-card-detect]")
    person.tab.see("!document.querySelector('[data-card-choice]').disabled")
    choices = person.texts("[data-card-choice] option")
    (at,) = (place for place, words in enumerate(choices) if card in words)
    person.tab.click("label[for=card-choice]")
    person.tab.press(*["ArrowDown"] * at)
    person.tab.see(
        f"document.querySelector('[data-fact=card]').innerText === '{card}'"
        " && !document.querySelector('[data-card-go]').disabled"
    )
    person.look("card-detected")
    person.tab.click("[data-card-go]")
    on_the_components_page(person, {"secret": USER_CODE, "new_pin": PIN, "again": PIN})
    person.tab.see("!document.querySelector('[data-card-done]').hidden")
    person.look("activated")
    assert desk.words.activated in person.text("[data-card-done]")


def on_the_components_page(person: Person, fields: dict[str, str]) -> None:
    """Go from the component's window to its own page, fill in the form there, and close the page."""
    window = person.tab.window()
    window.see(f"{IN_FRONT} && {IS_READY} === 'own-page'")
    window.picture(person.pictures / "own-page.png")
    address = window.see("document.querySelector('[data-part=own-page-go]').href")
    window.click("[data-part=own-page-go]")
    tab = person.tab.other(address.partition("?")[0])
    own = Person(tab, address, person.pictures, person._numbers)
    tab.see("document.readyState === 'complete'")
    own.fill(fields)
    own.look("own-page")
    own.click("form[data-pin-action] .main")
    own.text("#result h1")
    own.look("own-page-done")
    tab.close()
    person.tab.bring_to_front()


def query(person: Person, card: str) -> str:
    """Look the certificates of a card up, and return what is found."""
    person.go("/certificates")
    person.fill({"card": card})
    person.click("main form button")
    person.look("query")
    return person.text("#found")


def act(person: Person, path: str, act: str, fields: dict[str, str], code: str) -> str:
    """Suspend, resume or revoke with the user code, and return what the last page says."""
    person.go(path)
    form = "main form:last-of-type"
    person.fill(fields)
    if act == "revoke":
        person.tab.click(f"{form} [name=ground]")
    person.look(act)
    person.click(f"{form} button[value={act}]")
    person.fill({"code": code})
    person.look(f"{act}-confirm")
    person.click("main form .buttons button")
    person.look(f"{act}-done")
    return person.text("main dl")


def reset_user_code(desk: Desk, fields: dict[str, str]) -> None:
    """Ask for a user code reset, have it approved, and set the new code on the card with the mailed link."""
    person = desk.holder
    person.go("/user-code-reset")
    person.fill(fields)
    person.tab.click("main [name=activated]")
    person.fill({"secret": SECRET, "secret_again": SECRET})
    person.look("reset")
    person.click("main form .buttons button")
    person.look("reset-asked")
    first, _ = desk.known_officers()
    officer = desk.officers
    officer.go("/officers")
    officer.log_out()
    officer.go("/officers")
    officer.log_in(*first)
    officer.go("/officers/requests")
    officer.look("requests")
    officer.click("form[action$='/approve'] button")
    (link,) = until(lambda: links_of(desk, "/user-code-reset/ticket"), "the mail with the link does not come")
    person.go(desk.sandbox.start)
    person.click("main a[href^='/mails/']")
    person.look("mail")
    assert (
        person.tab.now(f"document.querySelector('main a[href^=\"{link.partition('#')[0]}\"]').href") == link
    )
    person.go(link)
    person.fill({"secret": SECRET, "code": NEW_USER_CODE, "code_again": NEW_USER_CODE})
    person.look("ticket")
    person.tab.click("[data-set]")
    on_the_components_page(person, {"new_code": NEW_USER_CODE, "again": NEW_USER_CODE})
    person.tab.see("!document.querySelector('[data-done]').hidden")
    person.look("user-code-set")


def links_of(desk: Desk, path: str) -> set[str]:
    """The links in the mails that lead to a page; a mail has them in both languages."""
    return {link for mail in desk.api("mails") for link in mail["links"] if path in link}


def lapse(desk: Desk, card: str) -> None:
    """Nobody activates a card for 91 days: its certificates are revoked, and its unit is blocked."""
    person = desk.holder
    person.go(desk.sandbox.start)
    person.look("clock")
    person.click("button[value='91']")
    until(lambda: desk.words.revoked in query(person, card), "the certificates are not revoked")
    person.go(desk.sandbox.start)
    person.look("mails")


def live(desk: Desk) -> None:
    """Live both lives, and compare what the pages say of the certificates."""
    words, holder = desk.words, desk.holder
    cases = [apply(holder), apply(holder)]
    review(desk, cases)
    card, other = mail(desk)
    assert words.not_activated in query(holder, card)
    activate(desk, card)
    found = query(holder, card)
    assert words.valid in found
    fields = {"number": card, "serial": str(re.findall(r"^[0-9A-F]{20,}$", found, re.MULTILINE)[0])}
    assert words.suspended in act(holder, "/suspend-resume", "suspend", fields, USER_CODE)
    assert words.suspended in query(holder, card)
    assert words.valid in act(holder, "/suspend-resume", "resume", fields, USER_CODE)
    reset_user_code(desk, fields)
    assert words.revoked in act(holder, "/revoke", "revoke", fields, NEW_USER_CODE)
    assert words.revoked in query(holder, card)
    assert words.not_activated in query(holder, other)
    lapse(desk, other)


def test_card_lives_from_its_application_to_its_revocation_in_chinese_in_chromium(
    playwright: Playwright, tmp_path: Path
) -> None:
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*FLAGS], ignore_default_args=["--disable-popup-blocking"]
    )
    with browser, running_sandbox(tmp_path / "sandbox") as sandbox:
        tabs = [Chromium(browser.new_context(locale="zh-TW", no_viewport=True).new_page()) for _ in range(2)]
        live(desk_of(sandbox, tabs, CHINESE, tmp_path))


def test_card_lives_from_its_application_to_its_revocation_in_english_in_firefox(tmp_path: Path) -> None:
    with (
        running_sandbox(tmp_path / "sandbox") as sandbox,
        firefox(tmp_path / "firefox", "en") as connection,
        connection.tab() as holder,
        connection.tab() as officers,
    ):
        live(desk_of(sandbox, [holder, officers], ENGLISH, tmp_path))


def desk_of(sandbox: RunningSandbox, tabs: Sequence[Tab], words: Words, folder: Path) -> Desk:
    """Put a holder and officers before two browsers."""
    folders = [folder / "holder", folder / "officers"]
    for each in folders:
        each.mkdir()
    holder, officers = (
        Person(tab, sandbox.centre, pictures) for tab, pictures in zip(tabs, folders, strict=True)
    )
    return Desk(sandbox, holder, officers, words)
