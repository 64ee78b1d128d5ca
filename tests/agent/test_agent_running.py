# SPDX-License-Identifier: Apache-2.0
"""The agent as a program: how it starts, what keeps it from starting, how it is set up to start by itself."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from asking import SITE, Asking
from running import Agent, Start, configure, running

from softhsm.held import HeldCard
from xca_plugin.agent.settings import PagePin, Settings
from xca_plugin.errors import BadAgentConfiguration

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


def test_status_tells_who_is_there(agent: Agent, tmp_path: Path) -> None:
    done = xcactl(tmp_path, "agent", "status", "--port", str(agent.port))
    assert done.returncode == 0
    assert "It runs: version" in done.stdout
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    done = xcactl(tmp_path, "agent", "status", "--port", str(port))
    assert done.returncode == 90


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = xcactl(tmp_path, "agent", "run", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 86
    assert f"(process {os.getpid()})" in done.stderr


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_ends_when_it_is_told_to(start_agent: Start, xca_active_card: HeldCard, ending: int) -> None:
    agent = start_agent(xca_active_card)
    agent.process.send_signal(ending)
    assert agent.process.wait(20) in (0, -signal.SIGTERM)
    assert agent.log == ""


def test_sees_cards_that_are_issued_while_it_runs(start_agent: Start, xca_active_card: HeldCard) -> None:
    from softhsm import issue, remove

    asking = Asking(start_agent(xca_active_card, trusted=(SITE,)))

    def numbers() -> set[str]:
        slots = asking.get("/pkcs11info").json()["slots"]
        return {slot["token"]["serialNumber"] for slot in slots if slot["token"]}

    assert numbers() == {xca_active_card.number}
    second = issue(xca_active_card.environment, "Kp-4tzQ9w").number
    assert numbers() == {xca_active_card.number, second}
    remove(xca_active_card.environment, second)
    assert numbers() == {xca_active_card.number}


def test_says_what_is_not_installed(tmp_path: Path) -> None:
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


def test_the_persons_configuration_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_configuration_that_means_nothing(text: str, tmp_path: Path) -> None:
    system = tmp_path / "agent.conf"
    system.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadAgentConfiguration):
        Settings.load(system_file=system)


def test_a_bad_configuration_keeps_it_from_starting(tmp_path: Path) -> None:
    configure(tmp_path, page_pin="perhaps")
    done = xcactl(tmp_path, "agent", "run", "--port", "0")
    assert done.returncode == 87
    assert "agent.conf" in done.stderr


# --- starting by itself


@pytest.fixture
def systemctl(tmp_path: Path) -> Path:
    """A folder for PATH with a systemctl that notes what it is asked: no test may touch the real one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\ntest ! -e {tmp_path}/refuse\n')
    program.chmod(0o755)
    return folder


def test_systemd_starts_it(systemctl: Path, tmp_path: Path) -> None:
    with_card = {"PATH": f"{systemctl}:/bin:/usr/bin", "XCA_PKCS11_CONF": "/home/a person/pkcs11.conf"}
    done = xcactl(tmp_path, "agent", "install", **with_card)
    assert done.returncode == 0, done.stderr
    unit = tmp_path / ".config/systemd/user/xca-agent.service"
    lines = unit.read_text().splitlines()
    assert 'Environment="XCA_PKCS11_CONF=/home/a person/pkcs11.conf"' in lines
    (command,) = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    assert subprocess.run([*shlex.split(command), "--help"], capture_output=True).returncode == 0
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [
        f"--user {words}"
        for words in (
            "show-environment",
            "daemon-reload",
            "enable xca-agent.service",
            "restart xca-agent.service",
        )
    ]
    status = xcactl(tmp_path, "agent", "status", "--port", "1", **with_card)
    assert str(unit) in status.stdout
    assert xcactl(tmp_path, "agent", "uninstall", **with_card).returncode == 0
    assert not unit.exists()
    assert "--user disable --now xca-agent.service" in (tmp_path / "asked").read_text()
    again = xcactl(tmp_path, "agent", "uninstall", **with_card)
    assert (again.returncode, again.stdout) == (0, "The agent was not set up to start by itself.\n")


def test_the_desktop_starts_it_where_there_is_no_systemd(systemctl: Path, tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    variables = {"PATH": f"{systemctl}:/bin:/usr/bin", "XCA_PKCS11_CONF": "/etc/x.conf"}
    done = xcactl(tmp_path, "agent", "install", **variables)
    assert done.returncode == 0, done.stderr
    entry = tmp_path / ".config/autostart/xca-agent.desktop"
    (command,) = [line for line in entry.read_text().splitlines() if line.startswith("Exec=")]
    words = shlex.split(command.removeprefix("Exec="))
    assert words[:2] == ["env", "XCA_PKCS11_CONF=/etc/x.conf"]
    assert subprocess.run([*words, "--help"], capture_output=True).returncode == 0
    assert xcactl(tmp_path, "agent", "uninstall", **variables).returncode == 0
    assert not entry.exists()


def test_what_no_such_file_can_hold(systemctl: Path, tmp_path: Path) -> None:
    variables = {"PATH": f"{systemctl}:/bin:/usr/bin", "XCA_PKCS11_CONF": '/a "$HOME" %h'}
    done = xcactl(tmp_path, "agent", "install", **variables)
    assert done.returncode == 63
    assert not (tmp_path / ".config").exists()


def test_a_restart_on_the_same_port(start_agent: Start, xca_active_card: HeldCard) -> None:
    agent = start_agent(xca_active_card, trusted=(SITE,))
    agent.process.terminate()
    agent.process.wait(20)
    with running(agent.home, xca_active_card.variables, agent.port) as again:
        assert Asking(again).get("/pkcs11info").json()["ret_code"] == 0
