# SPDX-License-Identifier: Apache-2.0
"""One command for several files: each result is printed; the exit status is the highest of all failures."""

import math
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, Final, Generic, Self, TypeVar

import click

from xca_common.errors import XcaError
from xca_plugin import errors
from xca_plugin.cli.root import show_error
from xca_plugin.errors import OutputExists
from xca_plugin.i18n import _, text
from xca_plugin.named_file import STANDARD_INPUT, StagedFile, input_file, stage
from xca_plugin.terminal.exit_statuses import exit_status
from xca_plugin.terminal.input_files import check_there
from xca_plugin.terminal.output import console, say
from xca_plugin.terminal.result_files import check_output, in_use

if TYPE_CHECKING:
    from rich.progress import Progress

_WAITING: Final = 128  # files that may be written in threads while the next ones are worked on
_GATHERED: Final = 0.05  # seconds in which results are gathered that are then written together
_AHEAD: Final = 32  # small files that are read together
_SMALL: Final = 1 << 16  # bytes
_ENDS_THE_LOGIN = (errors.SessionEnded, errors.CardRemoved, errors.CardFault, errors.PluginMisbehaved)
_BETWEEN_DRAWINGS: Final = 0.1  # seconds
_NONE: Final[Mapping[Path, XcaError]] = MappingProxyType({})
_T = TypeVar("_T")


def check_single(files: Sequence[Path], *outputs: Path | None) -> None:
    """Refuse a single file that is not there, and what stands for one file alone where there are several.

    Of several files, one that is not there does not keep the others from being handled.

    Raises:
        click.UsageError: the single file is not there; or there are several, and an option names an output,
            or one is the standard input.
    """
    if len(files) == 1:
        check_there(files[0])
    if len(files) > 1 and STANDARD_INPUT in files:
        raise click.UsageError(_("The standard input (-) needs to be the single FILE."))
    if len(files) > 1 and any(outputs):
        raise click.UsageError(_("An option that names a file to be written needs a single FILE."))


def check_outputs(outputs: Mapping[Path, Path]) -> None:
    """Refuse to write over one of the files that are read.

    Args:
        outputs: the result of each file.

    Raises:
        FileProblem: a result would take the place of a file that is read.
    """
    inputs = {file.absolute() for file in outputs}
    for file, target in outputs.items():
        check_output(target, file)
        if len(outputs) > 1 and target.absolute() in inputs:
            raise in_use(target)


def each_file(
    files: Sequence[Path],
    work: Callable[[Path], _T | Future[_T]],
    tell: Callable[[Path, _T], None],
    *,
    refused: Mapping[Path, XcaError] = _NONE,
    heads: bool = False,
    hurry: Callable[[], object] = lambda: None,
) -> int:
    """Do the work with every file and tell each result.

    After a failure the next file follows, unless the failure ended the login to the card. After Ctrl-C what
    was written is told, and what waits is not written.

    Args:
        files: the files.
        work: handles one file; returns its result, or a future of it if a thread goes on with it.
        tell: prints the result of a file; an XcaError that it raises is a failure of that file.
        refused: files that are not handled, each with the reason, which is told.
        heads: print the name of each file before its result.
        hurry: called before this waits for a future.

    Returns:
        The exit status: 0, that of a signature that is not valid, or the highest one of the failures.
    """
    with _Progress(len(files)) as progress:
        results = _Results(tell, progress, hurry, heads=heads)
        try:
            for file in files:
                try:
                    results.add(file, refused[file] if file in refused else work(file))
                except XcaError as error:
                    results.add(file, error)
                if results.is_login_ended:
                    break
                progress.advance()
            results.tell(waiting=0)
        except KeyboardInterrupt:
            results.tell_begun()
            raise
    if results.told < len(files):
        say(text("The files after this one were not tried.")(), err=True)
    failed = results.failed + len(files) - results.told
    if results.kept:
        summary = text("{count} files: {done} done, {kept} not replaced, {failed} failed.")
        done = len(files) - results.kept - failed
        counts = {"count": len(files), "done": done, "kept": results.kept, "failed": failed}
        say(summary.format(**counts)(), err=True, fg="red" if failed else None)
    elif failed:
        summary = text("{failed} of {count} files failed.")
        say(summary.format(failed=failed, count=len(files))(), err=True, fg="red")
    return results.worst


def each_refused(refused: Mapping[Path, XcaError]) -> int:
    """Tell why none of the files is handled; return the exit status, as each_file()."""

    def fail(file: Path) -> None:
        raise refused[file]

    return each_file([*refused], fail, lambda _file, _result: None)


