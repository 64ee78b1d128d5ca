# SPDX-License-Identifier: Apache-2.0
"""The site's side works where the system has no locks of POSIX: xca-login is for Windows and macOS too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.fast

WITHOUT = """
import os
os.supports_dir_fd.clear()
import asyncio, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("CLOEXEC", "DIRECTORY", "NOFOLLOW", "NONBLOCK", "TMPFILE"):
    delattr(os, f"O_{name}")
for name in ("geteuid", "getuid", "fork"):
    delattr(os, name)
"""
"""A Python without what Windows lacks. asyncio has read what it takes from there before."""
USE = """
import importlib, pkgutil
from datetime import UTC, datetime
from pathlib import Path
import xca_common, xca_login
from xca_common import atomic_file
from xca_common.scratch import scratch_folder
from xca_login.evidence import Evidence, EvidenceFolder, read

for package in (xca_common, xca_login):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.startswith("xca_login.integrations.django."):  # they need a project
            importlib.import_module(module.name)
for content in (b"one", b"two"):
    atomic_file.write(Path("file"), content)
try:
    with atomic_file.replacement(Path("file"), 0o600):
        raise ValueError
except ValueError:
    pass
with scratch_folder(Path()) as folder:
    (folder / "content").write_bytes(b"")
kept = Evidence(datetime.now(UTC), b"challenge", b"token", (b"ca",), (b"list",), ())
assert read(EvidenceFolder(Path("evidence")).keep(kept)) == kept
assert xca_login.Revocation(Path("lists"))
"""


def test_site_without_the_locks_of_posix_keeps_lists_and_evidence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + USE],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_bytes() == b"two"
    assert {one.name for one in tmp_path.iterdir()} <= {"file", "evidence", "lists"}
