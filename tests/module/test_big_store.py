# SPDX-License-Identifier: Apache-2.0
"""A store with ten thousand cards behaves as one with a single card."""

import pytest
from pkcs11 import UserType

from pkcs11_shim.store import _BLOCK, _RECORD, _Slot
from support.module.cards import PIN, WRONG, Card, card_session, signs
from support.module.cryptoki import CKR

CARDS = 10_000
"""Cards besides the one that is used, and before it in the file."""

pytestmark = pytest.mark.soak


def test_login_among_ten_thousand_cards_counts_its_own_tries(card: Card) -> None:
    own, used = card.store.path.read_bytes()[:_RECORD], card.store.path.read_bytes()[_RECORD:]
    with card.store.path.open("wb") as file:
        file.write(own)
        for place in range(1, CARDS + 1):
            file.seek(place * _RECORD + place % 2 * _BLOCK)
            number = f"XD{place:014d}".encode()
            file.write(_Slot(number=number, sequence=place, pin_tries=3, user_code_tries=3).packed())
        file.seek((CARDS + 1) * _RECORD)
        file.write(used)
    assert len(card.store.cards()) == CARDS + 1
    before = len(card.store.events())
    hosts = [card.host() for _ in range(4)]
    sessions = [card_session(host) for host in hosts]
    for host, session in zip(hosts, sessions, strict=True):
        assert host.login(session, UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
        assert card.pin_tries == 2
        assert host.login(session, UserType.USER, PIN) == CKR.OK
        assert signs(host, session)
        assert card.pin_tries == 3
    assert len(card.store.events()) == before + 2 * len(hosts)
    assert {row.pin_tries for row in card.store.cards()} == {3}
