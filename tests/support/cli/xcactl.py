# SPDX-License-Identifier: Apache-2.0
"""Runs of xcactl in a pipe and in a terminal, and of programs that use the hooks."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pexpect

from softhsm import Environment
from support.inherited import INHERITED

USER_CODE = "Kp-4tzQ9w"
PIN = "73915826"
NEW_PIN = "5g8!Rw2"
NEW_USER_CODE = "zR7#mm02"
SECRETS = (USER_CODE, PIN, NEW_PIN, NEW_USER_CODE)
XCACTL = ("-m", "xca_plugin.cli")


@dataclass(frozen=True)
class Result:
    """The exit status and output of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Workspace:
    """Where xcactl runs in a test: an environment with cards, a home, and the variables that lead to them."""

    path: Path
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def with_variables(self, **variables: str) -> "Workspace":
        """Return the same workspace with more variables."""
        return replace(self, variables={**self.variables, **variables})

    def copy(self, to: Path) -> "Workspace":
        """Copy the environment: issuing generates keys, copying does not."""
        Environment(self.path).copy(to)
        return replace(self, path=to, home=to)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return {
            **inherited,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "XCA_PKCS11_CONF": str(self.path / "pkcs11.conf"),
            **self.variables,
        }

    @property
    def number(self) -> str:
        """The number of the only card."""
        (folder,) = (self.path / "issuer").iterdir()
        return folder.name

    def run(self, *arguments: str, stdin: str = "", fds: Sequence[int] = ()) -> Result:
        """Run xcactl in a pipe. Its output must contain no secret."""
        assert not any(secret in argument for secret in SECRETS for argument in arguments)
        done = subprocess.run(
            [sys.executable, *XCACTL, *arguments],
            env=self.environment,
            input=stdin.encode(),
            capture_output=True,
            cwd=self.home,
            pass_fds=fds,
            timeout=60,
        )
        result = Result(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )
        assert not any(secret in result.out + result.err for secret in SECRETS)
        return result

    def card(self) -> Any:
        """The JSON of xcactl info about the only card."""
        return self.run("info", "--json").json

    def activate(self) -> None:
        result = self.run(
            "activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin", stdin=f"{USER_CODE}\n{PIN}\n"
        )
        assert result.status == 0, result.err

    @contextmanager
    def terminal(self, *arguments: str) -> Iterator["pexpect.spawn[str]"]:
        """Run xcactl in a terminal. Nothing that it shows may contain a secret."""
        child = pexpect.spawn(
            sys.executable,
            [*XCACTL, *arguments],
            env=self.environment,
            cwd=str(self.home),
            encoding="utf-8",
            timeout=20,
            dimensions=(40, 100),
        )
        shown = child.logfile_read = _Shown()
        try:
            yield child
            child.expect(pexpect.EOF)
        finally:
            child.close()
        assert not any(secret in shown.text for secret in SECRETS), shown.text

    def program(self, source: str) -> Result:
        """Run a program of the user's own."""
        done = subprocess.run(
            [sys.executable, "-c", source],
            env=self.environment,
            capture_output=True,
            text=True,
            cwd=self.home,
            timeout=60,
        )
        return Result(done.returncode, done.stdout, done.stderr)


class _Shown:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


class Scripted:
    """The scripted inner module (module/inner/inner.c) for a workspace."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._library, self._script, self._calls = library, folder / "script", folder / "calls"
        self._script.touch()
        self._calls.touch()

    def under(self, workspace: Workspace, *lines: str) -> Workspace:
        self._script.write_text("".join(f"{line}\n" for line in lines))
        return workspace.with_variables(
            XCA_PKCS11_MODULE=str(self._library),
            INNER_REAL=str(workspace.path / "libsofthsm2.so"),
            INNER_SCRIPT=str(self._script),
            INNER_CALLS=str(self._calls),
        )

    def calls(self) -> list[str]:
        return self._calls.read_text().split()


def install(workspace: Workspace, folder: Path, name: str, source: str) -> Workspace:
    """Install a plugin for a test: a module and its entry point."""
    site = folder / f"site-{name}"
    information = site / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (site / f"{name}.py").write_text(textwrap.dedent(source))
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[xca_plugin]\n{name} = {name}\n")
    path = os.pathsep.join(filter(None, [str(site), workspace.environment.get("PYTHONPATH")]))
    return workspace.with_variables(PYTHONPATH=path)
