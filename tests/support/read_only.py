# SPDX-License-Identifier: Apache-2.0
"""Folders on a file system that cannot be written, for one process."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

_MOUNT = """mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@" """


def read_only(folder: Path) -> tuple[str, ...]:
    """Return what starts a process that cannot write below a folder."""
    return ("unshare", "--mount", "sh", "-c", _MOUNT, str(folder))


def can_mount() -> bool:
    """Say whether read_only works here."""
    with TemporaryDirectory() as folder:
        return not subprocess.run(
            [*read_only(Path(folder)), "true"], capture_output=True, check=False
        ).returncode
