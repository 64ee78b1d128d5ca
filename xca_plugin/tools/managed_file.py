# SPDX-License-Identifier: Apache-2.0
"""A file that takes our lines, and what has to be changed in it."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from xca_common.base_directories import config_home, own_configuration
from xca_plugin.errors import EditedByHand, NotEditable
from xca_plugin.i18n import text
from xca_plugin.tools import managed_block
from xca_plugin.tools.file_change import FileChange, read


class Registration(StrEnum):
    """How a tool's registration stands."""

    ABSENT = "not-registered"
    REGISTERED = "registered"
    OUTDATED = "outdated"
    """Our lines are there, but not in every place, or they name another module."""
    EDITED = "edited"
    """Our lines were changed by hand."""
    UNREADABLE = "unreadable"
    """A file of the tool cannot be read, or not understood."""


class ManagedFile:
    """A file that is ours alone, or that the lines go to the end of.

    Attributes:
        blank_after: an empty line after the lines belongs to them.
        own: nobody else's lines are in it.
        mode: mode of the file, if it has to be made.
        folder_mode: mode of the folders that are made for it.
    """

    blank_after = False

    def __init__(
        self,
        path: Path,
        tool: str,
        lines: Sequence[str],
        *,
        own: bool = True,
        mode: int = 0o600,
        folder_mode: int = 0o700,
    ) -> None:
        # Whoever keeps such files elsewhere and links to them goes on doing so.
        self.path = Path(os.path.realpath(path))
        self.own, self.mode, self.folder_mode = own, mode, folder_mode
        self._tool, self._lines = tool, lines

    def body(self, rest: bytes) -> Sequence[str]:
        """Return our lines as they have to be among all the others."""
        return self._lines

    def position(self, rest: bytes) -> int:
        """Return where among all the others they have to be."""
        return len(rest)

    def prove(self, rest: bytes, content: bytes) -> None:
        """Prove, before it is written, that the tool reads such a file, and all the others' lines as before.

        Raises:
            NotEditable: it does not.
        """

    def state(self) -> Registration:
        """Tell how it stands here.

        Raises:
            FileProblem: the file cannot be read.
        """
        content = read(self.path) or b""
        try:
            found = self._find(content)
        except EditedByHand:
            return Registration.EDITED
        if found is None:
            return Registration.ABSENT
        current = found.body == tuple(self.body(managed_block.cut(content, found)))
        return Registration.REGISTERED if current else Registration.OUTDATED

    def plan_register(self) -> list[FileChange]:
        """Return what has to be changed for our lines to be there as they have to be.

        Raises:
            FileProblem, NotEditable, EditedByHand.
        """
        before = read(self.path)
        content = before or b""
        if b"\0" in content:
            raise NotEditable(path=self.path, detail=text("it is not a text file"))
        found = self._find(content)
        if before is not None and found is None and self.own:
            raise NotEditable(path=self.path, detail=text("it is there already, and not made by xcactl"))
        rest = managed_block.cut(content, found) if found else content
        body = self.body(rest)
        if found and found.body == tuple(body):
            return []
        if found:
            head, tail, made = content[: found.start], content[found.end :], found.made
            if tail:
                after = self._insert(head + tail, found.start, body, made)
            else:
                after = self._insert(rest, len(rest), body, made)
        else:
            made = 0 if before is not None else 1 + self._new_folders()
            after = self._insert(rest, self.position(rest), body, made)
        self.prove(rest, after)
        return [FileChange(self.path, before, after, max(0, made - 1), self.mode, self.folder_mode)]

    def plan_unregister(self) -> list[FileChange]:
        """Return what has to be changed for all to be as it was before.

        Raises:
            FileProblem, EditedByHand.
        """
        content = read(self.path)
        found = self._find(content or b"")
        if content is None or found is None:
            return []
        rest = managed_block.cut(content, found)
        if found.made and not rest:
            return [FileChange(self.path, content, None, found.made - 1)]
        return [FileChange(self.path, content, rest)]

    def _find(self, content: bytes) -> managed_block.ManagedBlock | None:
        try:
            return managed_block.find(content, self._tool, blank_after=self.blank_after)
        except managed_block.EditedError as error:
            raise EditedByHand(path=self.path, name=self._tool) from error

    def _insert(self, content: bytes, at: int, body: Sequence[str], made: int) -> bytes:
        return managed_block.insert(content, at, self._tool, body, made, blank_after=self.blank_after)

    def _new_folders(self) -> int:
        """Count the folders above the file that are not there, or are only because of us."""
        made_by_us: set[Path] = set()
        for file in (*own_configuration().glob("*"), *config_home().glob("pkcs11/modules/*")):
            made_by_us.update(file.resolve().parents[: _made_folders(file)])
        count = 0
        while (folder := self.path.parents[count]) in made_by_us or not folder.exists():
            count += 1
        return count


def _made_folders(file: Path) -> int:
    content = (read(file) if file.is_file() else None) or b""
    return max(0, managed_block.made(content) - 1)
