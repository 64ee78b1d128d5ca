# SPDX-License-Identifier: Apache-2.0
"""Messages advise only options that the command showing the message has."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path

import click
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from pyhanko.cli.commands.signing import addsig, signing

from softhsm.commands import softhsm_card
from support.errors import with_facts
from xca_common.errors import XcaError
from xca_common.i18n import CHINESE, ENGLISH
from xca_plugin import errors
from xca_plugin.cli.root import xcactl
from xca_plugin.errors import OutputExists
from xca_plugin.terminal.next_steps import NEXT_STEPS

ROOT = Path(__file__).parents[2]
KEYWORDS = {"_": None, "text": None, "plural": (1, 2)}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
PROGRAMS = {"xcactl": xcactl, "softhsm-card": softhsm_card}
COMMAND_LINE = re.compile(r"\b(xcactl|softhsm-card)((?: [a-z][a-z-]*)*)")
SENTENCE_END = re.compile(r"[.;] |[。；]")
OTHERS = ("ssh", "openssl", "certutil", "pkcs11-tool", "curl")
"""Other programs; their options are not checked."""

RAISED_BY: Mapping[type[XcaError], tuple[str, str]] = {
    OutputExists: ("xca_plugin.terminal.result_files", "result_file"),
    errors.SeveralCards: ("xca_plugin.terminal.card_choice", "choose"),
    errors.LastTryNotConfirmed: ("xca_plugin.terminal.consent", "confirm_last_try"),
    errors.NotAgreed: ("xca_plugin.terminal.consent", "agree"),
    errors.NotAnAuthority: ("xca_plugin.cli.verification", "verify"),
    errors.NotForEncryption: ("xca_plugin.cli.encryption", "encrypt"),
    errors.ChainIncomplete: ("xca_plugin.cli.verification", "verify"),
    errors.RevocationUnknown: ("xca_plugin.cli.verification", "verify"),
    errors.NotRevocationData: ("xca_plugin.cli.verification", "verify"),
    errors.NotForThisCard: ("xca_plugin.cli.encryption", "decrypt"),
}
"""The function of the command line that raises each error."""


def commands() -> dict[str, click.Command]:
    """Every command by its words: "xcactl pin change"."""

    def below(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                if found := command.get_command(context, name):
                    yield from below(f"{words} {name}", found)

    return {words: one for name, top in PROGRAMS.items() for words, one in below(name, top)}


COMMANDS = commands()


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@cache
def of_pyhanko() -> frozenset[str]:
    """The options that may stand before `xca` when pyHanko signs."""
    return frozenset(options(signing) | options(addsig))


def named_command(said: str) -> str | None:
    """The longest words after the last "xcactl" in a text that are a command."""
    found = None
    for match in COMMAND_LINE.finditer(said):
        words = [match[1], *match[2].split()]
        while " ".join(words) not in COMMANDS:
            words.pop()
        found = " ".join(words)
    return found


def advised(said: str) -> Iterator[tuple[str, str | None]]:
    """The options in a sentence, each with the command named before it."""
    for match in OPTION.finditer(said):
        before = SENTENCE_END.split(said[: match.start()])[-1]
        if not any(re.search(rf"\b{other}\b", before) for other in OTHERS):
            yield match[0], named_command(before)


Reference = tuple[str, str]  # a module and a name in it


@cache
def definitions() -> dict[Reference, ast.AST]:
    """The functions and constants of the command line; a command's decorators belong to it."""
    found: dict[Reference, ast.AST] = {}
    for folder in ("cli", "terminal"):
        for path in sorted((ROOT / "xca_plugin" / folder).glob("*.py")):
            for node in ast.parse(path.read_text()).body:
                found |= {(f"xca_plugin.{folder}.{path.stem}", name): node for name in defined(node)}
    return found


def defined(node: ast.AST) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.ImportFrom):
        return {name.asname or name.name for name in node.names}
    return set()


