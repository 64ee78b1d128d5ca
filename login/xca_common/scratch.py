# SPDX-License-Identifier: Apache-2.0
"""Scratch files and folders that a killed program leaves behind for the next one to remove.

Whoever makes one holds a lock on it (flock(2)), which ends with the process. Each use first removes those of
the same user that nobody holds. A system without such locks (Windows) keeps what a killed program left.
"""

import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

try:
    import fcntl
except ModuleNotFoundError:
    fcntl = None  # type: ignore[assignment]  # a system without it

# They do not hold the file's own name: that may be as long as a name can be.
_FILES: Final = re.compile(r"\.xca-[0-9a-f]{16}\.tmp")
_FOLDERS: Final = re.compile(r"xca-scratch-\w{8}")

_TEMPORARY: Final = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108  # mkdtemp() makes folders there

_PROC: Final = Path("/proc/self/fd")
_is_proc_there: Final = cache(_PROC.exists)
_cleared: Final[set[Path]] = set()
"""Folders that were searched for scratch files already: once a process is enough."""


class ScratchFile:
    """A file without a name, or with a name of its own where the file system has no files without.

    Args:
        folder: where it is, and where its final name will be.
        mode: its mode, less the umask.

    Attributes:
        descriptor: to write to it; close() closes it.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path, mode: int) -> None:
        _clear_files(folder)
        self._folder = folder
        self._path: Path | None = None
        self.descriptor = -1
        # Not every system has files without a name, nor every file system (NFS, FAT). The next call tells any
        # other reason.
        with suppress(AttributeError, OSError):
            self.descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, mode)
            if not _is_proc_there():  # else it can get no name
                raise FileNotFoundError(_PROC)
            return
        self.close()
        self._create(mode)

    def name(self) -> Path:
        """Return a name that leads to it until it has its final one.

        What has this name when the file is closed is removed.

        Raises:
            OSError: it cannot be given one.
        """
        return self._path or self._link()

    def rename(self, target: Path) -> None:
        """Give it its final name, in place of what has that name.

        Raises:
            OSError: it cannot be done; what was there is there.
        """
        path = self.name()
        if fcntl is None:
            self._close_descriptor()  # Windows gives no other name to an open file
        path.replace(target)
        self._path = None

    def link(self, target: Path) -> None:
        """Give it its final name, which nothing has.

        Raises:
            FileExistsError: something has that name.
            OSError: it cannot be done.
        """
        try:
            if self._path is None:
                self._link_to(target)
            else:
                os.link(self._path, target)
        except FileExistsError:
            raise
        except OSError:  # no hard links (FAT, some network file systems), or no /proc: take the name first
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            try:
                self.rename(target)
            except BaseException:
                target.unlink()
                raise

    def close(self) -> None:
        """Close it; remove it, if it has not got its final name."""
        if fcntl is None:
            self._close_descriptor()  # Windows removes no open file
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        self._close_descriptor()

    def _close_descriptor(self) -> None:
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            with suppress(OSError):  # fsync(2) has told every error that matters
                os.close(descriptor)

    def _create(self, mode: int) -> None:
        while True:
            path = self._new_name()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            if (
                _lock(descriptor) and os.fstat(descriptor).st_nlink
            ):  # else somebody clears it, or has cleared it
                self._path, self.descriptor = path, descriptor
                return
            os.close(descriptor)

    def _link(self) -> Path:
        """Give a file without a name one of its own."""
        path = self._new_name()
        _lock(self.descriptor)
        self._link_to(path)
        self._path = path
        return path

    def _link_to(self, target: Path) -> None:
        # As in open(2), O_TMPFILE. Python calls linkat(2) only if a folder's descriptor is given; it means
        # nothing for an absolute path.
        os.link(self._nameless(), target, src_dir_fd=self.descriptor, follow_symlinks=True)

    def _nameless(self) -> str:
        return f"/proc/self/fd/{self.descriptor}"

    def _new_name(self) -> Path:
        return self._folder / f".xca-{secrets.token_hex(8)}.tmp"


def temporary_folder() -> Path:
    """Return where this user's temporary files are: the first of those that tempfile.gettempdir() knows.

    That function writes a file of its own there first: a killed program leaves it behind, and a full disk
    looks to it as if there were no such folder.

    Raises:
        FileNotFoundError: there is none that this user may write to.
    """
    for name in (*(os.environ.get(each) for each in ("TMPDIR", "TEMP", "TMP")), *_TEMPORARY):
        if name and Path(name).is_dir() and os.access(name, os.W_OK | os.X_OK):
            return Path(name).absolute()
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder for one user alone; it is gone afterwards.

    Args:
        parent: where; None: where the system keeps temporary files.

    Raises:
        OSError: it cannot be made.
    """
    parent = parent or temporary_folder()
    _clear_folders(parent)
    descriptor = -1
    while True:
        folder = Path(tempfile.mkdtemp(prefix="xca-scratch-", dir=parent))
        if fcntl is None:  # nobody clears it, and Windows opens no folders
            break
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        if _lock(descriptor) and folder.exists():  # else somebody clears it, or has cleared it
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Hold what was just made; return whether nobody else does, who would clear it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks; nobody clears it there
        pass
    return True


def _clear_files(folder: Path) -> None:
    if folder in _cleared:
        return
    _cleared.add(folder)
    for path in _own(folder, _FILES, stat.S_ISREG):
        path.unlink(missing_ok=True)


def _clear_folders(parent: Path) -> None:
    for path in _own(parent, _FOLDERS, stat.S_ISDIR):
        shutil.rmtree(path, ignore_errors=True)


def _own(folder: Path, names: re.Pattern[str], is_kind: Callable[[int], bool]) -> Iterator[Path]:
    """Yield this user's scratch files or folders that no process holds; each is locked meanwhile."""
    if fcntl is None:  # it cannot be told who holds what
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if names.fullmatch(entry.name)]:
            path = folder / name
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    found = os.fstat(descriptor)
                    if found.st_uid == os.geteuid() and is_kind(found.st_mode):
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        yield path
                finally:
                    os.close(descriptor)
