# SPDX-License-Identifier: Apache-2.0
"""What the module says of itself, of the reader and of the card."""

import pytest
from pkcs11 import SlotFlag, TokenFlag, UserType

from pkcs11_shim import rules
from support.module.cards import PIN, PLAIN, WRONG, Card, Inner, card_session, card_slot
from support.module.cryptoki import CKR, Info
from support.module.host import Host, Room

PIN_FLAGS = (TokenFlag.USER_PIN_COUNT_LOW, TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED)
USER_CODE_FLAGS = (TokenFlag.SO_PIN_COUNT_LOW, TokenFlag.SO_PIN_FINAL_TRY, TokenFlag.SO_PIN_LOCKED)
LOW, FINAL, LOCKED = True, True, True


def info(host: Host) -> Info:
    answer = host.call("C_GetInfo", Room(88))
    assert answer.rv == CKR.OK
    return Info.from_buffer_copy(bytes.fromhex(answer.out[0]))


def test_module_is_not_taken_for_the_inner_one(card: Card) -> None:
    ours, theirs = info(card.host()), info(card.direct())
    assert ours.libraryDescription != theirs.libraryDescription
    assert len(ours.libraryDescription) == 32
    assert (ours.cryptokiVersion.major, ours.cryptokiVersion.minor) == (2, 40)
    assert ours.manufacturerID == theirs.manufacturerID
    assert ours.flags == theirs.flags
    assert bytes(ours.libraryVersion) == bytes(theirs.libraryVersion)


def test_token_is_shown_as_the_card(card: Card) -> None:
    host = card.host()
    slot = card_slot(host)
    token, inner_token = host.token(slot), card.direct().token(slot)
    assert token.label == b"HiCOS PKI Smart Card".ljust(32)
    assert token.manufacturerID == b"Chunghwa TeleCom Co., Ltd.".ljust(32)
    assert token.model == card.row().model.encode().ljust(16)
    assert token.serialNumber == card.number.encode()
    assert (token.ulMinPinLen, token.ulMaxPinLen) == (6, 8)
    kept = TokenFlag.RNG | TokenFlag.LOGIN_REQUIRED | TokenFlag.TOKEN_INITIALIZED
    assert TokenFlag(token.flags) & kept == kept
    for field in ("ulMaxSessionCount", "ulMaxRwSessionCount", "ulTotalPublicMemory"):
        assert getattr(token, field) == getattr(inner_token, field)


def test_slot_is_shown_as_the_reader(card: Card) -> None:
    host = card.host()
    slot = card_slot(host)
    shown = host.slot_info(slot)
    assert shown.slotDescription == card.row().reader.encode().ljust(64)
    assert SlotFlag(shown.flags) & SlotFlag.TOKEN_PRESENT


@pytest.mark.parametrize(
    "reader",
    ["讀卡機" * 14, "x" + "讀卡機" * 14, "xy" + "讀卡機" * 14, "y" * 64, "z" * 65],
    ids=["cut after 63", "cut after 64", "cut after 62", "just fits", "one too long"],
)
def test_long_name_is_cut_between_characters(card: Card, reader: str) -> None:
    card.write(reader=reader.encode(), model=reader.encode()[:30])
    host = card.host()
    slot = card_slot(host)
    shown = host.slot_info(slot).slotDescription.decode().rstrip()
    assert reader.startswith(shown)
    assert len(shown.encode()) > 64 - 3
    model = host.token(slot).model.decode().rstrip()
    assert reader.startswith(model)
    assert len(model.encode()) > 16 - 3


@pytest.mark.parametrize(
    ("tries", "shown"),
    [(3, (not LOW, not FINAL, not LOCKED)), (2, (LOW, not FINAL, not LOCKED)), (1, (LOW, FINAL, not LOCKED))],
)
@pytest.mark.parametrize(("secret", "flags"), [("pin", PIN_FLAGS), ("user_code", USER_CODE_FLAGS)])
def test_flags_after_wrong_values_tell_the_tries(
    card: Card, tries: int, shown: tuple[bool, ...], secret: str, flags: tuple[TokenFlag, ...]
) -> None:
    host = card.host()
    slot = card_slot(host)
    card.set_tries(**{secret: tries})
    seen = host.flags(slot)
    assert tuple(flag in seen for flag in flags) == shown
    others = PIN_FLAGS if flags is USER_CODE_FLAGS else USER_CODE_FLAGS
    assert not any(flag in seen for flag in others)


