# SPDX-License-Identifier: Apache-2.0
"""xcactl agent: the local agent that web pages talk to."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import click

from xca_common.browser import open_address
from xca_common.command_line import WholeNumber
from xca_common.extras import missing
from xca_plugin import errors
from xca_plugin.agent.process import service
from xca_plugin.agent_port import PORT, PROCESS_NAME, agent_at, port_words
from xca_plugin.errors import PortTaken
from xca_plugin.i18n import _, text
from xca_plugin.terminal.output import say, say_done

_T = TypeVar("_T", bound=Callable[..., object])


def _port_option(least: int, explained: str) -> Callable[[_T], _T]:
    return click.option(
        "--port",
        metavar="PORT",
        type=WholeNumber(least, 65535),
        default=PORT,
        show_default=True,
        help=explained,
    )


_START_NOW: Final = text("Start it now: xcactl agent open")
_RUNS_ALREADY: Final = text("It is the agent, and it runs already. Its home page: http://localhost:{port}/")
_PORT_TO_TAKE: Final = _port_option(
    0, _("Another port, for tests or a second user; web pages know only the standard one. 0: any.")
)
_PORT_TO_ASK: Final = _port_option(
    1, _("Another port, for tests or a second user; web pages know only the standard one.")
)


@click.group(help=_("The local agent: web pages use the card through it."))
def agent() -> None:
    """Group of the commands xcactl agent …."""


@agent.command(help=_("Run the agent until Ctrl-C or xcactl agent stop ends it."))
@_PORT_TO_TAKE
def run(port: int) -> None:
    """Serve web pages on this machine until the process is interrupted."""
    _check_installed()
    with suppress(OSError):
        Path("/proc/self/comm").write_text(PROCESS_NAME, encoding="ascii")
    from xca_plugin.agent.process import server
    from xca_plugin.agent.process.own_word import OwnWord
    from xca_plugin.agent.process.settings import Settings

    settings = Settings.load(port)

    def listening(address: str) -> None:
        say(text("The agent listens at {address}").format(address=address)())
        if OwnWord(settings.own_word).read() is None:
            advice = text("Choose a word there by which you know its windows: {address}/")
            say(advice.format(address=address)())
        if sys.stdout.isatty():
            ending = text("End it with Ctrl-C, or from elsewhere: xcactl agent stop{port}")
            say(ending.format(port=port_words(int(address.rpartition(":")[2])))())

    try:
        server.run(settings, listening)
    except PortTaken as taken:
        with suppress(PortTaken):  # of another program
            if agent_at(port) is not None:
                taken.with_step(_RUNS_ALREADY)
        raise


@agent.command("open", help=_("Start the agent if it does not run, and open its home page in a browser."))
@_PORT_TO_ASK
def open_page(port: int) -> None:
    """Start the agent and show its home page; the menu entry of the Debian package runs this."""
    _check_installed()
    from xca_plugin.agent.process.settings import Settings

    address = f"{Settings.load(port).origins()[0]}/"
    service.start(port)
    say(text("Opening {address}").format(address=address)())
    ending = text("The agent goes on running without the browser; this ends it: xcactl agent stop{port}")
    say(ending.format(port=port_words(port))())
    if not open_address(address):
        say(_("No browser was found. Open that address in one yourself."), err=True)


@agent.command(help=_("Stop the agent; one that starts at every login starts again at the next one."))
@_PORT_TO_ASK
def stop(port: int) -> None:
    """End the agent of this user, however it was started."""
    _check_installed()
    if not service.stop(port):
        say(text("No agent runs at the port {port}: nothing was changed.").format(port=port)())
        return
    say_done(_("The agent was stopped."))
    if port == PORT and service.installed():
        say(_("It starts again at the next login. If you do not want that: xcactl agent uninstall"))


@agent.command(help=_("Start the agent now and at every login."))
def install() -> None:
    """Set the agent up to start by itself, and start it now."""
    _check_installed()
    from xca_plugin.agent.process.settings import Settings

    Settings.load()  # a faulty settings file is reported here, not in systemd's journal
    say_done(service.install())


@agent.command(help=_("Stop the agent and no longer start it at login."))
def uninstall() -> None:
    """Stop the agent and undo what install() set up."""
    say_done(service.uninstall())


@agent.command(help=_("Tell whether the agent runs, and whether it starts by itself."))
@_PORT_TO_ASK
def status(port: int) -> None:
    """Print whether the agent starts by itself, and its version if it answers on the port."""
    if file := service.installed():
        say(text("It starts by itself: {path}").format(path=file)())
    else:
        say(_("It does not start by itself."))
    version = agent_at(port)
    if version is None:
        problem = errors.AgentNotRunning(port=port)
        raise problem.with_step(_START_NOW) if port == PORT and service.installed() else problem
    said = text("It runs: version {version}, at {address}")
    say(said.format(version=version, address=f"http://localhost:{port}/")())


def _check_installed() -> None:
    try:
        import xca_plugin.agent.process.server  # noqa: F401  # imports every package that the agent needs
    except ModuleNotFoundError as error:
        lacking = missing("xca-plugin", "agent") or [error.name or ""]
        raise errors.AgentNotInstalled(name=", ".join(lacking)) from error
