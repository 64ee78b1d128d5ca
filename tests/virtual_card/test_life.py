# SPDX-License-Identifier: Apache-2.0
"""The whole life of a card that counts for itself, through the module: in both variants of the user code."""

from cryptography.hazmat.primitives.asymmetric import padding
from pkcs11 import Attribute, Mechanism, ObjectClass, TokenFlag, UserType

from pkcs11_shim import rules
from support.cli.xcactl import NEW_PIN, PIN
from support.module.cryptoki import CKR
from support.module.host import Mechanism as HostMechanism
from support.module.host import Room, Ulong, ulong
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CODE, CardInReader, reset_pin, try_pin
from support.virtual_card.myeid_card import TRIES


def test_card_from_activation_to_reset_lives_in_both_variants(closed: CardInReader) -> None:
    card, host = closed.card, closed.host()
    slot = host.slot(rules.CARD_LABEL)
    assert TokenFlag.USER_PIN_INITIALIZED not in host.flags(slot)
    assert reset_pin(host, CODE, PIN) == CKR.OK  # the activation
    assert TokenFlag.USER_PIN_INITIALIZED in host.flags(slot)
    assert card.holds(card_files.PIN, PIN)

    session = host.open(slot)
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    private_key = (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY))
    (signing,) = host.find(session, private_key, (Attribute.ID, b"SIGN"))
    assert host.sign(session, signing, b"text") == CKR.OK
    (decrypting,) = host.find(session, private_key, (Attribute.ID, b"KEYX"))
    ciphertext = closed.public_key(card_files.KEYX_FILE).encrypt(b"secret", padding.PKCS1v15())
    host.call("C_DecryptInit", session, HostMechanism(Mechanism.RSA_PKCS), decrypting)
    answer = host.call("C_Decrypt", session, ciphertext, len(ciphertext), Room(256), Ulong(256))
    assert (answer.rv, bytes.fromhex(answer.out[0])[:6]) == (CKR.OK, b"secret")
    assert host.logout(session) == CKR.OK

    assert host.set_pin(session, PIN, NEW_PIN) == CKR.OK
    assert card.holds(card_files.PIN, NEW_PIN)
    for left in (2, 1, 0):
        assert try_pin(host, PIN) == (CKR.PIN_INCORRECT if left else CKR.PIN_LOCKED)
        assert card.tries(card_files.PIN) == left
    assert TokenFlag.USER_PIN_LOCKED in host.flags(slot)
    assert reset_pin(host, CODE, PIN) == CKR.OK
    assert card.tries(card_files.PIN) == TRIES
    assert try_pin(host, PIN) == CKR.OK
