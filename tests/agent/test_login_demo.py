# SPDX-License-Identifier: Apache-2.0
"""The demonstration of a login: a command, a test card, a browser, and a page that shows what was checked."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agent.agent_process import SECONDS, until
from support.agent.browser_tab import Tab
from support.inherited import INHERITED

pytestmark = pytest.mark.browser

BUTTON = "[data-xca-login]"
READY = (
    "document.querySelector('[data-part=consent]')?.hidden === false && document.hasFocus()"
    " && !document.body.classList.contains('fitting')"
)
AGREES = "document.querySelector('[data-consent-delay]').ariaDisabled === 'false'"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The command, with a home and a folder for temporary files of its own."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-c", "from xca_login.cli import main; main()", "demo", "--no-browser"],
        env={**inherited, "LANG": "C.UTF-8", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait(SECONDS)
    process.communicate()


def agree(tab: Tab, pin: str) -> None:
    """Type the PIN into the window that the page opened, and agree."""
    window = tab.window()
    window.see(READY)
    window.type(pin)
    window.see(AGREES)
    window.press("Enter")


def test_demo_shows_what_was_checked_at_a_login_registers_the_key_and_leaves_nothing_behind(
    demo: "subprocess.Popen[str]", tab: Tab, tmp_path: Path
) -> None:
    assert demo.stdout is not None
    lines = iter(demo.stdout.readline, "")
    said = next((line for line in lines if "http://" in line), "it does not start")
    found = re.search(r"http://127\.0\.0\.1:\d+/", said)
    assert found, said
    tab.go(f"{found[0]}?lang=en")
    tab.see("document.readyState === 'complete'")
    pin = tab.now("document.querySelector('ol').innerText.match(/\\b\\d{8}\\b/)[0]")
    tab.click(BUTTON)
    agree(tab, pin)
    tab.see("document.querySelector('table') || document.querySelector('output')?.innerText")
    page = tab.now("document.querySelector('main').innerText")
    for expected in (
        "國立臺灣大學",
        "2.16.886.111.100000",
        "list number",
        "does not name",
        "the same account",
    ):
        assert expected in page
    command = re.search("xca-login (verify-evidence .*json)", page)
    assert command, page
    arguments = command[1].split()
    again = subprocess.run(
        [sys.executable, "-c", "from xca_login.cli import main; main()", "--lang", "en", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert "The login is proved." in again.stdout
    tab.click("[data-xca-register]")
    tab.read("not yet")
    tab.click("[data-open]")
    agree(tab, pin)
    tab.read("This was encrypted to 國立臺灣大學 without the card", "output")
    tab.click("[data-xca-prove]")
    agree(tab, pin)
    tab.see("!document.body.innerText.includes('not yet') && document.querySelector('[data-log-out]')")
    tab.click("nav a")
    tab.see("document.documentElement.lang === 'zh-TW' && document.querySelector('[data-log-out]')")
    tab.read("加密用公開金鑰")
    tab.read("附卡")
    tab.click("[data-log-out]")
    tab.see(f"document.querySelector('{BUTTON}')")
    tab.now("(history.back(), true)")
    tab.see(f"document.documentElement.lang === 'en' && document.querySelector('{BUTTON}')")
    assert "國立臺灣大學" not in tab.now("document.body.innerText")
    demo.send_signal(signal.SIGINT)
    assert demo.wait(SECONDS) == 0
    until(lambda: not list(tmp_path.glob("xca-scratch-*")))
