# SPDX-License-Identifier: Apache-2.0
"""What the commands share: how they are grouped, how errors and results are told, what opens the centre."""

import getpass
from pathlib import Path
from typing import Final

import click

from xca_centre import settings
from xca_centre.beginning import require_begun
from xca_centre.centre import Centre
from xca_centre.errors import BadUserCode
from xca_centre.i18n import say, text
from xca_centre.life.transitions import Actor, Role
from xca_common.command_line import ProgramCommands, ProgramEnded, ask
from xca_common.errors import XcaError
from xca_common.harmless_text import harmless
from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_common.secret_source import SecretReader

_ = say

STATUSES: Final = "\b\n" + _(
    "Exit status:\n  0  done\n  1  it cannot be done, or you stopped it\n  2  an option or a value is wrong"
)


class Commands(ProgramCommands):
    """The commands of xca-centre."""

    def problem(self, error: Exception) -> ProgramEnded | None:
        """Return how xca-centre ends for an error of the centre; None: it is none."""
        if isinstance(error, BadUserCode):
            return ProgramEnded(str(error), 2)
        return ProgramEnded.of(error, 1) if isinstance(error, XcaError) else None


def opened(folder: Path) -> Centre:
    """Return the centre in a folder.

    Raises:
        BadSettings: its settings cannot be used.
    """
    return Centre(settings.read(folder))


def begun(folder: Path) -> Centre:
    """Return the centre in a folder, which was begun.

    Raises:
        BadSettings, NotBegun, StoreProblem: it cannot be used.
    """
    centre = opened(folder)
    require_begun(centre)
    return centre


def operator() -> Actor:
    """Return who runs the command, as events name him: the user of this computer."""
    try:
        name = getpass.getuser()
    except OSError:
        name = "unknown"
    return Actor(Role.OPERATOR, f"user {name}"[:128])


def tell(sentence: Text | str) -> None:
    """Print a sentence; its facts are made harmless."""
    click.echo(harmless(str(sentence), lines=True))


def warn(sentence: Text | str) -> None:
    """Print a sentence on stderr, likewise."""
    click.echo(harmless(str(sentence), lines=True), err=True)


def asked_secret(reader: SecretReader, source: str | None, question: Text) -> Secret:
    """Return a secret from its source, or ask for it, twice.

    Raises:
        SecretSourceError: it cannot be had from the source.
        QuestionEnded: the person ended the question.
    """
    if source is not None:
        return Secret(reader.read(source))
    while True:
        first = ask(question(), hide_input=True)
        if ask(text("Once more")(), hide_input=True) == first:
            return Secret(first)
        warn(text("The two differ."))
