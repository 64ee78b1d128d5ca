# SPDX-License-Identifier: Apache-2.0
"""What the commands share: how they are grouped, how errors and results are told, what opens the centre."""

import getpass
from pathlib import Path
from typing import Any, Final

import click

from xca_centre import settings
from xca_centre.beginning import require_begun
from xca_centre.centre import Centre
from xca_centre.errors import BadUserCode
from xca_centre.i18n import say, text
from xca_centre.life.transitions import Actor, Role
from xca_common.command_line import SHOWN_SECRET, ask, harmless_usage, help_as_option
from xca_common.errors import XcaError, os_reason, place_of
from xca_common.harmless_text import harmless
from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_common.secret_source import NotASourceError, SecretReader, SecretSourceError
from xca_common.standard_streams import tolerate_characters

_ = say

STATUSES: Final = "\b\n" + _(
    "Exit status:\n  0  done\n  1  it cannot be done, or you stopped it\n  2  an option or a value is wrong"
)


class _BadValue(click.ClickException):
    exit_code = 2


class Commands(click.Group):
    """A group of commands that report an expected error in a few lines, with a documented exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order in which they are used."""
        return list(self.commands)

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        """Say what is wrong with the arguments without repeating what acts on a terminal."""
        tolerate_characters()
        with harmless_usage():
            return super().make_context(*given, **more)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the word help for the option."""
        return super().parse_args(ctx, help_as_option(args))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with harmless_usage():
            try:
                return super().invoke(ctx)
            except NotASourceError as error:
                said = text("{problem}. {step}")
                raise _BadValue(said.format(problem=error, step=SHOWN_SECRET)()) from error
            except (SecretSourceError, BadUserCode) as error:
                raise _BadValue(str(error)) from error
            except XcaError as error:
                warn(text("Error: {message}").format(message=error.message()))
                warn(error.next_step())
                ctx.exit(1)
            except OSError as error:
                said = text("{path}: {reason}").format(path=error.filename or "-", reason=os_reason(error))
                raise click.ClickException(said()) from error
            except (click.ClickException, click.Abort, click.exceptions.Exit):
                raise
            except Exception as error:
                # Neither its text nor a traceback is shown: an unexpected exception may hold a secret.
                said = text("Unexpected problem: {place}").format(place=place_of(error))
                raise click.ClickException(said()) from error


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