@pytest.mark.parametrize(("secret", "flags"), [("pin", PIN_FLAGS), ("user_code", USER_CODE_FLAGS)])
def test_flags_with_no_try_left_say_locked(card: Card, secret: str, flags: tuple[TokenFlag, ...]) -> None:
    card.set_tries(**{secret: 0})
    host = card.host()
    seen = host.flags(card_slot(host))
    _, final, locked = flags
    assert locked in seen
    assert final not in seen


def test_user_pin_initialized_tells_a_closed_card_from_an_activated_one(
    closed: Card, activated: Card
) -> None:
    for card, initialized in ((closed, False), (activated, True)):
        host = card.host()
        seen = host.flags(card_slot(host))
        assert (TokenFlag.USER_PIN_INITIALIZED in seen) == initialized
        assert not seen & (TokenFlag.USER_PIN_TO_BE_CHANGED | TokenFlag.SO_PIN_TO_BE_CHANGED)
    activated.stop()


def test_change_by_the_issuer_is_shown_at_once(card: Card) -> None:
    host = card.host()
    slot = card_slot(host)
    for tries in (1, 3, 2, 0, 3) * 3:
        card.set_tries(pin=tries)
        seen = host.flags(slot)
        assert (TokenFlag.USER_PIN_LOCKED in seen) == (tries == 0)
        assert (TokenFlag.USER_PIN_FINAL_TRY in seen) == (tries == 1)
        assert (TokenFlag.USER_PIN_COUNT_LOW in seen) == (tries in (1, 2))


def test_token_info_asked_for_often_costs_no_try(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    slot = card_slot(host)
    before = card.store.path.read_bytes()
    for _ in range(10):
        host.token(slot)
        host.slot_info(slot)
    assert card.store.path.read_bytes() == before
    assert inner.count("C_Login") == 0


@pytest.mark.parametrize(
    "label",
    [
        "xca-card:XC99999999999999",
        "xca-card:",
        "xca-card:x",
        "xca-card:XC000000000000010000000",
        "xca-card: ",
    ],
)
def test_token_that_claims_to_be_a_card_without_a_row_is_refused(
    card: Card, inner: Inner, label: str
) -> None:
    direct = card.direct()
    (blank,) = set(direct.slots()) - {
        direct.slot(PLAIN),
        direct.slot(rules.INNER_LABEL + card.number),
    }
    assert direct.call("C_InitToken", blank, PIN.encode(), len(PIN), label.encode().ljust(32)).rv == CKR.OK
    (slot,) = (
        slot for slot in card.direct().slots() if card.direct().token(slot).label == label.encode().ljust(32)
    )
    host = card.host(inner)
    assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR
    session = host.open(slot)
    for user in (UserType.USER, UserType.SO):
        assert host.login(session, user, PIN) in (CKR.DEVICE_ERROR, CKR.DEVICE_REMOVED)
    assert inner.count("C_Login") == 0


@pytest.mark.parametrize("label", ["XCA-CARD:XC99999999999999", "xca-card", "my xca-card:XC99999999999999"])
def test_token_that_does_not_claim_it_is_none(card: Card, label: str) -> None:
    host = card.host()
    (blank,) = set(host.slots()) - {host.slot(PLAIN), card_slot(host)}
    assert host.call("C_InitToken", blank, PIN.encode(), len(PIN), label.encode().ljust(32)).rv == CKR.OK
    session = host.open(host.slot(label))
    assert host.login(session, UserType.SO, WRONG[0]) == CKR.PIN_INCORRECT
    assert host.login(session, UserType.SO, PIN) == CKR.OK


def test_card_pulled_out_is_reported_as_the_inner_module_reports_it(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session, slot = card_session(host), card_slot(host)
    for answer in (CKR.TOKEN_NOT_PRESENT, CKR.DEVICE_REMOVED, CKR.DEVICE_ERROR):
        inner.answers("C_GetTokenInfo", answer)
        assert host.call("C_GetTokenInfo", slot, Room(208)).rv == answer
        assert host.login(session, UserType.USER, PIN) == answer
        assert host.set_pin(session, PIN, "newpin-1") == answer
        inner.answers("C_GetSessionInfo", answer)
        assert host.login(session, UserType.USER, PIN) == answer
        assert host.init_pin(session, "newpin-1") == answer
        assert host.call("C_DestroyObject", session, 1).rv == answer
    assert inner.count("C_Login", "C_SetPIN", "C_InitPIN", "C_DestroyObject") == 0
    inner.does()
    assert card.pin_tries == 3
    assert host.login(session, UserType.USER, PIN) == CKR.OK
