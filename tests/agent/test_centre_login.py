# SPDX-License-Identifier: Apache-2.0
"""A login at the certificate centre, and an activation, with a card, the agent and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from softhsm.card_fixture import CardFixture
from softhsm.issuer import IssuedCardState
from support.agent.agent_process import Start
from support.agent.browser_tab import Tab
from support.agent.component_client import SITE
from support.agent.page_visitor import visiting
from support.centre.stand_in import centre_of, certificates_of, now
from xca_centre import certificate_sets
from xca_centre.life.certificate import CertificateState
from xca_centre.store.database import Database
from xca_centre.store.schema import migrate

pytestmark = pytest.mark.browser

READY = (
    "document.querySelector('[data-part=consent]')?.hidden === false && document.hasFocus()"
    " && !document.body.classList.contains('fitting')"
)
PIN = "5g8!Rw2"
AGREES = "document.querySelector('[data-consent-delay]').ariaDisabled === 'false'"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    address = f"sqlite:///{tmp_path / 'centre.db'}"
    migrate(address)
    database = Database(address, now)
    yield database
    database.close()


def log_in(tab: Tab, pin: str) -> None:
    """Log in with the card on the page that is open."""
    tab.see("document.readyState === 'complete'")
    tab.click("[data-xca-login]")
    window = tab.window()
    window.see(READY)
    window.type(pin)
    window.see(AGREES)
    window.press("Enter")


def test_holder_logs_in_accepts_and_sees_the_certificates(
    start_agent: Start, xca_active_card: CardFixture, database: Database, tab: Tab
) -> None:
    agent = start_agent(xca_active_card, trusted=(SITE,))
    with centre_of(xca_active_card, agent, database) as origin:
        tab.go(f"{origin}/organisation/certificates")
        log_in(tab, xca_active_card.pin or "")
        tab.see("location.pathname === '/login/done' && document.readyState === 'complete'")
        encryption = certificates_of(agent)["cert2"]
        assert f"{encryption.serial_number:X}" in tab.now("document.body.innerText")
        tab.click("form[action='/login/accept'] button")
        tab.read("已完成憑證接受")
        tab.click("main .go")
        tab.see("location.pathname === '/organisation/certificates'")
        tab.read("有效")
        tab.click("form[action='/logout'] button")
        tab.see("document.querySelector('a[href=\"/login\"]') !== null && location.pathname === '/'")


# In Firefox the tests find no second window beside the agent's own page.
@pytest.mark.parametrize("tab", ["chromium"], indirect=True)
def test_holder_activates_a_card_accepts_its_certificates_and_suspends_them(
    start_agent: Start, xca_issued_card: CardFixture, database: Database, tab: Tab
) -> None:
    card = xca_issued_card
    agent = start_agent(card, trusted=(SITE,))
    with centre_of(card, agent, database) as origin:
        tab.go(f"{origin}/activate")
        tab.see("document.readyState === 'complete'")
        tab.click("[data-card-detect]")
        tab.see(f"document.querySelector('[data-fact=card]').innerText === '{card.number}'")
        assert "未開卡" in tab.now("document.querySelector('[data-fact=label]').innerText")
        tab.see("!document.querySelector('[data-card-go]').disabled")
        tab.click("[data-card-go]")
        window = tab.window()
        window.see(READY.replace("consent", "own-page"))
        window.click("[data-part=own-page-go]")
        with visiting(agent) as visitor:
            visitor.fill("/activate", card.user_code, PIN, again=PIN)
        # No centre.conf: the agent does not accept by itself.
        tab.see("!document.querySelector('[data-card-open]').hidden")
        assert card.state is IssuedCardState.ACTIVE
        tab.go(f"{origin}/login?next=/suspend-resume")
        log_in(tab, PIN)
        tab.see("location.pathname === '/login/done' && document.readyState === 'complete'")
        tab.click("form[action='/login/accept'] button")
        tab.read("已完成憑證接受")
        tab.click("main .go")
        tab.see("location.pathname === '/suspend-resume' && document.readyState === 'complete'")
        tab.click("main section.panel button")
        tab.see("location.pathname === '/suspend-resume/confirm' && document.readyState === 'complete'")
        tab.read("聯絡人會收到電子郵件通知")
        tab.click("main form button")
        tab.see("location.pathname === '/suspend-resume/done'")
        tab.read("停用")
    with database.read() as connection:
        (found,) = certificate_sets.of_card(connection, card.number)
    assert found.standing.state is CertificateState.HELD
