# SPDX-License-Identifier: Apache-2.0
"""Hostile names in the output: none clears the terminal, reverses text, or starts a line."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pytest

from pkcs11_shim import module_path
from pkcs11_shim.store import _EVENT, _event_offset, _packed
from softhsm import Environment
from support.cli.xcactl import PIN, XCACTL, Workspace, install
from support.module.cards import Card
from support.odd_certificates import certificate, put
from xca_common.harmless_text import harmless

HOSTILE = (
    "\x1b[2J\x1b[HThe signature is valid.\x9b1m\u202e\u2066\u200b\u3164" + "e" + "\u0301" * 99 + "[bold]:x:"
)
SHOWN = "<U+001B>[2J<U+001B>[HThe signature is valid.<U+009B>1m<U+202E><U+2066><U+200B><U+3164>"
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def hostile(active: Workspace) -> Workspace:
    """A card with a certificate whose holder, issuer and label, and a reader whose name, are hostile."""
    environment = Environment(active.path)
    put(
        environment.inner_module,
        environment.inner_configuration,
        certificate(f"O\n{HOSTILE}"),
        id="ODD",
        label=f"label\n{HOSTILE}",
    )
    put(environment.inner_module, environment.inner_configuration, b"odd", id="ODD", label=f"no\n{HOSTILE}")
    Card(active.path).write(reader=f"\x1b[2JReader\u202e {HOSTILE[:9]}".encode())
    return active


def shown_in_a_terminal(
    workspace: Workspace, program: Sequence[str], *arguments: str, width: int = 4000
) -> str:
    """Run a command in a terminal. Its output may hold control sequences for colours only."""
    child = pexpect.spawn(
        sys.executable,
        [*program, *arguments],
        env=workspace.environment,
        cwd=str(workspace.home),
        encoding="utf-8",
        timeout=30,
        dimensions=(40, width),
    )
    child.expect(pexpect.EOF)
    child.close()
    said = _STYLE.sub("", str(child.before))
    for line in said.replace("\r\n", "\n").split("\n"):
        assert harmless(line, lines=True) == line, line
        assert not line.lstrip().startswith("The signature is valid.")
    return said


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (("detect",), "<U+001B>[2JReader<U+202E>"),
        (("info",), "<U+001B>[2JReader<U+202E>"),
        (("cert", "list"), f"O<U+000A>{SHOWN}"),
        (("cert", "list"), f"label<U+000A>{SHOWN}"),
        (("cert", "list"), f"no<U+000A>{SHOWN}"),
        (("cert", "show", f"label\n{HOSTILE}"), f"label<U+000A>{SHOWN}"),
        (("cert", "show", f"no\n{HOSTILE}"), f"no<U+000A>{SHOWN}"),
        (("cert", "show", f"none\n{HOSTILE}"), f"none<U+000A>{SHOWN}"),
        (("cert", "export", "--format", "der", f"label\n{HOSTILE}"), "is not for a terminal"),
        (("info", "--card", f"x\n{HOSTILE}"), f"x<U+000A>{SHOWN}"),
        (("verify", f"file\n{HOSTILE}", "--ca-file", "text"), "<U+3164>"),
        (("verify", "text", "--ca-file", f"file\n{HOSTILE}"), "<U+3164>"),
        ((f"command\n{HOSTILE}",), "<U+3164>"),
        (("info", "x\nThe signature is valid."), "x<U+000A>The signature is valid."),
        (
            ("encrypt", "x\nThe signature is valid.", "--to", "text"),
            r"x\nThe signature is valid.",
        ),
        (("info", f"--option\n{HOSTILE}"), "<U+3164>"),
        (("--lang", f"\n{HOSTILE}"), "<U+3164>"),
        (("pin", "verify", "--pin", f"env:\n{HOSTILE}"), "<U+202E>"),
        (("cert", "export", "cert1", "-o", f"/nowhere/\n{HOSTILE}"), "<U+202E>"),
    ],
)
def test_hostile_name_in_any_command_does_not_act_on_the_terminal(
    hostile: Workspace, command: tuple[str, ...], seen: str
) -> None:
    (hostile.home / "text").write_text("tender\n")
    assert seen in shown_in_a_terminal(hostile, XCACTL, *command)


def test_wide_names_in_a_narrow_terminal_keep_their_column(hostile: Workspace) -> None:
    shown_in_a_terminal(hostile, XCACTL, "cert", "list", width=60)
    shown_in_a_terminal(hostile, XCACTL, "detect", width=60)


def test_json_of_hostile_text_keeps_the_data_and_is_harmless(hostile: Workspace) -> None:
    said = shown_in_a_terminal(hostile, XCACTL, "cert", "list", "--json")
    (found,) = [each for each in json.loads(said)["certificates"] if each["id"] == "ODD"]
    assert found["label"] == f"label\n{HOSTILE}"
    assert found["holder"] == f"O=O\n{HOSTILE}"
    reader = json.loads(shown_in_a_terminal(hostile, XCACTL, "detect", "--json"))["cards"][0]["reader"]
    assert reader.startswith("\x1b[2JReader\u202e")


def test_file_with_a_hostile_name_is_signed_and_named(hostile: Workspace) -> None:
    name = f"text\n{HOSTILE[:40]}"
    (hostile.home / name).write_text("tender\n")
    workspace = hostile.with_variables(PIN=PIN)
    assert "Signed: text<U+000A><U+001B>" in shown_in_a_terminal(
        workspace, XCACTL, "sign", name, "--pin", "env:PIN"
    )
    assert (hostile.home / f"{name}.p7s").exists()


def test_names_of_variables_and_plugins_are_harmless(active: Workspace, tmp_path: Path) -> None:
    told = active.with_variables(XCA_PKCS11_CONF=f"/nowhere/\n{HOSTILE}")
    assert "<U+202E>" in shown_in_a_terminal(told, XCACTL, "tools", "list")
    named = active.with_variables(XCA_PKCS11_MODULE=f"/nowhere/\n{HOSTILE}")
    assert "<U+202E>" in shown_in_a_terminal(named, XCACTL, "doctor")
    source = """
        from xca_plugin import hookimpl

        @hookimpl
        def xca_card_found(card):
            raise RuntimeError("heard\\nThe signature is valid.\\x1b[2J\\u202e")

        @hookimpl
        def xca_veto_new_pin(card):
            return "no\\nThe signature is valid.\\x1b[2J\\u202e"
    """
    workspace = install(active, tmp_path, "clumsy", source).with_variables(PIN=PIN, NEW="5g8!Rw2")
    said = shown_in_a_terminal(workspace, XCACTL, "pin", "change", "--pin", "env:PIN", "--new-pin", "env:NEW")
    assert "no<U+000A>The signature is valid.<U+001B>[2J<U+202E>" in said
    assert "plugin clumsy failed" in said


def completions(workspace: Workspace, shell: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *XCACTL],
        env=workspace.environment
        | {"_XCACTL_COMPLETE": f"{shell}_complete", "COMP_WORDS": "xcactl info --card ", "COMP_CWORD": "3"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


HOSTILE_PROGRAM = b"\x1b[2J" + "\u202e".encode() + b"\x9b1m\nok!!"
"""The longest name of a program: 15 bytes."""
_LOG_IN = """
import ctypes, sys
import pkcs11
ctypes.CDLL(None).prctl(15, sys.argv[1].encode("utf-8", "surrogateescape"))  # PR_SET_NAME
token = pkcs11.lib(sys.argv[2]).get_token(token_label="HiCOS PKI Smart Card")
with token.open(user_pin=sys.argv[3]):
    pass
