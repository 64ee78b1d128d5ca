# SPDX-License-Identifier: Apache-2.0
"""A file that takes xcactl's lines, and the changes that put them in and take them out."""

import os
import re
import stat
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from xca_common.base_directories import config_home, own_configuration
from xca_common.errors import FileProblem
from xca_plugin.errors import EditedByHand, NotEditable, OtherInstallation
from xca_plugin.i18n import text
from xca_plugin.tools import managed_block
from xca_plugin.tools.file_change import FileChange, check_only_name, is_there, read
from xca_plugin.tools.host_environment import module


class Registration(StrEnum):
    """The state of a tool's registration."""

    ABSENT = "not-registered"
    REGISTERED = "registered"
    OUTDATED = "outdated"
    """The lines are missing in a file, or are those of another version or module."""
    OTHER = "other-installation"
    """The lines name the module of another installation, which is there."""
    EDITED = "edited"
    """The lines were changed by hand."""
    UNREADABLE = "unreadable"
    """A file of the tool cannot be read or understood."""


class ManagedFile:
    """A file of one tool. The lines go to its end.

    Attributes:
        path: the file itself, not a symbolic link to it.
        blank_after: an empty line after the lines belongs to them.
        own: xcactl makes the file, and it holds no other lines.
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
        # A symbolic link stays one: the file that it leads to is changed.
        self.path = Path(os.path.realpath(path))
        self._named = path
        self.own, self.mode, self.folder_mode = own, mode, folder_mode
        self._tool, self._lines = tool, lines

    def same_file(self) -> object:
        """Return what two names of one file have in common, such as a folder and a symbolic link to it."""
        try:
            folder = self.path.parent.stat()
        except OSError:
            return self.path
        return folder.st_dev, folder.st_ino, self.path.name

    def body(self, rest: bytes) -> Sequence[str]:
        """Return the lines to insert, given all other lines of the file."""
        return self._lines

    def position(self, rest: bytes) -> int:
        """Return the offset to insert them at, given all other lines of the file."""
        return len(rest)

    def prove(self, rest: bytes, content: bytes) -> None:
        """Check, before it is written, that the tool reads the new file, and all other lines as before.

        Args:
            rest: the file without the lines.
            content: the file with them.

        Raises:
            NotEditable: it does not.
        """

    def state(self) -> Registration:
        """Return the state of the registration in this file.

        Raises:
            FileProblem: the file cannot be read.
            NotEditable: it is reached through another user's symbolic link.
        """
        content = self._read() or b""
        try:
            found = self._find(content)
        except EditedByHand:
            return Registration.EDITED
        if found is None:
            return Registration.ABSENT
        if found.body == tuple(self.body(managed_block.cut(content, found))):
            return Registration.REGISTERED
        return Registration.OTHER if others_module(found.body) else Registration.OUTDATED

    def plan_register(self, *, take_over: bool = False) -> list[FileChange]:
        """Return the change that inserts the lines or corrects them; none when they are as they have to be.

        Args:
            take_over: lines of another installation are corrected too.

        Raises:
            FileProblem: the file cannot be read.
            NotEditable: the lines cannot be inserted into such a file.
            EditedByHand: the lines were changed by hand.
            OtherInstallation: the lines are another installation's.
        """
        before = self._read()
        content = before or b""
        if b"\0" in content:
            raise NotEditable(path=self.path, detail=text("it is not a text file"))
        found = self._find(content)
        if before is not None and found is None and self.own:
            raise NotEditable(path=self.path, detail=text("it exists already, and another program made it"))
        rest = managed_block.cut(content, found) if found else content
        body = self.body(rest)
        if found and found.body == tuple(body):
            return []
        if found and not take_over:
            self._check_whose(found.body)
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
        self._check_only_name()
        return [FileChange(self.path, before, after, max(0, made - 1), self.mode, self.folder_mode)]

    def plan_unregister(self) -> list[FileChange]:
        """Return the change that removes the lines; none when there are none.

        Raises:
            FileProblem, NotEditable, EditedByHand, OtherInstallation: as plan_register.
        """
        content = self._read()
        found = self._find(content or b"")
        if content is None or found is None:
            return []
        self._check_whose(found.body)
        self._check_only_name()
        rest = managed_block.cut(content, found)
        if found.made and not rest:
            return [FileChange(self.path, content, None, found.made - 1)]
        return [FileChange(self.path, content, rest)]

    def _check_whose(self, body: Sequence[str]) -> None:
        if other := others_module(body):
            raise OtherInstallation(name=self._tool, path=self.path, module=other)

    def _read(self) -> bytes | None:
        """Read the file; None when it does not exist.

        Raises:
            FileProblem: it cannot be read.
            NotEditable: another user's symbolic link leads to it, and chose the file that would be changed.
        """
        try:
            named = self._named.lstat()
        except OSError:
            named = None
        if named and stat.S_ISLNK(named.st_mode) and named.st_uid not in (0, os.geteuid()):
            raise NotEditable(path=self._named, detail=text("it is another user's symbolic link"))
        return read(self.path)

    def _check_only_name(self) -> None:
        if self.path.exists():
            check_only_name(self.path, self.path.stat())

    def _find(self, content: bytes) -> managed_block.ManagedBlock | None:
        try:
            return managed_block.find(content, self._tool, blank_after=self.blank_after)
        except managed_block.EditedError as error:
            raise EditedByHand(path=self.path, name=self._tool) from error

    def _insert(self, content: bytes, at: int, body: Sequence[str], made: int) -> bytes:
        return managed_block.insert(content, at, self._tool, body, made, blank_after=self.blank_after)

    def _new_folders(self) -> int:
        """Count the folders above the file that do not exist, or that xcactl made for another tool's file."""
        made_before: set[Path] = set()
        for file in (*own_configuration().glob("*"), *config_home().glob("pkcs11/modules/*")):
            made_before.update(Path(os.path.realpath(file)).parents[: _made_folders(file)])
        count = 0
        while (folder := self.path.parents[count]) in made_before or not is_there(folder):
            count += 1
        return count


def _made_folders(file: Path) -> int:
    """Return how many folders were made for a file; 0 for one that cannot be read."""
    try:
        content = read(file) or b""
    except FileProblem:
        return 0
    return max(0, managed_block.made(content) - 1)


def others_module(body: Sequence[str]) -> str | None:
    """Return the module of another installation that lines name; None: they name none that is there.

    Lines that name a module that no longer exists belong to no installation.
    """
    for found in re.findall(r"/[^\"'\n]*/xca-pkcs11\.so", "\n".join(body)):
        if is_there(Path(found)) and os.path.realpath(found) != os.path.realpath(module()):
            return str(found)
    return None
