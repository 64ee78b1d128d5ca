# SPDX-License-Identifier: Apache-2.0
"""xcactl tools: register the module in other programs, and check whether each sees the card."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import click

from xca_common.command_line import Choice
from xca_common.errors import XcaError
from xca_common.harmless_text import harmless
from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.cli import json_documents
from xca_plugin.cli.common import json_option
from xca_plugin.cli.root import show_error
from xca_plugin.i18n import _, text
from xca_plugin.model import CardState
from xca_plugin.terminal.next_steps import next_step
from xca_plugin.terminal.output import console, grid, print_json, say, say_done
from xca_plugin.tools import XCA, FileChange, ProbeResult, Registration, Tool, all_tools, make
from xca_plugin.tools.host_environment import configuration_remark

_STATES: Final = {
    Registration.ABSENT: text("not registered"),
    Registration.REGISTERED: text("registered"),
    Registration.OUTDATED: text("out of date"),
    Registration.OTHER: text("registered by another installation"),
    Registration.EDITED: text("changed by hand"),
    Registration.UNREADABLE: text("a file of it cannot be read"),
}
_STYLES: Final = {
    Registration.REGISTERED: "green",
    Registration.OUTDATED: "yellow",
    Registration.OTHER: "yellow",
    Registration.EDITED: "red",
    Registration.UNREADABLE: "red",
}

_TO_FILL_IN: Final = {
    "FILE": text("FILE"),
    "HOST": text("HOST"),
    "IN": text("IN"),
    "NUMBER": text("NUMBER"),
    "OUT": text("OUT"),
    "URL": text("URL"),
}
"""Words of Tool.command() that the person replaces, in the language that is spoken."""
_WORD_TO_FILL_IN: Final = re.compile(rf"(?<![\w/])(?:{'|'.join(_TO_FILL_IN)})(?![\w/])")


@click.group(help=_("Set up other tools to use the card: browsers, OpenSSL, ssh, Java and others."))
def tools() -> None:
    """Group of the commands xcactl tools …."""


@tools.command(
    "list", help=_("Show the tools, whether they are registered, and how to use the card with each.")
)
@json_option
def list_tools(as_json: bool) -> None:
    """Print each tool, its state, and how to use the card with it."""
    known = all_tools()
    if as_json:
        print_json({"tools": [json_documents.tool(tool) for tool in known]})
        return
    from rich.text import Text

    heads = (_("Tool"), _("State"), _("What it is"))
    table = grid(False, False, True, heads=heads)
    for tool in known:
        missing, state = tool.missing(), tool.state()
        said = _STATES[state]() if missing is None or state is not Registration.ABSENT else _("not here")
        table.add_row(tool.name, Text(said, style=_STYLES.get(state, "")), tool.title())
    console().print(table)
    for tool in known:
        _show_use(tool, say)
    _show_remark()


def _show_use(tool: Tool, tell: Callable[[str], None]) -> None:
    missing, remarks = tool.missing(), tool.remarks()
    if missing is None:
        tell(f"\n{_head(tool)}")
        if tool.state() is Registration.ABSENT:
            tell(text("  First: xcactl tools register {name}").format(name=tool.name)())
        tell(f"  {harmless(_in_words(tool.command()), longest=None)}")
    elif remarks or tool.state() is not Registration.ABSENT:
        tell(f"\n{_head(tool)}\n  {missing()}")
    else:
        return
    for remark in remarks:
        tell(f"  {_in_words(remark())}")


def _head(tool: Tool) -> str:
    return text("{name}:").format(name=tool.name)()


def _in_words(command: str) -> str:
    """Return a command with the words to fill in as they are in the language."""
    return _WORD_TO_FILL_IN.sub(lambda word: _TO_FILL_IN[word[0]](), command)


def _show_remark() -> None:
    if remark := configuration_remark():
        say(remark(), err=True, fg="yellow")


_names: Final = click.argument(
    "names", metavar="TOOL…", nargs=-1, type=Choice([tool.name for tool in all_tools()])
)
_all_installed: Final = click.option(
    "--all", "everyone", is_flag=True, help=_("All tools that are installed.")
)
_all_registered: Final = click.option(
    "--all", "everyone", is_flag=True, help=_("All tools that are registered.")
)
_database: Final = click.option(
    "--database",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=_("XCA's database; without it, the one that XCA opens when it starts."),
)
_dry_run: Final = click.option("--dry-run", is_flag=True, help=_("Show the changes and make none."))


@tools.command(help=_("Register the module in tools; each change is shown."))
@_names
@_all_installed
@_database
@_dry_run
@click.option(
    "--take-over", is_flag=True, help=_("Also replace what another installation of xcactl registered.")
)
def register(
    names: tuple[str, ...], everyone: bool, database: Path | None, dry_run: bool, take_over: bool
) -> None:
    """Register the module in each tool named."""
    chosen = _chosen(names, everyone, database, lambda tool: tool.installed())
    _change(
        chosen,
        lambda tool: tool.plan_register(take_over=take_over),
        everyone,
        None if dry_run else text("{name}: registered"),
    )
    if not dry_run:
        for tool in chosen:
            if tool.installed() and tool.registered():
                _show_use(tool, say_done)
    _show_remark()


@tools.command(help=_("Undo the registration and restore what was there before."))
@_names
@_all_registered
@_database
@_dry_run
def unregister(names: tuple[str, ...], everyone: bool, database: Path | None, dry_run: bool) -> None:
    """Undo the registration in each tool named."""
    chosen = _chosen(names, everyone, database, lambda tool: True)
    done = text("{name}: no longer registered")
    _change(chosen, lambda tool: tool.plan_unregister(), everyone, None if dry_run else done)


@tools.command(help=_("Look at the card through the registered tools; needs no PIN and costs no try."))
@_names
@json_option
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Print for each registered tool whether it sees the card."""
    cards = Cards()
    present = cards.detect()
    if not present:
        raise cards.missing()
    for card in present:
        # The issuers warn that a card is damaged by other programs before its activation.
        if card.real and card.state is not CardState.ACTIVE:
            raise errors.NotActivated(number=card.number)
    looks = []
    for tool in all_tools():
        if not (tool.name in names if names else tool.registered()):
            continue
        seen = _seen(tool)
        looks.append(json_documents.probe_result(tool, seen.works, seen.detail))
    if as_json:
        print_json({"looks": looks})
    elif not looks:
        say(_("No tool is registered. Register those that are here: xcactl tools register --all"), err=True)
    else:
        _show_looks(looks)
    if blind := [probe["name"] for probe in looks if not probe["works"]]:
        raise errors.CardNotSeen(names=[str(name) for name in blind])


