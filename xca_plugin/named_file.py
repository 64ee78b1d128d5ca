# SPDX-License-Identifier: Apache-2.0
"""Files that a person named: to be read, or for a result. Every failure names the file that failed."""

import errno
import io
import os
import re
import select
import stat
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from xca_common import atomic_file
from xca_common.errors import FileProblem, os_reason
from xca_common.i18n import Text
from xca_common.scratch import ScratchFile, temporary_folder
from xca_plugin.errors import OutputExists
from xca_plugin.i18n import text

STANDARD_OUTPUT: Final = Path("-")
"""The path that means the standard output."""
STANDARD_INPUT: Final = Path("-")
"""The path that means the standard input."""

SHOWN_STANDARD_OUTPUT: Final = text("(standard output)")
_SHOWN_STANDARD_INPUT: Final = text("(standard input)")
_TEMPORARY: Final = text("(temporary file)")
_DESCRIPTOR: Final = re.compile(r"/proc/(?:self|thread-self|(\d+))(?:/task/\d+)?/fd/(\d+)")
_MOST_LINKS: Final = 40  # as the kernel
_CHUNK: Final = 1 << 20
_BUFFER: Final = 1 << 16
_ACCESS_LIST: Final = "system.posix_acl_access"


class NamedFile(io.FileIO):
    """A file whose read and write errors are FileProblems that name it.

    A pipe that another program made non-blocking is read to its end and written whole all the same: while it
    is empty or full, this waits.

    Args:
        descriptor: it is not closed with this object.
        mode: rb or wb.
        shown: the file, as it is shown.

    Attributes:
        discarded: what is written goes nowhere any more.
    """

    def __init__(self, descriptor: int, mode: str, shown: Path | Text | str) -> None:
        super().__init__(descriptor, mode, closefd=False)
        self.name = shown if isinstance(shown, Path) else str(shown)
        self._shown = shown
        self.discarded = False

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        """Read into a buffer, as FileIO does; fails with FileProblem."""
        with problems_of(self._shown):
            while (count := super().readinto(buffer)) is None:
                self._wait(select.POLLIN)
            return count

    def readall(self) -> bytes:
        """Read all, as FileIO does; fails with FileProblem."""
        read, buffer = bytearray(), bytearray(_BUFFER)
        while count := self.readinto(buffer):
            read += memoryview(buffer)[:count]
        return bytes(read)

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        """Write, as FileIO does; fails with FileProblem."""
        if self.discarded:
            return len(data)
        with problems_of(self._shown):
            while (count := super().write(data)) is None:
                self._wait(select.POLLOUT)
            return count

    def _wait(self, event: int) -> None:
        waiting = select.poll()
        waiting.register(self, event)
        waiting.poll()


@contextmanager
def buffered_writer(raw: NamedFile) -> Iterator[BinaryIO]:
    """Buffer what is written; when the block raises, what is still in the buffer goes nowhere.

    Raises:
        FileProblem: it cannot be written.
    """
    file = io.BufferedWriter(raw, _BUFFER)  # type: ignore[type-var]  # FileIO's own write() is not its type's
    try:
        yield file
        file.flush()
    except BaseException:
        raw.discarded = True
        raise
    finally:
        file.close()


@contextmanager
def problems_of(path: Path | Text | str) -> Iterator[None]:
    """Tell every OSError in the block as one of this file.

    Raises:
        FileProblem: there was one.
    """
    try:
        yield
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error


def of_the_system(error: OSError) -> Text | str:
    """Name the file of a failed call of the system, and why it failed."""
    reason = os_reason(error)
    if error.filename is None:
        return reason
    return text("{path}: {reason}").format(path=error.filename, reason=reason)


@contextmanager
def input_file(path: Path, *, twice: bool = False) -> Iterator[BinaryIO]:
    """Open a file to be read; a pipe (`<(command)`, /dev/fd/0) as well, if it is read once.

    Args:
        path: the file; `-` is the standard input.
        twice: it is read more than once.

    Raises:
        FileProblem: it cannot be read, also later; or it is a pipe, and is read twice.
    """
    is_standard = path == STANDARD_INPUT
    shown = _SHOWN_STANDARD_INPUT if is_standard else path
    with problems_of(shown):
        descriptor = os.dup(0) if is_standard else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with problems_of(shown):  # such as a folder
            file = io.BufferedReader(NamedFile(descriptor, "rb", shown), _BUFFER)
        if twice and not file.seekable():
            problem = FileProblem(path=shown, detail=text("it is a pipe, and would be read twice"))
            raise problem.with_step(text("Write it to a file first, and name that file."))
        yield file
    finally:
        os.close(descriptor)


