# SPDX-License-Identifier: Apache-2.0
"""A folder that is put back to what it was, again and again."""

import shutil
import stat
from pathlib import Path


class KeptFolder:
    """A folder, and what was in it.

    Args:
        folder: the folder.
        copy: where its content is kept.
    """

    def __init__(self, folder: Path, copy: Path) -> None:
        self._folder, self._copy = folder, copy
        self.keep()

    def keep(self) -> None:
        """Keep all files as they are, for put_back()."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._folder, self._copy, symlinks=True)
        self._seen = self._look()

    def put_back(self) -> None:
        """Put back what has changed. (All of it would take as long as a command.)"""
        changed = {path for path, _ in self._look().items() ^ self._seen.items()}
        for path in sorted(changed, reverse=True):  # what is in a folder before the folder
            here = self._folder / path
            if not here.is_dir() or here.is_symlink():
                here.unlink(missing_ok=True)
            elif path not in self._seen:
                shutil.rmtree(here)
        for path in sorted(changed & self._seen.keys()):
            here, kept = self._folder / path, self._copy / path
            if kept.is_dir() and not kept.is_symlink():
                here.mkdir(exist_ok=True)
                shutil.copystat(kept, here)
            else:
                shutil.copy2(kept, here, follow_symlinks=False)
        self._seen = self._look()

    def names(self) -> set[Path]:
        """Return all files and folders in it."""
        return set(self._folder.rglob("*"))

    def _look(self) -> dict[Path, tuple[int, ...]]:
        """Return what tells whether a file was changed, of each one; of a folder, its mode."""
        found: dict[Path, tuple[int, ...]] = {}
        for path in self.names():
            status = path.lstat()
            same: tuple[int, ...] = (status.st_mode,)
            if not stat.S_ISDIR(status.st_mode):
                same += (status.st_ino, status.st_size, status.st_ctime_ns)
            found[path.relative_to(self._folder)] = same
        return found
