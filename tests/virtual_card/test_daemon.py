# SPDX-License-Identifier: Apache-2.0
"""The readers' daemon is stopped and started again at each step of a host's work."""

from collections.abc import Iterator

import pytest
from pkcs11 import Attribute, ObjectClass, UserType

from pkcs11_shim import module_path, rules
from support.cli.xcactl import NEW_PIN, PIN
from support.module.cryptoki import CKR
from support.module.host import Host, Ulong, ulong
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CODE, CardInReader, try_pin


def _steps_of_a_signature(host: Host) -> Iterator[CKR | None]:
    slot = host.slot(rules.CARD_LABEL)
    yield CKR.OK
    session = host.open(slot)
    yield CKR.OK
    yield host.login(session, UserType.USER, PIN)
    private_key = (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY))
    (key,) = host.find(session, private_key, (Attribute.ID, b"SIGN"))
    yield CKR.OK
    yield host.sign(session, key, b"text")


def _steps_of_a_reset(host: Host) -> Iterator[CKR | None]:
    session = host.open(host.slot(rules.CARD_LABEL))
    yield CKR.OK
    yield host.login(session, UserType.SO, CODE)
    yield host.init_pin(session, NEW_PIN)


def _restart(card: CardInReader) -> None:
    card.reader.stop_daemon()
    card.reader.start_daemon()
    card.insert()


@pytest.mark.parametrize("step", range(4))
def test_daemon_restarted_in_a_signature_leaves_the_card_usable(real: CardInReader, step: int) -> None:
    host = real.host()
    _check_restart(real, host, _steps_of_a_signature(host), step)


@pytest.mark.parametrize("step", range(2))
def test_daemon_restarted_in_a_reset_leaves_the_card_usable(either: CardInReader, step: int) -> None:
    host = either.host()
    _check_restart(either, host, _steps_of_a_reset(host), step)


def _check_restart(card: CardInReader, host: Host, steps: Iterator[CKR | None], step: int) -> None:
    for _ in range(step + 1):
        assert next(steps) == CKR.OK
    _restart(card)
    answer: CKR | None = CKR.OK
    try:
        while answer == CKR.OK:
            answer = next(steps, None)
    except AssertionError:  # a call of Host that promises CKR_OK
        answer = CKR.FUNCTION_FAILED
    # None: the rest went well, and a reset is done.
    now = NEW_PIN if answer is None and card.card.holds(card_files.PIN, NEW_PIN) else PIN
    assert card.card.holds(card_files.PIN, now)
    assert (card.card.tries(card_files.PIN), card.card.tries(card_files.USER_CODE)) == (3, 3)
    host.reinitialize()
    assert try_pin(host, now) == CKR.OK


def test_daemon_that_starts_after_the_host_is_found(real: CardInReader) -> None:
    real.reader.stop_daemon()
    host = Host(module_path(), dict(real.variables))
    try:
        begun = host.initialize()
        if begun == CKR.OK:
            counted = host.call("C_GetSlotList", 1, None, Ulong())
            assert (counted.rv, counted.out[0]) == (CKR.OK, 0)
        real.reader.start_daemon()
        real.insert()
        if begun == CKR.OK:
            host.finalize()
        assert host.initialize() == CKR.OK
        assert try_pin(host, PIN) == CKR.OK
    finally:
        host.stop()
