# SPDX-License-Identifier: Apache-2.0
"""One command for several files: each result is told, and the exit status is that of the worst."""

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

_WAITING: Final = 32  # results that may be waited for while the work goes on
_ENDS_THE_LOGIN = (errors.SessionEnded, errors.CardRemoved, errors.CardFault, errors.PluginMisbehaved)


def each_file(files: Sequence[Path], work: Callable[[Path], Path | Future[Path]], done: Text) -> None:
    """Do the work with every file and say how it went; end the command with the highest exit status.

    A failure of one does not keep the others from it, unless it ends the login to the card.

    Args:
        files: several.
        work: does it with one, and returns what was written, now or in a thread of its own.
        done: what is said of that; its fact is the path.
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
    """What became of each file, told in the files' order."""

    def __init__(self, done: Text) -> None:
        self._done = done
        self._waiting: deque[tuple[Path, Path | Future[Path] | XcaError]] = deque()
        self.told = self.failed = self.worst = 0

    def add(self, file: Path, result: Path | Future[Path] | XcaError) -> None:
        self._waiting.append((file, result))
        self.tell(waiting=_WAITING)

    def tell(self, *, waiting: int) -> None:
        """Tell results until only so many are left."""
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
    """Show in a terminal how many files are done; what is called after each of them."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(err=True), transient=True) as progress:
        task = progress.add_task("", total=count)
        yield lambda: progress.advance(task)
