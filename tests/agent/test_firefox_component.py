# SPDX-License-Identifier: Apache-2.0
"""A web site uses the card in Firefox."""

import json
from pathlib import Path

import pytest

from softhsm.held import HeldCard
from support.agent.agent_process import Agent, trust
from support.agent.component_client import verify
from support.agent.firefox import firefox
from support.agent.web_sites import site

pytestmark = pytest.mark.browser


def test_a_site_asks_and_signs(shared: Agent, active_card: HeldCard, tmp_path: Path) -> None:
    with site() as origin, firefox(tmp_path / "firefox") as tab:
        trust(shared, origin)
        tab.go(f"{origin}/?agent={shared.url}")
        tab.see("information().then((told) => { window.told = JSON.stringify(told); }) && true")
        told = json.loads(tab.see("window.told"))
        assert told["slots"][0]["token"]["serialNumber"] == active_card.number
        request = {"func": "MakeSignature", "tbs": "contract-4711", "pin": active_card.pin}
        tab.see(f"ask('/ChtPopupForm', {json.dumps(request)}) ?? true")
        tab.click("#go")
        window = tab.window()
        assert "contract-4711" in window.see("document.getElementById('facts')?.textContent")
        window.see("document.getElementById('agree').ariaDisabled === 'false'")
        window.click("#agree")
        verify(json.loads(tab.see("JSON.stringify(answers[0])")), "SHA256", b"contract-4711", tmp_path)


def test_the_button_is_pressed_again_while_the_window_asks(
    shared: Agent, active_card: HeldCard, tmp_path: Path
) -> None:
    """The vendor's library leads the same window to its new request, which no other answer may come before.

    Not in Chromium: there Playwright lets every page think that it is in front.
    """
    with site() as origin, firefox(tmp_path / "firefox") as tab:
        trust(shared, origin)
        tab.go(f"{origin}/?agent={shared.url}")
        request = {"func": "MakeSignature", "tbs": "contract-4711", "pin": active_card.pin}
        tab.see(f"ask('/ChtPopupForm', {json.dumps(request)}) ?? true")
        tab.click("#go")
        window = tab.window()
        window.see("document.getElementById('consent')?.hidden === false")
        tab.bring_to_front()
        window.see("!document.hasFocus()")
        tab.see("ask('/ChtPopupForm', {func: 'CheckEnvir'}) ?? true")
        tab.click("#go")
        assert tab.see("answers[0]?.func") == "pkcs11info"
