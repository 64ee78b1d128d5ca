# SPDX-License-Identifier: Apache-2.0
"""The facade, over a card family from another package's plugin."""

import hashlib
from dataclasses import replace

import pytest

from support import card_family
from support.odd_certificates import certificate
from xca_common.pki.certificate import Certificate
from xca_plugin import Card, Cards, CardState, Hash, IssuerContact, Key, Padding, Secret, errors, hookimpl
from xca_plugin.hicos import Hicos

PIN = "k4r7q9z1"
USER_CODE = "Qz-8812x"
CLOSED = Card("MT00000000000001", "reader", "model", "memory", CardState.NOT_ACTIVATED, 3, 3)


class Memory:
    """Cards that live in a dictionary; counts how often a secret was looked at."""

    def __init__(self, *cards: Card) -> None:
        self.cards = {card.number: card for card in cards}
        self.looks = 0
        self.told: list[str] = []

    def _keep(self, card: Card, **changes: object) -> Card:
        self.cards[card.number] = replace(self.cards[card.number], **changes)  # type: ignore[arg-type]
        return self.cards[card.number]

    @hookimpl
    def xca_readers(self) -> list[str]:
        return ["memory reader"]

    @hookimpl
    def xca_detect(self) -> list[Card]:
        return list(self.cards.values())

    @hookimpl
    def xca_read(self, card: Card) -> Card | None:
        return self.cards.get(card.number)

    @hookimpl
    def xca_activate(self, card: Card, user_code: Secret, new_pin: Secret) -> Card:
        self.looks += 1
        if user_code.reveal() != USER_CODE:
            left = (self.cards[card.number].user_code_tries or 0) - 1
            self._keep(card, user_code_tries=left)
            if not left:
                raise errors.UserCodeLocked(number=card.number)
            raise errors.WrongUserCode(tries_left=left)
        return self._keep(card, state=CardState.ACTIVE)

    @hookimpl
    def xca_certificates(self, card: Card) -> list[Certificate]:
        return [card_family.certificate()]

    @hookimpl
    def xca_sign(self, card: Card, key: Key, digest: bytes, digest_hash: Hash, padding: Padding) -> bytes:
        assert (key, padding) == (Key.SIGN, Padding.PKCS1V15)
        return card_family.sign(digest, digest_hash)

    @hookimpl
    def xca_card_found(self, card: Card) -> None:
        self.told.append(f"found {card.number}")

    @hookimpl
    def xca_activated(self, card: Card) -> None:
        self.told.append(f"activated {card.state}")

    @hookimpl
    def xca_user_code_locked(self, card: Card) -> None:
        self.told.append(f"user code locked {card.user_code_tries}")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """No HiCOS reader on this desk."""
    monkeypatch.setattr(Hicos, "xca_readers", hookimpl(lambda self: []))
    monkeypatch.setattr(Hicos, "xca_detect", hookimpl(lambda self: []))
    return Memory(CLOSED)


def test_family_without_sessions_answers_unsupported(memory: Memory) -> None:
    cards = Cards([memory])
    assert cards.readers() == ["memory reader"]
    [card] = cards.detect()
    active = cards.activate(card, Secret(USER_CODE), Secret(PIN))
    assert active.state is CardState.ACTIVE
    digest = hashlib.sha256(b"tender").digest()
    assert cards.sign(active, Secret(PIN), digest) == card_family.sign(digest, Hash.SHA256)
    with pytest.raises(errors.Unsupported):
        cards.change_pin(active, Secret(PIN), Secret("q8w2e9r1"))
    assert memory.told == [f"found {CLOSED.number}", "activated active"]


def test_card_is_announced_once_and_again_when_it_comes_back(memory: Memory) -> None:
    cards = Cards([memory])
    cards.detect()
    cards.detect()
    memory.cards.clear()
    assert cards.detect() == []
    memory.cards[CLOSED.number] = CLOSED
    cards.detect()
    assert memory.told == [f"found {CLOSED.number}"] * 2


def test_card_that_locks_is_told_once(memory: Memory) -> None:
    cards = Cards([memory])
    for left in (2, 1):
        with pytest.raises(errors.WrongUserCode) as wrong:
            cards.activate(CLOSED, Secret(f"Wrong-{left}"), Secret(PIN))
        assert wrong.value.tries_left == left
    for _ in range(2):
        with pytest.raises(errors.UserCodeLocked):
            cards.activate(CLOSED, Secret("Wrong-0"), Secret(PIN))
    assert memory.told == ["user code locked 0"]
    assert memory.looks == 3


