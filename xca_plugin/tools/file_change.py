# SPDX-License-Identifier: Apache-2.0
"""Changes of files: shown before they are made, and made whole or not at all."""

import difflib
import errno
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from xca_common import atomic_file
from xca_common.errors import FileProblem, os_reason
from xca_common.harmless_text import harmless
from xca_plugin.i18n import text


@dataclass(frozen=True)
class FileChange:
    """What a file is and what it will be.

    Attributes:
        path: the file itself, not a symbolic link to it.
        before: its content now; None: it is not there.
        after: its content then; None: it is taken away.
        folders: so many folders above it come and go with it, these as far as nothing else is in them.
        mode: mode of a new file; one that is there keeps its own, and its owner.
        folder_mode: mode of the folders that are made for it.
    """

    path: Path
    before: bytes | None
    after: bytes | None
    folders: int = 0
    mode: int = 0o600
    folder_mode: int = 0o700

    def diff(self) -> str:
        """Show the change as a unified diff, without the lines around it: they may be somebody's secrets."""
        (old, old_name), (new, new_name) = (
            (
                (side or b"").decode("utf-8", "replace").splitlines(),
                os.devnull if side is None else harmless(str(self.path)),
            )
            for side in (self.before, self.after)
        )
        lines = difflib.unified_diff(old, new, old_name, new_name, lineterm="", n=0)
        return "\n".join(harmless(line, lines=True) for line in lines)

    def apply(self) -> None:
        """Make the change.

        Raises:
            FileProblem: it cannot be made, or the file is no longer what it was; it is as it was then.
        """
        try:
            if read(self.path) != self.before:
                raise FileProblem(path=self.path, detail=text("somebody else changed it just now"))
            if self.before is not None and not os.access(self.path, os.W_OK):
                # Its folder may allow it all the same; who made it read-only did not mean that.
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if self.after is None:
                self.path.unlink()
                _remove_empty(self.path.parents[: self.folders])
            else:
                self._write(self.after)
        except OSError as error:
            raise FileProblem(path=self.path, detail=os_reason(error)) from error

    def _write(self, content: bytes) -> None:
        missing = [folder for folder in self.path.parents if not folder.exists()]
        try:
            for folder in reversed(missing):
                folder.mkdir(self.folder_mode)
            with atomic_file.replacement(self.path, 0o600) as file:
                file.write(content)
                mode = self.mode
                if self.before is not None:
                    known = self.path.stat()
                    mode = stat.S_IMODE(known.st_mode)
                    os.fchown(file.fileno(), known.st_uid, known.st_gid)
                os.fchmod(file.fileno(), mode)
        except BaseException:
            _remove_empty(missing)
            raise


def make(changes: Sequence[FileChange]) -> None:
    """Make several changes, or none of them.

    Raises:
        FileProblem: one of them cannot be made; all is as it was then.
    """
    with ExitStack() as made:
        for change in changes:
            change.apply()
            made.callback(replace(change, before=change.after, after=change.before).apply)
        made.pop_all()


def read(path: Path) -> bytes | None:
    """Return a file's content; None when it is not there.

    Raises:
        FileProblem: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, up to one with something in it."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
