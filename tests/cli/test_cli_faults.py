# SPDX-License-Identifier: Apache-2.0
"""Each writing call of each command fails once: the error names the file, and no part of a file is left."""

import errno
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.cli.xcactl import NEW_PIN, NEW_USER_CODE, PIN, SECRETS, USER_CODE, Result, Workspace
from support.faults.fault_server import FaultServer, fault_server
from support.faults.forking import NOT_REACHED
from support.faults.kept_folder import KeptFolder

pytestmark = pytest.mark.slow

KINDS = {
    "open": errno.EACCES,
    "write": errno.ENOSPC,
    "fsync": errno.ENOSPC,
    "rename": errno.EPERM,
    "close": errno.EIO,
    "print": errno.EIO,
}
"""Kinds of calls, and the error of each."""
MOST_CALLS = 40
SECRET_SOURCES = {"CODE": USER_CODE, "NEWCODE": NEW_USER_CODE, "PIN": PIN, "NEW": NEW_PIN}


@dataclass(frozen=True)
class Command:
    """A command that is run.

    Attributes:
        words: its arguments.
        result: a file that is there afterwards, if and only if the command succeeded.
        activated: its card is activated.
        before: content of files that are there before.
    """

    words: str
    result: str | None = None
    activated: bool = True
    before: Mapping[str, str] = field(default_factory=dict)


NOT_IN_ORDER = 84
CARD_MAY_HAVE_CHANGED = (13, 20)
OWN_CONFIGURATION = ".config/xca/pkcs11.conf"
PYHANKO = {"pyhanko.yml": "logging:\n  root-level: ERROR\n"}
COMMANDS = {
    "sign": Command("sign file -o result --pin env:PIN", "result"),
    "sign --attached": Command("sign file --attached -o result --pin env:PIN", "result"),
    "sign several": Command("sign file other --pin env:PIN"),
    "encrypt": Command("encrypt file --to cert2.pem -o result", "result"),
    "decrypt": Command("decrypt file.p7e -o result --pin env:PIN", "result"),
    "verify": Command("verify file file.sig --ca-file root.pem"),
    "verify -o": Command("verify file.p7m --ca-file root.pem -o result", "result"),
    "verify --report": Command("verify file file.sig --ca-file root.pem --report result.html", "result.html"),
    "verify --json": Command("verify file file.sig --ca-file root.pem --json"),
    "cert export": Command("cert export -o result", "result"),
    "cert list": Command("cert list"),
    "cert show": Command("cert show"),
    "info": Command("info"),
    "info --json": Command("info --json"),
    "events": Command("events"),
    "detect": Command("detect"),
    "doctor --report": Command("doctor --json --report result", "result"),
    "doctor --card-report": Command("doctor --card-report result", "result"),
    "activate --receipt": Command(
        "activate --yes --user-code env:CODE --new-pin env:PIN --receipt result", "result", activated=False
    ),
    "pin verify": Command("pin verify --pin env:PIN"),
    "pin change": Command("pin change --pin env:PIN --new-pin env:NEW"),
    "pin reset": Command("pin reset --user-code env:CODE --new-pin env:NEW"),
    "user-code change": Command("user-code change --user-code env:CODE --new-user-code env:NEWCODE"),
    "setup": Command("setup --yes --module libsofthsm2.so", OWN_CONFIGURATION),
    "setup again": Command(
        "setup --yes --module libsofthsm2.so",
        before={OWN_CONFIGURATION: "[module]\npath = /nowhere/former.so\n"},
    ),
    "tools register, a new file": Command("tools register openssh"),
    "tools register, a file that is there": Command("tools register pyhanko", before=PYHANKO),
    "tools unregister": Command("tools unregister pyhanko", before=PYHANKO),
    "agent install": Command("agent install", ".config/autostart/xca-agent.desktop"),
    "agent uninstall": Command("agent uninstall"),
    "module-path": Command("module-path"),
    "help": Command("--help"),
}