@pytest.mark.parametrize(
    ("user_code", "new_pin", "situation"),
    [
        ("short", PIN, errors.InvalidUserCode),
        ("much-too-long", PIN, errors.InvalidUserCode),
        ("用戶代碼用戶代碼", PIN, errors.InvalidUserCode),
        (USER_CODE, "12345", errors.InvalidPin),
        (USER_CODE, "123456789", errors.InvalidPin),
        (USER_CODE, "12 45678", errors.InvalidPin),
        (USER_CODE, "111111", errors.PinRefused),
        (USER_CODE, USER_CODE, errors.PinRefused),
    ],
)
def test_value_of_a_wrong_form_never_reaches_the_card(
    memory: Memory, user_code: str, new_pin: str, situation: type[errors.CardError]
) -> None:
    with pytest.raises(situation) as refused:
        Cards([memory]).activate(CLOSED, Secret(user_code), Secret(new_pin))
    assert memory.looks == 0
    assert new_pin not in str(refused.value)
    assert user_code not in str(refused.value)


def test_objections_of_several_plugins_are_all_given(memory: Memory) -> None:
    class Strict:
        @hookimpl
        def xca_veto_new_pin(self) -> str:
            return "Not on a Monday."

    with pytest.raises(errors.PinRefused) as refused:
        Cards([memory, Strict()]).activate(CLOSED, Secret(USER_CODE), Secret("111111"))
    assert "Not on a Monday." in refused.value.message("zh_TW")
    assert "所有字元都相同。" in refused.value.message("zh_TW")


def test_state_that_forbids_it_costs_nothing(memory: Memory) -> None:
    cards = Cards([memory])
    for state, tries, situation in (
        (CardState.ACTIVE, 3, errors.AlreadyActive),
        (CardState.LAPSED, 3, errors.CardLapsed),
        (CardState.NOT_ACTIVATED, 0, errors.UserCodeLocked),
    ):
        memory.cards[CLOSED.number] = replace(CLOSED, state=state, user_code_tries=tries)
        # The caller's Card is out of date; the card's present state decides.
        with pytest.raises(situation):
            cards.activate(CLOSED, Secret(USER_CODE), Secret(PIN))
    assert memory.looks == 0


def test_card_that_is_not_there_is_said(memory: Memory) -> None:
    with pytest.raises(errors.CardNotFound):
        Cards([memory]).find("XC00000000000000")


def test_module_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise FileNotFoundError("xca-pkcs11.so")

    monkeypatch.setattr("xca_plugin.hicos.library_path", missing)
    with pytest.raises(errors.NoModule):
        Cards().detect()


def test_module_path_that_is_no_module_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("module") / "xca-pkcs11.so"
    file.write_text("not a library")
    monkeypatch.setattr("xca_plugin.hicos.library_path", lambda: file)
    with pytest.raises(errors.ModuleFailed) as failed:
        Cards().detect()
    assert str(file) in failed.value.message()


# --- who issued a card


def test_issuer_contact_of_a_plugin_becomes_part_of_the_card(memory: Memory) -> None:
    class Directory:
        @hookimpl
        def xca_issuer_contact(self, card: Card) -> IssuerContact | None:
            return IssuerContact("centre", "https://centre.test", "1234") if card.family == "memory" else None

    cards = Cards([memory, Directory()])
    (card,) = cards.detect()
    after = cards.activate(card, Secret(USER_CODE), Secret(PIN))
    for each in (card, cards.read(card), after):
        assert each.issuer == IssuerContact("centre", "https://centre.test", "1234")


def test_issuer_contact_of_the_xca_is_for_its_own_cards(memory: Memory) -> None:
    (other,) = Cards([memory]).detect()
    assert other.issuer is None
    own = replace(CLOSED, family="hicos")
    contact = Hicos().xca_issuer_contact(own)
    assert contact is not None
    assert contact.website == "https://xca.nat.gov.tw"
    elsewhere = Certificate.parse("cert1", "SIGN", certificate())
    assert Hicos().xca_issuer_contact(replace(own, certificate=elsewhere)) is None
