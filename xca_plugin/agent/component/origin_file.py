# SPDX-License-Identifier: Apache-2.0
"""A file with one origin a line, which the person may edit and several agents may change at once."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from xca_common.atomic_file import whole_file
from xca_common.errors import FileProblem, os_reason
from xca_common.folders import make_private
from xca_plugin import errors
from xca_plugin.agent.process.origin import is_origin

_LOCK_SECONDS: Final = 3.0


class OriginFile:
    """A person's list of web sites. It is read anew each time, so that a change by hand counts at once.

    Args:
        path: the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[str]:
        """Return the origins in the file, each a line of its own. Whatever else stands there is left out.

        Raises:
            BadAgentConfiguration: the file cannot be read.
        """
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise errors.BadAgentConfiguration(path=self._path, detail=str(error)) from error
        return [line.strip() for line in lines if is_origin(line.strip())]

    def add(self, origin: str) -> None:
        """Add an origin, if it is not there. This may wait for another agent.

        Raises:
            BadAgentConfiguration: the file cannot be read.
            FileProblem: the file cannot be written.
        """
        with self._changing() as file:
            if origin in self.read():
                return
            content = file.read_bytes() if file.exists() else b""
            separator = b"" if content.endswith(b"\n") or not content else b"\n"
            with whole_file(file, 0o600) as target:
                target.write(content + separator + f"{origin}\n".encode())

    def remove(self, origin: str) -> None:
        """Take an origin out. All else in the file stays. This may wait for another agent.

        Raises:
            BadAgentConfiguration: the file cannot be read.
            FileProblem: the file cannot be written.
        """
        if not self._path.exists():
            return
        with self._changing() as file:
            if origin not in self.read():
                return
            lines = file.read_bytes().decode().splitlines(keepends=True)
            with whole_file(file, 0o600) as target:
                target.write("".join(line for line in lines if line.strip() != origin).encode())

    @contextmanager
    def _changing(self) -> Iterator[Path]:
        """Yield the file while no other agent changes it: each reads it anew under the same lock.

        Raises:
            FileProblem: its folder or its lock cannot be made, or another program keeps the lock.
        """
        lock = self._path.with_name(f"{self._path.name}.lock")
        try:
            make_private(self._path.parent)
            file = self._path.resolve()  # the file may be a symbolic link that the person made
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            held = os.open(lock, flags, 0o600)
            try:
                _wait_for(held)
                yield file
            finally:
                with suppress(OSError):  # nothing was written to it
                    os.close(held)
        except OSError as error:
            raise FileProblem(path=self._path, detail=os_reason(error)) from error


def _wait_for(descriptor: int) -> None:
    """Lock an open file (flock(2)); a writer holds the lock for some milliseconds.

    Raises:
        BlockingIOError: somebody holds it for _LOCK_SECONDS.
    """
    end = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < end:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.01)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
