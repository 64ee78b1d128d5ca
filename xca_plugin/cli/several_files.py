# SPDX-License-Identifier: Apache-2.0
"""One command for several files: each result is printed; the exit status is the highest of all failures."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.cli.root import show_error
from xca_plugin.i18n import text
from xca_plugin.terminal.exit_statuses import exit_status
from xca_plugin.terminal.output import console, say
from xca_plugin.terminal.result_files import say_written

_WAITING: Final = 32  # files that may be written in threads while the next ones are worked on
_ENDS_THE_LOGIN = (errors.SessionEnded, errors.CardRemoved, errors.CardFault, errors.PluginMisbehaved)


def each_file(files: Sequence[Path], work: Callable[[Path], Path | Future[Path]], done: Text) -> None:
    """Do the work with every file and print each result; if any failed, exit with the highest status.

    After a failure the next file follows, unless the failure ended the login to the card.

    Args:
        files: the files.
        work: handles one file; returns the path written, or a future of it if a thread still writes.
        done: the message about a written file; `path` is filled in.
    """
    results = _Results(done)
    with _progress(len(files)) as advance:
        for file in files:
            try:
                results.add(file, work(file))
            except XcaError as error:
                results.add(file, error)
                if isinstance(error, _ENDS_THE_LOGIN):
                    break
            advance()
        results.tell(waiting=0)
        if results.told < len(files):
            say(text("The files after this one were not tried.")(), err=True)
    if failed := results.failed + len(files) - results.told:
        summary = text("{failed} of {count} files failed.")
        say(summary.format(failed=failed, count=len(files))(), err=True, fg="red")
        click.get_current_context().exit(results.worst)


class _Results:
    """The results of the files, printed in the order of the files."""

    def __init__(self, done: Text) -> None:
        self._done = done
        self._waiting: deque[tuple[Path, Path | Future[Path] | XcaError]] = deque()
        self.told = self.failed = self.worst = 0

    def add(self, file: Path, result: Path | Future[Path] | XcaError) -> None:
        self._waiting.append((file, result))
        self.tell(waiting=_WAITING)

    def tell(self, *, waiting: int) -> None:
        """Print the oldest results until at most `waiting` are left; wait for their threads."""
        while len(self._waiting) > waiting:
            file, result = self._waiting.popleft()
            self.told += 1
            try:
                if isinstance(result, XcaError):
                    raise result
                say_written(self._done, result.result() if isinstance(result, Future) else result)
            except XcaError as error:
                self.failed, self.worst = self.failed + 1, max(self.worst, exit_status(error))
                say(text("{path}:").format(path=file)(), err=True)
                show_error(error)


@contextmanager
def _progress(count: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar in a terminal; the context's value is called after each file."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(err=True), transient=True) as progress:
        task = progress.add_task("", total=count)
        yield lambda: progress.advance(task)