def _seen(tool: Tool) -> ProbeResult:
    """Return what one tool sees; an error becomes a result, and the other tools are still checked."""
    if (problem := tool.problem()) is not None:
        return ProbeResult(False, problem.message())
    if not tool.registered():
        state, missing = tool.state(), tool.missing()
        said = missing if missing and state is Registration.ABSENT else _STATES[state]
        return ProbeResult(False, said())
    try:
        return tool.check()
    except XcaError as error:
        return ProbeResult(False, error.message())


def _show_looks(looks: Iterable[dict[str, object]]) -> None:
    from rich.text import Text

    table = grid(False, False, True)
    for probe in looks:
        works = bool(probe["works"])
        said = Text(_("sees the card") if works else _("does not see it"), style="green" if works else "red")
        table.add_row(str(probe["name"]), said, str(probe["detail"] or ""))
    console().print(table)


def _chosen(
    names: tuple[str, ...], everyone: bool, database: Path | None, which: Callable[[Tool], bool]
) -> list[Tool]:
    if bool(names) == everyone:
        raise click.UsageError(_("Give either the names of tools or --all."))
    if database and not everyone and XCA.name not in names:
        raise click.UsageError(_("--database is for the tool xca."))
    known = all_tools(database=database)
    return [tool for tool in known if (which(tool) if everyone else tool.name in names)]


def _change(
    chosen: Iterable[Tool], plan: Callable[[Tool], list[FileChange]], everyone: bool, done: Text | None
) -> None:
    """Show and make the changes of each tool. After a failure the next tool follows; each failure is shown.

    Args:
        chosen: the tools.
        plan: returns the changes of a tool.
        everyone: no tool was named: what belongs to another installation is kept, and is no failure, nor is a
            browser that was never started.
        done: says that the changes of a tool were made; None: they are shown only.

    Raises:
        XcaError: the last failure.
    """
    failures: list[tuple[Tool, XcaError]] = []
    for tool in chosen:
        try:
            changes = plan(tool)
            for change in changes:
                say(change.diff())
            if not changes:
                say(text("{name}: nothing to change").format(name=tool.name)(), err=True)
            elif done is None:
                say(text("{name}: nothing was changed (--dry-run)").format(name=tool.name)(), err=True)
            else:
                make(changes)
                say(done.format(name=tool.name)(), err=True)
        except (errors.OtherInstallation, errors.NoUsableProfile) as error:
            if everyone:
                say(_head(tool), err=True)
                say(error.message(), err=True, fg="yellow")
                say(next_step(error), err=True)
            else:
                failures.append((tool, error))
        except XcaError as error:
            failures.append((tool, error))
    for tool, failure in failures:
        say(_head(tool), err=True)
        if failure is failures[-1][1]:
            raise failure
        show_error(failure)
