# SPDX-License-Identifier: Apache-2.0
"""Who may create, change and destroy objects on the card."""

from collections.abc import Callable
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass, UserType

from support.module.cards import PLAIN, PLAIN_PIN, Card, Inner, card_session, so_session, user_session
from support.module.cryptoki import CKR
from support.module.host import Answer, Argument, Host, Mechanism, Room, Template, Ulong, ulong
from support.module.native_host import minimal_host

YES, NO = b"\x01", b"\x00"
Attributes = list[tuple[int, bytes | int | None]]

AES_KEY: Attributes = [
    (Attribute.CLASS, ulong(ObjectClass.SECRET_KEY)),
    (Attribute.KEY_TYPE, ulong(KeyType.AES)),
    (Attribute.PRIVATE, NO),
    (Attribute.SENSITIVE, NO),
    (Attribute.EXTRACTABLE, YES),
    (Attribute.ENCRYPT, YES),
    (Attribute.WRAP, YES),
    (Attribute.UNWRAP, YES),
    (Attribute.DERIVE, YES),
]
AES_VALUE: Attributes = [(Attribute.VALUE, bytes(range(16)))]
AES_LENGTH: Attributes = [(Attribute.VALUE_LEN, ulong(16))]
RSA_PUBLIC: Attributes = [(Attribute.MODULUS_BITS, ulong(1024)), (Attribute.PRIVATE, NO)]
RSA_PRIVATE: Attributes = [(Attribute.PRIVATE, NO), (Attribute.SIGN, YES)]
WRAPPED = bytes.fromhex("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")
"""RFC 3394 section 4.1: a key wrapped with the key 00 01 … 0F."""


def template(*parts: Attributes) -> tuple[Template, int]:
    attributes = [attribute for part in parts for attribute in part]
    return Template(attributes), len(attributes)


def create(host: Host, session: int, *more: tuple[int, bytes | int | None]) -> Answer:
    return host.call("C_CreateObject", session, *template(AES_KEY, AES_VALUE, list(more)), Ulong())


def token_keys(card: Card) -> int:
    """Count the secret keys that lie on the card, as a fresh process sees them."""
    host = card.host()
    return len(host.find(user_session(host), (Attribute.CLASS, ulong(ObjectClass.SECRET_KEY))))


Making = Callable[[int, Attributes], tuple[str, list[Argument]]]


def generate(_: int, token: Attributes) -> tuple[str, list[Argument]]:
    generation = Mechanism(pkcs11.Mechanism.AES_KEY_GEN)
    return "C_GenerateKey", [generation, *template(AES_KEY, AES_LENGTH, token), Ulong()]


def generate_pair_public(_: int, token: Attributes) -> tuple[str, list[Argument]]:
    generation = Mechanism(pkcs11.Mechanism.RSA_PKCS_KEY_PAIR_GEN)
    templates: list[Argument] = [
        *template(RSA_PUBLIC, token),
        *template(RSA_PRIVATE, [(Attribute.TOKEN, NO)]),
    ]
    return "C_GenerateKeyPair", [generation, *templates, Ulong(), Ulong()]


def generate_pair_private(_: int, token: Attributes) -> tuple[str, list[Argument]]:
    generation = Mechanism(pkcs11.Mechanism.RSA_PKCS_KEY_PAIR_GEN)
    templates: list[Argument] = [
        *template(RSA_PUBLIC, [(Attribute.TOKEN, NO)]),
        *template(RSA_PRIVATE, token),
    ]
    return "C_GenerateKeyPair", [generation, *templates, Ulong(), Ulong()]


def unwrap(key: int, token: Attributes) -> tuple[str, list[Argument]]:
    wrapping = Mechanism(pkcs11.Mechanism.AES_KEY_WRAP)
    return "C_UnwrapKey", [wrapping, key, WRAPPED, len(WRAPPED), *template(AES_KEY, token), Ulong()]


def derive(key: int, token: Attributes) -> tuple[str, list[Argument]]:
    data = bytes(16)
    # CK_KEY_DERIVATION_STRING_DATA would hold a pointer; the refusals need none of it.
    derivation = Mechanism(pkcs11.Mechanism.AES_ECB_ENCRYPT_DATA, data)
    return "C_DeriveKey", [derivation, key, *template(AES_KEY, AES_LENGTH, token), Ulong()]


def create_like(_: int, token: Attributes) -> tuple[str, list[Argument]]:
    return "C_CreateObject", [*template(AES_KEY, AES_VALUE, token), Ulong()]


