# SPDX-License-Identifier: Apache-2.0
"""Secrets while a command runs: they are wiped at its end, and in no traceback."""

import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pexpect

from support.cli.xcactl import PIN, USER_CODE, XCACTL, Workspace, install

WATCHED = """
    import atexit
    from xca_common import secret

    made = []
    original = secret.Secret.__init__

    def remember(self, value):
        made.append(self)
        original(self, value)

    secret.Secret.__init__ = remember

    @atexit.register
    def tell():
        with open(FILE, "w") as file:
            file.write(f"{len(made)} {sum(bool(each.reveal()) for each in made)}")
"""


def watched(workspace: Workspace, folder: Path) -> tuple[Workspace, Path]:
    """A workspace whose commands tell how many secrets were made, and how many are not wiped at their end."""
    told = folder / "told"
    return install(workspace, folder, "watcher", WATCHED.replace("FILE", repr(str(told)))), told


def test_secret_that_does_not_pass_is_wiped_too(active: Workspace, tmp_path: Path) -> None:
    workspace, told = watched(active, tmp_path)
    with workspace.terminal("pin", "change") as child:
        child.expect("PIN: ")
        child.sendline("short")
        child.expect("PIN: ")
        child.sendline(PIN)
        child.expect("characters.: ")
        child.sendline("11111111")
        child.expect("characters.: ")
        child.sendline("5566aabb")
        child.expect("again: ")
        child.sendline("5566aabc")
        child.expect("characters.: ")
        child.sendintr()
    assert told.read_text() == "5 0"


def test_secret_from_a_source_that_does_not_pass_is_wiped(active: Workspace, tmp_path: Path) -> None:
    workspace, told = watched(active, tmp_path)
    assert workspace.run("pin", "verify", "--pin", "stdin", stdin="short\n").status == 38
    assert told.read_text() == "1 0"


def test_command_that_crashes_leaves_no_core_dump(active: Workspace) -> None:
    def permit_dumps() -> None:
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))

    child = pexpect.spawn(
        sys.executable,
        [*XCACTL, "pin", "verify"],
        env=active.environment,
        cwd=str(active.home),
        timeout=20,
        preexec_fn=permit_dumps,
    )
    child.expect("PIN: ")
    limits = Path(f"/proc/{child.pid}/limits").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert core[4:6] == ["0", "0"]


def test_issuer_that_fails_unexpectedly_repeats_no_text_of_the_failure(
    active: Workspace, tmp_path: Path
) -> None:
    crash = f"""
        import softhsm

        def cards(environment):
            raise RuntimeError({USER_CODE!r})

        softhsm.cards = cards
    """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(crash))
    done = subprocess.run(
        [sys.executable, "-m", "softhsm.cli", "--dir", str(active.path), "list"],
        env=active.environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: Unexpected problem: RuntimeError, sitecustomize.py:5\n"
