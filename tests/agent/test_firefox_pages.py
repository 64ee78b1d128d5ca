# SPDX-License-Identifier: Apache-2.0
"""The agent's own pages in Firefox."""

from pathlib import Path

import pytest

from softhsm import State
from softhsm.held import HeldCard
from support.agent.agent_process import Start
from support.agent.firefox import ENTER, TAB, firefox
from support.agent.page_visitor import WRONG

pytestmark = pytest.mark.browser

NEW_PIN = "5g8!Rw2"
OUTCOME = """document.activeElement?.id === "outcome" && document.activeElement.innerText.includes("{}")"""


def test_the_activation_by_hand(start_agent: Start, xca_issued_card: HeldCard, tmp_path: Path) -> None:
    agent, card = start_agent(xca_issued_card), xca_issued_card
    with firefox(tmp_path / "firefox") as browser:
        browser.go(f"{agent.url}/activate")
        browser.click("#asked")
        browser.type(f"short{ENTER}")
        assert "6~10碼" in browser.see("document.querySelector('#asked-error').innerText")
        browser.click("[type=reset]")
        browser.type(f"{WRONG[0]}{TAB}{TAB}{NEW_PIN}{ENTER}")
        browser.see(OUTCOME.format("還可再試2次"))
        browser.click("#asked")
        browser.type(f"{card.user_code}{TAB}{TAB}{NEW_PIN}{ENTER}")
        browser.see(OUTCOME.format("開卡成功"))
        assert card.state is State.ACTIVE
