# SPDX-License-Identifier: Apache-2.0
"""xcactl agent: the local agent that web pages talk to."""

import http.client
import json
from contextlib import closing

import click

from xca_plugin import errors
from xca_plugin.agent import PORT, service
from xca_plugin.i18n import _, text

_SECONDS = 2.0

port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help=_("Another port, for tests or a second user; web pages know only the standard one. 0: any."),
)


@click.group(help=_("The local agent: web pages use the card through it."))
def agent() -> None:
    """Do nothing by itself."""


@agent.command(help=_("Run the agent until it is interrupted."))
@port_option
def run(port: int) -> None:
    """Serve."""
    _check_installed()
    from xca_plugin.agent import server
    from xca_plugin.agent.settings import Settings

    server.run(
        Settings.load(port),
        lambda address: click.echo(_("The agent listens at {address}").format(address=address)),
    )


@agent.command(help=_("Have the agent started now and at every login."))
def install() -> None:
    """Set up the service."""
    _check_installed()
    click.echo(service.install())


@agent.command(help=_("Have the agent no longer started by itself."))
def uninstall() -> None:
    """Undo install."""
    click.echo(service.uninstall())


@agent.command(help=_("Tell whether the agent runs, and whether it starts by itself."))
@port_option
def status(port: int) -> None:
    """Ask the agent."""
    if file := service.installed():
        click.echo(_("It starts by itself: {path}").format(path=file))
    else:
        click.echo(_("It does not start by itself."))
    click.echo(_("It runs: version {version}").format(version=_version(port)))


def _check_installed() -> None:
    try:
        import xca_plugin.agent.server  # noqa: F401  # with all that it needs
    except ModuleNotFoundError as error:
        raise errors.AgentNotInstalled(name=error.name) from error


def _version(port: int) -> str:
    """Ask who is there.

    Raises:
        AgentNotRunning: nobody, or another program.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)) as connection:
        try:
            connection.request("GET", "/agent.json")
            said = json.loads(connection.getresponse().read())
            if said["name"] == "xca-plugin":
                return str(said["version"])
        except OSError as error:
            raise errors.AgentNotRunning(detail=error.strerror or type(error).__name__) from error
        except (http.client.HTTPException, ValueError, KeyError, TypeError):
            pass  # another program
    raise errors.AgentNotRunning(detail=text("another program listens on the port {port}").having(port=port))
