# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pkcs11
import pytest
import receipts


def run(card, pin):
    """Sign as the project's users do: in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "receipts"],
        input=b"receipt 1",
        env=os.environ | card.variables | {"RECEIPTS_PIN": pin},
        capture_output=True,
    )


def test_active_card_with_its_pin_signs(xca_active_card):
    assert len(run(xca_active_card, xca_active_card.pin).stdout) == 256


def test_wrong_pin_in_a_program_costs_one_try(xca_active_card):
    assert b"PinIncorrect" in run(xca_active_card, "no-such").stderr
    assert xca_active_card.environment.store.card(xca_active_card.number).pin_tries == 2


def test_closed_card_asked_to_sign_is_refused(xca_issued_card):
    assert b"UserPinNotInitialized" in run(xca_issued_card, "any-pin").stderr


@pytest.mark.parametrize("receipt", [b"receipt 1", b"receipt 2"])
def test_active_card_entered_in_this_process_signs(xca_active_card, monkeypatch, receipt):
    xca_active_card.enter(monkeypatch)
    assert len(receipts.sign(receipt, xca_active_card.pin)) == 256


def test_locked_card_entered_in_this_process_is_refused(xca_pin_locked_card, monkeypatch):
    xca_pin_locked_card.enter(monkeypatch)
    with pytest.raises(pkcs11.PinLocked):
        receipts.sign(b"receipt 1", xca_pin_locked_card.pin)
