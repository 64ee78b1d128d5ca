# SPDX-License-Identifier: Apache-2.0
"""Starts the agent at every login: with a systemd user service, or without systemd an autostart entry."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from xca_common.atomic_file import whole_file
from xca_common.base_directories import config_home
from xca_common.errors import FileProblem, os_reason
from xca_common.folders import make_private
from xca_plugin import errors
from xca_plugin.agent_port import PORT, agent_at, check_free, own_agent
from xca_plugin.errors import PortTaken
from xca_plugin.i18n import _, text

_UNIT: Final = "xca-agent.service"
_ENTRY: Final = "xca-agent.desktop"
# They name the card and the configuration. A service does not inherit them from the shell that installs it.
_VARIABLES: Final = (
    "XCA_PKCS11_CONF",
    "XCA_PKCS11_MODULE",
    "XCA_CARD_STORE",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
)

_STARTING_SECONDS: Final = 30
_ENDING_SECONDS: Final = 30  # more than the server and its card worker take to end
_PLAIN: Final = re.compile(r"[\w/.,:+@~= -]+")


def install() -> str:
    """Write the service or entry and start the agent. A second call renews them.

    Returns:
        What was done, for the person.

    Raises:
        PortTaken: another program has the port, or with systemd an agent started by hand. Nothing is written.
        ServiceFailed: systemd refuses, or the agent does not start.
        AgentNotRunning: it ended at once, or does not answer in time; the entry is written.
        FileProblem: the file cannot be written.
    """
    with_systemd = _has_systemd()
    if with_systemd and _unit_file().exists():
        _systemctl("stop", _UNIT)
    # Without systemd, an agent that runs may go on: the entry starts one at the next login.
    if with_systemd or agent_at(PORT) is None:
        check_free(PORT)
    if with_systemd:
        _write(_unit_file(), _unit())
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", _UNIT)
        return text("The agent runs, and starts at every login (systemd user service {name}).").format(
            name=_UNIT
        )()
    _write(_entry_file(), _entry())
    start(PORT)
    return text("The agent runs, and starts at every login: {path}").format(path=_entry_file())()


def start(port: int) -> None:
    """Start the agent if none answers on a port, and return when it answers.

    Raises:
        PortTaken: another program has the port.
        ServiceFailed: systemd refuses.
        AgentNotRunning: the agent ended at once, or does not answer in time.
    """
    if agent_at(port) is not None:
        return
    check_free(port)
    if port == PORT and _has_systemd() and _systemd_knows():
        _systemctl("start", _UNIT)
        return
    started = subprocess.Popen(  # noqa: S603  # this program itself
        [*_command(), "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + _STARTING_SECONDS
    while agent_at(port) is None:
        if started.poll() is not None or time.monotonic() > end:
            raise errors.AgentNotRunning(port=port)
        time.sleep(0.1)


def stop(port: int) -> bool:
    """End this user's agent on a port, and return when it has ended.

    Returns:
        Whether one ran.

    Raises:
        PortTaken: another program has the port, or another user's agent.
        ServiceFailed: systemd refuses.
        AgentNotStopped: it does not end in time.
        ModuleNotFoundError: the extra `agent` is not installed.
    """
    import psutil  # from that extra; the other functions do without

    agent = own_agent(port)
    if agent is None:
        return False
    # systemd would start one again that ends in the middle of an operation.
    if _has_systemd() and str(agent.pid) == _main_process():
        _systemctl("stop", _UNIT)
        return True
    end = time.monotonic() + _ENDING_SECONDS
    with suppress(psutil.NoSuchProcess):  # it has ended
        agent.terminate()
        while agent.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                raise errors.AgentNotStopped(port=port, pid=agent.pid)
            time.sleep(0.1)
    return True


def uninstall() -> str:
    """Stop the agent and remove what install() wrote, if anything.

    Returns:
        What was done, for the person.

    Raises:
        ServiceFailed: systemd refuses.
        AgentNotStopped: it does not end in time.
        FileProblem: a file cannot be removed.
    """
    if not (_unit_file().exists() or _entry_file().exists()):
        return _("The agent was not set up to start by itself. This ends one that runs: xcactl agent stop")
    if _unit_file().exists() and _has_systemd():
        _systemctl("disable", "--now", _UNIT)
    else:
        with suppress(PortTaken, ModuleNotFoundError):  # it is none of this user's
            stop(PORT)
    for file in (_unit_file(), _entry_file()):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise FileProblem(path=file, detail=os_reason(error)) from error
    if _has_systemd():
        _systemctl("daemon-reload")
    return _("The agent no longer starts by itself.")


def installed() -> Path | None:
    """Return the file that starts the agent at every login, None if there is none."""
    return next((file for file in (_unit_file(), _entry_file()) if file.exists()), None)


def _has_systemd() -> bool:
    """Tell whether the user has a systemd of their own that answers."""
    if not shutil.which("systemctl"):
        return False
    done = subprocess.run(["systemctl", "--user", "show-environment"], capture_output=True)  # noqa: S607
    return done.returncode == 0


def _systemd_knows() -> bool:
    """Tell whether there is a unit, of the user or of the system."""
    done = subprocess.run(["systemctl", "--user", "cat", _UNIT], capture_output=True)  # noqa: S603, S607
    return done.returncode == 0


def _main_process() -> str:
    """Return the number of the unit's process; 0: it has none."""
    command = ["systemctl", "--user", "show", "--property=MainPID", "--value", _UNIT]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()  # noqa: S603


def _systemctl(*arguments: str) -> None:
    command = ["systemctl", "--user", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode != 0:
        detail = "; ".join(done.stderr.strip().split("\n"))
        raise errors.ServiceFailed(command=shlex.join(command), detail=detail)


def _command() -> list[str]:
    return [sys.executable, "-P", "-m", "xca_plugin.cli", "agent", "run"]


def _variables() -> dict[str, str]:
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def _unit() -> str:
    """Return the unit file (systemd.service(5))."""
    environment = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n" for name, value in _variables().items()
    )
    return (
        "[Unit]\n"
        "Description=Local agent for the organisation IC card (xca-plugin)\n"
        "\n"
        "[Service]\n"
        "Type=notify\n"
        f"{environment}"
        f"ExecStart={' '.join(_quoted(word) for word in _command())}\n"
        "Restart=on-failure\n"
        "NoNewPrivileges=yes\n"
        "\n"
        "[Install]\n"
        "WantedBy=default.target\n"
    )


def _entry() -> str:
    """Return the autostart entry (Desktop Entry Specification, section "The Exec key")."""
    words = ["env", *(f"{name}={value}" for name, value in _variables().items()), *_command()]
    command = " ".join(_quoted(word) for word in words)
    return f"[Desktop Entry]\nType=Application\nName=xca-plugin agent\nNoDisplay=true\nExec={command}\n"


def _quoted(word: str) -> str:
    """Quote a word for both file formats; refuse one that they would change."""
    if not _PLAIN.fullmatch(word):
        raise FileProblem(path=word, detail=text("configuration files cannot hold this name"))
    return f'"{word}"'


def _unit_file() -> Path:
    return config_home() / "systemd" / "user" / _UNIT


def _entry_file() -> Path:
    return config_home() / "autostart" / _ENTRY


def _write(file: Path, content: str) -> None:
    try:
        make_private(file.parent)
    except OSError as error:
        raise FileProblem(path=file.parent, detail=os_reason(error)) from error
    with whole_file(file, 0o644) as target:
        target.write(content.encode())
