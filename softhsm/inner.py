# SPDX-License-Identifier: Apache-2.0
"""Requests to SoftHSM, which runs in a process of its own.

The program that issues cards may have the guarded module loaded, and SoftHSM inside it: two users of one
SoftHSM in one process would share its sessions, its logins and its configuration.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Self, cast

from softhsm.errors import SoftHSMError
from softhsm.i18n import text


class InnerModule:
    """One conversation with SoftHSM under one configuration. Secrets go through the pipe only."""

    def __init__(self, module: Path, configuration: Path) -> None:
        self._module = module
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", str(Path(__file__).with_name("inner_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"SOFTHSM2_CONF": str(configuration), "PYTHONUTF8": "1"},
            # Ctrl-C reaches only the issuer, which then ends the worker.
            process_group=0,
        )
        self._requests = cast(IO[str], self._process.stdin)
        self._answers = cast(IO[str], self._process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Its answers count, not its exit status: SoftHSM may crash when it is unloaded.
        self._process.kill()
        self._process.communicate()

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            SoftHSMError: SoftHSM refused, or the process ended.
        """
        self.send(do=do, **details)
        return self.receive()

    def send(self, **message: Any) -> None:
        """Send one message without waiting for its answer.

        Raises:
            SoftHSMError: the process ended.
        """
        try:
            print(json.dumps({"module": str(self._module), **message}), file=self._requests, flush=True)
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self) -> dict[str, Any]:
        """Return the next answer.

        Raises:
            SoftHSMError: SoftHSM refused, or the process ended.
        """
        line = self._answers.readline()
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            said = text("SoftHSM ({module}) refused: {error}")
            raise SoftHSMError(said.format(module=self._module, error=answer["error"]))
        return answer

    def _ended(self) -> SoftHSMError:
        said = text("SoftHSM ({module}) ended with status {status}; is it whole?")
        return SoftHSMError(said.format(module=self._module, status=self._process.wait()))
