# SPDX-License-Identifier: Apache-2.0
"""A user's systemd in namespaces with a /run and a network of their own."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.agent.agent_process import SECONDS, until

RUNTIME = "/run/user-of-the-test"
# systemd refuses to run where the system was not booted with one (sd_booted(3)).
START = f"""
mount -t tmpfs tmpfs /run
mkdir -p -m 700 /run/systemd/system {RUNTIME}
ip link set lo up
exec /lib/systemd/systemd --user --log-target=console
"""

Inside = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs a command there: inside("systemctl", "--user", "is-active", "x", VARIABLE="value")."""


@contextmanager
def systemd(home: Path) -> Iterator[Inside]:
    """Run it until the block ends. Only root may."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": RUNTIME}
    log = (home / "systemd.log").open("wb")
    with log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--", "sh", "-euc", START],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def inside(*command: str, **more: str) -> "subprocess.CompletedProcess[str]":
        namespaces = ["nsenter", "--target", str(process.pid), "--mount", "--net", "--"]
        return subprocess.run(
            [*namespaces, *command],
            env={**variables, **more},
            capture_output=True,
            text=True,
            timeout=60,
            cwd=home,
        )

    try:
        until(lambda: inside("systemctl", "--user", "show-environment").returncode == 0)
        yield inside
    finally:
        inside("systemctl", "--user", "exit")
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
