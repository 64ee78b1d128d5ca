# SPDX-License-Identifier: Apache-2.0
"""The agent as a process: starting, stopping, its settings and its service."""

import fcntl
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pexpect
import psutil
import pytest
from click.testing import CliRunner

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import SECONDS, Agent, Start, configure, running, until
from support.agent.component_client import SITE, SiteClient
from support.agent.systemd import systemd
from support.agent.web_sites import site
from xca_plugin.agent.component.trusted_sites import TrustedSites
from xca_plugin.agent.process.service import stop
from xca_plugin.agent.process.settings import LogLevel, LogPlace, PagePin, Settings
from xca_plugin.agent_port import PORT, check_free
from xca_plugin.cli.root import xcactl as commands
from xca_plugin.errors import BadAgentConfiguration, PortTaken

FIELDS = ("site", "token")
UNIT = "xca-agent.service"
XCACTL = [sys.executable, "-m", "xca_plugin.cli", "--lang", "en"]


def xcactl(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*XCACTL, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


# --- running


def test_status_of_a_port_names_the_program_on_it(agent: Agent, tmp_path: Path) -> None:
    done = xcactl(tmp_path, "agent", "status", "--port", str(agent.port))
    assert done.returncode == 0
    assert "It runs: version" in done.stdout
    assert f"at {agent.url}/" in done.stdout
    again = xcactl(tmp_path, "agent", "run", "--port", str(agent.port))
    assert again.returncode == 86
    assert (
        f"It is the agent, and it runs already. Its home page: http://localhost:{agent.port}/" in again.stderr
    )
    with socket.socket() as silent:  # it has the port, and does not listen there
        silent.bind(("127.0.0.1", 0))
        done = xcactl(tmp_path, "agent", "status", "--port", str(silent.getsockname()[1]))
    assert done.returncode == 90
    with site() as origin:
        done = xcactl(tmp_path, "agent", "status", "--port", origin.rpartition(":")[2])
    assert done.returncode == 86
    assert f"(process {os.getpid()})" in done.stderr


def test_run_on_a_taken_port_fails_and_names_the_program(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = xcactl(tmp_path, "agent", "run", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 86
    assert f"(process {os.getpid()})" in done.stderr


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_agent_with_a_signal_ends_silently(
    start_agent: Start, xca_active_card: CardFixture, ending: int
) -> None:
    agent = start_agent(xca_active_card)
    agent.process.send_signal(ending)
    assert agent.process.wait(SECONDS) in (0, -signal.SIGTERM)
    assert agent.log == ""


def test_cards_issued_while_the_agent_runs_are_listed(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    from softhsm import issue, remove

    asking = SiteClient(start_agent(xca_active_card, trusted=(SITE,)))

    def numbers() -> set[str]:
        slots = asking.get("/pkcs11info").json()["slots"]
        return {slot["token"]["serialNumber"] for slot in slots if slot["token"]}

    assert numbers() == {xca_active_card.number}
    second = issue(xca_active_card.environment, "Kp-4tzQ9w").number
    assert numbers() == {xca_active_card.number, second}
    remove(xca_active_card.environment, second)
    assert numbers() == {xca_active_card.number}


def test_run_without_the_extra_names_what_to_install(tmp_path: Path) -> None:
    without = "import sys; sys.modules['uvicorn'] = None; sys.argv = ['xcactl', 'agent', 'run']; "
    done = subprocess.run(
        [sys.executable, "-c", f"{without}from xca_plugin.cli import main; main()"],
        env={"HOME": str(tmp_path), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 85
    assert f"{sys.executable} -m pip install --force-reinstall 'pillow" in done.stderr  # they are there


# --- its configuration


def test_settings_in_both_files_take_the_persons_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    system = tmp_path / "agent.conf"
    assert Settings.load(system_file=system).page_pin is PagePin.ACCEPT
    system.write_text(f"[agent]\npage_pin = ask\nallow = {SITE}\n  https://b.example\n")
    assert Settings.load(system_file=system).allowed == {SITE, "https://b.example"}
    assert Settings.load(system_file=system).page_pin is PagePin.ASK
    configure(tmp_path, page_pin="accept")
    assert Settings.load(system_file=system).page_pin is PagePin.ACCEPT
    assert Settings.load(system_file=system).allowed == {SITE, "https://b.example"}


@pytest.mark.parametrize(
    "text",
    [
        "page_pin = ask",
        "[agent]\npage_pin = perhaps",
        "[agent]\npin = ask",
        "[agents]\npage_pin = ask",
        "[agent]\nallow = *.gov.tw",
        "[agent]\nallow = https://a.example/path",
        "[agent]\nallow = http://a.example",
        "[agent]\nallow = http://a.example\nallow_unencrypted = http://b.example",
        "[agent]\nallow = https://a.example\nallow_unencrypted = https://a.example",
        "[agent]\nallow_unencrypted = http://a.example",
        "[agent]\nenforce = page_pin, allow",
        "[agent]\nenforce = enforce",
        "[agent]\nlog = agent.log",
        "[agent]\nlog_level = debug",
        "\xff",
    ],
)
def test_settings_with_unknown_content_are_refused(text: str, tmp_path: Path) -> None:
    system = tmp_path / "agent.conf"
    system.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadAgentConfiguration):
        Settings.load(system_file=system)


def test_settings_that_the_administrator_enforces_take_the_administrators_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    system = tmp_path / "agent.conf"
    configure(tmp_path, page_pin="accept", allow="https://own.example", log_level="info", log="syslog")
    system.write_text(f"[agent]\nenforce = page_pin allow\n  log\npage_pin = ask\nallow = {SITE}\n")
    settings = Settings.load(system_file=system)
    assert settings.page_pin is PagePin.ASK
    assert settings.allowed == {SITE}
    assert settings.log is LogPlace.STDERR  # what is enforced and not set has its default
    assert settings.log_level is LogLevel.INFO
    configure(tmp_path, enforce="allow")
    with pytest.raises(BadAgentConfiguration, match="only the administrator's file"):
        Settings.load(system_file=system)


def test_settings_with_an_unencrypted_site_named_twice_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    system = tmp_path / "agent.conf"
    unencrypted = "http://intranet.example"
    system.write_text(f"[agent]\nallow = {SITE} {unencrypted}\nallow_unencrypted = {unencrypted}\n")
    assert Settings.load(system_file=system).allowed == {SITE, unencrypted}
    # It is named twice in one file: a second file cannot complete what the first left out.
    system.write_text(f"[agent]\nallow = {unencrypted}\n")
    configure(tmp_path, allow=unencrypted, allow_unencrypted=unencrypted)
    with pytest.raises(BadAgentConfiguration, match="allow_unencrypted as well"):
        Settings.load(system_file=system)


def test_settings_that_enforce_encryption_refuse_the_persons_unencrypted_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    system = tmp_path / "agent.conf"
    unencrypted, own = "http://intranet.example", "http://own.example"
    configure(tmp_path, allow=own, allow_unencrypted=own)
    system.write_text("[agent]\nenforce = allow_unencrypted\n")
    with pytest.raises(BadAgentConfiguration, match=own):
        Settings.load(system_file=system)
    # An enforced list of sites brings its own unencrypted ones.
    system.write_text(f"[agent]\nenforce = allow\nallow = {unencrypted}\nallow_unencrypted = {unencrypted}\n")
    assert Settings.load(system_file=system).allowed == {unencrypted}


@pytest.mark.parametrize(
    ("site", "fault"),
    [
        ("portal.example.gov.tw", "neither https:// nor http://"),
        ("https://*.gov.tw", "* has no meaning"),
        ("https://me@portal.example", "a user name"),
        ("https://portal.example/login", "follows the host and port: /login"),
        ("https://portal.example/", "follows the host and port: /"),
        ("https://例子.tw", "xn--"),
        ("https://Portal.example", "capital letters"),
        ("https://portal.example:443", "the usual port, 443"),
        ("https://portal.example:70000", "70000 is no port"),
        ("https://-portal.example", "-portal.example is no name"),
    ],
)
def test_settings_with_a_bad_origin_say_what_is_wrong(
    site: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("LANGUAGE", "en")
    system = tmp_path / "agent.conf"
    system.write_text(f"[agent]\nallow = {site}\n", encoding="utf-8")
    with pytest.raises(BadAgentConfiguration, match=re.escape(site)) as refused:
        Settings.load(system_file=system)
    assert fault in refused.value.message("en")


# --- its log


def test_log_at_info_names_who_asked_for_what_and_no_content(
    start_agent: Start, xca_active_card: CardFixture, tmp_path: Path
) -> None:
    file = tmp_path / "logs" / "agent.log"
    agent = start_agent(xca_active_card, allow=SITE, log=str(file), log_level="info")
    asking = SiteClient(agent)
    tbs = "contract-4711"
    asking.post("/sign", {"tbs": tbs, "pin": xca_active_card.pin})
    asking.post("/sign", {"tbs": tbs, "pin": "wrong-1"})
    asking.popup({"func": "makeCsr"})
    SiteClient(agent, "https://evil.example").post("/CardManagement/sendCardCommand", {"func": "<b>"})
    lines = file.read_text(encoding="utf-8").splitlines()
    said = [line.partition("site=")[2] for line in lines]
    by = f"by={Path('/proc/self/comm').read_text().strip()} ({os.getpid()})"
    assert said == [
        f"{SITE} {by} what=sign agreed=no result=OK",
        f"{SITE} {by} what=sign agreed=no result=LOGIN_FAILED/TWO_TRIES_LEFT",
        f"{SITE} {by} what=csr agreed=no result=the window asks",
        f"https://evil.example {by} what=something else agreed=no result=NOT_TRUSTED",
    ]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+08:00 INFO ", line) for line in lines)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for secret in (tbs, str(xca_active_card.pin), "wrong-1", xca_active_card.number):
        assert secret not in file.read_text(encoding="utf-8")
    file.rename(file.with_suffix(".old"))  # as programs that rotate logs do
    asking.get("/pkcs11info")
    assert "what=pkcs11info" in file.read_text(encoding="utf-8")
    assert agent.log == ""


def test_log_at_its_default_level_holds_no_request(allowed: SiteClient) -> None:
    allowed.get("/pkcs11info")
    assert "what=" not in allowed.agent.log


@pytest.mark.parametrize("place", ["a folder", "a pipe"])
def test_log_that_is_no_file_is_refused(place: str, tmp_path: Path) -> None:
    log = tmp_path / place
    log.mkdir() if place == "a folder" else os.mkfifo(log)
    configure(tmp_path, log=str(log))
    done = xcactl(tmp_path, "agent", "run", "--port", "0")
    assert done.returncode == 63
    assert str(log) in done.stderr


# --- two agents


def test_sites_added_by_two_agents_at_once_are_all_kept(tmp_path: Path) -> None:
    settings = Settings(0, PagePin.ACCEPT, frozenset(), tmp_path / "trusted-sites")
    sites = [f"https://{number}.example" for number in range(24)]

    def add(one: int) -> None:
        agent = TrustedSites(settings)
        for origin in sites[one::4]:
            agent.add(origin)

    with ThreadPoolExecutor() as threads:
        list(threads.map(add, range(4)))
    assert sorted(settings.trusted_sites.read_text().split()) == sorted(sites)


def test_site_removed_leaves_the_other_lines_as_they_are(tmp_path: Path) -> None:
    settings = Settings(0, PagePin.ACCEPT, frozenset(), tmp_path / "trusted-sites")
    others = f"# {SITE} is ours\r\n\nhttps://a.example\n{SITE}.evil.example\n".encode()
    settings.trusted_sites.write_bytes(others + f" {SITE}\n{SITE}".encode())
    sites = TrustedSites(settings)
    assert sites.trusts(SITE)
    sites.remove(SITE)
    assert not sites.trusts(SITE)
    assert settings.trusted_sites.read_bytes() == others
    sites.remove(SITE)


def test_site_in_a_comment_is_not_trusted(tmp_path: Path) -> None:
    settings = Settings(0, PagePin.ACCEPT, frozenset(), tmp_path / "trusted-sites")
    settings.trusted_sites.write_text(f"# {SITE} until next year\nhttps://a.example {SITE}\n")
    assert not TrustedSites(settings).trusts(SITE)


def test_run_with_bad_settings_fails_and_names_the_file(tmp_path: Path) -> None:
    configure(tmp_path, page_pin="perhaps")
    for command in (("run", "--port", "0"), ("install",)):
        done = xcactl(tmp_path, "agent", *command)
        assert done.returncode == 87
        assert "agent.conf" in done.stderr


# --- starting by itself


@pytest.mark.skipif(os.getuid() != 0, reason="only root can have a systemd for itself")
def test_install_with_systemd_starts_and_restarts_the_agent(
    xca_active_card: CardFixture, tmp_path: Path
) -> None:
    card = xca_active_card.copy(tmp_path / "a card")  # whose path the unit has to quote
    with systemd(tmp_path) as inside:

        def agent(command: str) -> "subprocess.CompletedProcess[str]":
            return inside(*XCACTL, "agent", command, **card.variables)

        def page() -> str:
            return inside("curl", "--silent", "http://localhost:61161/").stdout

        def main_process() -> str:
            return inside("systemctl", "--user", "show", "--property=MainPID", "--value", UNIT).stdout.strip()

        for _ in range(2):  # again renews it
            done = agent("install")
            assert done.returncode == 0, done.stderr
            assert card.number in page()
        status = agent("status").stdout
        assert str(tmp_path / ".config/systemd/user" / UNIT) in status
        assert "It runs: version" in status
        first = main_process()
        inside("kill", "-KILL", first)
        until(lambda: main_process() not in ("0", first) and card.number in page())
        done = agent("stop")
        assert (done.returncode, "xcactl agent uninstall" in done.stdout) == (0, True), done.stderr
        assert main_process() == "0"
        assert agent("install").returncode == 0
        assert agent("uninstall").returncode == 0
        assert agent("status").returncode == 90
        again = agent("uninstall")
        assert (again.returncode, "was not set up to start by itself." in again.stdout) == (0, True)
        # Where another program has the port, nothing is set up.
        inside("systemd-run", "--user", "python3", "-m", "http.server", "--bind", "127.0.0.1", "61161")
        until(lambda: page() != "")
        done = agent("install")
        assert done.returncode == 86
        assert "taken by python3 (process" in done.stderr
        assert not list(tmp_path.glob(f".config/**/{UNIT}"))


@pytest.fixture
def no_systemd(tmp_path: Path) -> dict[str, str]:
    """The variables of a system without systemd."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "systemctl").symlink_to("/bin/false")
    return {"PATH": f"{folder}:/bin:/usr/bin"}


@pytest.fixture
def sites_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the port that web sites know for one test at a time; skip where another program has it."""
    with (tmp_path_factory.getbasetemp().parent / "sites-port").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            check_free(PORT)
        except PortTaken as taken:  # by the agent of whoever runs the tests
            pytest.skip(taken.message("en"))
        try:
            yield
        finally:
            stop(PORT)  # what the test installed, if it did not uninstall it


@pytest.mark.usefixtures("sites_port")
def test_install_without_systemd_writes_an_autostart_entry(
    no_systemd: dict[str, str], tmp_path: Path
) -> None:
    variables = {**no_systemd, "XCA_PKCS11_CONF": "/home/a person/x.conf"}
    done = xcactl(tmp_path, "agent", "install", **variables)
    assert done.returncode == 0, done.stderr
    entry = tmp_path / ".config/autostart/xca-agent.desktop"
    (command,) = [line for line in entry.read_text().splitlines() if line.startswith("Exec=")]
    words = shlex.split(command.removeprefix("Exec="))
    assert xcactl(tmp_path, "agent", "status", **variables).returncode == 0
    assert words[:2] == ["env", "XCA_PKCS11_CONF=/home/a person/x.conf"]
    assert subprocess.run([*words, "--help"], capture_output=True).returncode == 0
    assert xcactl(tmp_path, "agent", "stop", **variables).returncode == 0
    status = xcactl(tmp_path, "agent", "status", **variables)
    assert (status.returncode, "Start it now: xcactl agent open\n" in status.stderr) == (90, True)
    assert xcactl(tmp_path, "agent", "install", **variables).returncode == 0
    assert xcactl(tmp_path, "agent", "uninstall", **variables).returncode == 0
    assert not entry.exists()
    assert xcactl(tmp_path, "agent", "status", **variables).returncode == 90


def test_open_starts_the_agent_once_and_shows_its_home_page(
    no_systemd: dict[str, str], tmp_path: Path, free_port: int
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "bin" / "xdg-open"
    browser.write_text(f'#!/bin/sh\necho "$1" >>{opened}\n')
    browser.chmod(0o755)
    address = f"http://localhost:{free_port}/"
    agents = set()
    try:
        for _ in range(2):
            done = xcactl(tmp_path, "agent", "open", "--port", str(free_port), **no_systemd)
            assert (done.returncode, done.stdout.split("\n")[0]) == (0, f"Opening {address}"), done.stderr
            assert f"xcactl agent stop --port {free_port}\n" in done.stdout
            agents |= {
                each.pid
                for each in psutil.net_connections("tcp")
                if each.pid and each.status == "LISTEN" and each.laddr and each.laddr.port == free_port
            }
            assert httpx.get(address, timeout=SECONDS).status_code == 200
        (tmp_path / "bin" / "xdg-open").write_text("#!/bin/sh\necho none here >&2\nexit 3\n")
        done = xcactl(tmp_path, "agent", "open", "--port", str(free_port), **no_systemd)
        assert done.stderr == "No browser was found. Open that address in one yourself.\n"
    finally:
        for pid in agents:
            os.kill(pid, signal.SIGTERM)
    assert len(agents) == 1
    until(lambda: opened.exists() and opened.read_text().split() == [address] * 2)


def test_stop_ends_the_agent_however_it_was_started(
    start_agent: Start, xca_active_card: CardFixture, no_systemd: dict[str, str], tmp_path: Path
) -> None:
    agent = start_agent(xca_active_card)
    port = ("--port", str(agent.port))
    done = xcactl(tmp_path, "agent", "stop", *port, **no_systemd)
    assert (done.returncode, done.stdout) == (0, "The agent was stopped.\n"), done.stderr
    assert agent.process.wait(SECONDS) in (0, -signal.SIGTERM)
    done = xcactl(tmp_path, "agent", "stop", *port, **no_systemd)
    assert (done.returncode, "nothing was changed" in done.stdout) == (0, True), done.stderr
    in_chinese = CliRunner(env={"LANGUAGE": "zh_TW"}).invoke(commands, ["agent", "stop", *port])
    assert "未做任何變更" in in_chinese.stdout


def test_stop_leaves_alone_what_only_answers_like_the_agent(
    no_systemd: dict[str, str], tmp_path: Path
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Agent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        done = xcactl(tmp_path, "agent", "stop", "--port", str(port), **no_systemd)
        server.shutdown()
    assert done.returncode == 86
    assert f"(process {os.getpid()})" in done.stderr


def test_stop_leaves_alone_the_agent_of_another_user(
    start_agent: Start, xca_active_card: CardFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = start_agent(xca_active_card)
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    done = CliRunner(env={"LANGUAGE": "en"}).invoke(commands, ["agent", "stop", "--port", str(agent.port)])
    assert (done.exit_code, f"xca-agent (process {agent.process.pid})" in done.stderr) == (86, True)
    assert agent.process.poll() is None


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "End it with Ctrl-C, or from elsewhere: "), ("zh_TW", "要結束請按 Ctrl-C，或在其他終端機執行：")],
)
def test_run_in_a_terminal_says_how_it_ends(tmp_path: Path, language: str, words: str) -> None:
    talk = pexpect.spawn(
        sys.executable,
        ["-m", "xca_plugin.cli", "--lang", language, "agent", "run", "--port", "0"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"},
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(24, 200),
    )
    talk.expect_exact(f"{words}xcactl agent stop --port ")
    talk.sendintr()
    talk.expect(pexpect.EOF)
    talk.close()
    assert talk.exitstatus == 0


@pytest.mark.parametrize("command", ["open", "status", "stop"])
def test_port_that_is_only_to_be_taken_is_refused_elsewhere(command: str) -> None:
    done = CliRunner(env={"LANGUAGE": "en"}).invoke(commands, ["agent", command, "--port", "0"])
    assert (done.exit_code, "Give a whole number from 1 to 65535, not 0." in done.stderr) == (2, True), (
        done.stderr
    )


def test_next_step_names_the_port_that_was_asked(free_port: int) -> None:
    done = CliRunner(env={"LANGUAGE": "en"}).invoke(commands, ["agent", "status", "--port", str(free_port)])
    assert f"Start it at that port: xcactl agent run --port {free_port}\n" in done.stderr


def test_open_on_a_taken_port_names_who_has_it(no_systemd: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = xcactl(tmp_path, "agent", "open", "--port", str(port), **no_systemd)
    assert done.returncode == 86
    assert f"(process {os.getpid()})" in done.stderr


@pytest.mark.usefixtures("sites_port")
def test_install_without_systemd_on_a_taken_port_sets_up_nothing(
    no_systemd: dict[str, str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", PORT)):
        done = xcactl(tmp_path, "agent", "install", **no_systemd)
    assert done.returncode == 86
    assert f"(process {os.getpid()})" in done.stderr
    assert not (tmp_path / ".config").exists()


class _Agent(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"name": "xca-plugin", "version": "1"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("sites_port")
def test_install_without_systemd_beside_an_agent_that_runs_sets_up_the_next_login(
    no_systemd: dict[str, str], tmp_path: Path
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", PORT), _Agent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = xcactl(tmp_path, "agent", "install", **no_systemd)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".config/autostart/xca-agent.desktop").exists()


@pytest.mark.usefixtures("sites_port")
def test_folders_with_any_umask_are_private(
    no_systemd: dict[str, str], tmp_path: Path, xca_active_card: CardFixture
) -> None:
    home, before = tmp_path / "home", os.umask(0)
    try:
        assert xcactl(home, "agent", "install", **no_systemd).returncode == 0
        shutil.rmtree(home / ".config/autostart")
        (home / ".config").rmdir()
        with (
            running(home, xca_active_card.variables) as agent,
            httpx.Client(base_url=agent.url, timeout=SECONDS) as client,
        ):
            page = client.get(
                "/addDomain?domain=portal.example", headers={"Referer": "https://portal.example/"}
            )
            site, token = (
                page.text.partition(f'name="{name}" value="')[2].partition('"')[0] for name in FIELDS
            )
            said = client.post(
                "/addDomain", data={"site": site, "token": token}, headers={"Origin": agent.url}
            )
            assert said.status_code == 200, said.text
            assert xcactl(home, "agent", "install", **no_systemd).returncode == 0
    finally:
        os.umask(before)
    folders = (".config", ".config/xca", ".config/autostart")
    assert {name: (home / name).stat().st_mode & 0o777 for name in folders} == dict.fromkeys(folders, 0o700)


@pytest.mark.usefixtures("sites_port")
def test_install_that_cannot_be_written_starts_no_agent(no_systemd: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "autostart"
    folder.parent.mkdir()
    folder.touch()
    done = xcactl(tmp_path, "agent", "install", **no_systemd)
    assert (done.returncode, str(folder) in done.stderr) == (63, True), done.stderr
    check_free(PORT)


@pytest.mark.usefixtures("sites_port")
def test_install_with_an_unquotable_path_is_refused(no_systemd: dict[str, str], tmp_path: Path) -> None:
    variables = {**no_systemd, "XCA_PKCS11_CONF": '/a "$HOME" %h'}
    done = xcactl(tmp_path, "agent", "install", **variables)
    assert done.returncode == 63
    assert not (tmp_path / ".config").exists()


def test_agent_restarted_on_the_same_port_answers(start_agent: Start, xca_active_card: CardFixture) -> None:
    agent = start_agent(xca_active_card, trusted=(SITE,))
    agent.process.terminate()
    agent.process.wait(SECONDS)
    with running(agent.home, xca_active_card.variables, agent.port) as again:
        assert SiteClient(again).get("/pkcs11info").json()["ret_code"] == 0
