# SPDX-License-Identifier: Apache-2.0
"""Files that a command writes for a person, and what it says when one is written."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from xca_common.i18n import Text
from xca_common.output_file import is_standard_output, output_file
from xca_plugin.i18n import _, text
from xca_plugin.terminal.output import say_done
from xca_plugin.terminal.prompts import confirm, interactive

force_option: Final = click.option("--force", is_flag=True, help=_("Replace a file that is there already."))
OUTPUT: Final = click.Path(dir_okay=False, path_type=Path, allow_dash=True)
"""Type of an option that names a file to be written; `-` is the standard output."""


@contextmanager
def result_file(path: Path, *, force: bool, private: bool = False, binary: bool = True) -> Iterator[BinaryIO]:
    """Write a result to where a person said (output_file). A file that is there is replaced if they agree.

    Args:
        path: where; `-` is the standard output.
        force: they agreed already; else they are asked, at a terminal.
        private: the content is secret, or was decrypted.
        binary: the content is not for a terminal.

    Raises:
        click.UsageError: binary content would go to a terminal.
        OutputExists: a file is there, and they did not agree.
        FileProblem: it cannot be written.
    """
    if binary and is_standard_output(path) and sys.stdout.isatty():
        raise click.UsageError(_("This content is not for a terminal: name a file, or a pipe to a program."))

    def may_replace(path: Path) -> bool:
        return force or _agrees(path)

    with output_file(path, private=private, may_replace=may_replace) as file:
        yield file


def agree_to_replace(paths: Iterable[Path], force: bool) -> frozenset[Path]:
    """Return which of several files may be replaced, all asked about before anything is done with a card."""
    return frozenset(path for path in paths if force or (path.is_file() and _agrees(path)))


def _agrees(path: Path) -> bool:
    question = text("The file {path} is there already. Replace it?")
    return interactive() and confirm(question.format(path=path)())


def say_written(sentence: Text, path: Path, **style: Any) -> None:
    """Say that a result was written. It was, also when this cannot be said."""
    say_done(sentence.format(path=path)(), err=is_standard_output(path), **style)
