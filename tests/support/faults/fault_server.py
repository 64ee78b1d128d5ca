# SPDX-License-Identifier: Apache-2.0
"""Asks a process for runs of a program with a fault (forking.py)."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.cli.xcactl import Result


class FaultServer:
    """Runs a program, and lets one call of each run fail."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process, self._out, self._err = process, folder / "out", folder / "err"

    def run(
        self,
        environment: Mapping[str, str],
        folder: Path,
        kind: str = "",
        nth: int = 0,
        error: int = 0,
        **more: Any,
    ) -> Result:
        """Run the program.

        Args:
            environment: its variables.
            folder: where it runs.
            kind: the kind of the call that fails (faults.c); empty: none does.
            nth: its number, from 1.
            error: the errno that it gives; negative: the signal that the process gets before the call.
            more: what the program takes.

        Returns:
            The result; the status is negative if a signal ended the program.
        """
        request = {
            "environment": dict(environment),
            "folder": str(folder),
            "kind": kind,
            "nth": nth,
            "error": error,
            "out": str(self._out),
            "err": str(self._err),
            **more,
        }
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        return Result(status, self._out.read_text(), self._err.read_text())


@contextmanager
def fault_server(program: str, environment: Mapping[str, str], folder: Path) -> Iterator[FaultServer]:
    """A server of a program.

    Args:
        program: a module of this package that calls forking.serve().
        environment: the variables of the process that forks.
        folder: for its files.
    """
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-fPIC", "-shared", source, "-o", library], check=True)
    tests = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", f"support.faults.{program}"],
        env={**environment, "LD_PRELOAD": str(library), "PYTHONPATH": str(tests)},
        cwd=folder,  # else -m finds the sources, not what is installed
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        yield FaultServer(process, folder)
        process.stdin.close()