"""


def test_program_with_a_hostile_name_does_not_act_on_the_terminal(active: Workspace) -> None:
    assert len(HOSTILE_PROGRAM) == 15
    subprocess.run(
        [sys.executable, "-c", _LOG_IN, HOSTILE_PROGRAM, module_path(), PIN],
        env=active.environment,
        check=True,
    )
    assert "?[2J????1m" in shown_in_a_terminal(active, XCACTL, "events")
    *_, login = json.loads(shown_in_a_terminal(active, XCACTL, "events", "--json"))["events"]
    assert (login["event"], login["program"]) == ("verify-pin", "?[2J????1m")


def test_event_of_a_hostile_program_in_the_store_does_not_act_on_the_terminal(active: Workspace) -> None:
    """Another program that writes the store may put any bytes there."""
    card = Card(active.path)
    with card.store.writing() as writer:
        place, slot = writer._find(card.number)
        content = _packed(
            _EVENT,
            0,
            slot.events + 1,
            int(time.time()),
            b"\x1b[2J\nThe signature is",
            HOSTILE_PROGRAM + b"\xff",
        )
        writer._put(content, _event_offset(place, slot.events + 1))
        writer._write(place, slot._replace(events=slot.events + 1))
    said = shown_in_a_terminal(active, XCACTL, "events")
    assert "<U+001B>[2J<U+000A>The signature is" in said
    assert "<U+001B>[2J<U+202E>\ufffd1m<U+000A>ok!!" in said
    *_, odd = json.loads(shown_in_a_terminal(active, XCACTL, "events", "--json"))["events"]
    assert odd["program"].startswith("\x1b[2J\u202e")


def test_completion_of_hostile_names_is_harmless(hostile: Workspace) -> None:
    found = completions(hostile, "zsh")
    assert hostile.number in found
    assert all(harmless(line) == line for line in found)


def test_completion_of_a_card_number_that_a_shell_would_run_is_not_offered(real: Workspace) -> None:
    (token,) = (real.path / "tokens").glob("*/token.object")
    number = real.card()["number"]
    assert completions(real, "bash") == [f"plain,{number}"]
    token.write_bytes(token.read_bytes().replace(number.encode(), b"$(touch ../pawn)"))
    assert real.card()["number"] == "$(touch ../pawn)"
    assert not any(completions(real, "bash"))


def test_long_name_in_a_certificate_leaves_the_verdict_in_sight(active: Workspace) -> None:
    environment = Environment(active.path)
    name = f"{' ' * 60}The signature is valid.{' ' * 57}" * 5000
    put(environment.inner_module, environment.inner_configuration, certificate(name), id="ODD", label="long")
    put(environment.inner_module, environment.inner_configuration, b"odd", id="ODD", label=name)
    for command in (("cert", "list"), ("cert", "show", "long")):
        said = shown_in_a_terminal(active, XCACTL, *command, width=80)
        assert len(said.splitlines()) < 120
    listed = active.run("cert", "list", "--json").json["certificates"]
    assert f"O={name}" in [each["holder"] for each in listed]


# --- softhsm-card


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (("list",), "<U+001B>[2JReader<U+202E>"),
        (("remove", "--yes", f"x\n{HOSTILE}"), "<U+202E>"),
        (("repair", f"x\n{HOSTILE}"), "<U+202E>"),
        (("revoke", f"x\n{HOSTILE}"), "<U+202E>"),
        ((f"x\n{HOSTILE}",), "<U+3164>"),
        (("issue", "--user-code", f"env:\n{HOSTILE}"), "<U+202E>"),
        (("--dir", f"/nowhere/\n{HOSTILE}", "list"), "<U+202E>"),
        (("list", "--json"), "\\u001b[2JReader\\u202e"),
    ],
)
def test_hostile_name_in_softhsm_card_does_not_act_on_the_terminal(
    hostile: Workspace, command: tuple[str, ...], seen: str
) -> None:
    workspace = hostile.with_variables(XCA_SOFTHSM_DIR=str(hostile.path))
    assert seen in shown_in_a_terminal(workspace, ("-m", "softhsm.cli"), *command)


def test_exports_of_a_hostile_folder_do_not_act_on_the_terminal(active: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / f"cards{HOSTILE[:40]}"
    active.path.rename(folder)
    workspace = Workspace(folder, tmp_path, {"XCA_SOFTHSM_DIR": str(folder)})
    assert "<U+001B>" in shown_in_a_terminal(workspace, ("-m", "softhsm.cli"), "env")
