# SPDX-License-Identifier: Apache-2.0
"""Files that a command reads for a person."""

from pathlib import Path
from typing import Any, Final

import click

from xca_common.output_file import STANDARD_INPUT
from xca_plugin.i18n import _

_TAKEN: Final = "xca_plugin.standard_input"
"""Where click's context notes that a file is the standard input."""


class _InputFile(click.Path):
    """Type of a file to be read; `-` is the standard input, for one file of a command."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        if path == STANDARD_INPUT and ctx is not None:
            if _TAKEN in ctx.meta:
                self.fail(_("The standard input (-) can be read once only."), param, ctx)
            ctx.meta[_TAKEN] = True
        return path


FILE: Final = _InputFile()


def is_standard_input_taken() -> bool:
    """Tell whether the running command reads a file from the standard input."""
    context = click.get_current_context(silent=True)
    return context is not None and _TAKEN in context.meta


def named_after(file: Path, suffix: str) -> Path:
    """Return where the result for a file goes by default: beside it; for the standard input, `-`."""
    return file if file == STANDARD_INPUT else file.with_name(f"{file.name}{suffix}")
