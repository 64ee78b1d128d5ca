# SPDX-License-Identifier: Apache-2.0
"""The script for pages that let holders in: a person clicks, the agent asks, the site says who it is."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

import xca_login
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, trust
from support.agent.browser_tab import Tab
from support.agent.component_client import SiteClient
from support.login_http import asgi_site
from support.login_site import Saying
from xca_common.pki import profile, strict_certificate
from xca_login import Binding, Policy, Site, Trust, Verifier
from xca_login.http import CardLogin
from xca_login.integrations.starlette import LoginMiddleware, login_routes

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="{language}"><meta charset="utf-8"><title>site</title>
<script type="module" src="/login/xca-login.js"></script>
<button data-xca-login="/login" data-next="/bids" data-component="{agent}">log in</button>
<output data-xca-login-words></output>"""
BUTTON = "[data-xca-login]"
READY = (
    "document.querySelector('[data-part=consent]')?.hidden === false && document.hasFocus()"
    " && !document.body.classList.contains('fitting')"
)
AGREES = "document.querySelector('[data-consent-delay]').ariaDisabled === 'false'"
LOADED = "document.readyState === 'complete'"


@pytest.fixture
def origin(shared: Agent) -> Iterator[str]:
    """A site whose CA is that of the card, and which demands a verified origin."""

    def make_app(origin: str) -> Starlette:
        async def home(request: Request) -> Response:
            opener = request.query_params.get("opener", "same-origin-allow-popups")
            page = PAGE.format(agent=request.query_params["agent"], language="en")
            return HTMLResponse(page, headers={"Cross-Origin-Opener-Policy": opener})

        async def bids(request: Request) -> Response:
            session = request.user.session
            return PlainTextResponse(f"{session.binding.name}: {session.holder_name}")

        site = Site(origin, "投標網")
        trust(shared, origin)
        slots = SiteClient(shared, origin).get("/pkcs11info?withcert=true").json()["slots"]
        cards = [slot["token"] for slot in slots if slot["token"]]
        authorities = [one["certb64"] for card in cards for one in card["certs"] if "CA" in one["label"]]
        pinned = Trust.of(strict_certificate.load(base64.b64decode(one)) for one in authorities)
        verifier = Verifier(
            site, pinned, Saying(), Policy(frozenset({profile.TEST_POLICY}), binding=Binding.VERIFIED)
        )
        card_login = CardLogin(site, verifier)
        return Starlette(
            routes=[Route("/", home), Route("/bids", bids), login_routes(card_login)],
            middleware=[Middleware(LoginMiddleware, card_login=card_login)],
        )

    with asgi_site(make_app) as origin:
        yield origin


def test_click_of_a_holder_logs_in_at_the_site(
    origin: str, shared: Agent, active_card: CardFixture, tab: Tab
) -> None:
    tab.go(f"{origin}/?agent={shared.url}")
    tab.see(LOADED)
    tab.click(BUTTON)
    window = tab.window()
    window.see(READY)
    window.type(str(active_card.pin))
    window.see(AGREES)
    window.press("Enter")
    tab.see("location.pathname === '/bids' || document.querySelector('output').innerText")
    tab.read("VERIFIED: ")


def test_window_that_a_person_closes_is_told(origin: str, shared: Agent, tab: Tab) -> None:
    tab.go(f"{origin}/?agent={shared.url}")
    tab.see(LOADED)
    tab.click(BUTTON)
    window = tab.window()
    window.see(READY)
    window.now("(setTimeout(close, 0), true)")
    tab.see("document.querySelector('output').innerText")
    assert "Log in again." in tab.now("document.querySelector('output').innerText")


def test_opener_policy_that_cuts_the_window_is_told(origin: str, shared: Agent, tab: Tab) -> None:
    tab.go(f"{origin}/?agent={shared.url}&opener=same-origin")
    tab.see(LOADED)
    tab.click(BUTTON)
    tab.read("Cross-Origin-Opener-Policy", "output")


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
    exported = re.findall(r"^export (?:async )?(?:class|function) (\w+)", script, re.MULTILINE)
    assert exported == re.findall(r"^export (?:class|function) (\w+)", types, re.MULTILINE)
