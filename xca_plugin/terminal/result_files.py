# SPDX-License-Identifier: Apache-2.0
"""Files that a command writes for a person, and the message about a written file."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from xca_common.errors import FileProblem, XcaError
from xca_common.i18n import Text
from xca_plugin.errors import OutputExists
from xca_plugin.i18n import _, text
from xca_plugin.named_file import (
    SHOWN_STANDARD_OUTPUT,
    input_file,
    is_file,
    is_standard_output,
    is_stream,
    output_file,
    problems_of,
)
from xca_plugin.terminal.input_files import FOLDER
from xca_plugin.terminal.output import say_done
from xca_plugin.terminal.prompts import confirm, interactive

force_option: Final = click.option("--force", is_flag=True, help=_("Replace a file that is there already."))
_NOTHING_CHANGED: Final = text("Nothing was changed.")
_NO_FILE: Final = text("A file belongs there; if you wrote a variable, it is empty.")


class _OutputFile(click.Path):
    """Type of a file to be written; what cannot be meant is refused with what to name instead."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value) or (ctx and any(value in each.opts for each in ctx.command.get_params(ctx))):
            self.fail(_NO_FILE(), param, ctx)
        if Path(value).is_dir():
            self.fail(FOLDER.format(path=os.fspath(value))(), param, ctx)
        return super().convert(value, param, ctx)


OUTPUT: Final = _OutputFile()
"""Type of an option that names a file to be written; `-` is the standard output."""


def check_output(output: Path, *inputs: Path) -> None:
    """Refuse to write over a file that the command reads or writes otherwise.

    The files that its options name as sources of secrets (`file:PATH`) are among them.

    Raises:
        FileProblem: the output is one of them.
    """
    if is_stream(output):
        return
    for path in (*inputs, *_secret_files()):
        if os.path.realpath(output) == os.path.realpath(path) or _is_same(output, path):
            raise in_use(output)


def in_use(output: Path) -> FileProblem:
    """Return the error for an output that the command uses for something else."""
    detail = text("the result would replace a file that the command also reads or writes")
    return FileProblem(path=output, detail=detail).with_step(text("Choose another name for the result."))


def _secret_files() -> Iterator[Path]:
    context = click.get_current_context(silent=True)
    for value in context.params.values() if context else ():
        if isinstance(value, str) and value.startswith("file:"):
            yield Path(value.removeprefix("file:"))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there, or cannot be looked at
        return False


def check_shown(path: Path) -> None:
    """Refuse to show binary content in a terminal.

    Raises:
        click.UsageError: the result would be shown there.
    """
    if is_standard_output(path) and sys.stdout.isatty():
        raise click.UsageError(
            _(
                "This content is not for a terminal: name a file (-o FILE), or send it through a pipe to a "
                "program."
            )
        )


@contextmanager
def result_file(path: Path, *, force: bool, private: bool = False, binary: bool = True) -> Iterator[BinaryIO]:
    """Write a result to a file or to the standard output (output_file); replace a file only with consent.

    Args:
        path: the file; `-` is the standard output.
        force: replace a file without asking; otherwise the person is asked at a terminal.
        private: the content is a secret, or was decrypted.
        binary: the content cannot be shown in a terminal.

    Raises:
        click.UsageError: binary content would go to a terminal.
        OutputExists: the file exists, and the person did not agree.
        FileProblem: it cannot be written, or a secret is read from it.
    """
    check_output(path)
    if binary:
        check_shown(path)

    def may_replace(path: Path) -> bool:
        return force or _agrees(path)

    with output_file(path, private=private, may_replace=may_replace) as file:
        yield file


@dataclass(frozen=True)
class Agreed:
    """What may be done with several files.

    Attributes:
        replaced: the existing files that may be replaced.
        refused: files that will not be handled, each with the reason.
    """

    replaced: frozenset[Path]
    refused: Mapping[Path, XcaError]


def agree_to_replace(outputs: Mapping[Path, Path], force: bool) -> Agreed:
    """Ask, before the card is used, which existing files may be replaced.

    Nobody is asked about the result of a file that cannot be read.

    Args:
        outputs: the result of each file.
        force: replace them without asking.

    Raises:
        FileProblem: a secret is read from a file that would be replaced.
    """
    for target in outputs.values():
        check_output(target)
    replaced, refused = set(outputs.values()) if force else set(), dict[Path, XcaError]()
    for file, target in outputs.items():
        try:
            _check_readable(file)
            if target not in replaced and is_file(target):
                if not _agrees(target):
                    raise OutputExists(path=target)
                replaced.add(target)
        except XcaError as error:
            refused[file] = error
    return Agreed(frozenset(replaced), refused)


def _check_readable(file: Path) -> None:
    """Open a file, unless it is a pipe, which can be opened once only.

    Raises:
        FileProblem: it cannot be opened.
    """
    with problems_of(file):
        is_pipe = file.exists() and not file.is_file() and not file.is_dir()
    if not is_pipe:
        with input_file(file):
            pass


def _agrees(path: Path) -> bool:
    """Ask whether a file may be replaced; without a terminal it may not.

    Raises:
        OutputExists: the person said no.
    """
    if not interactive():
        return False
    question = text("The file {path} is there already. Replace it?")
    if not confirm(question.format(path=path)()):
        raise OutputExists(path=path, was_declined=True).with_step(_NOTHING_CHANGED)
    return True


def say_about(sentence: Text, path: Path) -> None:
    """Tell on stderr where a result was written; say nothing of a pipe or the standard output."""
    if not is_stream(path):
        say_done(sentence.format(path=path)(), err=True)


def say_written(sentence: Text, path: Path, *, err: bool = False) -> None:
    """Print that a result was written; a failure to print is ignored, because it was written.

    Args:
        sentence: `path` is filled in.
        path: the file; the standard output is named as such.
        err: print it on stderr; where the result went to the standard output, that is done anyway.
    """
    is_out = is_standard_output(path)
    say_done(sentence.format(path=SHOWN_STANDARD_OUTPUT if is_out else path)(), err=err or is_out)
