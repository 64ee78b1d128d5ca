# SPDX-License-Identifier: Apache-2.0
"""xca-login demo, where a program of xca-plugin is missing or fails; and its pages, without a browser."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from softhsm.commands import softhsm_card
from support.login_http import Answer, Browser, posted, wsgi_site
from support.login_site import Desk
from xca_common.pki import profile
from xca_common.taipei import moment
from xca_login import RegisteredKeys
from xca_login.commands import xca_login
from xca_login.demo.site import DemoSite
from xca_login.errors import RecipientNotAccepted
from xca_login.testing.issuer import revocation_list
from xca_login.testing.parties import NOW, Party, encryption, holder, opened
from xca_login.testing.tokens import origin, sign
from xca_login.trust import TrustFolder

pytestmark = pytest.mark.fast

ORIGIN = "http://127.0.0.1:8000"


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, programs: Callable[[str], str | None]) -> Result:
    monkeypatch.setattr("xca_login.demo.programs.shutil.which", lambda name, path=None: programs(name))
    monkeypatch.setenv("TMPDIR", str(folder))
    return CliRunner().invoke(xca_login, ["demo", "--no-browser"], env={"LANGUAGE": "en"})


def test_demo_without_the_programs_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(monkeypatch, tmp_path, lambda name: None)
    assert done.exit_code == 1
    assert "The program softhsm-card is not installed." in done.stderr
    assert "xca-plugin with its extra agent" in done.stderr
    assert not list(tmp_path.iterdir())


def test_demo_whose_program_fails_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\nprintf 'no SoftHSM\\033[2J here\\n' >&2\nexit 1\n", encoding="utf-8")
    failing.chmod(0o700)
    done = run(monkeypatch, tmp_path, lambda name: str(failing))
    assert done.exit_code == 1
    assert "The program softhsm-card init failed: no SoftHSM" in done.stderr
    assert "\033" not in done.stderr
    assert list(tmp_path.iterdir()) == [failing]


def test_demo_where_no_browser_opens_says_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    opener = tmp_path / "xdg-open"
    opener.write_text("#!/bin/sh\necho none here >&2\nexit 3\n", encoding="utf-8")
    opener.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("xca_login.demo.run", lambda tell, show: show(ORIGIN))
    done = CliRunner().invoke(xca_login, ["demo"], env={"LANGUAGE": "en"})
    assert done.exit_code == 0
    assert done.stderr == "No browser was found. Open that address in one yourself.\n"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("program", [xca_login, softhsm_card], ids=lambda program: str(program.name))
def test_program_tells_its_version_and_its_help(program: click.Group) -> None:
    version = CliRunner(env={"LANGUAGE": "en"}).invoke(program, ["--version"], prog_name="it").output
    assert re.fullmatch(r"it, version \d+\.\d+\.\d+\n", version)
    pages = {CliRunner().invoke(program, [word]).output for word in ("-h", "--help", "help")}
    assert len(pages) == 1


@pytest.mark.parametrize("option", ["--port", "--workers"])
def test_number_out_of_its_range_is_told_in_words(option: str) -> None:
    done = CliRunner().invoke(xca_login, ["oidc", "it.toml", option, "99999"], env={"LANGUAGE": "en"})
    assert (done.exit_code, f"'{option}': Give a whole number from 1 to" in done.stderr) == (2, True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> DemoSite:
    desk = Desk()
    folder = tmp_path_factory.mktemp("demo")
    (folder / "ca").mkdir()
    (folder / "ca" / "ca.pem").write_bytes(desk.ca.pem)
    trust = TrustFolder(folder / "ca")
    return DemoSite(ORIGIN, "http://localhost:61161", trust, [], folder / "evidence", "12345678")


@dataclass
class Trial:
    """A visit of the demonstration with a card, without the local component.

    Attributes:
        browser: at the demonstration's site.
        card, cert2: the card's certificates.
    """

    browser: Browser
    card: Party
    cert2: Party

    def log_in(self) -> Answer:
        statement = self.browser.ask("POST", "/login/begin").json["statement"].encode()
        token = sign(self.card, statement, more=[origin(self.browser.origin)])
        return self.browser.ask("POST", "/login/finish", posted(token))

    def register(self) -> Answer:
        named = {"signing": self.card, "encryption": self.cert2}
        body = {name: base64.b64encode(one.der).decode() for name, one in named.items()}
        return self.browser.ask("POST", "/login/register", json.dumps(body).encode())

    def page(self) -> str:
        return self.browser.ask("GET", "/?lang=en").body.decode()


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    desk = Desk()
    (tmp_path / "ca").mkdir()
    for name, one in (("root", desk.root), ("ca", desk.ca)):
        (tmp_path / "ca" / f"{name}.pem").write_bytes(one.pem)
    trust, lists = TrustFolder(tmp_path / "ca"), [revocation_list(desk.ca, 7)]
    card = holder(desk.ca, policy=profile.TEST_POLICY)
    cert2 = encryption(card, desk.ca, policy=profile.TEST_POLICY)
    component, evidence = "http://localhost:61161", tmp_path / "evidence"
    with wsgi_site(lambda own: DemoSite(own, component, trust, lists, evidence, "12345678")) as at:
        yield Trial(Browser(at), card, cert2)


def test_demo_shows_what_was_checked_at_a_login(trial: Trial) -> None:
    assert trial.log_in().status == 200
    page = trial.page()
    serial = format(trial.card.certificate.serial_number, "x")
    for expected in (
        "a school",
        "2.16.886.111.100000",
        "secondary card",
        "SHA256, RSA with 2048 bits",
        "O=ca, below O=root",
        f"list number 7 of {moment(NOW)}",
        serial,
        f"signed it: {trial.browser.origin}",
        "the same account",
        "xca-login verify-evidence --trust ",
    ):
        assert expected in page
    assert "以卡片登入" not in page
    assert trial.browser.ask("POST", "/login/logout").status == 204
    assert "Log in with the card" in trial.page()


def test_demo_encrypts_to_the_key_that_the_card_registers(trial: Trial) -> None:
    trial.log_in()
    assert "data-xca-register=" in trial.page()
    assert trial.register().status == 200
    page = trial.page()
    assert "data-xca-register=" not in page
    envelope = re.search('data-open="([^"]+)"', page)
    assert envelope is not None
    said = opened(trial.cert2, base64.b64decode(envelope[1])).decode()
    assert said == "This was encrypted to a school without the card, and only the card opens it."


def test_demo_encrypts_nothing_to_a_key_that_has_expired(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.log_in()
    trial.register()
    refused = RecipientNotAccepted(holder="a school", reason="certificate_expired")

    def refuse(*_: object) -> None:
        raise refused

    monkeypatch.setattr(RegisteredKeys, "encrypt", refuse)
    page = trial.page()
    assert escape(refused.message("en")) in page
    assert "data-open=" not in page


def test_demo_runs_a_card_a_component_and_a_site_until_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def browser(address: str) -> bool:
        seen.append(httpx.get(address, timeout=60).text)
        raise KeyboardInterrupt

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("xca_login.commands.open_address", browser)
    done = CliRunner().invoke(xca_login, ["demo"], env={"LANGUAGE": "en"})
    assert done.exit_code == 0, done.output
    assert "Issuing and activating a test card" in done.stdout
    (page,) = seen
    assert re.search(r"data-component=\"http://localhost:\d+\"", page)
    assert list(tmp_path.iterdir()) == []


def ask(site: DemoSite, path: str, host: str = "127.0.0.1:8000", **more: str) -> tuple[str, str]:
    status: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "HTTP_HOST": host,
        "wsgi.input": BytesIO(),
        **more,
    }
    body: Iterable[bytes] = site(environ, lambda code, *_: status.append(code))  # type: ignore[arg-type]
    return status[0], b"".join(body).decode("utf-8")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "以卡片登入"),
        ({"HTTP_ACCEPT_LANGUAGE": "de, en-GB;q=0.8"}, "Log in with the card"),
        ({"HTTP_ACCEPT_LANGUAGE": "en", "QUERY_STRING": "lang=zh_TW"}, "以卡片登入"),
        ({"QUERY_STRING": "lang=en"}, "Log in with the card"),
        ({"QUERY_STRING": "lang=en&a&b&c&d"}, "Log in with the card"),
    ],
)
def test_page_of_the_demo_is_in_the_persons_language(
    site: DemoSite, more: dict[str, str], expected: str
) -> None:
    status, page = ask(site, "/", **more)
    assert status == "200 OK"
    assert expected in page
    assert "12345678" in page


def test_page_of_the_demo_is_not_shown_under_another_name(site: DemoSite) -> None:
    assert ask(site, "/", host="evil.example") == ("421 Misdirected Request", "")


@pytest.mark.parametrize("path", ["/demo.css", "/demo.js", "/login/xca-login.js"])
def test_files_of_the_demo_are_served(site: DemoSite, path: str) -> None:
    assert ask(site, path)[0] == "200 OK"
    assert ask(site, path + "x")[0].startswith("404")
