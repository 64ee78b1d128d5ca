# SPDX-License-Identifier: Apache-2.0
"""What xcactl tells of a card that counts for itself: names, errors, tries, and what comes next."""

from pathlib import Path

import pytest
from pkcs11 import Attribute, Mechanism, ObjectClass, UserType

from pkcs11_shim import rules
from support.cli.xcactl import NEW_PIN, PIN, Result
from support.module.cryptoki import CKR
from support.module.host import Mechanism as HostMechanism
from support.module.host import Room, Ulong, ulong
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CODE, CardInReader
from support.virtual_card.myeid_card import Instruction

HASH_IN_MODULE = ("[quirks]", "hash = module")
PSS = ulong(Mechanism.SHA256) + ulong(2) + ulong(32)
SOURCES = ("--yes", "--user-code", "env:CODE", "--new-pin", "env:NEW")


def xcactl(card: CardInReader, *arguments: str) -> Result:
    return card.workspace().with_variables(CODE=CODE, NEW=NEW_PIN, PIN=PIN).run(*arguments)


def test_card_of_another_label_is_recognised(real: CardInReader) -> None:
    real.renew(label="GPKI Smart Card")
    shown = xcactl(real, "info", "--json")
    assert (shown.status, shown.json["real"]) == (0, True)


def test_daemon_that_is_stopped_is_told(real: CardInReader) -> None:
    real.reader.stop_daemon()
    try:
        assert xcactl(real, "info").status == 81
    finally:
        real.reader.start_daemon()
        real.insert()


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("instruction", [Instruction.MANAGE_SECURITY, Instruction.PERFORM_OPERATION])
def test_card_pulled_at_a_signature_was_removed(
    real: CardInReader, instruction: Instruction, after_effect: bool, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"text")
    real.pull_at(instruction, after_effect=after_effect)
    result = xcactl(
        real, "sign", str(tmp_path / "file"), "-o", str(tmp_path / "p7s"), "--pin", "env:PIN", "--yes"
    )
    assert not real.reader.has_card
    assert result.status == 19, result.err


def test_activation_whose_proof_is_cut_off_leads_to_already_active(closed: CardInReader) -> None:
    closed.pull_at(Instruction.RESET_RETRIES, after_effect=True)
    cut_off = xcactl(closed, "activate", *SOURCES)
    assert cut_off.status in {19, 47}, cut_off.err
    closed.insert()
    assert xcactl(closed, "activate", *SOURCES).status == 31
    assert closed.card.holds(card_files.PIN, NEW_PIN)


def test_wrong_pin_that_locks_is_told_as_locked(real: CardInReader) -> None:
    real.card.set_tries(card_files.PIN, 1)
    result = (
        real.workspace()
        .with_variables(PIN="wrong-1")
        .run("pin", "verify", "--pin", "env:PIN", "--yes", "--last-try")
    )
    assert result.status == 36, result.err
    assert "0 tries" not in result.err


def test_tries_that_no_flag_shows_are_called_unknown(real: CardInReader) -> None:
    real.front_says("hide 770000")
    shown = xcactl(real, "info")
    assert "tries left unknown" in shown.out
    assert "does not say" in shown.out


def test_user_code_that_cannot_be_changed_is_unsupported(real: CardInReader) -> None:
    result = (
        real.workspace()
        .with_variables(CODE=CODE, NEW="Other-13")
        .run("user-code", "change", "--user-code", "env:CODE", "--new-user-code", "env:NEW", "--yes")
    )
    assert result.status == 21, result.err


@pytest.mark.parametrize(
    "mechanism",
    [HostMechanism(Mechanism.SHA256_RSA_PKCS), HostMechanism(Mechanism.SHA256_RSA_PKCS_PSS, PSS)],
    ids=["pkcs1", "pss"],
)
def test_signature_that_is_cancelled_sends_nothing_to_the_card(
    real: CardInReader, mechanism: HostMechanism
) -> None:
    real.configure(*HASH_IN_MODULE)
    host = real.host()
    session = host.open(host.slot(rules.CARD_LABEL))
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    private_key = (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY))
    (key,) = host.find(session, private_key, (Attribute.ID, b"SIGN"))
    assert host.call("C_SignInit", session, mechanism, key).rv == CKR.OK
    real.card.commands.clear()
    assert host.call("C_SignUpdate", session, b"part", 4).rv == CKR.OK
    assert host.call("C_Sign", session, b"text", 4, Room(256), Ulong(256)).rv == CKR.OPERATION_ACTIVE
    assert Instruction.PERFORM_OPERATION not in real.card.commands
    assert host.sign(session, key, b"text") == CKR.OK


def test_card_pulled_at_a_decryption_was_removed(real: CardInReader, tmp_path: Path) -> None:
    plain, sealed, certificate = tmp_path / "file", tmp_path / "file.p7e", tmp_path / "cert2.pem"
    plain.write_bytes(b"text")
    assert xcactl(real, "cert", "export", "cert2", "-o", str(certificate)).status == 0
    encrypted = xcactl(real, "encrypt", str(plain), "--to", str(certificate), "-o", str(sealed))
    assert encrypted.status == 0, encrypted.err
    real.pull_at(Instruction.PERFORM_OPERATION, after_effect=False)
    result = xcactl(real, "decrypt", str(sealed), "-o", str(tmp_path / "out"), "--pin", "env:PIN", "--yes")
    assert not real.reader.has_card
    assert result.status == 19, result.err
