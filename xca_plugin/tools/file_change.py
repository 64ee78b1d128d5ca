# SPDX-License-Identifier: Apache-2.0
"""Changes of other programs' files: shown before they are made, and made whole or not at all."""

import ctypes
import difflib
import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from xca_common import atomic_file
from xca_common.errors import FileProblem, os_reason
from xca_common.harmless_text import harmless
from xca_common.scratch import ScratchFile
from xca_plugin.errors import NotEditable
from xca_plugin.i18n import text

_LARGEST: Final = 64 << 20
"""Bytes of the largest file that is read: NSS databases are some megabytes, the text files some kilobytes."""
_WRITER_SECONDS: Final = 1.0
"""Seconds to wait for a program that has the file open for writing."""

# renameat2(2)
_AT_FDCWD: Final = -100
_EXCHANGE: Final = 2
_ACL: Final = "system.posix_acl_"


@dataclass(frozen=True)
class FileChange:
    """A change of one file.

    Attributes:
        path: the file itself, not a symbolic link to it.
        before: its content now; None: it does not exist.
        after: its content then; None: it is removed.
        folders: number of folders above the file that are made and removed with it; a folder that holds
            anything else stays.
        mode: mode of a new file. An existing file keeps its mode, owner, access control list and extended
            attributes.
        folder_mode: mode of the folders that are made, whatever the umask.
    """

    path: Path
    before: bytes | None
    after: bytes | None
    folders: int = 0
    mode: int = 0o600
    folder_mode: int = 0o700

    def diff(self) -> str:
        """Return the change as a unified diff without context: other lines may hold somebody's secrets."""
        (old, old_name), (new, new_name) = (
            (
                [] if side is None else self.lines(side),
                os.devnull if side is None else harmless(str(self.path)),
            )
            for side in (self.before, self.after)
        )
        lines = difflib.unified_diff(old, new, old_name, new_name, lineterm="", n=0)
        return "\n".join(harmless(line, lines=True) for line in lines)

    def lines(self, side: bytes) -> list[str]:
        """Return the lines that are shown of the file, before the change or after it."""
        return side.decode("utf-8", "replace").splitlines()

    def apply(self) -> None:
        """Make the change.

        Raises:
            FileProblem: the change cannot be made, or somebody else changed the file since it was planned.
            NotEditable: the file has other names. In both cases the file stays as it was.
        """
        try:
            if self.before is None:
                self._create(self.after or b"")
            else:
                self._change(self.before)
        except OSError as error:
            raise FileProblem(path=self.path, detail=os_reason(error)) from error

    def _create(self, content: bytes) -> None:
        missing = [folder for folder in self.path.parents if not folder.exists()]
        try:
            for folder in reversed(missing):
                folder.mkdir(self.folder_mode)
                # mkdir(2) leaves out what the umask forbids; the folder's set-group-ID bit is inherited.
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) | self.folder_mode)
            with closing(ScratchFile(self.path.parent, 0o600)) as scratch:
                _write(scratch.descriptor, content)
                os.fchmod(scratch.descriptor, self.mode)
                try:
                    scratch.link(self.path)
                except FileExistsError:
                    raise self._changed() from None
            atomic_file.sync_names(self.path.parent)
        except BaseException:
            _remove_empty(missing)
            raise

    def _change(self, before: bytes) -> None:
        if not os.access(self.path, os.W_OK):
            # Its folder may allow a replacement. The person who made the file read-only did not mean that.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with _open(self.path) as current, _lease(self.path, current) as leased:
            if _read(current, self.path) != before:
                raise self._changed()
            check_only_name(self.path, os.fstat(current))
            with closing(ScratchFile(self.path.parent, 0o600)) as scratch:
                if self.after is not None:
                    _write(scratch.descriptor, self.after)
                    _copy_attributes(current, scratch.descriptor)
                    _exchange(scratch.name(), self.path)
                else:
                    self.path.rename(scratch.name())
                # The scratch file's name now leads to what was at the path.
                if not (
                    os.path.samestat(os.fstat(current), scratch.name().lstat())
                    and (not leased or fcntl.fcntl(current, fcntl.F_GETLEASE) == fcntl.F_RDLCK)
                    and _read(current, self.path) == before
                ):
                    if self.after is not None:
                        _exchange(scratch.name(), self.path)
                    else:
                        os.link(scratch.name(), self.path)
                    raise self._changed()
            atomic_file.sync_names(self.path.parent)
        if self.after is None:
            _remove_empty(self.path.parents[: self.folders])

    def _changed(self) -> FileProblem:
        problem = FileProblem(path=self.path, detail=text("somebody else changed it just now"))
        return problem.with_step(text("Look at what it says now. Then do it again."))


