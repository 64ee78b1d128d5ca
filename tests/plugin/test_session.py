# SPDX-License-Identifier: Apache-2.0
"""Sessions with one login for many operations, and user codes that are verified. The card is SoftHSM's."""

import os
import subprocess
import sys
from collections import Counter

from softhsm.card_fixture import CardFixture

HEAD = """
import hashlib, os, threading
import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from pkcs11_shim import module_path
from xca_plugin import Cards, Key, Padding, Secret, errors
from xca_plugin.keys import CardPrivateKey
cards = Cards()
(card,) = cards.detect()
digest = hashlib.sha256(b"tender").digest()
def pin():
    return Secret(os.environ["PIN"])
def public(key):
    (certificate,) = [each for each in cards.certificates(card) if each.id == key]
    return x509.load_der_x509_certificate(certificate.der).public_key()
def failure(what):
    try:
        what()
    except errors.CardError as error:
        print(type(error).__name__)
    else:
        print("no failure")
"""


def run(held: CardFixture, source: str) -> list[str]:
    """Run a program of its own: in the tests' own process another test's module may be loaded."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + source],
        env=os.environ | held.variables | {"PIN": held.pin or "", "CODE": held.user_code, "LANGUAGE": "en"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def logins(held: CardFixture) -> Counter[str]:
    """Count what the card was asked for since it was activated."""
    return Counter(event.event for event in held.environment.store.events(held.number))


def test_session_with_many_signatures_and_decryptions_is_one_login(xca_active_card: CardFixture) -> None:
    before = logins(xca_active_card)["verify-pin"]
    said = run(
        xca_active_card,
        """
secret = pin()
with cards.session(card, secret) as session:
    print(repr(secret.reveal()))
    for _ in range(5):
        signature = session.sign(digest)
        public(Key.SIGN).verify(signature, b"tender", padding.PKCS1v15(), hashes.SHA256())
    for _ in range(5):
        sealed = public(Key.KEYX).encrypt(b"price", padding.PKCS1v15())
        assert session.decrypt(sealed, padding=Padding.PKCS1V15) == b"price"
    failure(lambda: session.decrypt(b"x" * 9, padding=Padding.PKCS1V15))
    key = CardPrivateKey(cards, card, session)
    signature = key.sign(b"tender", padding.PKCS1v15(), hashes.SHA256())
    public(Key.SIGN).verify(signature, b"tender", padding.PKCS1v15(), hashes.SHA256())
failure(lambda: session.sign(digest))
""",
    )
    assert said == ["''", "NotDecryptable", "SessionEnded"]
    assert logins(xca_active_card)["verify-pin"] - before == 1


def test_session_that_was_logged_out_signs_nothing_and_does_not_log_in_again(
    xca_active_card: CardFixture,
) -> None:
    before = logins(xca_active_card)["verify-pin"]
    said = run(
        xca_active_card,
        """
with cards.session(card, pin()) as session:
    session.sign(digest)
    pkcs11.lib(str(module_path())).reinitialize()  # what another part of the program may do
    failure(lambda: session.sign(digest))
    failure(lambda: session.decrypt(b"x" * 256, padding=Padding.PKCS1V15))
with cards.session(card, pin()) as session:
    print(len(session.sign(digest)))
""",
    )
    assert said == ["SessionEnded", "SessionEnded", "256"]
    assert logins(xca_active_card)["verify-pin"] - before == 2


def test_session_of_a_card_that_is_taken_away_says_so(xca_active_card: CardFixture) -> None:
    said = run(
        xca_active_card,
        """
import softhsm
from pathlib import Path
with cards.session(card, pin()) as session:
    session.sign(digest)
    environment = softhsm.Environment(Path(os.environ["XCA_PKCS11_CONF"]).parent)
    softhsm.remove(environment, card.number)
    pkcs11.lib(str(module_path())).reinitialize()
    failure(lambda: session.sign(digest))
print("left")
""",
    )
    assert said == ["CardRemoved", "left"]


def test_session_with_a_wrong_pin_costs_one_try_and_wipes_it(xca_active_card: CardFixture) -> None:
    said = run(
        xca_active_card,
        """
secret = Secret("k4r7q9z1")
def enter():
    with cards.session(card, secret):
        print("inside")
failure(enter)
print(repr(secret.reveal()), cards.read(card).pin_tries)
secret = Secret("short")
failure(enter)
print(repr(secret.reveal()), cards.read(card).pin_tries)
""",
    )
    assert said == ["WrongPin", "'' 2", "InvalidPin", "'' 2"]


def test_other_threads_wait_until_a_session_is_left(xca_active_card: CardFixture) -> None:
    said = run(
        xca_active_card,
        """
order = []
def other():
    cards.verify_pin(card, pin())
    order.append("other")
with cards.session(card, pin()) as session:
    thread = threading.Thread(target=other)
    thread.start()
    thread.join(0.5)
    session.sign(digest)
    order.append("session")
thread.join()
print(order)
""",
    )
    assert said == ["['session', 'other']"]


def test_user_code_that_is_right_is_said_to_be_and_changes_nothing(xca_active_card: CardFixture) -> None:
    before = logins(xca_active_card)["verify-user-code"]
    said = run(
        xca_active_card,
        """
failure(lambda: cards.verify_user_code(card, Secret("wrong-code")))
print(cards.read(card).user_code_tries)
after = cards.verify_user_code(card, Secret(os.environ["CODE"]))
print(after.user_code_tries, after.state.value)
failure(lambda: cards.verify_user_code(card, Secret("abc")))
cards.verify_pin(card, pin())
""",
    )
    assert said == ["WrongUserCode", "2", "3 active", "InvalidUserCode"]
    assert logins(xca_active_card)["verify-user-code"] - before == 2


def test_user_code_of_a_real_card_is_tried_with_one_login(xca_active_card: CardFixture) -> None:
    before = logins(xca_active_card)["verify-user-code"]
    said = run(
        xca_active_card,
        """
from dataclasses import replace
from xca_plugin.hicos import Hicos
Hicos().xca_verify_user_code(replace(card, real=True), Secret(os.environ["CODE"]))
print("tried")
""",
    )
    assert said == ["tried"]
    assert logins(xca_active_card)["verify-user-code"] == before + 1
