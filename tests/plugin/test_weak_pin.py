# SPDX-License-Identifier: Apache-2.0
"""New PINs that anybody would guess first."""

from datetime import UTC, datetime

import pytest

from xca_plugin import Card, CardState, Certificate, Secret
from xca_plugin.weak_pin import xca_veto_new_pin

CERTIFICATE = Certificate(
    label="cert1",
    id="SIGN",
    der=b"",
    holder="C=TW,O=某公司",
    issuer="OU=測試",
    serial="1",
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    not_after=datetime(2032, 1, 1, tzinfo=UTC),
    key_usage=("digital_signature",),
    organisation_oid="2.16.886.111.100471",
    tax_id="03734301",
    rank="primary",
)
CARD = Card("XC00000000091349", "reader", "model", "hicos", CardState.ACTIVE, 3, 3, CERTIFICATE)


def reason(
    new_pin: str, pin: str | None = None, user_code: str | None = None, card: Card = CARD
) -> str | None:
    text = xca_veto_new_pin(
        card=card,
        new_pin=Secret(new_pin),
        pin=Secret(pin) if pin else None,
        user_code=Secret(user_code) if user_code else None,
    )
    return text("en") if text else None


@pytest.mark.parametrize(
    ("new_pin", "words"),
    [
        ("000000", "the same"),
        ("aaaaaaaa", "the same"),
        ("123456", "follow one another"),
        ("01234567", "follow one another"),
        ("987654", "follow one another"),
        ("fedcba", "follow one another"),
        ("XC0000", "card number"),
        ("091349", "card number"),
        ("100471", "organisation's number"),
        ("111.1004", "organisation's number"),
        ("111004", "organisation's number"),
        ("03734301", "organisation's number"),
        ("373430", "organisation's number"),
    ],
)
def test_pin_that_is_obvious_is_refused(new_pin: str, words: str) -> None:
    said = reason(new_pin)
    assert said is not None
    assert words in said


@pytest.mark.parametrize("new_pin", ["135790", "112233", "1234567a", "91349X", "qL7!ab", "124816"])
def test_pin_that_is_not_obvious_is_accepted(new_pin: str) -> None:
    assert reason(new_pin, pin="other-1", user_code="Other-12") is None


def test_pin_that_others_know_is_refused() -> None:
    assert reason("k4r7q9z1", user_code="k4r7q9z1") == "It is the user code."
    assert reason("k4r7q9z1", pin="k4r7q9z1") == "It is the old PIN."
    assert reason("K4r7q9z1", user_code="k4r7q9z1") is None


def test_card_without_certificate_is_judged_too() -> None:
    bare = Card("XC00000000091349", "reader", "model", "hicos", CardState.ACTIVE, None, None)
    assert reason("111111", card=bare) is not None
    assert reason("100471", card=bare) is None
