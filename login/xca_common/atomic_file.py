# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from xca_common.errors import FileProblem, os_reason
from xca_common.scratch import ScratchFile


@contextmanager
def replacement(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Write a file that takes the place of the one that is there.

    Its content is on the disk when the block ends. Entering the block fails before anything else is done.
    When the block raises, all is as it was. A symbolic link is replaced too, not followed. This is for the
    program's own files; output_file is for those that a person named.

    Args:
        path: the file.
        mode: its mode, less the umask.

    Raises:
        OSError: it cannot be written there, or what is there is neither a file nor a link to one.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")  # such as a device: the program would take it away
    scratch = ScratchFile(path.parent, mode)
    try:
        with open(scratch.descriptor, "wb", closefd=False) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)
    finally:
        scratch.close()
    sync_names(path.parent)


@contextmanager
def whole_file(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Do the same as replacement(), for a file that a person named.

    Raises:
        FileProblem: it cannot be written there.
    """
    try:
        with replacement(path, mode) as file:
            yield file
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error


def write(path: Path, content: bytes) -> None:
    """Write or replace a file of mode 0600 (replacement).

    Raises:
        OSError: it cannot be written.
    """
    with replacement(path, 0o600) as file:
        file.write(content)


def sync_names(folder: Path) -> None:
    """Bring a folder's list of names to the disk, if that can be done.

    This is for a file that has its content on the disk and its name. It was written, whatever fails here: not
    every folder can be opened, and not every file system can do it with folders (CIFS).
    """
    with suppress(OSError):
        sync(folder)


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
