# SPDX-License-Identifier: Apache-2.0
"""The script for pages of sites: a person clicks, the local component asks, the site says who it is."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

import xca_login
from softhsm.card_fixture import CardFixture
from softhsm.issuer import IssuedCardState
from support.agent.agent_process import Agent, Start, trust
from support.agent.browser_tab import Tab
from support.agent.chromium import Chromium
from support.agent.component_client import SiteClient
from support.agent.page_visitor import visiting
from support.agent.vendor_component import PIN, VendorComponent, vendor_component
from support.login_http import asgi_site
from support.login_site import Desk, Saying
from xca_common.pki import profile, strict_certificate
from xca_common.pki.encrypted_data import RecipientCertificate, encrypt
from xca_login import Binding, MemoryAccounts, Policy, RegisteredKeys, Site, Trust, Verifier
from xca_login.http import CardLogin
from xca_login.integrations.starlette import LoginMiddleware, login_routes
from xca_login.registered_keys import MemoryKeys
from xca_login.testing.parties import NOW, encryption

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="{language}"><meta charset="utf-8"><title>site</title>
<script type="module" src="/login/xca-login.js"></script>
<button data-xca-login="/login" data-next="/bids" data-component="{agent}">log in</button>
<button data-xca-logout="/login">log out</button>
<button data-xca-register="/login" data-component="{agent}">register</button>
<button data-xca-prove="/login" data-component="{agent}">prove</button>
<button data-open-card="" data-component="{agent}">open</button>
<output data-xca-login-words></output>
<script type="module">
import {{ openCard }} from "/login/xca-login.js";
document.querySelector("[data-open-card]").addEventListener("click", ({{ target: {{ dataset }} }}) => {{
  const tell = (words) => {{ document.querySelector("output").textContent = words; }};
  const card = {{ card: dataset.openCard, issuer: "XCA", component: dataset.component }};
  openCard(card).then(() => tell("opened"), (error) => tell(`${{error.code}}: ${{error.text()}}`));
}});
</script>
<script>addEventListener("xca-done", (event) => {{
  document.querySelector("output").textContent = JSON.stringify(event.detail);
}});</script>"""
BUTTON = "[data-xca-login]"
READY = (
    "document.querySelector('[data-part=consent]')?.hidden === false && document.hasFocus()"
    " && !document.body.classList.contains('fitting')"
)
AGREES = "document.querySelector('[data-consent-delay]').ariaDisabled === 'false'"
LOADED = "document.readyState === 'complete'"
OPEN = "[data-open-card]"
OWN_PAGE = READY.replace("consent", "own-page")
REGISTER, PROVE = "[data-xca-register]", "[data-xca-prove]"
SAID = "document.querySelector('output').innerText"


def serving(make_verifier: Callable[[Site], Verifier]) -> AbstractContextManager[str]:
    """Serve a site; give its origin."""

    def make_app(origin: str) -> Starlette:
        async def home(request: Request) -> Response:
            opener = request.query_params.get("opener", "same-origin-allow-popups")
            page = PAGE.format(agent=request.query_params["agent"], language="en")
            referrer = {"Referrer-Policy": "same-origin"}  # as Django's
            return HTMLResponse(page, headers={"Cross-Origin-Opener-Policy": opener, **referrer})

        async def bids(request: Request) -> Response:
            session = request.user.session
            return PlainTextResponse(f"{session.binding.name}: {session.holder_name}")

        site = Site(origin, "投標網")
        verifier = make_verifier(site)
        card_login = CardLogin(site, verifier, keys=RegisteredKeys(site, verifier, MemoryKeys()))
        return Starlette(
            routes=[Route("/", home), Route("/bids", bids), login_routes(card_login)],
            middleware=[Middleware(LoginMiddleware, card_login=card_login)],
        )

    return asgi_site(make_app)


