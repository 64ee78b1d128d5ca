# SPDX-License-Identifier: Apache-2.0
"""What a card needs next, for every state and count of tries."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from support.odd_certificates import certificate as make
from xca_plugin import Action, Card, CardState, Certificate, next_action

NOT_ACTIVATED, LAPSED, ACTIVE = CardState


@pytest.mark.parametrize(
    ("state", "pin_tries", "user_code_tries", "action"),
    [
        (NOT_ACTIVATED, 3, 3, Action.ACTIVATE),
        (NOT_ACTIVATED, 3, 1, Action.ACTIVATE),
        (NOT_ACTIVATED, None, None, Action.ACTIVATE),
        (NOT_ACTIVATED, 3, 0, Action.SEE_ISSUER),
        (LAPSED, 3, 3, Action.SEE_ISSUER),
        (LAPSED, None, None, Action.SEE_ISSUER),
        (ACTIVE, 3, 3, Action.NOTHING),
        (ACTIVE, 1, 0, Action.NOTHING),
        (ACTIVE, None, None, Action.NOTHING),
        (ACTIVE, 0, 3, Action.RESET_PIN),
        (ACTIVE, 0, None, Action.RESET_PIN),
        (ACTIVE, 0, 0, Action.SEE_ISSUER),
    ],
)
def test_next_action_in_each_state_is_the_documented_one(
    state: CardState, pin_tries: int | None, user_code_tries: int | None, action: Action
) -> None:
    card = Card("XC00000000000001", "reader", "model", "hicos", state, pin_tries, user_code_tries)
    assert next_action(card) is action


@pytest.mark.parametrize(("pin_tries", "action"), [(3, Action.CHANGE_PIN), (0, Action.RESET_PIN)])
def test_pin_that_somebody_else_set_is_to_be_changed(pin_tries: int, action: Action) -> None:
    card = Card("XC00000000000001", "r", "m", "hicos", ACTIVE, pin_tries, 3, pin_to_be_changed=True)
    assert next_action(card) is action


@pytest.mark.parametrize(
    ("start", "end", "action"),
    [
        (-9, 9, Action.NOTHING),
        (-9, -1, Action.RENEW),
        (1, 9, Action.CHECK_CLOCK),
    ],
)
def test_certificate_that_is_not_valid_today_comes_after_the_pin(
    start: int, end: int, action: Action
) -> None:
    now = datetime.now(UTC)
    certificate = Certificate.parse(
        "cert1", "SIGN", make(start=now + timedelta(days=start), end=now + timedelta(days=end))
    )
    card = Card("XC00000000000001", "r", "m", "hicos", ACTIVE, 3, 3, certificate)
    assert next_action(card) is action
    assert next_action(replace(card, pin_tries=0)) is Action.RESET_PIN
    assert next_action(replace(card, certificate=None, certificate_odd=True)) is Action.RENEW
