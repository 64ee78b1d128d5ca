# SPDX-License-Identifier: Apache-2.0
"""The agent as a process: starting, stopping, its settings and its service."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import SECONDS, Agent, Start, configure, running, until
from support.agent.component_client import SITE, SiteClient
from support.agent.systemd import systemd
from support.agent.web_sites import site
from xca_plugin.agent.process.settings import PagePin, Settings
from xca_plugin.errors import BadAgentConfiguration

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


# --- running


def test_status_of_a_port_names_the_program_on_it(agent: Agent, tmp_path: Path) -> None:
    done = xcactl(tmp_path, "agent", "status", "--port", str(agent.port))
    assert done.returncode == 0
    assert "It runs: version" in done.stdout
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
    assert "xca-plugin[agent]" in done.stderr


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
        "\xff",
    ],
)
def test_settings_with_unknown_content_are_refused(text: str, tmp_path: Path) -> None:
    system = tmp_path / "agent.conf"
    system.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadAgentConfiguration):
        Settings.load(system_file=system)


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
        assert agent("uninstall").returncode == 0
        assert agent("status").returncode == 90
        again = agent("uninstall")
        assert (again.returncode, again.stdout) == (0, "The agent was not set up to start by itself.\n")
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


def test_install_without_systemd_writes_an_autostart_entry(
    no_systemd: dict[str, str], tmp_path: Path
) -> None:
    variables = {**no_systemd, "XCA_PKCS11_CONF": "/home/a person/x.conf"}
    done = xcactl(tmp_path, "agent", "install", **variables)
    assert done.returncode == 0, done.stderr
    entry = tmp_path / ".config/autostart/xca-agent.desktop"
    (command,) = [line for line in entry.read_text().splitlines() if line.startswith("Exec=")]
    words = shlex.split(command.removeprefix("Exec="))
    assert words[:2] == ["env", "XCA_PKCS11_CONF=/home/a person/x.conf"]
    assert subprocess.run([*words, "--help"], capture_output=True).returncode == 0
    assert xcactl(tmp_path, "agent", "uninstall", **variables).returncode == 0
    assert not entry.exists()


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
