# SPDX-License-Identifier: Apache-2.0
"""The question at a terminal whether a file may be replaced, and a wrong PIN after it."""

from pathlib import Path

import pexpect
import pytest

from softhsm import Environment
from support.cli.xcactl import PIN, Workspace

KEPT = 45
ABORTED = 1
OLD = b"somebody else's"


@pytest.fixture(scope="session")
def prepared(activated: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An activated card, a file, its encrypted form, and what the results would replace."""
    workspace = activated.copy(tmp_path_factory.mktemp("prepared") / "workspace")
    (workspace.home / "file").write_text("content")
    assert workspace.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    assert workspace.run("encrypt", "file", "--to", "cert2.pem", "-o", "sealed.p7e").status == 0
    return workspace


COMMANDS = {
    "sign": (("sign", "file"), "file.p7s", True),
    "encrypt": (("encrypt", "file", "--to", "cert2.pem"), "file.p7e", False),
    "decrypt": (("decrypt", "sealed.p7e"), "sealed", True),
    "cert export": (("cert", "export", "-o", "cert1.pem"), "cert1.pem", False),
}


@pytest.mark.parametrize(
    ("answer", "status"), [("y", 0), ("是", 0), ("n", KEPT), ("否", KEPT), ("Ctrl-C", ABORTED)]
)
@pytest.mark.parametrize("command", COMMANDS)
def test_file_at_a_terminal_is_replaced_or_left_as_the_person_answers(
    prepared: Workspace, command: str, answer: str, status: int
) -> None:
    arguments, name, needs_pin = COMMANDS[command]
    target = prepared.home / name
    target.write_bytes(OLD)
    language = "en" if answer.isascii() else "zh_TW"
    with prepared.terminal("--lang", language, *arguments) as talk:
        talk.expect_exact("Replace it? [y/N]: " if language == "en" else "[是 y／否 N]：")
        if answer == "Ctrl-C":
            talk.sendintr()
            # Python misses a signal that comes just before it begins to read; a person presses again.
            while talk.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=2):
                talk.sendintr()
        else:
            talk.sendline(answer)
        if needs_pin and status == 0:
            talk.expect("PIN(碼：|: )")
            talk.sendline(PIN)
        if status == KEPT:
            talk.expect_exact("it was left as it is" if language == "en" else "未予更動")
            talk.expect_exact("Nothing was changed." if language == "en" else "沒有任何變更。")
            assert "--force" not in str(talk.before)
    assert talk.exitstatus == status
    assert (target.read_bytes() == OLD) is (status != 0)


@pytest.fixture
def counted(prepared: Workspace, tmp_path: Path) -> Workspace:
    """A copy, whose tries are counted."""
    workspace = prepared.copy(tmp_path / "counted")
    for name in ("file", "cert2.pem", "sealed.p7e"):
        (workspace.home / name).write_bytes((prepared.home / name).read_bytes())
    (workspace.home / "other").write_text("content")
    return workspace


@pytest.mark.parametrize(
    ("arguments", "results"),
    [
        (("sign", "file"), ["file.p7s"]),
        (("sign", "file", "other"), ["file.p7s", "other.p7s"]),
        (("decrypt", "sealed.p7e"), ["sealed"]),
        (("decrypt", "sealed.p7e", "missing.p7e"), ["sealed"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_pin_is_asked_again_in_place(
    counted: Workspace, arguments: tuple[str, ...], results: list[str]
) -> None:
    for name in results:
        (counted.home / name).unlink(missing_ok=True)
    with counted.terminal(*arguments) as talk:
        talk.expect_exact("PIN: ")
        talk.expect_exact("PIN: ")  # the first shows the tries
        talk.sendline("9999999")
        talk.expect_exact("The PIN is wrong. 2 tries are left.")
        talk.expect_exact("PIN: ")
        talk.sendline(PIN)
    assert talk.exitstatus == (63 if "missing.p7e" in arguments else 0)
    assert all((counted.home / name).is_file() for name in results)
    assert counted.card()["pin_tries_left"] == 3


@pytest.mark.parametrize("arguments", [("sign", "file"), ("sign", "file", "other")], ids=" ".join)
def test_wrong_pin_is_asked_again_until_one_try_is_left(
    counted: Workspace, arguments: tuple[str, ...]
) -> None:
    (counted.home / "file.p7s").unlink(missing_ok=True)
    history = Environment(counted.path).store
    before = history.events(counted.number)
    with counted.terminal(*arguments) as talk:
        talk.expect_exact("3 tries left")
        for wrong, left in (("9999991", "2 tries are left"), ("9999992", "1 try is left")):
            talk.expect_exact("PIN: ")
            talk.sendline(wrong)
            talk.expect_exact(f"The PIN is wrong. {left}.")
        talk.expect_exact("xcactl pin reset")
    assert talk.exitstatus == 35
    assert counted.card()["pin_tries_left"] == 1
    assert not (counted.home / "file.p7s").exists()
    after = history.events(counted.number)
    assert [event.event for event in after[len(before) :]] == ["verify-pin", "verify-pin"]


def test_wrong_pin_from_a_source_is_tried_once_at_a_terminal_too(counted: Workspace) -> None:
    (counted.home / "file.p7s").unlink(missing_ok=True)
    workspace = counted.with_variables(WRONG="9999999")
    with workspace.terminal("sign", "file", "--pin", "env:WRONG") as talk:
        talk.expect_exact("The PIN is wrong. 2 tries are left.")
        talk.expect_exact("xcactl pin reset")
    assert talk.exitstatus == 35
    assert workspace.card()["pin_tries_left"] == 2
