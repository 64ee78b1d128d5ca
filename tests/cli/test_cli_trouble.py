# SPDX-License-Identifier: Apache-2.0
"""Missing readers, cards and modules, broken stores, removed cards and real cards are reported."""

import subprocess
import sys
from pathlib import Path

import pytest

from softhsm import Environment, remove
from support.cli.xcactl import NEW_PIN, PIN, USER_CODE, XCACTL, Scripted, Workspace, install
from support.read_only import can_mount, read_only

ACTIVATE = ("activate", "--yes", "--user-code", "env:CODE", "--new-pin", "env:NEW")


def ready(workspace: Workspace) -> Workspace:
    """Give the workspace the sources that ACTIVATE names."""
    return workspace.with_variables(CODE=USER_CODE, NEW=PIN)


# --- the module and the store


def test_module_without_configuration_is_named(closed: Workspace) -> None:
    result = closed.with_variables(XCA_PKCS11_CONF="/nowhere/pkcs11.conf").run("info")
    assert result.status == 11
    assert "XCA_PKCS11_CONF" in result.err


def test_module_whose_inner_module_is_missing_is_named(closed: Workspace) -> None:
    assert closed.with_variables(XCA_PKCS11_MODULE="/nowhere/inner.so").run("detect").status == 11


def test_command_without_a_reader_says_so(
    closed: Workspace, scripted: Scripted, without_pcsc: dict[str, str]
) -> None:
    result = scripted.under(closed, "C_GetSlotList count 0").with_variables(**without_pcsc).run("detect")
    assert result.status == 15
    assert "no card reader" in result.err


def test_command_without_a_card_says_so(closed: Workspace) -> None:
    remove(Environment(closed.path), closed.number)
    result = closed.run("info")
    assert result.status == 16
    assert "A test card is issued first: softhsm-card issue" in result.err
    assert "Insert the card" in result.err
    listed = closed.run("detect", "--json")
    assert (listed.status, listed.json["cards"]) == (16, [])


def test_command_for_another_card_says_so(closed: Workspace) -> None:
    result = closed.run("info", "--card", "XC00000000000000")
    assert result.status == 17
    assert "XC00000000000000" in result.err