class _Results(Generic[_T]):
    """The results of the files, told in the order of the files.

    Args:
        tell: as each_file().
        progress: hidden while a result is told.
        hurry: as each_file().
        heads: as each_file().

    Attributes:
        told: how many results were told.
        failed: how many of them are failures.
        kept: how many of them would have replaced a file that a person wants to keep.
        is_login_ended: a failure ended the login to the card.
    """

    def __init__(
        self,
        tell: Callable[[Path, _T], None],
        progress: "_Progress",
        hurry: Callable[[], object],
        *,
        heads: bool,
    ) -> None:
        self._tell, self._progress, self._hurry, self._heads = tell, progress, hurry, heads
        self._waiting: deque[tuple[Path, _T | Future[_T] | XcaError]] = deque()
        self.told = self.failed = self.kept = 0
        self.is_login_ended = False
        self._worst = (False, 0)

    @property
    def worst(self) -> int:
        """The exit status of the worst failure; 0: there is none."""
        return self._worst[1]

    def add(self, file: Path, result: _T | Future[_T] | XcaError) -> None:
        self._waiting.append((file, result))
        self._note_end(result)
        self.tell(waiting=_WAITING)

    def tell(self, *, waiting: int) -> None:
        """Tell the oldest results, up to one that is not there yet; wait until at most `waiting` are left."""
        while self._waiting:
            file, result = self._waiting[0]
            if isinstance(result, Future) and not result.done():
                if len(self._waiting) <= waiting:
                    break
                self._hurry()
                wait_for([result])
            self._waiting.popleft()
            self.told += 1
            with self._progress.hidden():
                self._tell_one(file, result)

    def tell_begun(self) -> None:
        """Tell the results that are there, or come soon because a thread has begun with them; drop others."""
        self._waiting = deque(
            (file, result)
            for file, result in self._waiting
            if not (isinstance(result, Future) and result.cancel())
        )
        self.tell(waiting=0)

    def _note_end(self, result: object) -> None:
        self.is_login_ended = self.is_login_ended or isinstance(result, _ENDS_THE_LOGIN)

    def _tell_one(self, file: Path, result: _T | Future[_T] | XcaError) -> None:
        head, is_head_seen = text("{path}:").format(path=file), False
        try:
            if isinstance(result, XcaError):
                raise result
            found = result.result() if isinstance(result, Future) else result
            if self._heads:
                say(head())
                is_head_seen = sys.stdout.isatty() and sys.stderr.isatty()
            self._tell(file, found)
        except XcaError as error:
            self._note_end(error)
            # A signature that is not valid is worse than one of which nothing can be told.
            is_worst = isinstance(error, errors.SignatureNotValid)
            self._worst = max(self._worst, (is_worst, exit_status(error)))
            if isinstance(error, OutputExists) and error.was_declined:  # as the person chose: no failure
                self.kept += 1
                say(error.message(), err=True)
                return
            self.failed += 1
            if not is_head_seen:
                say(head(), err=True)
            show_error(error)


class ReadAhead:
    """Opens files one after the other. Small ones are read ahead, some together.

    Two threads that take turns at every call of the system wait for each other more than they work. So what
    happens in a thread meanwhile, such as a Writer's work, is put off until some files were read.

    Args:
        files: in the order in which they will be opened.
        read: called when some files were read.
    """

    def __init__(self, files: Iterable[Path], read: Callable[[], object]) -> None:
        self._files = deque(files)
        self._read = read
        self._held: dict[Path, bytes | XcaError] = {}

    @contextmanager
    def open(self, file: Path) -> Iterator[BinaryIO]:
        """Open a file, as input_file() does; what was read ahead has no name and no descriptor."""
        if file not in self._held:
            self._read_some()
        if file not in self._held:
            self._files.popleft()
            with input_file(file) as opened:
                yield opened
            return
        content = self._held.pop(file)
        if isinstance(content, XcaError):
            raise content
        yield BytesIO(content)

    def _read_some(self) -> None:
        """Read the next files, as far as they are small."""
        while self._files and len(self._held) < _AHEAD and _is_small(self._files[0]):
            file = self._files[0]
            held: bytes | XcaError
            try:
                with input_file(file) as opened:
                    held = opened.read(_SMALL + 1)
            except XcaError as error:
                held = error
            if isinstance(held, bytes) and len(held) > _SMALL:
                break  # it has grown since: it is read as the large ones are
            self._held[self._files.popleft()] = held
        self._read()


def _is_small(file: Path) -> bool:
    """Tell whether it is a regular file of a few bytes: a pipe is read only when its turn comes."""
    try:
        found = file.stat()
    except OSError:  # input_file() tells why
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= _SMALL


