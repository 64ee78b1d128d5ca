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


def test_signs_with_an_active_card(xca_active_card):
    assert len(run(xca_active_card, xca_active_card.pin).stdout) == 256


def test_a_wrong_pin_costs_one_try(xca_active_card):
    assert b"PinIncorrect" in run(xca_active_card, "no-such").stderr
    assert xca_active_card.environment.store.card(xca_active_card.number).pin_tries == 2


def test_a_closed_card_is_refused(xca_issued_card):
    assert b"UserPinNotInitialized" in run(xca_issued_card, "any-pin").stderr


@pytest.mark.parametrize("receipt", [b"receipt 1", b"receipt 2"])
def test_signs_in_this_process(xca_active_card, monkeypatch, receipt):
    xca_active_card.enter(monkeypatch)
    assert len(receipts.sign(receipt, xca_active_card.pin)) == 256


def test_a_locked_card_is_refused_in_this_process(xca_pin_locked_card, monkeypatch):
    xca_pin_locked_card.enter(monkeypatch)
    with pytest.raises(pkcs11.PinLocked):
        receipts.sign(b"receipt 1", xca_pin_locked_card.pin)
