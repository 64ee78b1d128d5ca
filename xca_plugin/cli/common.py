# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and the opening of the files that they read and write."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Union

import click

from xca_common.command_line import Choice
from xca_plugin.i18n import _
from xca_plugin.named_file import input_file
from xca_plugin.terminal.output import console
from xca_plugin.terminal.result_files import OUTPUT

if TYPE_CHECKING:
    from rich.progress import Progress

_WORTH_A_BAR: Final = 8 << 20

json_option: Final = click.option("--json", "as_json", is_flag=True, help=_("Print JSON (docs/schema)."))
format_option: Final = click.option(
    "--format",
    "form",
    type=Choice(["der", "pem"]),
    default="der",
    show_default=True,
    help=_("Encoding."),
)


def output_option(
    explained: str, *, required: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that names the file to be written."""
    return click.option(
        "-o",
        "--output",
        metavar="OUT",
        required=required,
        type=OUTPUT,
        help=explained,
    )


def allow_host_option(explained: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option for hosts that may be asked about revocation, beside those below nat.gov.tw."""
    return click.option("--allow-host", "hosts", metavar="HOST", multiple=True, help=explained)


Bar = Union["Progress", nullcontext[None]]
"""A context in which a bar shows how much of a file was read; without one where none is needed."""


@contextmanager
def opened(path: Path, *, twice: bool = False) -> Iterator[tuple[BinaryIO, Bar]]:
    """Open a file for reading; a terminal shows how much of it was read.

    Args:
        path: the file; `-` is the standard input.
        twice: it is read more than once.

    Raises:
        FileProblem: it cannot be read, or it is a pipe and is read twice.
    """
    with input_file(path, twice=twice) as file:
        size = os.fstat(file.fileno()).st_size
        if not sys.stderr.isatty() or size < _WORTH_A_BAR:
            yield file, nullcontext()
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        progress = Progress(
            BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console(err=True), transient=True
        )
        yield progress.wrap_file(file, total=size), progress


@contextmanager
def hidden(bar: Bar) -> Iterator[None]:
    """Take a bar off the screen in this context, in which a person may be asked something."""
    if isinstance(bar, nullcontext):
        yield
        return
    bar.stop()
    yield
    bar.start()
