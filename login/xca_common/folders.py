# SPDX-License-Identifier: Apache-2.0
"""Folders of one user alone."""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, each with mode 0700 whatever the umask.

    Folders that are there stay as they are. (Path.mkdir gives its mode to the last folder only.)

    Raises:
        OSError: one of them cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
