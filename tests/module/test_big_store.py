# SPDX-License-Identifier: Apache-2.0
"""A store with a hundred thousand cards behaves as one with a single card."""

import pytest
from pkcs11 import UserType

from support.module.cards import PIN, WRONG, Card, card_session, signs
from support.module.cryptoki import CKR

CARDS, EVENTS = 100_000, 5
"""Cards besides the one that is used, and events of each."""

pytestmark = pytest.mark.soak


def test_a_login_among_a_hundred_thousand_cards_counts_its_own_tries(card: Card) -> None:
    card.write(
        f"""
        BEGIN;
        INSERT INTO card
            (number, reader, model, issued_on, activate_by, activated_at, pin_tries, user_code_tries)
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {CARDS})
        SELECT printf('XD%014d', i), reader, model, issued_on, activate_by, activated_at, 3, 3
        FROM n, card WHERE number = '{card.number}';
        INSERT INTO event (at, card, event, result, program)
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {EVENTS})
        SELECT i, number, 'verify-pin', 0, 'program' FROM n, card WHERE number <> '{card.number}';
        COMMIT;
        """
    )
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
