# SPDX-License-Identifier: Apache-2.0
"""What only the issuer can do: repair a card, reset its user code, take it away."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.softhsm.softhsm_card import USER_CODE, Issuer, openssl

NEW_CODE = "Neu.Code+2"
WRONG_CODES = ("wrong-1", "wrong-2", "wrong-3")


def _state(issuer: Issuer, number: str) -> tuple[str, int, int]:
    card = issuer.cards()[number]
    return card["state"], card["pin_tries"], card["user_code_tries"]


def _events(issuer: Issuer, number: str) -> list[str]:
    return [event.event for event in issuer.environment.store.events(number)]


def _signs_as_certified(issuer: Issuer, number: str, folder: Path) -> bool:
    """Whether the card signs with the key of its own cert1."""
    data, signature, key = folder / "data", folder / "signature", folder / "key.pem"
    data.write_bytes(os.urandom(16))
    certificate = issuer.read_certificate(number, "cert1", folder / "cert1")
    key.write_bytes(openssl("x509", "-inform", "DER", "-in", certificate, "-noout", "-pubkey"))
    options = [
        "--sign",
        "-m",
        "SHA256-RSA-PKCS",
        "--id",
        b"SIGN".hex(),
        "-i",
        str(data),
        "-o",
        str(signature),
    ]
    if issuer.login(number, *options).returncode != 0:
        return False
    return b"OK" in openssl("dgst", "-sha256", "-verify", key, "-signature", signature, data)


def _token_file(issuer: Issuer, number: str) -> Path:
    return issuer.environment.tokens / number / "token.object"


def _reset(issuer: Issuer, number: str, *, before: tuple[str, ...] = ()) -> tuple[int, str]:
    done = issuer.run(
        "reset-user-code", number, "--yes", "--new-user-code", "stdin", stdin=f"{NEW_CODE}\n", before=before
    )
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_repair_of_a_damaged_token_file_keeps_the_keys(
    issuer: Issuer, active: str, tmp_path: Path, damage: str
) -> None:
    assert _signs_as_certified(issuer, active, tmp_path)
    file = _token_file(issuer, active)
    match damage:
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(file.read_bytes()[:200])
        case "other":
            file.write_bytes(b"not a token" * 30)
    assert issuer.labels() == []
    if damage in ("missing", "empty"):
        assert issuer.cards()[active]["state"] == "damaged"

    done = issuer.run("repair", active)
    assert done.returncode == 0, done.stderr.decode()
    assert f"xcactl pin reset --card {active}" in done.stdout.decode()
    assert _state(issuer, active) == ("pin-locked", 0, 3)
    assert _events(issuer, active)[-1] == "repair"
    assert issuer.login(active, "--list-objects").returncode != 0

    assert issuer.activate(active).returncode == 0
    assert _state(issuer, active) == ("active", 3, 3)
    assert _signs_as_certified(issuer, active, tmp_path)


def test_repair_of_a_card_before_activation_leaves_it_so(issuer: Issuer, closed: str) -> None:
    _token_file(issuer, closed).write_bytes(b"")
    done = issuer.run("repair", closed)
    assert f"xcactl activate --card {closed}" in done.stdout.decode()
    assert _state(issuer, closed) == ("issued", 3, 3)
    assert issuer.activate(closed).returncode == 0


def test_repair_of_a_sound_card_changes_nothing(issuer: Issuer, active: str) -> None:
    done = issuer.run("repair", active)
    assert done.returncode == 0
    assert "nothing to repair" in done.stdout.decode()
    assert issuer.login(active, "--list-objects").returncode == 0
    assert _state(issuer, active) == ("active", 3, 3)


def test_reset_of_a_locked_user_code_sets_the_new_one(issuer: Issuer, active: str, tmp_path: Path) -> None:
    for wrong in WRONG_CODES:
        assert issuer.activate(active, wrong).returncode != 0
    assert _state(issuer, active) == ("user-code-locked", 3, 0)

    status, said = _reset(issuer, active)
    assert status == 0
    assert f"xcactl pin reset --card {active}" in said
    assert NEW_CODE not in said
    assert _state(issuer, active) == ("pin-locked", 0, 3)
    assert _events(issuer, active)[-1] == "reset-user-code"

    assert issuer.activate(active, USER_CODE).returncode != 0
    assert _state(issuer, active) == ("pin-locked", 0, 2)
    assert issuer.activate(active, NEW_CODE).returncode == 0
    assert _state(issuer, active) == ("active", 3, 3)
    assert _signs_as_certified(issuer, active, tmp_path)


def test_reset_before_activation_lets_the_new_code_activate(issuer: Issuer, closed: str) -> None:
    for wrong in WRONG_CODES:
        assert issuer.activate(closed, wrong).returncode != 0
    assert issuer.cards()[closed]["state"] == "user-code-locked"
    status, said = _reset(issuer, closed)
    assert status == 0
    assert f"xcactl activate --card {closed}" in said
    assert _state(issuer, closed) == ("issued", 3, 3)
    assert issuer.activate(closed, NEW_CODE).returncode == 0


def test_reset_can_be_repeated_and_repaired(issuer: Issuer, closed: str) -> None:
    assert _reset(issuer, closed)[0] == 0
    assert _reset(issuer, closed)[0] == 0
    assert issuer.init_pin(closed, NEW_CODE).returncode == 0
    _token_file(issuer, closed).unlink()
    done = issuer.run("repair", closed)
    # The copy is of the day of issue, and so is its user code.
    assert "from the application" in done.stdout.decode()
    assert issuer.init_pin(closed, NEW_CODE).returncode != 0
    assert issuer.init_pin(closed, USER_CODE).returncode == 0


def test_reset_of_a_lapsed_card_leaves_it_lapsed(issuer: Issuer) -> None:
    number = issuer.issue("--issue-date", "2020-01-01")["number"]
    status, said = _reset(issuer, number)
    assert status == 0
    assert "cannot be activated" in said
    assert issuer.cards()[number]["state"] == "lapsed"


@pytest.mark.integration
def test_reset_puts_the_new_user_code_into_no_file_and_no_argument(
    issuer: Issuer, closed: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-v", "-s", "99999", "-e", "trace=execve", "-o", str(trace))
    assert _reset(issuer, closed, before=strace)[0] == 0
    assert "inner_worker.py" in trace.read_text()
    assert not re.search(f"{re.escape(NEW_CODE)}|{re.escape(USER_CODE)}", trace.read_text())
    assert not [f for f in issuer.path.rglob("*") if f.is_file() and NEW_CODE.encode() in f.read_bytes()]


def test_so_pin_of_the_issuer_opens_the_fresh_copy_and_never_the_card(issuer: Issuer, closed: str) -> None:
    copies = issuer.environment.copies / closed
    so_pin = copies / "so-pin"
    assert [path.stat().st_mode & 0o777 for path in (copies, so_pin)] == [0o700, 0o600]
    assert issuer.init_pin(closed, so_pin.read_text()).returncode != 0
    assert issuer.init_pin(closed, USER_CODE).returncode == 0
    _token_file(issuer, closed).write_bytes((copies / "fresh-token.object").read_bytes())
    assert issuer.init_pin(closed, USER_CODE).returncode != 0
    assert issuer.init_pin(closed, so_pin.read_text()).returncode == 0


@pytest.mark.parametrize("command", [["list"], ["repair"], ["reset-user-code", "--new-user-code", "stdin"]])
def test_user_code_kept_by_a_former_version_is_deleted(
    issuer: Issuer, closed: str, command: list[str]
) -> None:
    copies = issuer.environment.copies / closed
    (copies / "user-code").write_text(USER_CODE)
    for name in ("so-pin", "fresh-token.object"):
        (copies / name).unlink()
    number = [] if command == ["list"] else [closed]
    done = issuer.run(*command, *number, stdin=f"{NEW_CODE}\n")
    assert not (copies / "user-code").exists()
    if "reset-user-code" in command:
        assert done.returncode == 1
        assert f"softhsm-card --dir {issuer.path} remove {closed}" in done.stderr.decode()
    else:
        assert done.returncode == 0
    assert issuer.init_pin(closed, USER_CODE).returncode == 0


def test_reset_to_a_user_code_that_breaks_the_rules_is_refused(issuer: Issuer, closed: str) -> None:
    done = issuer.run("reset-user-code", closed, "--new-user-code", "stdin", stdin="short")
    assert done.returncode == 2
    assert _state(issuer, closed) == ("issued", 3, 3)
    assert issuer.init_pin(closed, USER_CODE).returncode == 0


@pytest.mark.integration
@pytest.mark.parametrize(
    ("call", "nth", "on"),
    [
        ("rename", 2, None),  # the copy of the token file is made
        ("pwrite64", 1, "cards.db"),  # the store's next generation
        ("pwrite64", 3, "cards.db"),  # the row
        ("fdatasync", 2, "cards.db"),  # the row is written, perhaps not on the disk
        ("rename", 3, None),  # the row is committed, the token still has the old user code
    ],
)
def test_reset_that_is_killed_can_be_repeated(
    issuer: Issuer, active: str, kill_at: Callable[..., tuple[str, ...]], call: str, nth: int, on: str | None
) -> None:
    prefix = kill_at(call, nth, issuer.path / on if on else None)
    assert _reset(issuer, active, before=prefix)[0] in (-9, 137)
    assert issuer.labels() == [f"xca-card:{active}"]
    assert issuer.cards()[active]["state"] in ("active", "pin-locked")

    assert _reset(issuer, active)[0] == 0
    assert _state(issuer, active) == ("pin-locked", 0, 3)
    assert issuer.activate(active, NEW_CODE).returncode == 0
    assert list(issuer.environment.staging.iterdir()) == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("call", "on"), [("pwrite64", "cards.db"), ("fdatasync", "cards.db"), ("rename", None)]
)
def test_repair_that_is_killed_can_be_repeated(
    issuer: Issuer, active: str, kill_at: Callable[..., tuple[str, ...]], call: str, on: str | None
) -> None:
    _token_file(issuer, active).write_bytes(b"")
    prefix = kill_at(call, 1, issuer.path / on if on else None)
    assert issuer.run("repair", active, before=prefix).returncode in (-9, 137)
    assert issuer.labels() == []
    assert issuer.run("repair", active).returncode == 0
    assert _state(issuer, active) == ("pin-locked", 0, 3)
    assert issuer.activate(active).returncode == 0


def test_remove_takes_everything_and_nothing_else(issuer: Issuer, closed: str) -> None:
    other = issuer.issue()["number"]
    assert issuer.run("remove", closed).returncode == 1
    assert issuer.run("remove", closed, stdin="n\n").returncode == 1
    assert set(issuer.cards()) == {closed, other}

    assert issuer.run("remove", closed, stdin="y\n").returncode == 0
    assert set(issuer.cards()) == {other}
    assert issuer.labels() == [f"xca-card:{other}"]
    assert issuer.environment.store.events(closed) == []
    assert not [path for path in issuer.path.rglob("*") if closed in path.name]
    assert issuer.run("remove", closed, "--yes").returncode == 3


@pytest.mark.integration
@pytest.mark.parametrize(
    ("call", "nth", "on"),
    [
        ("rename", 2, None),  # about to take the token
        ("rename", 3, None),  # the token is gone
        ("pwrite64", 1, "cards.db"),  # the copies are gone, the row not yet
    ],
)
def test_remove_that_is_killed_can_be_repeated(
    issuer: Issuer, closed: str, kill_at: Callable[..., tuple[str, ...]], call: str, nth: int, on: str | None
) -> None:
    prefix = kill_at(call, nth, issuer.path / on if on else None)
    assert issuer.run("remove", closed, "--yes", before=prefix).returncode in (-9, 137)
    assert issuer.cards()[closed]["state"] in ("issued", "unfinished")
    assert issuer.run("remove", closed, "--yes").returncode == 0
    assert issuer.cards() == {}
    assert issuer.labels() == []
    assert not [path for path in issuer.path.rglob("*") if closed in path.name]


@pytest.mark.parametrize("command", ["repair", "reset-user-code", "remove"])
def test_command_for_a_card_that_is_not_there_says_so(issuer: Issuer, command: str) -> None:
    done = issuer.run(command, "XC00000000091349")
    assert done.returncode == 3
    assert f"softhsm-card --dir {issuer.path} list" in done.stderr.decode()


def test_card_with_both_secrets_locked_is_listed_so(issuer: Issuer, active: str) -> None:
    reader = issuer.cards()[active]["reader"]
    for wrong in WRONG_CODES:
        issuer.guarded("--slot-description", reader, "--login", "--pin", "env:PIN", "-O", PIN=wrong)
        issuer.activate(active, wrong)
    assert _state(issuer, active) == ("pin-locked", 0, 0)
    assert "PIN and user code locked" in issuer.run("list").stdout.decode()
    assert "PIN碼與用戶代碼都已鎖住" in issuer.run("--lang", "zh_TW", "list").stdout.decode()
