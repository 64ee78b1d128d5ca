# SPDX-License-Identifier: Apache-2.0
"""The same through xcactl: the whole life, the ladders, pulls, the daemon."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from support.cli.xcactl import NEW_PIN, PIN, Result
from support.softhsm.softhsm_card import openssl
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CODE, CardInReader
from support.virtual_card.myeid_card import Instruction

ACTIVATE = ("activate", "--user-code", "stdin", "--new-pin", "stdin")
RESET = ("pin", "reset", "--user-code", "stdin", "--new-pin", "stdin")
CHANGE = ("pin", "change", "--pin", "stdin", "--new-pin", "stdin")
VERIFY = ("pin", "verify", "--pin", "stdin")
AFTER = pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
REMOVED, ALREADY_ACTIVE, NOT_PROVED = 19, 31, 47
WRONG_CODE, CODE_LOCKED, WRONG_PIN, PIN_LOCKED, LAST_TRY = 33, 34, 35, 36, 41


def _run(card: CardInReader, command: Sequence[str], *secrets: str) -> Result:
    """Run xcactl with secrets on stdin; the person agrees to the risk."""
    agreed = ["--yes"] if secrets else []
    result = card.workspace().run(*command, *agreed, stdin="".join(f"{secret}\n" for secret in secrets))
    assert CODE not in result.out + result.err
    return result


def test_life_through_xcactl_is_whole_in_both_variants(closed: CardInReader, tmp_path: Path) -> None:
    def status(*arguments: str, secrets: Sequence[str] = ()) -> int:
        return _run(closed, arguments, *secrets).status

    info = _run(closed, ("info", "--json")).json
    assert (info["number"], info["state"], info["next_action"]) == (
        card_files.NUMBER,
        "not-activated",
        "activate",
    )
    assert info["holder"] == "C=TW,L=臺北市,O=國立臺灣大學"
    assert (info["pin_tries_left"], info["user_code_tries_left"]) == (None, None)
    assert status(*ACTIVATE, secrets=(CODE, PIN)) == 0
    assert status(*ACTIVATE, secrets=(CODE, PIN)) == ALREADY_ACTIVE

    file = tmp_path / "letter.txt"
    file.write_text("dear all\n")
    assert status("sign", str(file), "--pin", "stdin", secrets=(PIN,)) == 0
    signed: list[str | Path] = [
        "-inform",
        "DER",
        "-in",
        f"{file}.p7s",
        "-content",
        file,
        "-CAfile",
        closed.pki / "root.pem",
    ]
    openssl("cms", "-verify", "-binary", "-purpose", "any", *signed)
    recipient = tmp_path / "cert2.pem"
    assert status("cert", "export", "cert2", "-o", str(recipient)) == 0
    encrypted, opened = tmp_path / "encrypted", tmp_path / "opened"
    written: list[str | Path] = ["-outform", "DER", "-out", encrypted, "-in", file]
    openssl("cms", "-encrypt", "-binary", "-aes256", *written, recipient)
    decrypt = ("decrypt", str(encrypted), "-o", str(opened), "--pin", "stdin")
    assert status(*decrypt, secrets=(PIN,)) == 0
    assert opened.read_text() == "dear all\n"

    assert status(*CHANGE, secrets=(PIN, NEW_PIN)) == 0
    assert closed.card.holds(card_files.PIN, NEW_PIN)
    assert status(*RESET, secrets=(CODE, PIN)) == 0
    assert status(*VERIFY, secrets=(PIN,)) == 0
    assert (closed.card.tries(card_files.PIN), closed.card.tries(card_files.USER_CODE)) == (3, 3)


def test_wrong_pins_through_xcactl_lock_the_pin_and_a_reset_opens_it(real: CardInReader) -> None:
    assert _run(real, VERIFY, "wrong-1").status == WRONG_PIN
    second = _run(real, VERIFY, "wrong-2")
    assert second.status == WRONG_PIN
    assert "1 try is left" in second.err
    kept = _run(real, VERIFY, "wrong-3")
    assert kept.status == LAST_TRY
    assert real.card.tries(card_files.PIN) == 1
    locked = _run(real, (*VERIFY, "--last-try"), "wrong-3")
    assert locked.status == PIN_LOCKED
    assert "xcactl pin reset" in locked.err
    assert _run(real, ("info", "--json")).json["next_action"] == "reset-pin"
    assert _run(real, VERIFY, PIN).status == PIN_LOCKED
    assert _run(real, RESET, CODE, NEW_PIN).status == 0
    assert real.card.tries(card_files.PIN) == 3


@pytest.mark.parametrize("command", [ACTIVATE, RESET], ids=["activate", "reset"])
def test_wrong_user_codes_through_xcactl_lock_it(either: CardInReader, command: Sequence[str]) -> None:
    either.card.renew(CODE, None if command is ACTIVATE else PIN)
    statuses = [_run(either, command, wrong, NEW_PIN).status for wrong in ("wrong-A", "wrong-B", "wrong-C")]
    assert statuses == [WRONG_CODE, WRONG_CODE, CODE_LOCKED]
    assert either.card.tries(card_files.USER_CODE) == 0
    locked = _run(either, command, CODE, NEW_PIN)
    assert locked.status == CODE_LOCKED
    assert "用戶代碼重設" in locked.err
    assert not either.card.holds(card_files.PIN, NEW_PIN)


@AFTER
def test_activation_cut_off_by_a_pull_goes_on_when_the_card_is_back(
    closed: CardInReader, after_effect: bool
) -> None:
    closed.pull_at(Instruction.RESET_RETRIES, after_effect=after_effect)
    assert _run(closed, ACTIVATE, CODE, PIN).status == REMOVED
    assert closed.card.holds(card_files.PIN, PIN) == after_effect
    closed.insert()
    assert _run(closed, ACTIVATE, CODE, PIN).status == (ALREADY_ACTIVE if after_effect else 0)
    assert _run(closed, VERIFY, PIN).status == 0
    assert closed.card.tries(card_files.USER_CODE) == 3


@AFTER
def test_activation_pulled_at_its_proof_is_active_already(closed: CardInReader, after_effect: bool) -> None:
    assert _run(closed, ACTIVATE, CODE, PIN).status == 0
    commands = closed.card.commands
    before = commands[: commands.index(Instruction.RESET_RETRIES)].count(Instruction.VERIFY)
    closed.card.renew(CODE)
    closed.pull_at(Instruction.VERIFY, before + 2, after_effect=after_effect)
    assert _run(closed, ACTIVATE, CODE, PIN).status == NOT_PROVED
    closed.insert()
    assert _run(closed, ACTIVATE, CODE, PIN).status == ALREADY_ACTIVE
    assert closed.card.tries(card_files.PIN) == 3


@AFTER
def test_pin_change_cut_off_by_a_pull_says_so(real: CardInReader, after_effect: bool) -> None:
    real.pull_at(Instruction.CHANGE, after_effect=after_effect)
    assert _run(real, CHANGE, PIN, NEW_PIN).status == REMOVED
    assert real.card.holds(card_files.PIN, NEW_PIN if after_effect else PIN)
    assert real.card.tries(card_files.PIN) == 3


@AFTER
def test_signature_cut_off_by_a_pull_leaves_no_file(
    real: CardInReader, tmp_path: Path, after_effect: bool
) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("dear all\n")
    real.pull_at(Instruction.PERFORM_OPERATION, after_effect=after_effect)
    assert _run(real, ("sign", str(file), "--pin", "stdin"), PIN).status == REMOVED
    assert list(tmp_path.iterdir()) == [file]