@pytest.mark.skipif(not can_mount(), reason="only root can mount")
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("info",), 0, "Ready to use"),
        (("detect",), 0, "XC"),
        (("events",), 0, "login with the PIN"),
        (("pin", "verify", "--pin", "env:PIN"), 13, "could not be written"),
    ],
    ids=["info", "detect", "events", "verify"],
)
def test_store_on_a_read_only_file_system_is_read_and_named_where_it_must_be_written(
    active: Workspace, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = subprocess.run(
        [*read_only(active.path), sys.executable, *XCACTL, *arguments],
        env=active.environment | {"PIN": PIN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in done.stdout + done.stderr
    assert done.returncode == status


def test_store_that_cannot_be_read_is_named(closed: Workspace) -> None:
    (closed.path / "cards.db").write_bytes(b"not a database, whatever it was before" * 99)
    for command in (("detect",), ("events",)):
        result = closed.run(*command)
        assert result.status == 12
        assert "cards.db" in result.err


def test_configuration_that_is_not_there_is_told_in_the_language(closed: Workspace) -> None:
    absent = closed.with_variables(XCA_PKCS11_CONF="/nowhere/pkcs11.conf", LANGUAGE="zh_TW")
    result = absent.run("events")
    assert result.status == 12
    assert "/nowhere/pkcs11.conf：沒有這個檔案或資料夾" in result.err


def test_store_that_cannot_be_written_is_named(closed: Workspace, tmp_path: Path) -> None:
    """The module fails with a message before a try is spent."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
    result = install(ready(closed), tmp_path, "small_files", limit).run(*ACTIVATE)
    assert result.status == 13
    assert "cards.db" in result.err
    assert closed.card()["user_code_tries_left"] == 3
    # A second run of the command completes the change.
    assert ready(closed).run(*ACTIVATE).status == 0


# --- several cards


def test_several_cards_are_never_chosen_among_in_a_pipe(two_cards: Workspace) -> None:
    result = two_cards.run("info")
    assert result.status == 18
    numbers = [card["number"] for card in two_cards.run("detect", "--json").json["cards"]]
    assert len(numbers) == 2
    assert all(number in result.err for number in numbers)
    for number in numbers:
        assert two_cards.run("info", "--json", "--card", number).json["number"] == number
        assert two_cards.with_variables(XCA_CARD=number).run("info", "--json").json["number"] == number


def test_several_cards_are_asked_about_in_a_terminal(two_cards: Workspace) -> None:
    numbers = [card["number"] for card in two_cards.run("detect", "--json").json["cards"]]
    with two_cards.terminal("info", "--json") as talk:
        talk.expect_exact(numbers[0])
        talk.expect_exact(numbers[1])
        talk.expect_exact("Which one")
        talk.sendline("2")
        talk.expect_exact(f'"number": "{numbers[1]}"')
    assert talk.exitstatus == 0


# --- cards removed during a command


def test_card_pulled_out_half_way_says_what_became_of_the_pin(closed: Workspace, tmp_path: Path) -> None:
    source = f"""
        import subprocess, sys
        from xca_plugin import hookimpl

        @hookimpl
        def xca_veto_new_pin(card):
            remove = [sys.executable, "-m", "softhsm.cli", "--dir", {str(closed.path)!r}, "remove", "--yes"]
            subprocess.run([*remove, card.number], check=True, stdout=subprocess.DEVNULL)
    """
    workspace = install(ready(closed), tmp_path, "thief", source)
    result = workspace.run(*ACTIVATE)
    assert result.status == 19
    assert "was removed" in result.err


@pytest.mark.parametrize("moment", ["before", "after"])
def test_activation_killed_in_the_middle_can_be_repeated(
    closed: Workspace, scripted: Scripted, moment: str
) -> None:
    killed = ready(scripted.under(closed, f"C_InitPIN kill {moment}")).run(*ACTIVATE)
    assert killed.status == -9
    assert closed.card()["state"] == "not-activated"
    again = ready(closed).run(*ACTIVATE)
    assert again.status == 0, again.err
    assert closed.run("pin", "verify", "--pin", "stdin", stdin=f"{PIN}\n").status == 0


def test_new_pin_that_the_card_does_not_accept_is_said(closed: Workspace, scripted: Scripted) -> None:
    """C_InitPIN answers CKR_OK and keeps the old PIN. The login with the new PIN shows it."""
    result = ready(scripted.under(closed, "C_InitPIN return 0x0")).run(*ACTIVATE)
    assert result.status == 40
    assert "xcactl pin reset" in result.err


def test_receipt_that_cannot_be_written_is_found_before_a_try(closed: Workspace) -> None:
    result = ready(closed).run(*ACTIVATE, "--receipt", "/nowhere/receipt.json")
    assert result.status == 63
    assert "The file /nowhere/receipt.json cannot be used: there is no folder /nowhere." in result.err
    assert closed.card()["state"] == "not-activated"


# --- plugins of others


def test_plugin_that_objects_is_heard(closed: Workspace, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    source = f"""
        from xca_plugin import hookimpl

        @hookimpl
        def xca_veto_new_pin(new_pin):
            if len(new_pin.reveal()) < 8:
                return "Our house asks for 8 characters."

        def note(what, card):
            with open({str(heard)!r}, "a") as file:
                print(what, card.number, card.state, card.pin_tries, card.user_code_tries, file=file)

        @hookimpl
        def xca_card_found(card):
            note("found", card)

        @hookimpl
        def xca_activated(card):
            note("activated", card)

        @hookimpl
        def xca_pin_changed(card):
            note("changed", card)

        @hookimpl
        def xca_pin_locked(card):
            note("PIN locked", card)

        @hookimpl
        def xca_user_code_locked(card):
            note("user code locked", card)
    """
    workspace = install(ready(closed), tmp_path, "house_rules", source).with_variables(
        SHORT="73915x", WRONG="wrong-00"
    )
    refused = workspace.run("activate", "--yes", "--user-code", "env:CODE", "--new-pin", "env:SHORT")
    assert refused.status == 39
    assert "Our house asks for 8 characters." in refused.err
    assert workspace.card()["user_code_tries_left"] == 3
    assert workspace.run(*ACTIVATE).status == 0
    assert (
        workspace.with_variables(OTHER="Q4!wz6Lp")
        .run("pin", "change", "--pin", "env:NEW", "--new-pin", "env:OTHER")
        .status
        == 0
    )
    for number in range(4):
        workspace.with_variables(WRONG=f"wrong-{number}").run(
            "pin", "verify", "--last-try", "--pin", "env:WRONG"
        )
    for number in range(4):
        wrong = workspace.with_variables(WRONG=f"wrong-{number}")
        wrong.run("pin", "reset", "--last-try", "--user-code", "env:WRONG", "--new-pin", "env:NEW")
    lines = [line for line in heard.read_text().splitlines() if not line.startswith("found")]
    assert lines == [
        f"activated {closed.number} active 3 3",
        f"changed {closed.number} active 3 3",
        f"PIN locked {closed.number} active 0 3",
        f"user code locked {closed.number} active 0 0",
    ]
    assert f"found {closed.number} not-activated 3 3" in heard.read_text()


def test_plugin_that_fails_to_hear_changes_nothing(closed: Workspace, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    workspace = install(
        ready(closed),
        tmp_path,
        "clumsy",
        """
        from xca_plugin import hookimpl

        @hookimpl
        def xca_activated(card):
            raise RuntimeError("the line is dead")
        """,
    )
    workspace = install(
        workspace,
        tmp_path,
        "careful",
        f"""
        from xca_plugin import hookimpl

        @hookimpl
        def xca_activated(card):
            open({str(heard)!r}, "w").write(card.number)
        """,
    )
    result = workspace.run(*ACTIVATE)
    assert result.status == 0
    assert "clumsy" in result.err
    assert heard.read_text() == closed.number


@pytest.mark.parametrize(
    "source",
    [
        "import does_not_exist",
        "from xca_plugin import hookimpl\n\n@hookimpl\ndef xca_no_such_hook(card): ...\n",
        "from xca_plugin import hookimpl\n\n@hookimpl\ndef xca_read(card, argument_of_no_hook): ...\n",
    ],
)
def test_command_with_a_broken_plugin_names_it(closed: Workspace, tmp_path: Path, source: str) -> None:
    result = install(closed, tmp_path, "broken_one", source).run("detect")
    assert result.status == 14
    assert "broken_one" in result.err
    assert "U+000A" not in result.err  # pluggy says it in several lines


def test_card_of_another_family_is_served_by_its_plugin(closed: Workspace, tmp_path: Path) -> None:
    source = """
        from dataclasses import replace
        from xca_plugin import Card, CardState, hookimpl

        CARD = Card("PAPER00000000001", "desk drawer", "paper", "paper", CardState.ACTIVE, None, None)

        @hookimpl
        def xca_detect():
            return [CARD]

        @hookimpl
        def xca_read(card):
            return CARD if card.family == "paper" else None

        @hookimpl
        def xca_verify_pin(card, pin):
            return CARD if card.family == "paper" else None
    """
    workspace = install(closed, tmp_path, "paper_cards", source)
    assert {card["number"] for card in workspace.run("detect", "--json").json["cards"]} == {
        closed.number,
        "PAPER00000000001",
    }
    paper = ("--card", "PAPER00000000001")
    assert workspace.run("pin", "verify", "--yes", *paper, "--pin", "stdin", stdin="whatever\n").status == 0
    cannot = workspace.run(
        "pin", "change", "--yes", *paper, "--pin", "stdin", "--new-pin", "stdin", stdin=f"{PIN}\n{NEW_PIN}\n"
    )
    assert cannot.status == 21


def test_unexpected_exception_of_a_plugin_names_it_and_tells_no_secret(
    closed: Workspace, tmp_path: Path
) -> None:
    source = """
        from xca_plugin import hookimpl

        @hookimpl
        def xca_veto_new_pin(new_pin):
            raise RuntimeError(f"cannot judge {new_pin.reveal()}")
    """
    result = install(ready(closed), tmp_path, "blabber", source).run(*ACTIVATE)
    assert result.status == 22
    assert "blabber" in result.err
    assert "cannot judge" not in result.err
    assert "Traceback" not in result.err


# --- a real card: no store knows it


def test_real_card_shows_no_tries_that_it_does_not_tell(real: Workspace) -> None:
    card = real.card()
    assert card["real"] is True
    assert card["state"] == "not-activated"
    assert (card["pin_tries_left"], card["user_code_tries_left"]) == (None, None)
    assert card["activate_by"] is None
    assert "tries left unknown" in real.run("info").out


def test_real_card_asks_for_agreement_first(real: Workspace) -> None:
    sources = ("--user-code", "env:CODE", "--new-pin", "env:NEW")
    result = ready(real).run("activate", *sources)
    assert result.status == 42
    assert "may disable it for good" in result.err
    assert ready(real).run(*ACTIVATE).status == 0
    verify = ("pin", "verify", "--pin", "env:NEW")
    assert ready(real).run(*verify).status == 42
    assert ready(real).run(*verify, "--yes").status == 0


def test_wrong_user_code_of_a_real_card_is_unknown_in_tries(real: Workspace) -> None:
    result = ready(real).with_variables(CODE="Wrong-123").run(*ACTIVATE)
    assert result.status == 33
    assert "does not say how many" in result.err


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("0x80000001", "1 try is left"),
        ("0x80000002", "2 tries are left"),
        ("0xffffffff80000001", "1 try is left"),
        ("0xffffffff80000002", "2 tries are left"),
    ],
)
def test_wrong_pin_with_the_vendors_codes_is_understood(
    real: Workspace, issued: Workspace, scripted: Scripted, answer: str, words: str
) -> None:
    workspace = scripted.under(ready(real), f"C_Login return {answer}").with_variables(
        INNER_REAL=str(issued.path / "libsofthsm2.so")
    )
    result = workspace.run(*ACTIVATE)
    assert result.status == 33
    assert words in result.err
    assert scripted.calls().count("C_Login") == 1


def test_real_card_may_look_at_the_user_code_only_at_c_initpin(
    real: Workspace, issued: Workspace, scripted: Scripted
) -> None:
    workspace = scripted.under(ready(real), "C_InitPIN return 0xa0").with_variables(
        INNER_REAL=str(issued.path / "libsofthsm2.so")
    )
    result = workspace.run(*ACTIVATE)
    assert result.status == 33
    assert scripted.calls().count("C_InitPIN") == 1


def test_real_card_that_is_removed_is_asked_once(
    real: Workspace, issued: Workspace, scripted: Scripted
) -> None:
    workspace = scripted.under(ready(real), "C_Login return 0x32").with_variables(
        INNER_REAL=str(issued.path / "libsofthsm2.so")
    )
    assert workspace.run(*ACTIVATE).status == 19
    assert scripted.calls().count("C_Login") == 1


def test_module_that_does_not_load_leaves_the_environment_as_it_was(closed: Workspace) -> None:
    workspace = closed.with_variables(XCA_PKCS11_MODULE="/nowhere.so")
    result = workspace.program(
        "import os\n"
        "from xca_plugin import CardError, Cards\n"
        "before = dict(os.environ)\n"
        "try:\n"
        "    Cards().detect()\n"
        "except CardError as error:\n"
        "    print(type(error).__name__, dict(os.environ) == before)\n"
    )
    assert result.out.split() == ["ModuleFailed", "True"], result.err
