# SPDX-License-Identifier: Apache-2.0
"""xcactl user-code reset: a card takes a new user code with its centre's ticket, and each ticket once."""

import json
from pathlib import Path

import pytest

from softhsm import Environment
from support.centre import stand_in_tickets
from support.centre.stand_in_tickets import somebodys
from support.cli.xcactl import NEW_USER_CODE, PIN, USER_CODE, Result, Workspace


def ticket(workspace: Workspace, to: Path, *, counter: int = 1, days: int = 3, activated: bool) -> Path:
    """Write a ticket of the CA that issued the card."""
    exported = ("cert", "export", "cert1", "--format", "der", "-o", str(to / "cert1.der"), "--force")
    shown = workspace.run(*exported)
    assert shown.status == 0, shown.err
    pki, cert1 = Environment(workspace.path).pki, (to / "cert1.der").read_bytes()
    made = stand_in_tickets.ticket(
        pki, workspace.number, cert1, counter=counter, days=days, activated=activated
    )
    (to / "a.ticket").write_bytes(made)
    return to / "a.ticket"


def reset(workspace: Workspace, given: Path, code: str = NEW_USER_CODE) -> Result:
    arguments = ("user-code", "reset", "--yes", "--ticket", str(given), "--new-user-code", "stdin")
    return workspace.run(*arguments, stdin=f"{code}\n")


def wrong_codes(workspace: Workspace) -> None:
    for wrong in ("wrong-1", "wrong-2", "wrong-3"):
        options = ("--yes", "--last-try", "--user-code", "stdin", "--new-pin", "stdin")
        workspace.run("activate", *options, stdin=f"{wrong}\n{PIN}\n")


def test_ticket_for_a_card_whose_user_code_is_locked_lets_it_be_activated(
    closed: Workspace, tmp_path: Path
) -> None:
    wrong_codes(closed)
    before = closed.card()
    assert before["user_code_tries_left"] == 0
    done = reset(closed, ticket(closed, tmp_path, activated=False))
    assert done.status == 0, done.err
    after = closed.card()
    assert after == {**before, "user_code_tries_left": 3, "next_action": "activate"}  # the last day stays
    activated = closed.run(
        *("activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin"),
        stdin=f"{NEW_USER_CODE}\n{PIN}\n",
    )
    assert activated.status == 0


def test_ticket_for_an_active_card_voids_its_pin(active: Workspace, tmp_path: Path) -> None:
    done = reset(active, ticket(active, tmp_path, activated=True))
    assert done.status == 0, done.err
    assert "xcactl pin reset" in done.out
    assert active.run("pin", "verify", "--pin", "stdin", stdin=f"{PIN}\n").status == 36
    secrets = f"{NEW_USER_CODE}\n{PIN}\n"
    options = ("--yes", "--user-code", "stdin", "--new-pin", "stdin")
    assert active.run("pin", "reset", *options, stdin=secrets).status == 0


@pytest.mark.parametrize(
    ("counter", "status"), [(1, 98), (2, 98), (3, 0)], ids=["lower", "the same", "higher"]
)
def test_ticket_counts_only_with_a_counter_above_that_of_the_last_one(
    closed: Workspace, tmp_path: Path, counter: int, status: int
) -> None:
    assert reset(closed, ticket(closed, tmp_path, counter=2, activated=False)).status == 0
    again = reset(closed, ticket(closed, tmp_path, counter=counter, activated=False), USER_CODE)
    assert again.status == status


def test_ticket_whose_work_was_cut_off_may_finish_it(closed: Workspace, tmp_path: Path) -> None:
    given = ticket(closed, tmp_path, counter=5, activated=False)
    record = Environment(closed.path).copies / closed.number / "tickets.json"
    record.write_text(json.dumps([5, True]))  # as a process leaves it that was killed
    assert reset(closed, ticket(closed, tmp_path, counter=4, activated=False)).status == 98
    given = ticket(closed, tmp_path, counter=5, activated=False)
    assert reset(closed, given).status == 0
    assert reset(closed, given, USER_CODE).status == 98


@pytest.mark.parametrize(
    ("kind", "status"),
    [("other state", 98), ("over", 98), ("changed", 98), ("empty", 99), ("not a ticket", 99)],
)
def test_ticket_that_does_not_count_changes_nothing(
    closed: Workspace, tmp_path: Path, kind: str, status: int
) -> None:
    given = ticket(closed, tmp_path, activated=kind == "other state", days=-1 if kind == "over" else 3)
    content = given.read_bytes()
    others = {"changed": content[:-1] + bytes([content[-1] ^ 1]), "empty": b"", "not a ticket": b"hello"}
    given.write_bytes(others.get(kind, content))
    done = reset(closed, given)
    assert done.status == status, done.err
    assert not (Environment(closed.path).copies / closed.number / "tickets.json").exists()
    options = ("--yes", "--user-code", "stdin", "--new-pin", "stdin")
    assert closed.run("activate", *options, stdin=f"{USER_CODE}\n{PIN}\n").status == 0


def test_file_that_is_no_ticket_is_named_before_anything_is_asked(closed: Workspace, tmp_path: Path) -> None:
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(b"%PDF-1.7")
    done = closed.run("user-code", "reset", "--ticket", str(letter), "--new-user-code", "file:/nowhere")
    assert done.status == 99
    assert done.err.splitlines()[0] == f"Error: {letter} is no ticket (授權票)."
    piped = closed.run("user-code", "reset", "--ticket", "-", stdin="hello")
    assert "(standard input) is no ticket" in piped.err


@pytest.mark.parametrize("kind", ["over", "changed"])
def test_ticket_that_cannot_count_is_refused_before_anything_is_asked(
    closed: Workspace, tmp_path: Path, kind: str
) -> None:
    given = ticket(closed, tmp_path, activated=False, days=-1 if kind == "over" else 3)
    if kind == "changed":
        content = given.read_bytes()
        given.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = reset(closed, given)
    assert done.status == 98
    assert "does not take the ticket" in done.err
    assert "gets a new user code" not in done.err


def test_ticket_for_a_card_that_is_not_here_names_that_card(closed: Workspace, tmp_path: Path) -> None:
    given = tmp_path / "a.ticket"
    given.write_bytes(somebodys("XC00000000099999"))
    done = reset(closed, given)
    assert done.status == 17
    assert "XC00000000099999" in done.err


def test_ticket_for_a_real_card_is_not_tried(real: Workspace, tmp_path: Path) -> None:
    given = tmp_path / "a.ticket"
    given.write_bytes(somebodys(real.card()["number"]))
    assert reset(real, given).status == 21
