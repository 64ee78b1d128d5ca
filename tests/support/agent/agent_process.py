# SPDX-License-Identifier: Apache-2.0
"""Runs the agent in a process of its own, on a free port."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from softhsm.card_fixture import CardFixture
from support.inherited import INHERITED

SECONDS = 60
"""Seconds for which tests wait for anything: a busy machine may be slow."""

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--screen-info={1366x768}",
    "--window-size=1280,740",
)
"""How the tests start Debian's Chromium."""


@dataclass(frozen=True)
class Agent:
    """A running agent.

    Attributes:
        url: its address, http://localhost:PORT.
        home: the home of its user; the configuration is in its folder .config/xca.
        process: the process.
        said: the file with all that it wrote.
    """

    url: str
    home: Path
    process: "subprocess.Popen[bytes]"
    said: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")


Start = Callable[..., Agent]
"""The type of the fixture start_agent."""


def configure(home: Path, *, trusted: Sequence[str] = (), **settings: str) -> None:
    """Write the files of the agent's configuration."""
    folder = home / ".config" / "xca"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agent.conf").write_text(
        "[agent]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()), encoding="utf-8"
    )
    (folder / "trusted-sites").write_text("".join(f"{site}\n" for site in trusted), encoding="utf-8")


def trust(agent: Agent, site: str) -> None:
    """Make a running agent trust one more site."""
    with (agent.home / ".config/xca/trusted-sites").open("a", encoding="utf-8") as file:
        file.write(f"{site}\n")


@contextmanager
def enforcing(home: Path, card: CardFixture, *, trusted: Sequence[str], blind: str = "") -> Iterator[Agent]:
    """Run an agent whose administrator enforces which sites may make blind requests.

    The person's own files switch them on for the first trusted site.
    """
    configure(home, trusted=trusted, blind=trusted[0])
    (home / ".config/xca/blind-sites").write_text(f"{trusted[0]}\n", encoding="utf-8")
    system = home / "administrator.conf"
    system.write_text(f"[agent]\nenforce = blind\nblind = {blind}\n", encoding="utf-8")
    program = (
        "from pathlib import Path; from xca_plugin.agent.process.settings import Settings; "
        f"Settings.load.__func__.__defaults__ = (0, Path({str(system)!r})); "
        "from xca_plugin.cli import main; main()"
    )
    with running(home, card.variables, program=("-c", program)) as agent:
        yield agent


@contextmanager
def running(
    home: Path, variables: Mapping[str, str], port: int = 0, program: Sequence[str] = ("-m", "xca_plugin.cli")
) -> Iterator[Agent]:
    """Run `xcactl agent run`, or a Python program in its place, until the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    said = home / "said"
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    with said.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *program, "--lang", "en", "agent", "run", "--port", str(port)],
            env={**inherited, "LANG": "C.UTF-8", **variables, "HOME": str(home)},
            cwd=home,  # else -m finds the sources where the tests are run, not what is installed
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(SECONDS), "the agent does not start"
        line = process.stdout.readline().decode()
        assert "http://localhost:" in line, line + said.read_text(encoding="utf-8")
        yield Agent(line.split()[-1], home, process, said)
    finally:
        process.terminate()
        process.wait(SECONDS)
        if process.stdout:
            process.stdout.close()


def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