@cache
def used_by(start: Reference) -> set[Reference]:
    """The names that a function uses, directly or through other functions."""
    found, new = set(), {start}
    while new:
        found |= new
        further = set()
        for module, name in new & definitions().keys():
            node = definitions()[module, name]
            if isinstance(node, ast.ImportFrom):
                further.add((str(node.module), name))
            else:
                further |= {(module, one.id) for one in ast.walk(node) if isinstance(one, ast.Name)}
        new = further - found
    return found


def users(reference: Reference) -> dict[str, click.Command]:
    return {
        words: command
        for words, command in COMMANDS.items()
        if command.callback
        and words.startswith("xcactl")
        and reference in used_by((command.callback.__module__, command.callback.__name__))
    }


def holder_of(path: Path, line: int) -> set[Reference]:
    """The function or constant that contains a line."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.parse(path.read_text()).body:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        if first <= line <= (node.end_lineno or 0):
            return {(module, name) for name in defined(node)}
    return set()


def sentences() -> list[tuple[Path, int, str]]:
    return [
        (folder / name, line, message if isinstance(message, str) else message[0])
        for folder in (ROOT / "login/xca_common", ROOT / "xca_plugin", ROOT / "softhsm")
        for name, line, message, *_ in extract_from_dir(folder, [("**.py", "python")], keywords=KEYWORDS)
    ]


def translated(message: str) -> list[str]:
    """A sentence in both languages."""
    found = [message]
    for package in ("login/xca_common", "softhsm", "xca_plugin"):
        catalogue = read_po(BytesIO((ROOT / package / "locale/zh_TW/LC_MESSAGES/messages.po").read_bytes()))
        if (entry := catalogue.get(message)) is not None and isinstance(entry.string, str):
            found.append(entry.string)
    return found


ADVISING = [found for found in sentences() if OPTION.search(found[2])]


@pytest.mark.parametrize(
    ("path", "line", "message"), ADVISING, ids=[f"{one[0].name}:{one[1]}" for one in ADVISING]
)
def test_option_in_a_message_is_one_of_the_command_that_says_it(path: Path, line: int, message: str) -> None:
    for said in translated(message):
        for option, command in advised(said):
            if command is not None:
                assert option in options(COMMANDS[command]), f"{command} has no {option}"
            elif path.name == "next_steps.py":
                continue  # the next test
            elif path == ROOT / "xca_plugin/pdf.py":  # a command of pyHanko's
                assert option in of_pyhanko(), said
            elif path.is_relative_to(ROOT / "softhsm"):
                own = [each for words, each in COMMANDS.items() if words.startswith("softhsm-card")]
                assert any(option in options(each) for each in own), said
            else:
                saying = {words: one for held in holder_of(path, line) for words, one in users(held).items()}
                assert saying, said
                missing = [words for words, one in saying.items() if option not in options(one)]
                assert not missing, f"{missing} have no {option}"


@pytest.mark.parametrize("situation", NEXT_STEPS, ids=lambda situation: situation.__name__)
def test_option_in_a_next_step_is_one_of_every_command_that_shows_it(situation: type[XcaError]) -> None:
    facts = {**with_facts(situation).facts(), "command": "<command>", "root": "<root>"}
    step = NEXT_STEPS[situation].format(
        **{**facts, "option": ""}
    )  # SecretMissing: the one that was asked for
    wanted = {
        option
        for language in (ENGLISH, CHINESE)
        for option, command in advised(step(language))
        if command is None
    }
    if not wanted:
        return
    shown_by = users(RAISED_BY[situation])
    assert shown_by
    for words, command in shown_by.items():
        assert wanted <= options(command), f"{words} has no {wanted - options(command)}"


def test_command_of_an_advised_option_is_found_in_the_sentence() -> None:
    said = "Give --last-try, or ask: xcactl verify --fetch --allow-host HOST; xcactl tools list"
    assert list(advised(said)) == [
        ("--last-try", None),
        ("--fetch", "xcactl verify"),
        ("--allow-host", "xcactl verify"),
    ]
    assert list(advised("xcactl tools list. Or --all; openssl cms --help")) == [("--all", None)]
