# SPDX-License-Identifier: Apache-2.0
"""A file of a person in the agent's scratch folder: it has a random name there, and its own for people."""

import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final, Self

from xca_common.errors import XcaError
from xca_common.harmless_text import harmless
from xca_plugin.named_file import NamedFile, buffered_writer, problems_of

_NAME_BYTES: Final = 200  # with an ending of ours a name has at most 255 (NAME_MAX)
# What harmless() shows of a character that cannot be seen, and what a file's name cannot have everywhere.
_UNUSABLE: Final = re.compile(r"<U\+[0-9A-F]+(?: x\d+)?>|<… \+\d+>|[/\\:*?\"<>|]")
_BUFFER: Final = 1 << 16
_PDF: Final = b"%PDF-"


class Role(StrEnum):
    """What a file is for."""

    CONTENT = "content"
    """The job is done with it."""
    RECIPIENT = "recipient"
    """It holds certificates of recipients."""
    ROOT = "root"
    """It holds the certificates to trust."""
    INTERMEDIATE = "intermediate"
    """It holds certificates of CAs between signer and root."""
    RESULT = "result"
    """The agent made it."""


@dataclass(frozen=True)
class StoredFile:
    """A file in the scratch folder.

    Attributes:
        id: random; names it in addresses.
        name: its name for people, as file_name() returns it.
        role: what it is for.
        path: where it is.
    """

    id: str
    name: str
    role: Role
    path: Path

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size

    @property
    def is_pdf(self) -> bool:
        """Whether it begins as a PDF does."""
        with self.path.open("rb") as file:
            return file.read(len(_PDF)) == _PDF

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        """Open it to be read. Errors name it as people do.

        Raises:
            FileProblem: it cannot be read, also later.
        """
        with problems_of(self.name):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield io.BufferedReader(NamedFile(descriptor, "rb", Path(self.name)), _BUFFER)
        finally:
            with suppress(OSError):  # it was read
                os.close(descriptor)

    @contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """Make it, to be written. It is removed if the block raises.

        Raises:
            FileProblem: it cannot be written, for example because the disk is full.
        """
        with problems_of(self.name):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                with buffered_writer(NamedFile(descriptor, "wb", Path(self.name))) as file:
                    yield file
            finally:
                with problems_of(self.name):
                    os.close(descriptor)
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise

    def as_json(self) -> dict[str, str]:
        """Return it for another process."""
        return {"id": self.id, "name": self.name, "role": self.role.value, "path": str(self.path)}

    @classmethod
    def from_json(cls, said: dict[str, str]) -> Self:
        """Return what as_json() of another process returned."""
        return cls(said["id"], said["name"], Role(said["role"]), Path(said["path"]))


def named(error: XcaError, files: Iterable[StoredFile]) -> XcaError:
    """Return an error that names a file as people do, not by its place in the scratch folder."""
    for file in files:
        if getattr(error, "path", None) == file.path:
            error.path = Path(file.name)  # type: ignore[attr-defined]  # a fact of errors about files
    return error


def file_name(said: str) -> str:
    """Return a harmless name for a file that a browser named so, such as contract.pdf.

    What cannot be seen in a name, or not be in one, becomes an underscore. The end of a long name stays, with
    its ending.
    """
    name = _UNUSABLE.sub("_", harmless(said)).strip(" .") or "_"
    encoded = name.encode()
    if len(encoded) <= _NAME_BYTES:
        return name
    return encoded[-_NAME_BYTES:].decode(errors="ignore")
