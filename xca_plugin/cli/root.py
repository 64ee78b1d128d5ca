# SPDX-License-Identifier: Apache-2.0
"""The group of all commands, and how a failure is shown."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from xca_common.errors import XcaError
from xca_common.harmless_text import harmless
from xca_common.i18n import LANGUAGES
from xca_plugin.i18n import _, text
from xca_plugin.terminal.exit_statuses import exit_status
from xca_plugin.terminal.next_steps import next_step
from xca_plugin.terminal.output import say

_COMMANDS: Final = {
    "detect": "reading:detect",
    "info": "reading:info",
    "activate": "activate:activate",
    "pin": "pin:pin",
    "user-code": "pin:user_code",
    "cert": "certificates:cert",
    "sign": "signatures:sign",
    "verify": "verification:verify",
    "encrypt": "encryption:encrypt",
    "decrypt": "encryption:decrypt",
    "events": "reading:events",
    "doctor": "doctor:doctor",
    "agent": "agent:agent",
    "tools": "tools:tools",
}


def show_error(error: XcaError) -> None:
    """Show a failure with its next step."""
    say(text("Error: {message}").format(message=error.message())(), err=True, fg="red")
    say(next_step(error), err=True)


@contextmanager
def _harmless_usage() -> Iterator[None]:
    """Make harmless what click's errors repeat of the arguments."""
    try:
        yield
    except click.ClickException as error:
        error.message = harmless(error.message)  # type: ignore[misc]  # not its type's
        raise


class Commands(click.Group):
    """Finds the commands in their modules when they are asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import the command of that name."""
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(f"xca_plugin.cli.{module}"), attribute)
        return command

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        """Read the arguments; what is wrong with them is told harmlessly."""
        with _harmless_usage():
            return super().make_context(*given, **more)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; a XcaError is shown with its next step and ends with its status."""
        try:
            with _harmless_usage():
                return super().invoke(context)
        except XcaError as error:
            show_error(error)
            context.exit(exit_status(error))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_("Activate an organisation IC card, manage its PIN, and sign with it."),
    epilog=_(
        "Every failure has an exit status of its own; docs/cli.md lists them. "
        'Shell completion: eval "$(_XCACTL_COMPLETE=bash_source xcactl)" (or zsh_source, fish_source).'
    ),
)
@click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    expose_value=False,  # xca_plugin.cli.main has looked at it already
    help=_("Language; by default the locale's."),
)
@click.version_option(package_name="xca-plugin")
def xcactl() -> None:
    """Do nothing by itself; the help is above."""