def make(changes: Sequence[FileChange]) -> None:
    """Make several changes, or none of them.

    Raises:
        FileProblem, NotEditable: one of them cannot be made; those before it are undone.
    """
    with ExitStack() as made:
        for change in changes:
            change.apply()
            made.callback(replace(change, before=change.after, after=change.before).apply)
        made.pop_all()


def read(path: Path) -> bytes | None:
    """Return a file's content; None when it does not exist.

    Raises:
        FileProblem: it cannot be read, is no regular file, or is larger than any such file is.
    """
    try:
        with _open(path) as descriptor:
            return _read(descriptor, path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error


def is_there(path: Path, kind: Callable[[int], bool] | None = None) -> bool:
    """Tell whether a path leads to something, perhaps of one kind; False where this user may not look.

    Path.exists() raises PermissionError there.

    Args:
        path: the path.
        kind: such as stat.S_ISDIR; None: any kind.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return kind is None or kind(mode)


def check_only_name(path: Path, known: os.stat_result) -> None:
    """Check that a file has one name: a file that replaces it would not be found under the others.

    Raises:
        NotEditable: it has several.
    """
    if known.st_nlink > 1:
        raise NotEditable(path=path, detail=text("it has other names (hard links)"))


@contextmanager
def _open(path: Path) -> Iterator[int]:
    """Open a regular file for reading; a pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            problem = FileProblem(path=path, detail=text("it is no regular file"))
            raise problem.with_step(text("Put a regular file in its place. Then do it again."))
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path) -> bytes:
    content = bytearray()
    while piece := os.pread(descriptor, 1 << 20, len(content)):
        content += piece
        if len(content) > _LARGEST:
            raise FileProblem(path=path, detail=text("it is too large"))
    return bytes(content)


@contextmanager
def _lease(path: Path, descriptor: int) -> Iterator[bool]:
    """Hold a read lease on a file (fcntl(2), F_SETLEASE): whoever opens it for writing waits for the end.

    F_GETLEASE tells whether somebody waits. Yields False where the kernel gives no lease: for another user's
    file, and on some file systems.

    Raises:
        FileProblem: another program has the file open for writing.
    """
    deadline = time.monotonic() + _WRITER_SECONDS
    leased = False
    while not leased:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # ignored, unlike SIGIO
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            leased = True
        except BlockingIOError:
            if time.monotonic() > deadline:
                detail = text("another program has it open for writing")
                problem = FileProblem(path=path, detail=detail)
                raise problem.with_step(text("Close that program. Then do it again.")) from None
            time.sleep(0.02)
        except OSError:
            break
    try:
        yield leased
    finally:
        if leased:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _write(descriptor: int, content: bytes) -> None:
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _copy_attributes(source: int, target: int) -> None:
    """Give a file the owner, mode, access control list and extended attributes of another.

    Raises:
        OSError: one of them cannot be given.
    """
    known = os.fstat(source)
    os.fchown(target, known.st_uid, known.st_gid)
    wanted, inherited = _attributes(source), _attributes(target)
    for name in inherited.keys() - wanted.keys():
        if name.startswith(_ACL):  # from the folder's default list
            os.removexattr(target, name)
    for name, value in wanted.items():
        if inherited.get(name) != value:
            os.setxattr(target, name, value)
    os.fchmod(target, stat.S_IMODE(known.st_mode))


def _attributes(descriptor: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise


def _exchange(scratch: Path, path: Path) -> None:
    """Exchange two files (renameat2(2), RENAME_EXCHANGE).

    On a file system that cannot do that (NFS), the old file gets a second name, then it is replaced. An edit
    by somebody else in the instant between the two is lost.

    Raises:
        OSError: they cannot be exchanged; the second is as it was.
    """
    library = ctypes.CDLL(None, use_errno=True)
    names = (_AT_FDCWD, os.fsencode(scratch), _AT_FDCWD, os.fsencode(path))
    if library.renameat2(*names, _EXCHANGE) == 0:
        return
    failed = ctypes.get_errno()
    if failed not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(failed, os.strerror(failed))
    former = scratch.with_name(f"{scratch.name}~")
    os.link(path, former)
    try:
        scratch.rename(path)
    except OSError:
        former.unlink()
        raise
    former.rename(scratch)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, up to one that is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
