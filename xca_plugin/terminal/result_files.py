# SPDX-License-Identifier: Apache-2.0
"""Files that a command writes for a person, and what it says when one is written."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from xca_common.i18n import Text
from xca_common.output_file import is_standard_output, output_file
from xca_plugin.i18n import _, text
from xca_plugin.terminal.output import say
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
        question = text("The file {path} is there already. Replace it?")
        return force or (interactive() and confirm(question.format(path=path)()))

    with output_file(path, private=private, may_replace=may_replace) as file:
        yield file


def say_written(sentence: Text, path: Path, **style: Any) -> None:
    """Say that a result was written. It was, also when this cannot be said."""
    with suppress(OSError):
        say(sentence.format(path=path)(), err=is_standard_output(path), **style)