def copy(key: int, token: Attributes) -> tuple[str, list[Argument]]:
    return "C_CopyObject", [key, *template(token), Ulong()]


MAKINGS = [create_like, copy, generate, generate_pair_public, generate_pair_private, unwrap, derive]
ON_TOKEN: dict[str, Attributes] = {
    "true": [(Attribute.TOKEN, YES)],
    "any other than false": [(Attribute.TOKEN, b"\x02")],
    "true after false": [(Attribute.TOKEN, NO), (Attribute.TOKEN, YES)],
    "true before false": [(Attribute.TOKEN, YES), (Attribute.TOKEN, NO)],
}


@pytest.mark.parametrize("session_of", [card_session, so_session])
@pytest.mark.parametrize("making", MAKINGS)
def test_token_object_without_the_users_login_is_refused(
    card: Card, inner: Inner, making: Making, session_of: Callable[[Host], int]
) -> None:
    host = card.host(inner)
    session = session_of(host)
    key = create(host, session, (Attribute.TOKEN, NO)).out[-1]
    for said, token in ON_TOKEN.items():
        function, arguments = making(key, token)
        before = inner.count(function)
        assert host.call(function, session, *arguments).rv == CKR.USER_NOT_LOGGED_IN, said
        assert inner.count(function) == before, said
    assert token_keys(card) == 0


@pytest.mark.parametrize("making", [making for making in MAKINGS if making is not derive])
def test_session_object_without_a_login_is_made(card: Card, making: Making) -> None:
    host = card.host()
    session = card_session(host)
    key = create(host, session).out[-1]
    for token in ([(Attribute.TOKEN, NO)], []):
        function, arguments = making(key, list(token))
        assert host.call(function, session, *arguments).rv == CKR.OK
    assert host.call("C_SetAttributeValue", session, key, *template([(Attribute.LABEL, b"x")])).rv == CKR.OK
    assert host.call("C_DestroyObject", session, key).rv == CKR.OK
    assert token_keys(card) == 0


@pytest.mark.parametrize("making", [create_like, copy, generate, generate_pair_public, unwrap])
def test_token_object_with_the_users_login_is_made(card: Card, making: Making) -> None:
    host = card.host()
    session = user_session(host)
    key = create(host, session).out[-1]
    function, arguments = making(key, ON_TOKEN["true"])
    assert host.call(function, session, *arguments).rv == CKR.OK


@pytest.mark.parametrize(
    "broken", [(Attribute.TOKEN, None), (Attribute.TOKEN, 0), (Attribute.TOKEN, ulong(1))]
)
def test_broken_template_neither_crashes_nor_opens_the_card(
    card: Card, broken: tuple[int, bytes | int | None]
) -> None:
    host = card.host()
    session = card_session(host)
    assert create(host, session, broken).rv != CKR.OK
    assert host.call("C_CreateObject", session, None, 3, Ulong()).rv != CKR.OK
    assert token_keys(card) == 0


def test_template_that_changes_during_the_call_puts_nothing_on_the_card(tmp_path: Path) -> None:
    with minimal_host(tmp_path) as run:
        assert run("double_fetch", "templates") == ""