class Writer:
    """Brings results to the disk in a thread, while the next ones are made.

    A result is done when it is on the disk. Those that wait are written together, at the latest a moment
    after they were handed over: a folder's list of names is then brought to the disk once for all of them,
    and the two threads seldom wait for each other. A context manager: when it ends, all are done; when it
    ends with an error, those that wait are not written, nor any whose future was cancelled.

    Args:
        may_replace: the existing files that may be replaced.
    """

    def __init__(self, may_replace: Container[Path]) -> None:
        self._may_replace = may_replace
        self._waiting: deque[_Written] = deque()
        self._woken = Event()
        self._ended = self._dropped = False
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._dropped, self._ended = kind is not None, True
        self.hurry()
        self._thread.join()

    def hurry(self) -> None:
        """Write now what waits."""
        self._woken.set()

    def put(self, target: Path, content: bytes, *, check: Callable[[], object]) -> "Future[Path]":
        """Write a small result.

        Args:
            target: where.
            content: the result.
            check: called in the thread; when it raises, nothing is written.

        Returns:
            The path, when it is on the disk; or a FileProblem or OutputExists, or what check raised.
        """
        return self._add(_Written(target, None, partial(self._staged, target, content, check)))

    def write(
        self, target: Path, fill: Callable[[BinaryIO], object], *, private: bool = False
    ) -> "Future[Path]":
        """Write a result of any size; its content is written before this returns.

        Args:
            target: where.
            fill: writes the content; when it raises, nothing is written.
            private: as in output_file().

        Returns:
            The path, when it is on the disk; or a FileProblem or OutputExists.

        Raises:
            As output_file(), and as fill.
        """
        file = stage(target, private=private, may_replace=self._may_replace.__contains__)
        try:
            with file.content() as content:
                fill(content)
        except BaseException:
            file.close()
            raise
        return self._add(_Written(target, file, None))

    def _staged(self, target: Path, content: bytes, check: Callable[[], object]) -> StagedFile:
        check()
        file = stage(target, may_replace=self._may_replace.__contains__)
        try:
            with file.content() as filled:
                filled.write(content)
        except BaseException:
            file.close()
            raise
        return file

    def _add(self, written: "_Written") -> "Future[Path]":
        self._waiting.append(written)
        return written.done

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._woken.wait(_GATHERED)
            self._woken.clear()
            is_last = self._ended  # nothing is added after that
            together: list[_Written] = []
            while self._waiting:
                together.append(self._waiting.popleft())
            self._finish(together)

    def _finish(self, together: "Sequence[_Written]") -> None:
        if self._dropped:
            for written in together:
                written.drop()
            return
        for written in together:
            written.stage()
        for written in reversed(together):  # a journal that holds the last one holds the others too
            written.sync()
        for written in together:
            written.appear()
        # In each folder once.
        for file in {file.folder: file for written in together if (file := written.file)}.values():
            file.sync_name()
        for written in together:
            written.end()


class _Written:
    """A result that is on its way to the disk. After a problem, further steps do nothing.

    Args:
        target: where it is to appear.
        file: the file with its content.
        make: returns that file, if it is not made yet.

    Attributes:
        file: the file; None: it is not made yet, or there was a problem.
        done: what the caller waits for.
    """

    def __init__(self, target: Path, file: StagedFile | None, make: Callable[[], StagedFile] | None) -> None:
        self.file = file
        self.done: Future[Path] = Future()
        self._target, self._make = target, make

    def stage(self) -> None:
        if not self.done.set_running_or_notify_cancel():
            self._close()
            self.file = self._make = None
        if self._make:
            with self._failing():
                self.file = self._make()
        if self.file:
            self.file.begin_sync()

    def sync(self) -> None:
        if self.file:
            with self._failing():
                self.file.sync()

    def appear(self) -> None:
        if self.file:
            with self._failing():
                self.file.appear()

    def end(self) -> None:
        if self.file:
            self._close()
            self.done.set_result(self._target)

    def drop(self) -> None:
        self._close()
        self.done.cancel()

    def _close(self) -> None:
        with suppress(OSError):  # it has appeared, or something else is told
            if self.file:
                self.file.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._close()
            self.file = None
            self.done.set_exception(error)


class _Progress:
    """A bar on the last line of a terminal that shows how many files are done; elsewhere nothing.

    A context manager: when it ends, the bar is gone. Results are told above it, while it is hidden.

    Args:
        count: the number of files.
    """

    def __init__(self, count: int) -> None:
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            from rich import progress

            columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn())
            # It is drawn here only: by a thread of its own it would come between the lines of a result.
            self._bar = progress.Progress(
                *columns,
                console=console(err=True),
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task("", total=count)
            self._drawn_at = -math.inf

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self) -> None:
        """Count one more file."""
        if self._bar:
            self._bar.advance(self._task)
            self._draw()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar off the screen for what is printed in this context."""
        if self._bar:
            from rich.control import Control
            from rich.segment import ControlType

            self._bar.console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
            self._drawn_at = -math.inf
        yield

    def _draw(self) -> None:
        """Draw the bar, unless it was drawn a moment ago and is still there."""
        now = time.monotonic()
        if self._bar and now - self._drawn_at > _BETWEEN_DRAWINGS:
            self._drawn_at = now
            self._bar.refresh()