@contextmanager
def output_file(
    path: Path, *, private: bool = False, may_replace: Callable[[Path], bool] | None = None
) -> Iterator[BinaryIO]:
    """Write a result to where a person said. When the block raises, nothing was written.

    `-` is the standard output. A FIFO, a device and a descriptor (/dev/stdout, /dev/fd/3) are written into
    when the block ends. A symbolic link stays one: its target is written. A file that is there keeps its
    owner, mode and access list.

    Args:
        path: where.
        private: the content is secret, or was decrypted: the file has mode 0600, also if it was there with
            another, and belongs to this user.
        may_replace: asked about a file that is there, before anything else is done; None: it may not.

    Raises:
        OutputExists: a file is there, or came meanwhile, and may not be replaced.
        FileProblem: it cannot be written there.
    """
    result = stage(path, private=private, may_replace=may_replace)
    try:
        with result.content() as file:
            yield file
        result.sync()
        result.appear()
    finally:
        result.close()
    result.sync_name()


def stage(
    path: Path, *, private: bool = False, may_replace: Callable[[Path], bool] | None = None
) -> "StagedFile":
    """Begin a result that several steps write; output_file() does all of them.

    The arguments are those of output_file().

    Raises:
        OutputExists: a file is there, and may not be replaced.
        FileProblem: it cannot be written there.
    """
    shown = SHOWN_STANDARD_OUTPUT if path == STANDARD_OUTPUT else path
    target = path
    with problems_of(shown):
        if (stream := _stream(path)) is not None:
            return _Stream(stream, shown)
        before = _status(path, follow_symlinks=False)
        if before is not None and stat.S_ISLNK(before.st_mode):
            target = Path(os.path.realpath(path))
            before = _status(target)
        if before is not None and not stat.S_ISREG(before.st_mode):
            return _Stream(os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC), shown)
        if before is None and not target.parent.exists():
            raise FileProblem(path=path, detail=text("there is no folder {path}").format(path=target.parent))
    return _RegularFile(path, target, before, private, may_replace)


class StagedFile(ABC):
    """A result that is not where a person said yet. The steps are to be called in their order.

    Every step fails with FileProblem, appear() also with OutputExists.
    """

    @abstractmethod
    def content(self) -> AbstractContextManager[BinaryIO]:
        """Return a context whose value takes the content."""

    @abstractmethod
    def begin_sync(self) -> None:
        """Have the system begin with what sync() waits for. Several files then need little more than one."""

    @abstractmethod
    def sync(self) -> None:
        """Bring the content to the disk."""

    @abstractmethod
    def appear(self) -> None:
        """Put it where it belongs."""

    @abstractmethod
    def close(self) -> None:
        """Remove what has not appeared; in any case to be called."""

    @property
    @abstractmethod
    def folder(self) -> Path | None:
        """The folder whose names change; None: it is no file of a folder."""

    def sync_name(self) -> None:
        """Bring the folder's names to the disk, after appear(). Several files of one folder need it once."""
        if self.folder is not None:
            atomic_file.sync_names(self.folder)


def is_standard_output(path: Path) -> bool:
    """Tell whether a result for this path goes where the program's own words go."""
    return path == STANDARD_OUTPUT or _descriptor(path) == 1


def is_stream(path: Path) -> bool:
    """Tell whether a result for this path is written into what is there: a pipe, a device, a descriptor."""
    try:
        return (
            path == STANDARD_OUTPUT or _descriptor(path) is not None or (path.exists() and not path.is_file())
        )
    except OSError:  # stage() tells why
        return False


def is_file(path: Path) -> bool:
    """Tell whether a path names a file; one that cannot be looked at is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_empty(path: Path) -> bool:
    """Tell whether a path names a file without content; one that cannot be looked at is none."""
    return is_file(path) and path.stat().st_size == 0


def leads_to_standard_input(path: Path) -> bool:
    """Tell whether a path such as /dev/stdin leads to the standard input."""
    return _descriptor(path) == 0


# --- pipes, devices, descriptors


def _stream(path: Path) -> int | None:
    """Return a copy of the descriptor of this process that a path means; None: it means none."""
    if path == STANDARD_OUTPUT:
        sys.stdout.flush()
        return os.dup(1)
    if (descriptor := _descriptor(path)) is not None:
        # Not opened anew: that would write from the file's beginning.
        return os.dup(descriptor)
    return None


def _descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path leads to, such as /dev/stdout; None: none."""
    if path.parent.name != "fd" and not path.is_symlink():
        return None
    for _ in range(_MOST_LINKS):
        path = Path(os.path.realpath(path.parent)) / path.name
        if found := _DESCRIPTOR.fullmatch(str(path)):
            return int(found[2]) if found[1] in (None, str(os.getpid())) else None
        try:
            path = path.parent / path.readlink()
        except OSError:
            return None
    return None


