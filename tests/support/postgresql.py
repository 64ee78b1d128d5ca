# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of a test's own, on a socket in a folder."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import make_url

ACCOUNT = "postgres"


def programs() -> Path | None:
    """The folder with the newest server's programs; None: there is none."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(path.parts[-3])).parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).parent if elsewhere else None


WITH_POSTGRESQL = pytest.param(
    "postgresql",
    marks=[
        pytest.mark.integration,
        pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL here"),
    ],
)
"""The parameter of a test that asks for the fixture server."""


@contextmanager
def postgresql(settings: str = "-c fsync=off -c max_connections=20") -> Iterator[str]:
    """Start a server, and yield the URL of its database. As root it is run by another account."""
    where = programs()
    assert where is not None
    # Not tmp_path: a socket's path has at most 107 bytes, and the account must be able to reach it.
    with TemporaryDirectory(prefix="pg") as name:
        if os.geteuid() == 0:
            shutil.chown(name, ACCOUNT)

        def run(*command: str | Path) -> None:
            _run(name, *command)

        data = f"{name}/data"
        options = f"-c listen_addresses= {settings}"
        run(where / "initdb", "-D", data, "-U", ACCOUNT, "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        run(where / "pg_ctl", "-D", data, "-w", "-l", f"{name}/log", "-o", f"{options} -k {name}", "start")
        try:
            yield f"postgresql+psycopg://{ACCOUNT}@/postgres?host={name}"
        finally:
            run(where / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def crash(address: str) -> None:
    """Kill a server that postgresql() started, and start it again: it recovers from its log.

    Args:
        address: the URL of one of its databases.
    """
    folder = make_url(address).query["host"]
    where = programs()
    assert where is not None
    assert isinstance(folder, str)
    _run(
        folder,
        where / "pg_ctl",
        "-D",
        f"{folder}/data",
        "-w",
        "-l",
        f"{folder}/log",
        "-m",
        "immediate",
        "restart",
    )


def _run(folder: str, *command: str | Path) -> None:
    account = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
    subprocess.run([*account, *command], cwd=folder, check=True, capture_output=True, timeout=120)
