# SPDX-License-Identifier: Apache-2.0
"""Help pages and tables in terminals of 80 columns and fewer: no word is broken, and nothing is left out."""

import re
import sys
from collections.abc import Iterator
from io import StringIO
from unicodedata import east_asian_width

import click
import pexpect
import pytest
from click.testing import CliRunner
from rich.console import Console

from softhsm.commands import softhsm_card
from support.cli.xcactl import XCACTL, Workspace
from xca_common.harmless_table import HarmlessTable
from xca_login.commands import xca_login
from xca_plugin.cli.root import xcactl

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
PROGRAMS = (xcactl, softhsm_card, xca_login)


def columns(line: str) -> int:
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in line)


def each_command(program: click.Group) -> Iterator[list[str]]:
    """The words after the program of each of its commands; none: the program itself."""
    context = click.Context(program)
    yield []
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ([name, *words] for words in each_command(command))
        else:
            yield [name]


def help_page(program: click.Group, words: list[str], width: int) -> str:
    done = CliRunner().invoke(program, [*words, "--help"], env={"COLUMNS": str(width), "LANGUAGE": "en"})
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program.name))
def test_help_of_every_command_has_examples_and_fits_80_columns(program: click.Group) -> None:
    for words in each_command(program):
        shown = help_page(program, words, 80)
        assert "\n  Examples:\n    " in shown, words
        assert [line for line in shown.splitlines() if columns(line) > 80] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program.name))
def test_help_in_a_narrow_terminal_fits_it(program: click.Group) -> None:
    for words in each_command(program):
        before_examples = help_page(program, words, 40).split("\n  Examples:\n")[0]
        wide = [line for line in before_examples.splitlines() if columns(line) > 40]
        # A long word stays whole, and so do the lines of a list of statuses.
        assert [line for line in wide if len(line.split()) > 1 and line[4:5] not in "012345"] == [], words


def shown_in_columns(workspace: Workspace, width: int, *arguments: str) -> list[str]:
    done = pexpect.run(
        f"{sys.executable} {' '.join(XCACTL)} {' '.join(arguments)}",
        env=workspace.environment,
        cwd=str(workspace.home),
        encoding="utf-8",
        dimensions=(40, width),
    )
    return [line.rstrip() for line in _STYLE.sub("", str(done)).split("\r\n")]


def test_table_in_a_narrow_terminal_becomes_a_paragraph_for_each_row(active: Workspace) -> None:
    lines = shown_in_columns(active, 40, "events")
    assert [line for line in lines if columns(line) > 40] == []
    for line in (
        f"Card number  {active.number}",
        "Event        login with the user code",
        "Event        activated",
    ):
        assert line in lines, lines
    lines = shown_in_columns(active, 40, "cert", "list")
    assert [line for line in lines if columns(line) > 40] == []
    assert {"Label                 cert1", "Label                 ROOT CA Cert"} <= set(lines), lines


def test_table_in_a_terminal_of_80_columns_stays_a_table(active: Workspace) -> None:
    heads, first, *_ = shown_in_columns(active, 80, "events")
    assert heads.split() == ["Time", "Card", "number", "Event", "Result", "Program"]
    assert active.number in first


def test_table_without_heads_puts_each_value_below_its_name() -> None:
    table = HarmlessTable((False, True))
    table.add_row("Distinguished name", "C=TW,O=\x1b[2J")
    said = StringIO()
    Console(file=said, width=20).print(table)
    assert said.getvalue().split("\n") == ["Distinguished name", "  C=TW,O=<U+001B>[2J", ""]


def test_cell_of_a_narrow_table_is_folded_between_words_and_chinese_characters() -> None:
    table = HarmlessTable((False, True))
    table.add_row("State", "three tries left until it locks")
    table.add_row("狀態", "可用 xcactl 查看，或洽發卡單位，以便開卡")
    said = StringIO()
    Console(file=said, width=24).print(table)
    assert [line.rstrip() for line in said.getvalue().splitlines()] == [
        "State  three tries left",
        "       until it locks",
        "狀態   可用 xcactl 查",
        "       看，或洽發卡單",
        "       位，以便開卡",
    ]
