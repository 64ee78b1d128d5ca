# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from xca_common.errors import FileProblem, os_reason


@contextmanager
def whole_file(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Write a file that appears whole or not at all; entering it fails before anything else is done.

    Raises:
        FileProblem: it cannot be written there.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error
    finally:
        scratch.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Write or replace a file of mode 0600 in one step; it is on the disk when the call returns.

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