@pytest.fixture
def origin(shared: Agent) -> Iterator[str]:
    """A site whose CA is that of the card, and which demands a verified origin."""

    def make_verifier(site: Site) -> Verifier:
        trust(shared, site.origin)
        slots = SiteClient(shared, site.origin).get("/pkcs11info?withcert=true").json()["slots"]
        cards = [slot["token"] for slot in slots if slot["token"]]
        authorities = [one["certb64"] for card in cards for one in card["certs"] if "CA" in one["label"]]
        pinned = Trust.of(strict_certificate.load(base64.b64decode(one)) for one in authorities)
        policy = Policy(frozenset({profile.TEST_POLICY}), binding=Binding.VERIFIED)
        return Verifier(site, pinned, Saying(), policy)

    with serving(make_verifier) as origin:
        yield origin


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture
def vendors(desk: Desk) -> Iterator[VendorComponent]:
    """The replica of the vendor's component."""
    with vendor_component(desk.school, encryption(desk.school, desk.ca)) as component:
        yield component


@pytest.fixture
def open_to_all(desk: Desk) -> Iterator[str]:
    """A site that lets in whoever does not confirm its origin, too."""

    def make_verifier(site: Site) -> Verifier:
        pinned = Trust.of(strict_certificate.load(one.der) for one in (desk.root, desk.ca))
        return Verifier(site, pinned, Saying())

    with serving(make_verifier) as origin:
        yield origin


@pytest.fixture
def falling_back(desk: Desk) -> Iterator[str]:
    """A site at which the card logged in as verified before, and may log in as declared."""

    def make_verifier(site: Site) -> Verifier:
        pinned = Trust.of(strict_certificate.load(one.der) for one in (desk.root, desk.ca))
        account = Verifier(site, pinned, Saying()).check(desk.school.der).account
        accounts = MemoryAccounts()
        accounts.verified(account, NOW)
        policy = Policy(declared_accounts=frozenset({account}))
        return Verifier(site, pinned, Saying(), policy, accounts)

    with serving(make_verifier) as origin:
        yield origin


def agree(tab: Tab, card: CardFixture) -> None:
    """Type the PIN into the window that the page opened, and agree."""
    window = tab.window()
    window.see(READY)
    window.type(str(card.pin))
    window.see(AGREES)
    window.press("Enter")


def test_click_of_a_holder_logs_in_at_the_site(
    origin: str, shared: Agent, active_card: CardFixture, tab: Tab
) -> None:
    tab.go(f"{origin}/?agent={shared.url}")
    tab.see(LOADED)
    tab.click(BUTTON)
    agree(tab, active_card)
    tab.see(f"location.pathname === '/bids' || {SAID}")
    tab.read("VERIFIED: ")
    tab.go(f"{origin}/?agent={shared.url}")
    tab.see(LOADED)
    tab.click(REGISTER)
    registered = json.loads(tab.see(SAID))
    assert (registered["proved"], registered["component"]["kind"]) == (None, "xca")
    tab.now("(document.querySelector('output').textContent = '', true)")
    tab.click(PROVE)
    agree(tab, active_card)
    proved = json.loads(tab.see(SAID))
    assert (proved["sha256"], proved["proved"] is None) == (registered["sha256"], False)
    tab.click("[data-xca-logout]")
    tab.see(f"location.pathname === '/' && location.search === '' && {LOADED}")
    tab.go(f"{origin}/bids")
    assert "VERIFIED" not in tab.now("document.body.innerText")


def test_holder_logs_in_and_registers_a_key_with_the_vendors_component(
    open_to_all: str, vendors: VendorComponent, tab: Tab
) -> None:
    tab.go(f"{open_to_all}/?agent={vendors.url}")
    tab.see(LOADED)
    tab.click(BUTTON)
    tab.see("document.querySelector('dialog input') === document.activeElement")
    tab.type(PIN)
    tab.press("Enter")
    tab.see(f"location.pathname === '/bids' || {SAID}")
    tab.read("DECLARED: a school")
    tab.go(f"{open_to_all}/?agent={vendors.url}")
    tab.see(LOADED)
    tab.click(REGISTER)
    registered = json.loads(tab.see(SAID))
    assert (registered["proved"], registered["component"]["kind"]) == (None, "vendor")
    tab.click(PROVE)
    tab.see("document.querySelector('dialog input') === document.activeElement")
    tab.type(PIN)
    tab.press("Enter")
    tab.read("shown as not proved", "output")
    assert [one.get("pin") for one in vendors.asked] == [None, PIN, None, None, PIN]


