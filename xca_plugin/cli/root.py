# SPDX-License-Identifier: Apache-2.0
"""The group of all commands, its common options, and the display of errors."""

import importlib
import os
from typing import Any, Final

import click

from xca_common.command_line import complete, harmless_usage, help_as_option
from xca_common.errors import XcaError, place_of
from xca_plugin.cli.examples import EXAMPLES
from xca_plugin.cli.installation import show_versions
from xca_plugin.errors import CardError, NotAgreed, OutputExists, Undecided
from xca_plugin.i18n import _, text
from xca_plugin.terminal.acceptance import deliver_due
from xca_plugin.terminal.exit_statuses import exit_status
from xca_plugin.terminal.next_steps import next_step
from xca_plugin.terminal.output import say
from xca_plugin.terminal.streams import show_module_log

_VERBOSE: Final = "xca_plugin.verbose"
"""Key in click's Context.meta; its value tells whether -v was given."""
_PLACEHOLDERS: Final = {
    "CERT": text("CERT"),
    "CRL": text("CRL"),
    "FILE": text("FILE"),
    "FILE…": text("FILE…"),
    "FILE [SIGNATURE] | FILE…": text("FILE [SIGNATURE] | FILE…"),
    "HOST": text("HOST"),
    "LABEL": text("LABEL"),
    "NOTICE": text("NOTICE"),
    "NUMBER": text("NUMBER"),
    "ORIGIN": text("ORIGIN"),
    "OUT": text("OUT"),
    "PATH": text("PATH"),
    "PORT": text("PORT"),
    "RECEIPT": text("RECEIPT"),
    "RESPONSE": text("RESPONSE"),
    "ROOT": text("ROOT"),
    "SOURCE": text("SOURCE"),
    "TOOL…": text("TOOL…"),
    "URL": text("URL"),
}
"""Translated placeholders of option values in the help."""
_COMMANDS: Final = {
    "setup": "setup:setup",
    "detect": "reading:detect",
    "info": "reading:info",
    "activate": "activate:activate",
    "accept": "accept:accept",
    "pin": "pin:pin",
    "user-code": "pin:user_code",
    "cert": "certificates:cert",
    "sign": "signatures:sign",
    "verify": "verification:verify",
    "encrypt": "encryption:encrypt",
    "decrypt": "encryption:decrypt",
    "bid": "bids:bid",
    "events": "reading:events",
    "doctor": "doctor:doctor",
    "agent": "agent:agent",
    "tools": "tools:tools",
    "module-path": "installation:module_path",
}


def show_error(error: XcaError) -> None:
    """Print an error and its next step on stderr; what cannot be told, or was declined, is no error."""
    is_answer = isinstance(error, (NotAgreed, OutputExists)) and error.was_declined
    if is_answer or isinstance(error, Undecided):
        say(error.message(), err=True, bold=True)
    else:
        say(text("Error: {message}").format(message=error.message())(), err=True, fg="red")
    say(next_step(error), err=True)


def _be_verbose(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.find_root().meta[_VERBOSE] = True
        show_module_log(wanted=True)
        os.environ.setdefault("XCA_LOG_LEVEL", "info")


def _verbose_option() -> click.Option:
    return click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_be_verbose,
        help=_("Also show technical details, for support."),
    )


def _complete(command: click.Command, words: str) -> None:
    """Add the common options, examples and translated placeholders to a command and its subcommands.

    Args:
        command: the command.
        words: its words after xcactl, such as "pin change".
    """
    command.params.append(_verbose_option())
    complete(command, _PLACEHOLDERS, hide_language=bool(words), examples=EXAMPLES[words])
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            _complete(each, f"{words} {name}".strip())


class Commands(click.Group):
    """A group that imports the module of a command when the command is needed."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import the command of this name; None: there is none."""
        if name not in _COMMANDS:
            return None
        if name not in self.commands:
            module, attribute = _COMMANDS[name].split(":")
            command = getattr(importlib.import_module(f"xca_plugin.cli.{module}"), attribute)
            _complete(command, name)
            self.commands[name] = command
        return self.commands[name]

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; for an unknown one, suggest a similar name."""
        try:
            return super().resolve_command(context, arguments)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=list(_COMMANDS), ctx=context
            ) from None

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Read the options before the command; -v without a command asks for the version."""
        arguments = help_as_option(arguments)
        if arguments[-1:] == ["-v"] and not set(arguments) & set(_COMMANDS):
            arguments = [*arguments[:-1], "--version"]
        return super().parse_args(context, arguments)

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        """Parse the arguments; error messages about them are made harmless."""
        with harmless_usage():
            return super().make_context(*given, **more)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; print an XcaError with its next step and exit with its status."""
        try:
            with harmless_usage():
                result = super().invoke(context)
        except XcaError as error:
            show_error(error)
            if _VERBOSE in context.meta:
                _show_details(error)
            deliver_due()
            context.exit(exit_status(error))
        except click.exceptions.Exit:
            deliver_due()
            raise
        deliver_due()
        return result


def _show_details(error: XcaError) -> None:
    """Print details for support: the classes of the error and of its causes."""
    say(text("Kind of error: {name}").format(name=type(error).__name__)(), err=True)
    if isinstance(error, CardError) and error.return_value is not None:
        say(text("PKCS#11: {name}").format(name=error.return_value.name)(), err=True)
    cause = error.__cause__
    while cause is not None:
        # Its text is not shown: the exception of a plugin may hold a secret.
        say(text("Because of: {place}").format(place=place_of(cause))(), err=True)
        cause = cause.__cause__


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_("Activate an organisation IC card, manage its PIN, and sign with it."),
    epilog=_("Every failure has an exit status of its own; docs/cli.md lists them.")
    + "\n\n\b\n"
    + _('Shell completion (or zsh_source, fish_source):\n  eval "$(_XCACTL_COMPLETE=bash_source xcactl)"'),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_versions,
    help=_("Show the versions of xcactl and Python, the modules and the plugins."),
)
def xcactl() -> None:
    """Group of all commands of xcactl."""


_complete(xcactl, "")
