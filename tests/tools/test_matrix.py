# SPDX-License-Identifier: Apache-2.0
"""The tools of docs/tools.md, each in a terminal, with cards that this project issued and activated."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pexpect
import pytest

from softhsm.card_fixture import CardFixture
from support.tools import provider
from support.tools.tool_matrix import PAGE, START, TOOLS, Job, Tool, page
from support.tools.windows_program import windows_program

WRONG_PIN = "wrong-00"
SECONDS = 60
PATIENCE = 5  # answers to one question: a server may know five keys, and NSS asks without end

every_job = pytest.mark.parametrize(
    ("tool", "job"),
    [pytest.param(tool, job, id=f"{tool.name}-{job.does}") for tool in TOOLS for job in tool.jobs],
)


@dataclass(frozen=True)
class Start:
    """What a person has after the page's first commands: files, and the shell's variables."""

    files: dict[str, bytes]
    variables: dict[str, str]


@dataclass(frozen=True)
class Said:
    status: int
    words: str


class Workspace:
    """A person with a card, a folder and a terminal."""

    def __init__(self, card: CardFixture, folder: Path, variables: dict[str, str]) -> None:
        self.card, self._folder, self._variables = card, folder, variables

    def asks(self, commands: str, pin: str, prompt: str) -> Said:
        """Run commands in the terminal; who asks for the PIN is given it, but not for ever."""
        words = ""
        with pexpect.spawn(
            "sh",
            ["-euc", commands],
            env={**self._variables, "PIN": pin},
            cwd=str(self._folder),
            encoding="utf-8",
            codec_errors="replace",
            timeout=SECONDS,
            dimensions=(40, 1000),  # no line is broken
        ) as child:
            child.delaybeforesend = None
            child.delayafterclose = 0.0
            for asked in count(1):
                child.expect([prompt, pexpect.EOF] if prompt else [pexpect.EOF])
                words += child.before
                if child.after is pexpect.EOF:
                    break
                if asked <= PATIENCE:
                    child.waitnoecho()
                    child.sendline(pin)
                else:
                    child.sendintr()
            child.wait()
        return Said(child.exitstatus or child.signalstatus or 0, words)

    def does(self, commands: str) -> str:
        """Run commands that must succeed and need no PIN; return what they say."""
        done = subprocess.run(
            ["sh", "-euc", commands],
            env=self._variables,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def serving(self, command: str, socket: str) -> Iterator[None]:
        """Have a server run, in the foreground, as a child of this process."""
        with subprocess.Popen(
            ["sh", "-euc", f"exec {command}"],
            env=self._variables,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        ) as server:
            try:
                deadline = time.monotonic() + SECONDS
                while not (self._folder / socket).exists():
                    assert server.poll() is None, f"{command} ended"
                    assert time.monotonic() < deadline, f"{command} does not listen"
                    time.sleep(0.005)
                yield
            finally:
                server.terminate()

    @property
    def tries(self) -> int:
        row = self.card.environment.store.card(self.card.number)
        assert row is not None
        return row.pin_tries


def host_environment(card: CardFixture, home: Path) -> dict[str, str]:
    """A person's variables; what would ask a network hears at once that there is none."""
    nowhere = "http://127.0.0.1:9"
    return {
        **card.environment.exports(),
        "XCA_CARD": card.number,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath, "/usr/sbin"]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": str(home),
        "SSH_AUTH_SOCK": str(home / "agent.socket"),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "server.example",
    }


@pytest.fixture(scope="session")
def start() -> Callable[[CardFixture], Start]:
    """The page's first commands, run once for a card and all its copies."""
    begun: dict[str, Start] = {}

    def begin(card: CardFixture) -> Start:
        if card.number not in begun:
            with TemporaryDirectory() as name:
                done = subprocess.run(
                    ["sh", "-euc", f"{START}env -0"],
                    env=host_environment(card, Path(name)),
                    cwd=name,
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                variables = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
                files = {file.name: file.read_bytes() for file in Path(name).iterdir()}
                begun[card.number] = Start(files, variables)
        return begun[card.number]

    return begin


@contextmanager
def seated(card: CardFixture, begun: Start, tool: Tool, job: Job) -> Iterator[Workspace]:
    """A workspace where all stands ready for a tool's job."""
    # A short name: a socket's path has little room.
    with TemporaryDirectory(prefix="xca-") as name:
        folder = Path(name)
        (folder / "contract.txt").write_text("採購契約 Contract\n", encoding="utf-8")
        (folder / "setup.exe").write_bytes(windows_program())
        for file, contents in begun.files.items():
            (folder / file).write_bytes(contents)
        variables = begun.variables | host_environment(card, folder)
        if tool.name == "openssl-provider":
            variables["OPENSSL_MODULES"] = str(provider.modules())
        workspace = Workspace(card, folder, variables)
        workspace.does(tool.stage)
        try:
            if job.server:
                with workspace.serving(job.server, job.socket):
                    yield workspace
            else:
                yield workspace
        finally:
            workspace.does(tool.finish)


@pytest.fixture
def active(
    xca_active_card: CardFixture, start: Callable[[CardFixture], Start], tool: Tool, job: Job
) -> Iterator[Workspace]:
    with seated(xca_active_card, start(xca_active_card), tool, job) as workspace:
        yield workspace


@pytest.fixture
def closed(
    xca_issued_card: CardFixture, start: Callable[[CardFixture], Start], tool: Tool, job: Job
) -> Iterator[Workspace]:
    with seated(xca_issued_card, start(xca_issued_card), tool, job) as workspace:
        yield workspace


@every_job
def test_signature_by_a_tool_is_verified_by_another(active: Workspace, tool: Tool, job: Job) -> None:
    assert active.card.pin is not None
    signed = active.asks(tool.prepare + job.sign, active.card.pin, job.prompt)
    assert tool.crashes or signed.status == 0, signed.words
    verified = active.does(job.verify)
    assert job.verified in signed.words + verified
    assert active.tries == 3


@every_job
def test_tool_before_activation_says_so_and_costs_no_try(closed: Workspace, tool: Tool, job: Job) -> None:
    refused = closed.asks(tool.prepare + job.sign, WRONG_PIN, job.prompt)
    assert refused.status != 0
    assert job.closed in refused.words
    assert closed.tries == 3
    if "closed" in job.mute:
        assert "not activated" in closed.does("xcactl info")


@every_job
def test_wrong_pin_in_a_tool_costs_exactly_one_try(active: Workspace, tool: Tool, job: Job) -> None:
    refused = active.asks(tool.prepare + job.sign, WRONG_PIN, job.prompt)
    assert refused.status != 0
    assert job.wrong in refused.words
    assert active.tries == 2
    if "wrong" in job.mute:
        assert re.findall(r"login with the PIN +(\w+)", active.does("xcactl events")) == ["wrong"]


@pytest.mark.fast
def test_tools_page_compared_with_the_matrix_is_the_same() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/support/tools/tool_matrix.py"