def test_site_has_a_card_opened_on_the_agents_own_page(
    open_to_all: str, start_agent: Start, xca_issued_card: CardFixture, tab: Tab
) -> None:
    card = xca_issued_card
    agent = start_agent(card, trusted=(open_to_all,))
    tab.go(f"{open_to_all}/?agent={agent.url}")
    tab.see(LOADED)
    tab.now(f"document.querySelector('{OPEN}').dataset.openCard = '{card.number}'")
    tab.click(OPEN)
    window = tab.window()
    window.see(OWN_PAGE)
    window.click("[data-part=own-page-refuse]")
    assert tab.see(SAID).startswith("refused: You refused")
    tab.now("(document.querySelector('output').textContent = '', true)")
    tab.click(OPEN)
    window = tab.window()
    window.see(OWN_PAGE)
    window.click("[data-part=own-page-go]")
    with visiting(agent) as visitor:
        visitor.fill("/activate", card.user_code, "5g8!Rw2", again="5g8!Rw2")
    assert tab.see(SAID) == "opened"
    assert card.state is IssuedCardState.ACTIVE


def test_holder_is_told_of_a_fallback_before_the_page_is_left(
    falling_back: str, vendors: VendorComponent, page: Page
) -> None:
    tab = Chromium(page)
    tab.go(f"{falling_back}/?agent={vendors.url}")
    tab.see(LOADED)
    tab.click(BUTTON)
    tab.see("document.querySelector('dialog input') === document.activeElement")
    tab.type(PIN)
    tab.press("Enter")
    tab.read("the local component did not confirm which site asked", "dialog")
    assert tab.now("location.pathname") == "/"
    tab.click("dialog button")
    tab.read("DECLARED: a school")


def test_window_that_a_person_closes_is_told(origin: str, shared: Agent, tab: Tab) -> None:
    tab.go(f"{origin}/?agent={shared.url}")
    tab.see(LOADED)
    tab.click(BUTTON)
    window = tab.window()
    window.see(READY)
    window.now("(setTimeout(close, 0), true)")
    tab.see("document.querySelector('output').innerText")
    assert "Do it again" in tab.now("document.querySelector('output').innerText")


def test_link_of_a_site_that_is_unknown_leads_to_where_its_whole_origin_is_added(
    open_to_all: str, shared: Agent, page: Page
) -> None:
    page.goto(f"{open_to_all}/?agent={shared.url}")
    with page.expect_popup():
        page.click(BUTTON)
    with page.expect_popup() as opened:
        page.click("output a")
    assert opened.value.locator("[data-part=site]").text_content() == open_to_all


def test_opener_policy_that_cuts_the_window_is_told(origin: str, shared: Agent, tab: Tab) -> None:
    tab.go(f"{origin}/?agent={shared.url}&opener=same-origin")
    tab.see(LOADED)
    tab.click(BUTTON)
    tab.read("Cross-Origin-Opener-Policy", "output")


CALL = """async ([name, ...given]) => {
  const script = await import("/login/xca-login.js");
  try {
    return {value: await script[name](...given)};
  } catch (error) {
    return {code: error.code, link: error.link, triesLeft: error.triesLeft, words: error.words};
  }
}"""


@pytest.fixture
def call(page: Page, open_to_all: str, vendors: VendorComponent) -> Callable[..., Any]:
    """Call a function of the script on a page of a site, as in the handler of a click."""
    page.goto(f"{open_to_all}/?agent={vendors.url}")
    return lambda *given: page.evaluate(CALL, given)


MEANINGS = {
    0x76000031: "site_unknown",
    0x7600000F: "site_unknown",
    0x7600000E: "component_old",
    0x76000006: "card_missing",
    0x76000999: "refused",
    0x81000225 - (1 << 32): "card_closed",
    0x81000225: "card_closed",
    0x7600000D: "component_refused",
}