def test_template_with_more_attributes_than_can_be_judged_is_refused(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = card_session(host)
    labels: Attributes = [(Attribute.LABEL, b"x")] * 128
    whole = template(labels, [(Attribute.TOKEN, YES)])
    assert host.call("C_CreateObject", session, *whole, Ulong()).rv == CKR.TEMPLATE_INCONSISTENT
    assert inner.count("C_CreateObject") == 0


@pytest.mark.parametrize("session_of", [card_session, so_session])
def test_object_change_without_the_users_login_is_refused(
    card: Card, inner: Inner, session_of: Callable[[Host], int]
) -> None:
    user = card.host()
    made = create(user, user_session(user), (Attribute.TOKEN, YES), (Attribute.LABEL, b"mine"))
    assert made.rv == CKR.OK
    host = card.host(inner)
    session = session_of(host)
    (key,) = host.find(session, (Attribute.LABEL, b"mine"))
    calls: list[tuple[str, list[Argument]]] = [
        ("C_DestroyObject", [key]),
        ("C_SetAttributeValue", [key, *template([(Attribute.LABEL, b"x")])]),
        ("C_CopyObject", [key, *template([]), Ulong()]),
    ]
    for function, arguments in calls:
        assert host.call(function, session, *arguments).rv == CKR.USER_NOT_LOGGED_IN
    assert inner.count(*(function for function, _ in calls)) == 0
    assert token_keys(card) == 1

    mine = card.host()
    session = user_session(mine)
    (key,) = mine.find(session, (Attribute.LABEL, b"mine"))
    changed = mine.call("C_SetAttributeValue", session, key, *template([(Attribute.LABEL, b"x")]))
    assert changed.rv == CKR.OK
    assert mine.call("C_DestroyObject", session, key).rv == CKR.OK
    assert token_keys(card) == 0


@pytest.mark.parametrize("session_of", [card_session, so_session, user_session])
def test_object_of_the_issuer_cannot_be_changed(card: Card, session_of: Callable[[Host], int]) -> None:
    host = card.host()
    session = session_of(host)
    objects = host.find(session)
    # Two public keys, four certificates; the two private keys are for the user alone.
    assert len(objects) == (8 if session_of is user_session else 6)
    for handle in objects:
        assert host.call("C_DestroyObject", session, handle).rv != CKR.OK
        label = template([(Attribute.LABEL, b"x")])
        assert host.call("C_SetAttributeValue", session, handle, *label).rv != CKR.OK
    assert host.find(session) == objects
    assert not host.find(session, (Attribute.LABEL, b"x"))


def test_object_call_that_fails_inside_keeps_its_error(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    assert host.call("C_DestroyObject", session, 9999).rv == CKR.OBJECT_HANDLE_INVALID
    assert host.call("C_DestroyObject", 9999, 1).rv == CKR.SESSION_HANDLE_INVALID
    assert create(host, 9999, (Attribute.TOKEN, YES)).rv == CKR.SESSION_HANDLE_INVALID


def test_object_call_on_another_token_is_the_inner_modules(card: Card) -> None:
    host = card.host()
    session = host.open(host.slot(PLAIN))
    made = create(host, session, (Attribute.TOKEN, YES))
    assert made.rv == CKR.OK
    assert host.call("C_DestroyObject", session, made.out[-1]).rv == CKR.OK
    assert host.login(session, UserType.USER, PLAIN_PIN) == CKR.OK


def test_login_is_seen_by_sessions_that_were_open_before(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    assert create(host, session, (Attribute.TOKEN, YES)).rv == CKR.USER_NOT_LOGGED_IN
    user_session(host)
    assert create(host, session, (Attribute.TOKEN, YES)).rv == CKR.OK
    assert host.logout(session) == CKR.OK
    assert create(host, session, (Attribute.TOKEN, YES)).rv == CKR.USER_NOT_LOGGED_IN


def test_cards_objects_are_found_by_their_real_names(card: Card) -> None:
    host = card.host()
    session = user_session(host)
    named = {
        (b"cert1", b"SIGN"),
        (b"cert2", b"KEYX"),
        (b"CA Cert", b"CACert"),
        (b"ROOT CA Cert", b"ROOTCACert"),
    }
    for label, identity in named:
        certificate = (Attribute.CLASS, ulong(ObjectClass.CERTIFICATE))
        assert len(host.find(session, certificate, (Attribute.LABEL, label), (Attribute.ID, identity))) == 1
    (key,) = host.find(session, (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY)), (Attribute.ID, b"SIGN"))
    shown = host.call(
        "C_GetAttributeValue",
        session,
        key,
        Template([(Attribute.SENSITIVE, 1), (Attribute.EXTRACTABLE, 1), (Attribute.LOCAL, 1)]),
        3,
    )
    assert shown.rv == CKR.OK
    assert [value for _, value in shown.out[0]] == ["01", "00", "01"]
    value = host.call("C_GetAttributeValue", session, key, Template([(Attribute.PRIVATE_EXPONENT, 256)]), 1)
    assert value.rv == CKR.ATTRIBUTE_SENSITIVE


def test_object_reading_needs_no_more_than_the_inner_module_asks(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    (certificate,) = host.find(session, (Attribute.LABEL, b"cert1"), (Attribute.ID, b"SIGN"))
    value = host.call("C_GetAttributeValue", session, certificate, Template([(Attribute.VALUE, 4000)]), 1)
    assert value.rv == CKR.OK
    digest = Mechanism(pkcs11.Mechanism.SHA256)
    assert host.call("C_DigestInit", session, digest).rv == CKR.OK
    assert host.call("C_Digest", session, b"abc", 3, Room(32), Ulong(32)).rv == CKR.OK
