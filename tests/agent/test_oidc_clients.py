# SPDX-License-Identifier: Apache-2.0
"""Somebody else's clients of the OpenID Connect provider, with a browser, a card and the agent."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import SECONDS, Agent, trust
from support.agent.browser_tab import Tab
from support.agent.chromium import Chromium
from support.login_http import asgi_site
from support.oidc import DIGEST
from support.oidc_clients import APACHE, MODULES, apache, authlib_site, django, free_ports, program

pytestmark = pytest.mark.browser

READY = (
    "document.querySelector('[data-part=consent]')?.hidden === false && document.hasFocus()"
    " && !document.body.classList.contains('fitting')"
)
AGREES = "document.querySelector('[data-consent-delay]').ariaDisabled === 'false'"
LOGIN, ALLOW = "[data-xca-login]", "button[value=allow]"
TO_THE_AGENT = """document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-xca-login]").forEach((button) => { button.dataset.component = AGENT; });
});"""
"""The agent of a test listens at a port of its own."""
CLIENT = """
[[client]]
id = "{name}"
name = "{name}"
secret = "{digest}"
redirect_uris = ["{site}{callback}"]
post_logout_redirect_uris = ["{site}/"]
"""
CALLBACKS = {"apache": "/callback", "django": "/oidc/callback/", "authlib": "/callback"}
HAS_APACHE = APACHE is not None and (MODULES / "mod_auth_openidc.so").exists()
TOLD = {
    "name": "國立臺灣大學",
    "org_oid": "2.16.886.111.100000",
    "card_rank": "secondary",
    "holder_kind": "2.16.886.1.100.3.2.11",
    "origin_binding": "verified",
    "acr": "urn:xca:acr:card-verified-origin",
}


@dataclass(frozen=True)
class Clients:
    """The provider and its clients, all running.

    Attributes:
        issuer: the provider's origin.
        sites: origins of the clients, by name.
    """

    issuer: str
    sites: dict[str, str]


@pytest.fixture(scope="module")
def authority(active_card: CardFixture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the card's test CA, with a list, as softhsm-card publish names it."""
    card = active_card.copy(tmp_path_factory.mktemp("published") / "card")
    done = subprocess.run(
        [sys.executable, "-m", "softhsm.cli", "--lang", "en", "publish", card.number],
        env=card.variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    found = re.search(r"^CRL: (.+)/complete\.crl$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return Path(found[1])


@pytest.fixture(scope="module")
def clients(authority: Path, shared: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """The provider as a program with two workers, and the three clients."""
    folder = tmp_path_factory.mktemp("oidc")
    port, *ports = free_ports(3)
    issuer = f"http://127.0.0.1:{port}"
    trust(shared, issuer)
    with ExitStack() as stack:
        own = stack.enter_context(
            asgi_site(lambda at: authlib_site(issuer, at.replace("127.0.0.1", "localhost")))
        )
        numbers = dict(zip(CALLBACKS, (*ports, own.rpartition(":")[2]), strict=True))
        sites = {name: f"http://localhost:{number}" for name, number in numbers.items()}
        tables = (
            CLIENT.format(name=name, digest=DIGEST, site=sites[name], callback=callback)
            for name, callback in CALLBACKS.items()
        )
        head = f'origin = "{issuer}"\nname = "sso"\nfolder = "kept"\ntest_cards = "{authority}"\n'
        (folder / "oidc.toml").write_text(head + "".join(tables), encoding="utf-8")
        command = (Path(sys.executable).with_name("xca-login"), "oidc", "oidc.toml", "--port", str(port))
        stack.enter_context(program((*command, "--workers", "2"), port, {}, folder))
        if HAS_APACHE:
            stack.enter_context(apache(issuer, ports[0]))
        stack.enter_context(django(issuer, ports[1], folder))
        yield Clients(issuer, sites)


@pytest.fixture
def tab(page: Page, shared: Agent) -> Tab:
    tab = Chromium(page)
    tab.before_scripts(TO_THE_AGENT.replace("AGENT", json.dumps(shared.url)))
    return tab


def log_in(tab: Tab, card: CardFixture) -> None:
    """Log in with the card on the provider's page, as a person does."""
    tab.see(f"document.readyState === 'complete' && document.querySelector('{LOGIN}')")
    tab.click(LOGIN)
    window = tab.window()
    window.see(READY)
    window.type(str(card.pin))
    window.see(AGREES)
    window.press("Enter")


def is_at(site: str, path: str) -> str:
    return f"location.origin === {json.dumps(site)} && location.pathname === {json.dumps(path)}"


@pytest.mark.parametrize(
    ("name", "logout"),
    [
        pytest.param(
            "apache",
            "#logout",
            marks=pytest.mark.skipif(not HAS_APACHE, reason="there is no mod_auth_openidc here"),
        ),
        ("django", "#logout"),
        ("authlib", "#logout"),
        ("authlib", "#post"),
    ],
)
def test_holder_logs_in_at_somebody_elses_client_and_out_again(
    clients: Clients, active_card: CardFixture, tab: Tab, name: str, logout: str
) -> None:
    site = clients.sites[name]
    bids = "/bids/" if name == "apache" else "/bids"
    tab.go(f"{site}{bids}")
    tab.see(is_at(clients.issuer, "/authorize"))
    log_in(tab, active_card)
    tab.see(f"document.querySelector('{ALLOW}') || {is_at(site, bids)}")
    if tab.now(f"document.querySelector('{ALLOW}') !== null"):
        tab.read("國立臺灣大學")
        tab.click(ALLOW)
    tab.see(is_at(site, bids))
    shown = tab.see("document.querySelector('#claims')?.innerText")
    if name == "apache":
        found = dict(re.findall(r"^OIDC_CLAIM_(\w+)=(.*)$", shown, re.MULTILINE))
    else:
        found = json.loads(shown)
    assert {key: found.get(key) for key in TOLD} == TOLD, shown
    assert re.fullmatch("[0-9a-f]{64}", found["sub"])
    assert int(found["auth_time"]) > 0
    tab.click(logout)
    tab.see(is_at(site, "/"))
    tab.read("home")
    tab.go(f"{site}{bids}")
    tab.see(is_at(clients.issuer, "/authorize"))
    tab.see(f"document.querySelector('{LOGIN}')")
