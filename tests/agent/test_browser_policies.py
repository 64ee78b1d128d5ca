# SPDX-License-Identifier: Apache-2.0
"""What docs/deploying.md hands out: policies of browsers, in Debian's own, and settings of the agent."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Playwright, Route
from websockets.sync.client import connect

from support.agent.agent_process import CHROMIUM, FLAGS
from support.agent.firefox import PREFERENCES, Connection
from xca_plugin.agent.process.settings import PagePin, Settings

pytestmark = pytest.mark.browser

POLICIES: Final = Path(__file__).parents[2] / "docs" / "policies"
LISTED, OTHER = "xcaweb.nat.gov.tw", "portal.example.gov.tw"
OPENS_A_WINDOW: Final = "<script>opened = open('about:blank', 'popup', 'width=300,height=300')</script>"

# The system's /etc, with a policy in it, for the browser alone.
_WITH_ETC: Final = """#!/bin/sh
exec unshare --mount --map-root-user sh -euc '
    mount -t overlay overlay -o "lowerdir=/etc,upperdir={folder}/etc,workdir={folder}/work" /etc
    exec "$@"
' sh {program} "$@"
"""


class _Answer(BaseHTTPRequestHandler):
    """A server on this computer, and the proxy that answers for every site."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(OPENS_A_WINDOW.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server on this computer."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


def _browser_with(policy: str, place: str, program: str, folder: Path) -> Path:
    """Return a program that starts a browser with a policy at a place in /etc."""
    (folder / "work").mkdir()
    target = folder / "etc" / place
    target.parent.mkdir(parents=True)
    target.write_text(policy, encoding="utf-8")
    script = folder / "browser"
    script.write_text(_WITH_ETC.format(folder=folder, program=shutil.which(program)))
    script.chmod(0o755)
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no overlay in a namespace here: {done.stderr.strip()}")
    return script


def test_chromium_policy_lets_listed_sites_alone_open_windows_and_reach_this_computer(
    tmp_path: Path, port: int, playwright: Playwright
) -> None:
    policy = (POLICIES / "chrome.json").read_text(encoding="utf-8")
    program = _browser_with(policy, "chromium/policies/managed/xca.json", CHROMIUM, tmp_path)

    def answer(route: Route) -> None:
        route.fulfill(body=OPENS_A_WINDOW, content_type="text/html")

    browser = playwright.chromium.launch(
        executable_path=program, args=[*FLAGS], ignore_default_args=["--disable-popup-blocking"]
    )
    for site, allowed in {LISTED: True, OTHER: False}.items():
        context = browser.new_context()
        context.route("https://**/*", answer)
        page = context.new_page()
        page.goto(f"https://{site}/")
        assert page.evaluate("opened !== null") is allowed, site
        reached = page.evaluate(f"fetch('http://localhost:{port}/').then(() => true, () => false)")
        assert reached is allowed, site
    browser.close()


@contextmanager
def _firefox(program: Path, folder: Path, proxy: int) -> Iterator[Connection]:
    profile = folder / "profile"
    profile.mkdir()
    preferences = PREFERENCES | {
        "remote.prefs.recommended": False,  # they allow every window
        "dom.disable_open_during_load": True,
        "dom.security.https_first": False,
        "network.proxy.type": 1,
        "network.proxy.http": "127.0.0.1",
        "network.proxy.http_port": proxy,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
    (profile / "user.js").write_text("\n".join(lines))
    process = subprocess.Popen(
        [program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"],
        env={"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        address = next(line.split()[-1] for line in process.stderr if "WebDriver BiDi listening" in line)
        with connect(f"{address}/session", max_size=None) as socket:
            yield Connection(socket)
    finally:
        process.kill()
        process.communicate()


def test_firefox_policy_lets_listed_sites_alone_open_windows(tmp_path: Path, port: int) -> None:
    # Over http, because the proxy has no certificate for these sites.
    policy = (POLICIES / "firefox.json").read_text(encoding="utf-8").replace("https://", "http://")
    program = _browser_with(policy, "firefox/policies/policies.json", "firefox-esr", tmp_path)
    with _firefox(program, tmp_path, port) as firefox:
        for site, opened in {LISTED: "[object Window]", OTHER: "null"}.items():
            with firefox.tab() as tab:
                tab.go(f"http://{site}/")
                assert tab.now("String(opened)") == opened, site


def test_policies_of_both_browsers_name_the_same_sites() -> None:
    listed = [*json.loads((POLICIES / "chrome.json").read_text())["PopupsAllowedForUrls"]]
    policies = json.loads((POLICIES / "firefox.json").read_text())["policies"]
    assert policies["PopupBlocking"]["Allow"] == listed
    assert [f"https://{site}" for site in policies["LocalNetworkAccess"]["SkipDomains"]] == listed


def test_deploying_settings_of_the_agent_win_over_the_persons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (POLICIES.parent / "deploying.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```ini\n(\[agent\]\n.*?)```", page, re.DOTALL)
    (tmp_path / "agent.conf").write_text(shown)
    (tmp_path / "xca").mkdir()
    own = tmp_path / "xca" / "agent.conf"
    own.write_text(
        "[agent]\npage_pin = accept\nallow = https://other.example\nblind = https://other.example\n"
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings = Settings.load(system_file=tmp_path / "agent.conf")
    assert settings.page_pin is PagePin.ASK
    assert settings.allowed == {"https://documents.example.gov.tw"}
    assert settings.blind == frozenset()


def test_example_of_the_debian_package_has_every_setting_and_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = POLICIES.parents[1] / "packaging" / "debian" / "etc" / "agent.conf.example"
    settings = re.sub(r"^;(?=\S)", "", example.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (tmp_path / "agent.conf").write_text(settings)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    taken = Settings.load(system_file=tmp_path / "agent.conf")
    assert taken.allowed == {"https://example.gov.tw", "http://intranet.example"}
    described = re.findall(
        r"^\| `([a-z_]+)` \|", (POLICIES.parent / "agent.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {*re.findall(r"^(\w+) =", settings, re.MULTILINE)} == {*described}
