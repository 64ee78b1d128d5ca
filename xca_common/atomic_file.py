# SPDX-License-Identifier: Apache-2.0
"""Private files that survive a power cut: 0600, whole or absent, on the disk when the call returns."""

import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write or replace a file of mode 0600 in one step.

    Raises:
        OSError: it cannot be written.
    """
    new = path.with_name(f"{path.name}.new")
    # A former attempt's file may be there, with whatever mode it had.
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file or a folder's list of names to the disk (fsync(2)).

    Raises:
        OSError: it cannot be opened or written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
