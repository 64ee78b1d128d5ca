# SPDX-License-Identifier: Apache-2.0
"""Card readers of a real PC/SC daemon, their contents, and changes of both."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pexpect.popen_spawn import PopenSpawn

from softhsm import Application, Environment, issue, remove
from softhsm.virtual_reader import HICOS_ATR, VirtualReader
from support.cli.json_schemas import check
from support.cli.xcactl import PIN, USER_CODE, XCACTL, Scripted, Workspace

FIRST_GENERATION = bytes.fromhex("3BB813008131FA524348544D4F494341A5")
CONTACTLESS = bytes.fromhex("3B8B80010031C1640840213000900057")
OTHER = bytes.fromhex("3B00")
OTHER_KIND = "a card; its answer to reset does not tell the kind"
NO_DAEMON = {"PCSCLITE_CSOCK_NAME": "/nowhere/pcscd.comm"}


def seen(workspace: Workspace, reader: VirtualReader) -> Any:
    document = workspace.run("detect", "--json").json
    check(document, "detect")
    assert document["pcsc"]["problem"] is None
    (found,) = [found for found in document["pcsc"]["readers"] if found["name"] == reader.name]
    return found


def test_readers_with_and_without_cards_are_listed(
    closed: Workspace, xca_virtual_reader: VirtualReader
) -> None:
    reader = xca_virtual_reader
    workspace = closed.with_variables(**reader.variables)
    assert seen(workspace, reader) == {"name": reader.name, "contents": "empty", "atr": None, "card": None}
    for atr, kind in (
        (HICOS_ATR, "second-generation card of the GPKI (CHTGPKIJ)"),
        (FIRST_GENERATION, "first-generation card of the GPKI (CHTMOICA)"),
        (CONTACTLESS, "contactless card of MOICA"),
        (OTHER, None),
    ):
        reader.insert(atr)
        assert seen(workspace, reader) == {
            "name": reader.name,
            "contents": "card",
            "atr": atr.hex(),
            "card": kind,
        }
    shown = workspace.run("detect")
    assert shown.status == 0
    assert closed.number in shown.out
    assert [line.split() for line in shown.out.splitlines() if reader.name in line] == [
        [
            *reader.name.split(),
            *["a", "card;", "its", "answer", "to", "reset", "does", "not", "tell", "the", "kind"],
            "3B",
            "00",
        ]
    ]
    assert shown.err == ""


def test_free_slot_of_softhsm_is_no_reader(closed: Workspace) -> None:
    found = closed.run("detect", "--json").json
    assert found["readers"] == [found["cards"][0]["reader"]]


def test_reader_of_a_card_that_is_shown_names_that_card(
    closed: Workspace, xca_virtual_reader: VirtualReader
) -> None:
    card = issue(Environment(closed.path), USER_CODE, Application(reader=xca_virtual_reader.name))
    xca_virtual_reader.insert(OTHER)
    shown = closed.with_variables(**xca_virtual_reader.variables).run("detect")
    assert f"the card {card.number}" in shown.out
    assert OTHER_KIND not in shown.out


def test_readers_with_a_card_upside_down_say_so(
    closed: Workspace, scripted: Scripted, xca_virtual_reader: VirtualReader
) -> None:
    workspace = closed.with_variables(**xca_virtual_reader.variables)
    xca_virtual_reader.insert_upside_down()
    assert seen(workspace, xca_virtual_reader)["contents"] == "mute"
    # A module may report no card for it, or an error.
    for says in ("C_GetSlotList count 0", "C_GetTokenInfo return 30"):
        result = scripted.under(workspace, says).run("detect")
        assert result.status == 83
        assert xca_virtual_reader.name in result.err
        assert "upside down" in result.err


def test_readers_without_the_daemon_say_what_to_start(closed: Workspace, scripted: Scripted) -> None:
    workspace = closed.with_variables(**NO_DAEMON)
    result = workspace.run("detect")
    assert result.status == 0
    assert closed.number in result.out
    assert result.err == ""  # a card of the stand-in needs no reader
    document = workspace.run("detect", "--json").json
    check(document, "detect")
    assert document["pcsc"]["problem"]["name"] == "NoReaderDaemon"
    result = scripted.under(workspace, "C_GetSlotList count 0").run("detect")
    assert (result.status, result.err.count("pcscd, does not answer.")) == (81, 1), result.err


def test_readers_of_a_real_card_without_the_daemon_say_so(
    real: Workspace, without_pcsc: dict[str, str]
) -> None:
    result = real.with_variables(**NO_DAEMON).run("detect")
    assert result.err == "The daemon of the card readers, pcscd, does not answer.\n"
    result = real.with_variables(**without_pcsc).run("detect")
    assert result.err == "The card readers cannot be checked: the extra xca-plugin[pcsc] is not installed.\n"


def test_readers_without_the_extra_say_so_and_what_pip_compiles_it_with(
    closed: Workspace, without_pcsc: dict[str, str]
) -> None:
    workspace = closed.with_variables(**without_pcsc)
    result = workspace.run("detect")
    assert result.status == 0
    assert closed.number in result.out
    assert result.err == ""
    document = workspace.run("detect", "--json").json
    check(document, "detect")
    problem = document["pcsc"]["problem"]
    assert problem["name"] == "NoReaderSupport"
    assert "apt install gcc python3-dev libpcsclite-dev" in problem["next_step"]
    assert problem["next_step"].endswith("'pyscard>=2.0.7'")
    with workspace.terminal("detect", "--wait") as talk:
        talk.expect_exact("xca-plugin[pcsc]")
        talk.expect_exact(closed.number)
        talk.sendintr()


# --- changes while a program waits


@contextmanager
def watching(workspace: Workspace) -> Iterator["PopenSpawn[str]"]:
    """Run xcactl detect --wait --json in a pipe; at the end it is interrupted."""
    command = [sys.executable, *XCACTL, "detect", "--wait", "--json"]
    child = PopenSpawn(command, env=workspace.environment, encoding="utf-8", timeout=20)
    try:
        yield child
    finally:
        child.kill(signal.SIGINT)
        status = child.wait()
    assert status == 0


def told(watch: "PopenSpawn[str]", change: str) -> Any:
    """Return the next line, which must report this change."""
    line = json.loads(watch.readline())
    check(line, "change")
    assert line["change"] == change
    return line


def test_watch_of_readers_that_come_and_go_tells_it(
    closed: Workspace, xca_virtual_reader: VirtualReader
) -> None:
    reader = xca_virtual_reader
    with watching(closed.with_variables(**reader.variables)) as watch:

        def contents() -> tuple[str, str | None]:
            found = told(watch, "reader-changed")["reader"]
            assert found["name"] == reader.name
            return found["contents"], found["atr"]

        assert told(watch, "reader-added")["reader"]["name"] == reader.name
        told(watch, "reader-added")
        assert told(watch, "card-added")["card"]["number"] == closed.number
        reader.insert()
        assert contents() == ("card", HICOS_ATR.hex())
        reader.remove()
        assert contents() == ("empty", None)
        reader.insert_upside_down()
        assert contents() == ("mute", None)
        reader.remove()
        assert contents() == ("empty", None)
        reader.stop_daemon()
        assert told(watch, "problem")["problem"]["name"] == "NoReaderDaemon"
        reader.start_daemon()
        assert told(watch, "solved")["problem"]["name"] == "NoReaderDaemon"
        reader.insert(FIRST_GENERATION)
        assert contents() == ("card", FIRST_GENERATION.hex())


def test_watch_of_cards_that_come_and_go_tells_it(active: Workspace) -> None:
    environment = Environment(active.path)
    store = environment.store.path
    number = active.number
    with watching(active.with_variables(**NO_DAEMON)) as watch:
        told(watch, "problem")
        assert told(watch, "card-added")["card"]["number"] == number
        other = issue(environment, USER_CODE).number
        assert told(watch, "card-added")["card"]["number"] == other
        wrong = active.run("pin", "verify", "--card", number, "--pin", "stdin", stdin="wrong-99\n")
        assert wrong.status == 35
        changed = told(watch, "card-changed")["card"]
        assert (changed["number"], changed["pin_tries_left"]) == (number, 2)
        remove(environment, other)
        assert told(watch, "card-removed")["card"]["number"] == other
        store.rename(store.with_name("away"))
        assert told(watch, "problem")["problem"]["name"] == "StoreUnreadable"
        store.with_name("away").rename(store)
        told(watch, "solved")
        assert active.run("pin", "verify", "--pin", "stdin", stdin=f"{PIN}\n").status == 0
        assert told(watch, "card-changed")["card"]["pin_tries_left"] == 3


def test_watch_in_a_terminal_tells_it_in_words(closed: Workspace, xca_virtual_reader: VirtualReader) -> None:
    workspace = closed.with_variables(LANGUAGE="zh_TW", **xca_virtual_reader.variables)
    with workspace.terminal("detect", "--wait") as talk:
        talk.expect_exact(f"偵測到讀卡機 {xca_virtual_reader.name}：沒有卡片")
        talk.expect_exact(f"偵測到卡片 {closed.number}：未開卡")
        xca_virtual_reader.insert()
        talk.expect_exact(f"讀卡機 {xca_virtual_reader.name}：第二代 GPKI IC卡")
        xca_virtual_reader.stop_daemon()
        talk.expect_exact("讀卡機服務 pcscd 沒有回應。")
        xca_virtual_reader.start_daemon()
        talk.expect_exact("已排除：讀卡機服務 pcscd 沒有回應。")
        talk.kill(signal.SIGINT)
    assert talk.exitstatus == 0


def test_watch_of_test_cards_alone_does_not_lead_to_the_daemon(active: Workspace) -> None:
    with active.with_variables(**NO_DAEMON).terminal("detect", "--wait") as talk:
        talk.expect_exact(f"The card {active.number} is here")
        assert "pcscd" not in str(talk.before)
        talk.kill(signal.SIGINT)


def test_watch_in_a_program_can_be_stopped(closed: Workspace) -> None:
    result = closed.with_variables(**NO_DAEMON).program(
        """
from threading import Thread
from xca_plugin import Cards
from xca_plugin.watch import ChangeKind, Watch

watch = Watch(Cards().detect)
for change in watch:
    if change.kind is ChangeKind.CARD_ADDED:
        print(change.subject.number)
        Thread(target=watch.stop).start()
print("ended")
"""
    )
    assert result.out.split() == [closed.number, "ended"]
