# SPDX-License-Identifier: Apache-2.0
"""Files that a command reads for a person."""

import os
import shlex
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from xca_common.i18n import Text
from xca_plugin.i18n import _, text
from xca_plugin.named_file import STANDARD_INPUT, leads_to_standard_input

_TAKEN: Final = "xca_plugin.standard_input"
"""Where click's context notes that a file is the standard input."""
_NAMES_LOOKED_AT: Final = 10_000
FOLDER: Final = text("{path} is a folder. Name a file in that folder.")
_NO_NAME: Final = text("{path} does not name a place for the result: say with -o where to write it.")


class _InputFile(click.Path):
    """Type of a file to be read; `-` is the standard input, for one file of a command.

    Args:
        exists: a file that is not there, or cannot be read, is refused at once.
        origin: where a person gets such a file; `path` is filled in.
    """

    def __init__(self, *, exists: bool = True, origin: Text | None = None) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path, allow_dash=True)
        self._must_exist, self._origin = exists, origin

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            path = super().convert(value, param, ctx)
        except click.BadParameter as error:
            if (whole := _named_with_blanks(str(value))) is not None:
                meant = text(
                    "{message} The shell splits a name at its blanks. If you mean this file, put its name in "
                    "quotation marks: {name}"
                )
                error.message = meant.format(message=error.message, name=shlex.quote(whole))()  # type: ignore[misc]  # not its type's
            elif not self._must_exist:
                return Path(value)
            elif str(value)[:1] in ("", "-"):  # what stands before it has lost its value
                lost = text("{message} A file belongs there; if you wrote a variable, it is empty.")
                error.message = lost.format(message=error.message)()  # type: ignore[misc]  # not its type's
            elif Path(value).is_dir():
                error.message = FOLDER.format(path=os.fspath(value))()  # type: ignore[misc]  # not its type's
            elif self._origin and not os.path.lexists(value):
                origin = self._origin.format(path=shlex.quote(os.fspath(value)))
                missing = text("{message} {origin}")
                error.message = missing.format(message=error.message, origin=origin)()  # type: ignore[misc]  # not its type's
            raise
        if ctx is not None and (path == STANDARD_INPUT or leads_to_standard_input(Path(os.fsdecode(path)))):
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
_ONE_OF_SEVERAL: Final = _InputFile(exists=False)
ROOT_FILE: Final = _InputFile(
    origin=text(
        "This should be the root certificate that you trust. The government's is at "
        "https://grca.nat.gov.tw and on every organisation card: xcactl cert export 'ROOT CA "
        "Cert' -o {path}"
    )
)
ISSUER_FILE: Final = _InputFile(
    origin=text(
        "This should be the certificate of a CA between the signer and the root. The signer's "
        "card holds it: xcactl cert export 'CA Cert' -o {path}"
    )
)
RECIPIENT_FILE: Final = _InputFile(
    origin=text(
        "This should be the certificate of a recipient, who runs this and sends you the file: "
        "xcactl cert export cert2 -o {path}"
    )
)


def files_argument(metavar: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the argument `files`: at least one file. click does not check that they exist."""
    return click.argument("files", metavar=metavar, type=_ONE_OF_SEVERAL, nargs=-1, required=True)


def check_there(file: Path) -> None:
    """Refuse a file of the argument `files` that is not there, as click does.

    Raises:
        click.UsageError: it is not there, is a folder, or may not be read.
    """
    context = click.get_current_context()
    if file.is_dir():
        raise click.UsageError(FOLDER.format(path=file)())
    argument = next(each for each in context.command.params if each.name == "files")
    click.Path(exists=True, dir_okay=False, allow_dash=True).convert(os.fspath(file), argument, context)


def is_standard_input_taken() -> bool:
    """Tell whether the running command reads a file from the standard input."""
    context = click.get_current_context(silent=True)
    return context is not None and _TAKEN in context.meta


def named_after(file: Path, suffix: str) -> Path:
    """Return where the result for a file goes by default: beside it; for the standard input, `-`.

    Raises:
        click.UsageError: the file is a descriptor or a device, and nothing can be written beside it.
    """
    folder = os.path.realpath(file.parent)
    if file != STANDARD_INPUT and os.path.lexists(file) and (folder == "/dev" or folder.startswith("/proc/")):
        raise click.UsageError(_NO_NAME.format(path=file)())
    return file if file == STANDARD_INPUT else file.with_name(f"{file.name}{suffix}")
