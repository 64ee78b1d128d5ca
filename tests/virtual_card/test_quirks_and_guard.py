# SPDX-License-Identifier: Apache-2.0
"""The quirks and the guard with a card that counts for itself."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from pkcs11 import MGF, Attribute, Mechanism, ObjectClass, TokenFlag, UserType

from pkcs11_shim import rules
from support.cli.xcactl import NEW_PIN, PIN
from support.module.cryptoki import CKR
from support.module.host import Mechanism as HostMechanism
from support.module.host import Room, Ulong, ulong
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CardInReader, try_pin

HASH_IN_MODULE = ("[quirks]", "hash = module")
KEEP_LAST_TRY = ("[guard]", "keep_last_try = yes")
PSS = ulong(Mechanism.SHA256) + ulong(MGF.SHA256) + ulong(32)


@pytest.mark.parametrize("configured", [(), HASH_IN_MODULE], ids=["plain", "hash-in-module"])
@pytest.mark.parametrize(
    ("mechanism", "scheme"),
    [
        (HostMechanism(Mechanism.SHA256_RSA_PKCS), padding.PKCS1v15()),
        (HostMechanism(Mechanism.SHA256_RSA_PKCS_PSS, PSS), padding.PSS(padding.MGF1(hashes.SHA256()), 32)),
    ],
    ids=["pkcs1", "pss"],
)
def test_signature_with_and_without_the_quirk_verifies(
    real: CardInReader,
    configured: tuple[str, ...],
    mechanism: HostMechanism,
    scheme: padding.PKCS1v15 | padding.PSS,
) -> None:
    real.configure(*configured)
    host = real.host()
    session = host.open(host.slot(rules.CARD_LABEL))
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    private_key = (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY))
    (key,) = host.find(session, private_key, (Attribute.ID, b"SIGN"))
    assert host.call("C_SignInit", session, mechanism, key).rv == CKR.OK
    made = host.call("C_Sign", session, b"text", 4, Room(256), Ulong(256))
    assert made.rv == CKR.OK
    signature = bytes.fromhex(made.out[0])
    real.public_key(card_files.SIGN_FILE).verify(signature, b"text", scheme, hashes.SHA256())


def test_strings_quirk_trims_what_the_inner_module_pads_with_tabs(real: CardInReader) -> None:
    real.front_says(f"label {rules.CARD_LABEL}\t \t")
    real.configure("[quirks]", "strings = trim")
    host = real.host()
    (slot, *_) = host.slots()
    assert host.token(slot).label.decode() == rules.CARD_LABEL.ljust(32)


def test_guard_keeps_the_last_try_of_the_pin(real: CardInReader) -> None:
    real.configure(*KEEP_LAST_TRY)
    real.card.set_tries(card_files.PIN, 2)
    host = real.host()
    assert try_pin(host, "wrong-1") == CKR.PIN_INCORRECT
    session = host.open(host.slot(rules.CARD_LABEL))
    assert host.login(session, UserType.USER, PIN) == CKR.FUNCTION_REJECTED
    assert host.set_pin(session, PIN, NEW_PIN) == CKR.FUNCTION_REJECTED
    assert real.card.tries(card_files.PIN) == 1
    assert try_pin(real.host(XCA_LAST_TRY="allow"), PIN) == CKR.OK
    assert try_pin(host, PIN) == CKR.OK


def test_guard_cannot_hold_where_no_flag_shows_the_last_try(real: CardInReader) -> None:
    real.configure(*KEEP_LAST_TRY)
    real.front_says("hide 70000")
    real.card.set_tries(card_files.PIN, 1)
    assert try_pin(real.host(), "wrong-1") == CKR.PIN_LOCKED


def test_flags_of_a_module_in_front_are_shown_as_they_are(real: CardInReader) -> None:
    real.front_says(f"show {TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.SO_PIN_LOCKED:x}")
    host = real.host()
    shown = host.flags(host.slot(rules.CARD_LABEL))
    assert TokenFlag.USER_PIN_COUNT_LOW in shown
    assert TokenFlag.SO_PIN_LOCKED in shown
