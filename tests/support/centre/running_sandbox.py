# SPDX-License-Identifier: Apache-2.0
"""xca-centre sandbox in a process of its own, as a script runs it in its background."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

PROGRAM = Path(sys.executable).with_name("xca-centre")


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that runs.

    Attributes:
        start: the address of its page.
        centre: of its centre.
    """

    start: str
    centre: str


@contextmanager
def running_sandbox(
    temporary: Path, *words: str, end: signal.Signals = signal.SIGINT
) -> Iterator[RunningSandbox]:
    """Run one until a signal ends it. In the background of a script Ctrl-C is ignored by default."""
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        ["sh", "-c", """trap '' INT; exec "$@" """, "sh", PROGRAM, "sandbox", "--no-browser", *words],
        env={**os.environ, "LANGUAGE": "en", "PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    said = ""
    try:
        while (line := process.stdout.readline()) and "Ctrl-C" not in line:
            said += line
        found = re.search(r"http://127.0.0.1:\d+", line)
        assert found is not None, said
        page = httpx.get(found[0] + "/", headers={"Accept-Language": "en"}).text
        (centre,) = set(re.findall(r'class="door first" href="(http://127.0.0.1:\d+)/"', page))
        yield RunningSandbox(found[0], centre)
    finally:
        process.send_signal(end)
        process.communicate(timeout=60)
    assert process.returncode == 0
    for address in (found[0], centre):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