class _Stream(StagedFile):
    """A result for a pipe, a device or a descriptor: collected, then written into it.

    Args:
        descriptor: where to; it is closed with this object.
        shown: the same, as it is shown.
    """

    def __init__(self, descriptor: int, shown: Path | Text) -> None:
        self._descriptor, self._shown = descriptor, shown
        try:
            with problems_of(_TEMPORARY):
                self._collected = tempfile.TemporaryFile(  # noqa: SIM115  # close() closes it
                    buffering=0, dir=temporary_folder()
                )
        except BaseException:
            _close(descriptor)
            raise

    def content(self) -> AbstractContextManager[BinaryIO]:
        return buffered_writer(NamedFile(self._collected.fileno(), "wb", _TEMPORARY))

    def begin_sync(self) -> None:
        pass

    def sync(self) -> None:
        pass

    def appear(self) -> None:
        target = NamedFile(self._descriptor, "wb", self._shown)
        with problems_of(_TEMPORARY):
            self._collected.seek(0)
        while True:
            with problems_of(_TEMPORARY):
                chunk = self._collected.read(_CHUNK)
            if not chunk:
                break
            while chunk:
                chunk = chunk[target.write(chunk) :]

    def close(self) -> None:
        with suppress(OSError):
            self._collected.close()
        _close(self._descriptor)

    @property
    def folder(self) -> Path | None:
        return None


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)


# --- regular files


class _RegularFile(StagedFile):
    """A result that becomes a regular file.

    Args:
        path: as output_file().
        target: the file that a symbolic link leads to; else the path.
        before: the file that is there; None: there is none. If it is another one when this appears, it stays.
        private: as output_file().
        may_replace: as output_file().
    """

    def __init__(
        self,
        path: Path,
        target: Path,
        before: os.stat_result | None,
        private: bool,
        may_replace: Callable[[Path], bool] | None,
    ) -> None:
        self._path, self._target, self._before = path, target, before
        if before is not None:
            with problems_of(path):
                _check_replaceable(target, before, private)
        if self._before is not None and not (may_replace and may_replace(path)):
            raise OutputExists(path=path)
        with problems_of(path):
            self._scratch = ScratchFile(self._target.parent, 0o600 if private else 0o666)
            try:
                if self._before is not None and not private:
                    _take_attributes(self._target, self._before, self._scratch.descriptor)
            except BaseException:
                self._scratch.close()
                raise

    def content(self) -> AbstractContextManager[BinaryIO]:
        return buffered_writer(NamedFile(self._scratch.descriptor, "wb", self._path))

    def begin_sync(self) -> None:
        with suppress(AttributeError, OSError):  # macOS has no such call; what fails, sync() tells
            # Linux begins to write what it is to forget, and waits for nothing.
            os.posix_fadvise(self._scratch.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        with problems_of(self._path):
            os.fsync(self._scratch.descriptor)

    def appear(self) -> None:
        with problems_of(self._path):
            if self._before is None:
                try:
                    self._scratch.link(self._target)
                except FileExistsError as error:
                    raise OutputExists(path=self._path) from error
            elif not _same(self._before, _status(self._target)):
                raise OutputExists(path=self._path)
            else:
                self._scratch.rename(self._target)

    def close(self) -> None:
        self._scratch.close()

    @property
    def folder(self) -> Path | None:
        return self._target.parent


def _status(path: Path, *, follow_symlinks: bool = True) -> os.stat_result | None:
    try:
        return path.stat(follow_symlinks=follow_symlinks)
    except FileNotFoundError:
        return None


def _same(before: os.stat_result, now: os.stat_result | None) -> bool:
    """Tell whether the file that was asked about is still there, and as it was."""
    return now is not None and os.path.samestat(before, now) and before.st_mtime_ns == now.st_mtime_ns


def _check_replaceable(target: Path, found: os.stat_result, private: bool) -> None:
    if not os.access(target, os.W_OK):
        # Its folder may allow it all the same; who made it read-only did not mean that.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if not private and found.st_uid != os.geteuid() and os.geteuid() != 0:
        problem = FileProblem(path=target, detail=text("it belongs to another user"))
        raise problem.with_step(text("Choose another name for the result."))


def _take_attributes(target: Path, found: os.stat_result, descriptor: int) -> None:
    """Give a new file the owner, mode, access list and extended attributes of the one that it replaces."""
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (found.st_uid, found.st_gid):
        os.fchown(descriptor, found.st_uid, found.st_gid)
    try:
        names, inherited = os.listxattr(target), os.listxattr(descriptor)
    except OSError:  # the file system has none
        names = inherited = []
    if _ACCESS_LIST in inherited and _ACCESS_LIST not in names:  # from the folder's default list
        os.removexattr(descriptor, _ACCESS_LIST)
    os.fchmod(descriptor, found.st_mode & 0o777)
    for name in names:
        try:
            os.setxattr(descriptor, name, os.getxattr(target, name))
        except OSError:
            if name == _ACCESS_LIST:  # without it others would be let in
                raise