def test_answers_of_the_component_are_told_in_both_languages(
    call: Callable[..., Any], vendors: VendorComponent
) -> None:
    options = {"component": vendors.url}
    for code, name in MEANINGS.items():
        vendors.said = {"func": "pkcs11info", "ret_code": code, "message": "失敗"}
        error = call("findComponent", options)
        assert error["code"] == name
        assert all(error["words"][language]["nextStep"] for language in ("zh-TW", "en"))
        assert (error["link"] == f"{vendors.url}/addDomain?domain=127.0.0.1") == (name == "site_unknown")
    vendors.said = None
    vendors.version = "1.0.11"
    assert call("findComponent", options)["code"] == "component_old"
    wrong = call("sign", "a statement", options | {"pin": "111111"})
    assert (wrong["code"], wrong["triesLeft"]) == ("pin_wrong", 2)
    assert call("openCard", options | {"card": "XC1", "issuer": "XCA"})["code"] == "function_missing"
    vendors.said = {"func": "openCard", "ret_code": 0}
    assert "code" not in call("openCard", options | {"card": "XC1", "issuer": "XCA"})
    asked = vendors.asked[-1]
    assert (asked["func"], asked["cardid"], asked["caname"]) == ("openCard", "XC1", "XCA")


def test_cards_are_read_and_envelopes_opened_with_the_vendors_component(
    call: Callable[..., Any], vendors: VendorComponent
) -> None:
    read = call("readCards", {"component": vendors.url})["value"]
    assert read["component"] == {"kind": "vendor", "version": vendors.version}
    (card,) = read["cards"]
    assert (card["number"], card["reader"]) == ("XC00000000012345", "reader")
    assert base64.b64decode(card["encryption"]) == vendors.encryption.der
    output, content = BytesIO(), bytes(range(256)) * 8
    encrypt(BytesIO(content), output, [RecipientCertificate.read(vendors.encryption.der)], cbc=True)
    envelope = base64.b64encode(output.getvalue()).decode()
    assert "+" in envelope
    opened = call("openEnvelope", envelope, {"component": vendors.url, "pin": PIN})["value"]
    assert bytes(opened.values() if isinstance(opened, dict) else opened) == content


def test_component_that_does_not_speak_is_told_apart_from_an_absent_one(
    call: Callable[..., Any], vendors: VendorComponent, page: Page
) -> None:
    limits = {"helloSeconds": 0.5}
    vendors.speaks = False
    assert call("findComponent", {"component": vendors.url, **limits})["code"] == "component_old"
    nobody = {"component": "http://127.0.0.1:9", **limits}
    assert call("findComponent", nobody)["code"] == "component_absent"
    page.evaluate("navigator.permissions.query = async () => ({state: 'denied'})")
    assert call("findComponent", nobody)["code"] == "network_denied"


def test_window_is_one_at_a_time_and_ends_when_it_is_told_to(
    call: Callable[..., Any], vendors: VendorComponent, page: Page
) -> None:
    vendors.speaks = False
    codes = page.evaluate(
        """async (component) => {
          const script = await import("/login/xca-login.js");
          const code = (promise) => promise.then(() => "done", (error) => error.code);
          const stop = new AbortController();
          const first = code(script.findComponent({component, signal: stop.signal}));
          const second = await code(script.findComponent({component}));
          stop.abort();
          const codes = [await first, second];
          codes.push(await code(script.findComponent({component}))); // the click opened a window already
          codes.push(await code(script.findComponent({component, signal: stop.signal})));
          return codes;
        }""",
        vendors.url,
    )
    assert codes == ["cancelled", "busy", "popup_blocked", "cancelled"]
    vendors.speaks = True
    vendors.delay = 1
    slow = call("findComponent", {"component": vendors.url, "answerSeconds": 0.3})
    assert slow["code"] == "component_slow"


def test_words_of_the_script_are_there_in_both_languages_and_typed() -> None:
    static = Path(xca_login.__file__).with_name("static")
    script = (static / "xca-login.js").read_text(encoding="utf-8")
    types = (static / "xca-login.d.ts").read_text(encoding="utf-8")
    words = script[script.index("const WORDS") : script.index("export class")]
    codes = re.findall(r"^  (\w+): \{", words, re.MULTILINE)
    assert words.count('"zh-TW": [') == words.count("en: [") == len(codes) > 5
    named = re.search(r"Of the page itself: ([\w,\s*]+)\.", types)
    assert named is not None
    assert sorted(re.findall(r"\w+", named[1])) == sorted(codes)
