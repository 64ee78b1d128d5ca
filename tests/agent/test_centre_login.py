# SPDX-License-Identifier: Apache-2.0
"""A login at the certificate centre, with a card, the agent and a browser."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from cryptography import x509

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Start, trust
from support.agent.browser_tab import Tab
from support.agent.component_client import SITE
from support.centre.authority import key
from support.centre.web import OPERATOR, SoftHierarchy, frame_of
from support.login_http import asgi_site
from xca_centre.authority.certificates import Generation
from xca_centre.certificate_sets import NewSet, Use, add, reserve
from xca_centre.store.database import Database
from xca_centre.store.schema import migrate
from xca_centre.web.app import application

pytestmark = pytest.mark.browser

READY = (
    "document.querySelector('[data-part=consent]')?.hidden === false && document.hasFocus()"
    " && !document.body.classList.contains('fitting')"
)
AGREES = "document.querySelector('[data-consent-delay]').ariaDisabled === 'false'"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    address = f"sqlite:///{tmp_path / 'centre.db'}"
    migrate(address)
    database = Database(address, now)
    yield database
    database.close()


def certificates_of(agent_url: str) -> dict[str, x509.Certificate]:
    """The certificates on the agent's card, by label."""
    with urlopen(Request(f"{agent_url}/pkcs11info?withcert=true", headers={"Origin": SITE})) as answer:
        said = json.load(answer)
    (token,) = (slot["token"] for slot in said["slots"] if isinstance(slot.get("token"), dict))
    return {
        each["label"]: x509.load_der_x509_certificate(base64.b64decode(each["certb64"]))
        for each in token["certs"]
    }


def test_holder_logs_in_accepts_and_sees_the_certificates(
    start_agent: Start, xca_active_card: CardFixture, database: Database, tab: Tab
) -> None:
    agent = start_agent(xca_active_card, trusted=(SITE,))
    pki = xca_active_card.environment.pki
    root, issuer = (
        x509.load_pem_x509_certificate((pki / f"{name}.pem").read_bytes()) for name in ("root", "ca")
    )
    hierarchy = SoftHierarchy()
    hierarchy.root = root  # type: ignore[misc]  # those that the stand-in's cards are issued by
    generation = Generation(issuer, key("nobody's"), 2, root, hierarchy.repository)
    hierarchy.generations = {2: generation}  # type: ignore[misc]  # likewise
    held = certificates_of(agent.url)
    with database.change() as change:
        both = [(Use.SIGNING, held["cert1"]), (Use.ENCRYPTION, held["cert2"])]
        sequence, lapses = reserve(change, 2, 2), now() + timedelta(days=90)
        add(
            change,
            NewSet(
                xca_active_card.number, "2.16.886.111.100000", "secondary", 2, sequence, both, lapses, True
            ),
            OPERATOR,
        )
    frame = replace(frame_of(database, now), hierarchy=hierarchy, component=agent.url)
    with asgi_site(lambda origin: application(replace(frame, origin=origin))) as origin:
        trust(agent, origin)
        tab.go(f"{origin}/organisation/certificates")
        tab.see("document.readyState === 'complete'")
        tab.click("[data-xca-login]")
        window = tab.window()
        window.see(READY)
        window.type(xca_active_card.pin or "")
        window.see(AGREES)
        window.press("Enter")
        tab.see("location.pathname === '/login/done' && document.readyState === 'complete'")
        assert f"{held['cert2'].serial_number:X}" in tab.now("document.body.innerText")
        tab.click("form[action='/login/accept'] button")
        tab.read("已完成憑證接受")
        tab.click("main .go")
        tab.see("location.pathname === '/organisation/certificates'")
        tab.read("正常")
        tab.click("form[action='/logout'] button")
        tab.see("document.querySelector('a[href=\"/login\"]') !== null && location.pathname === '/'")