@pytest.fixture(scope="module")
def server(activated: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    environment = activated.with_variables(LANGUAGE="en").environment
    with fault_server("commands", environment, tmp_path_factory.mktemp("faults")) as server:
        yield server


@pytest.fixture(scope="module")
def supplied(activated: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An activated card and the files that the commands read."""
    workspace = activated.copy(tmp_path_factory.mktemp("supplied") / "desk").with_variables(PIN=PIN)
    for file in ("file", "other"):
        (workspace.home / file).write_bytes(file.encode())
    for words in (
        ("cert", "export", "cert2", "-o", "cert2.pem"),
        ("cert", "export", "ROOT CA Cert", "-o", "root.pem"),
        ("encrypt", "file", "--to", "cert2.pem"),
        ("sign", "file", "-o", "file.sig", "--pin", "env:PIN"),
        ("sign", "file", "--attached", "-o", "file.p7m", "--pin", "env:PIN"),
    ):
        result = workspace.run(*words)
        assert result.status == 0, result.err
    return workspace


WRITING = (
    *("sign", "sign --attached", "sign several", "encrypt", "decrypt", "verify -o", "verify --report"),
    *("cert export", "doctor --card-report", "activate --receipt", "pin change", "setup again"),
    *("tools register, a new file", "tools register, a file that is there", "tools unregister"),
    *("agent install", "agent uninstall"),
)
"""Commands that write files; the others write none, or write them as one of these does."""
CHANGES_THE_CARD = ("activate --receipt", "pin change")
"""Run again, they may meet a card that was changed already."""
TAKES_FORCE = ("sign", "encrypt", "decrypt", "verify", "cert", "doctor", "activate")
ENDING_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
UNDOES = {"tools unregister": "tools register pyhanko", "agent uninstall": "agent install"}
"""What is run before a command that takes it back."""


class Desk:
    """A workspace that is put back before each run of a command."""

    def __init__(self, server: FaultServer, start: Workspace, folder: Path, command: Command) -> None:
        self._server = server
        self.workspace = start.copy(folder / "desk").with_variables(LANGUAGE="en", **SECRET_SOURCES)
        scratch = self.workspace.home / "tmp"
        scratch.mkdir()
        self.workspace = self.workspace.with_variables(TMPDIR=str(scratch))
        for name, content in command.before.items():
            file = self.workspace.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        self.files = KeptFolder(self.workspace.home, folder / "kept")

    def run(self, words: Sequence[str], kind: str = "", nth: int = 0, error: int = 0) -> Result:
        """Run a command with a fault, as FaultServer.run()."""
        workspace = self.workspace
        return self._server.run(workspace.environment, workspace.home, kind, nth, error, arguments=words)

    def settings(self) -> dict[Path, bytes]:
        """Return the files that hold settings of programs."""
        home = self.workspace.home
        files = (*home.glob("pyhanko.yml"), *home.glob(".config/**/*"))
        return {file: file.read_bytes() for file in files if file.is_file()}

    def has(self, name: str) -> bool:
        return (self.workspace.home / name).exists()

    def size(self, name: str | None) -> int | None:
        """Return the bytes of a file; None: it is not there."""
        return (self.workspace.home / name).stat().st_size if name and self.has(name) else None


@dataclass(frozen=True)
class Failed:
    """A run of a command in which one call failed.

    Attributes:
        error: the errno of the call.
        where: the call, the exit status and the output, for the message of a test.
    """

    status: int
    said: str
    error: int
    where: str


def with_each_fault(desk: Desk, words: Sequence[str], kinds: Mapping[str, int]) -> Iterator[Failed]:
    """Run a command again and again; in each run another call fails.

    Args:
        desk: where; it is put back before each run.
        words: its arguments.
        kinds: the kinds of calls, and the errno of each.
    """
    for kind, error in kinds.items():
        for nth in range(1, MOST_CALLS):
            desk.files.put_back()
            result = desk.run(words, kind, nth, error)
            said = result.out + result.err
            failed = Failed(result.status, said, error, f"{kind} {nth}: {result.status}\n{said}")
            for word in ("Unexpected problem", "Traceback", "Exception ignored", "OSError", *SECRETS):
                assert word not in said, failed.where
            assert not list(desk.workspace.home.rglob(".xca-*")), failed.where
            if result.status == NOT_REACHED:
                break
            assert result.status in (0, *range(10, NOT_REACHED)), failed.where
            assert result.status == 0 or re.search(r"^Error: .*\n\S", said, re.MULTILINE), failed.where
            yield failed


@pytest.mark.parametrize("name", COMMANDS)
def test_call_that_fails_is_the_problem_of_a_named_file(
    issued: Workspace, supplied: Workspace, tmp_path: Path, server: FaultServer, name: str
) -> None:
    command = COMMANDS[name]
    words = command.words.split()
    desk = Desk(server, supplied if command.activated else issued, tmp_path, command)
    if (undone := UNDOES.get(name)) is not None:
        assert desk.run(undone.split()).status == 0
        desk.files.keep()
    before = desk.settings()
    whole = desk.run(words)
    assert whole.status in (0, NOT_IN_ORDER), whole
    after = desk.settings()
    hits = 0
    for failed in with_each_fault(desk, words, KINDS):
        hits += 1
        done = failed.status == whole.status
        assert desk.settings() == (after if done else before), failed.where
        assert not command.result or desk.has(command.result) == done, failed.where
        if failed.error == errno.ENOSPC and not done:
            assert re.search("No space left on device|Make room on the disk", failed.said), failed.where
            assert "Check the path" not in failed.said, failed.where
        if failed.status in CARD_MAY_HAVE_CHANGED:
            assert "xcactl info" in failed.said, failed.where
    assert hits > 0


@pytest.mark.parametrize("name", WRITING)
def test_command_that_is_killed_leaves_nothing_after_the_next_run(
    issued: Workspace, supplied: Workspace, tmp_path: Path, server: FaultServer, name: str
) -> None:
    """At each call a signal ends the command. A file is whole or not there; the same command clears up."""
    command = COMMANDS[name]
    words = command.words.split()
    desk = Desk(server, supplied if command.activated else issued, tmp_path, command)
    if (undone := UNDOES.get(name)) is not None:
        assert desk.run(undone.split()).status == 0
        desk.files.keep()
    before = desk.settings()
    assert desk.run(words).status == 0
    after, files, size = desk.settings(), desk.files.names(), desk.size(command.result)
    hits = 0
    for kind in KINDS:
        for nth in range(1, MOST_CALLS):
            desk.files.put_back()
            number = ENDING_SIGNALS[nth % len(ENDING_SIGNALS)]
            ended = desk.run(words, kind, nth, -number)
            if ended.status == NOT_REACHED:
                break
            where = f"{kind} {nth}: {ended}"
            hits += 1
            assert ended.status == -number, where
            for file, content in desk.settings().items():
                is_scratch = file.name.startswith(".xca-")
                assert is_scratch or content in (before.get(file), after.get(file)), where
            assert desk.size(command.result) in (None, size), where
            again = desk.run([*words, "--force"] if words[0] in TAKES_FORCE else words)
            assert again.status == 0 or name in CHANGES_THE_CARD, again
            assert desk.files.names() <= files, where
    assert hits > 0
