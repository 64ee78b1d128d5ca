# SPDX-License-Identifier: Apache-2.0
"""Files that a command reads for a person."""

import os
import shlex
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from xca_common.output_file import STANDARD_INPUT
from xca_plugin.i18n import _, text

_TAKEN: Final = "xca_plugin.standard_input"
"""Where click's context notes that a file is the standard input."""
_NAMES_LOOKED_AT: Final = 10_000


class _InputFile(click.Path):
    """Type of a file to be read; `-` is the standard input, for one file of a command."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            path = super().convert(value, param, ctx)
        except click.BadParameter as error:
            if (whole := _named_with_blanks(str(value))) is None:
                raise
            meant = text(
                "{message} The shell parts a name at its blanks. If this file is meant, put its name in "
                "quotation marks: {name}"
            )
            error.message = meant.format(message=error.message, name=shlex.quote(whole))()  # type: ignore[misc]  # not its type's
            raise
        if path == STANDARD_INPUT and ctx is not None:
            if _TAKEN in ctx.meta:
                self.fail(_("The standard input (-) can be read once only."), param, ctx)
            ctx.meta[_TAKEN] = True
        return path


def _named_with_blanks(piece: str) -> str | None:
    """Return a file whose name begins or ends with a piece of it, parted by a blank; None: there is none."""
    folder, name = os.path.split(piece)
    if not name:
        return None
    try:
        with os.scandir(folder or ".") as entries:
            for entry in islice(entries, _NAMES_LOOKED_AT):
                if entry.name.startswith(f"{name} ") or entry.name.endswith(f" {name}"):
                    return str(Path(folder, entry.name))
    except (OSError, ValueError):
        return None
    return None


FILE: Final = _InputFile()


def is_standard_input_taken() -> bool:
    """Tell whether the running command reads a file from the standard input."""
    context = click.get_current_context(silent=True)
    return context is not None and _TAKEN in context.meta


def named_after(file: Path, suffix: str) -> Path:
    """Return where the result for a file goes by default: beside it; for the standard input, `-`."""
    return file if file == STANDARD_INPUT else file.with_name(f"{file.name}{suffix}")
