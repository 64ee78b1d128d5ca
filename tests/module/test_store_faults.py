# SPDX-License-Identifier: Apache-2.0
"""A card store that cannot be used: the card refuses, and nobody asks the inner module about a secret."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pkcs11 import Attribute, UserType

from support.module.cards import (
    PIN,
    PLAIN,
    PLAIN_PIN,
    USER_CODE,
    WRONG,
    Card,
    Inner,
    card_session,
    card_slot,
    signs,
    so_session,
    user_session,
)
from support.module.cryptoki import CKR
from support.module.host import Host, Room, Template, Ulong

SECRET_CALLS = ("C_Login", "C_SetPIN", "C_InitPIN")
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
"""Root without capabilities obeys file modes like anybody."""


def assert_refused(host: Host, session: int, inner: Inner) -> None:
    """Every way to try or set a secret is CKR_DEVICE_ERROR and stays with the module."""
    before = inner.count(*SECRET_CALLS)
    for value in (PIN, WRONG[0]):
        assert host.login(session, UserType.USER, value) == CKR.DEVICE_ERROR
        assert host.set_pin(session, value, "newpin-1") == CKR.DEVICE_ERROR
    for value in (USER_CODE, WRONG[0]):
        assert host.login(session, UserType.SO, value) == CKR.DEVICE_ERROR
    assert inner.count(*SECRET_CALLS) == before


def sql(statement: str) -> Callable[[Path], None]:
    def run(store: Path) -> None:
        with closing(sqlite3.connect(store)) as connection:
            connection.executescript(statement)

    return run


def become_directory(store: Path) -> None:
    store.unlink()
    store.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda store: store.write_bytes(b""),
    "junk": lambda store: store.write_bytes(os.urandom(20000)),
    "header only": lambda store: store.write_bytes(store.read_bytes()[:4096]),
    "first page overwritten": lambda store: store.write_bytes(
        store.read_bytes()[:100] + b"\xff" * 3996 + store.read_bytes()[4096:]
    ),
    "directory": become_directory,
    "newer format": sql("PRAGMA application_id = 0x58434103"),
    "no format": sql("PRAGMA application_id = 0"),
    "negative generation": sql("PRAGMA user_version = -2"),
    "no row": sql("DELETE FROM card"),
    "no table": sql("DROP TABLE event; DROP VIEW card_today; DROP TABLE card"),
    "more tries than a card has": sql("UPDATE card SET pin_tries = 1000, user_code_tries = 1000"),
    "no lock file": lambda store: Path(f"{store}.lock").unlink(),
    "others may write": lambda store: store.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_store_refuses(card: Card, inner: Inner, damage: Callable[[Path], object]) -> None:
    host = card.host(inner)
    session, slot = card_session(host), card_slot(host)
    damage(card.store.path)
    assert_refused(host, session, inner)
    assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_store_that_is_damaged_before_the_start_refuses(
    card: Card, inner: Inner, damage: Callable[[Path], object]
) -> None:
    slot = card_slot(card.host())
    damage(card.store.path)
    host = card.host(inner)
    session = host.open(slot)
    assert host.login(session, UserType.USER, PIN) in (CKR.DEVICE_ERROR, CKR.DEVICE_REMOVED)
    assert host.login(session, UserType.SO, USER_CODE) in (CKR.DEVICE_ERROR, CKR.DEVICE_REMOVED)
    assert inner.count(*SECRET_CALLS) == 0


@pytest.mark.parametrize("damage", ["missing", "junk", "no lock file"])
def test_another_token_does_not_need_the_store(card: Card, damage: str) -> None:
    slot = card.direct().slot(PLAIN)
    DAMAGES[damage](card.store.path)
    host = card.host()
    assert host.token(slot).label.rstrip() == PLAIN.encode()
    session = host.open(slot)
    assert host.login(session, UserType.USER, PLAIN_PIN) == CKR.OK
    assert host.set_pin(session, PLAIN_PIN, "longer-than-a-card-allows") == CKR.OK


def test_a_damaged_store_refuses_a_new_pin(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = so_session(host)
    card.store.path.unlink()
    assert host.init_pin(session, "newpin-1") == CKR.DEVICE_ERROR
    assert host.set_pin(session, USER_CODE, "NewCode-99") == CKR.DEVICE_ERROR
    assert inner.count("C_InitPIN", "C_SetPIN") == 0


def test_whoever_is_logged_in_signs_without_the_store(card: Card) -> None:
    host = card.host()
    session = user_session(host)
    card.store.path.unlink()
    assert signs(host, session)


def test_the_module_makes_no_store(card: Card) -> None:
    slot = card_slot(card.host())
    for file in card.path.glob("cards.db*"):
        file.unlink()
    host = card.host()
    assert host.login(host.open(slot), UserType.USER, PIN) == CKR.DEVICE_ERROR
    assert not list(card.path.glob("cards.db*"))


@pytest.mark.parametrize("mode", [0o400, 0o000])
def test_a_store_that_cannot_be_written_refuses(card: Card, inner: Inner, mode: int) -> None:
    host = card.host(inner, prefix=WITHOUT_PRIVILEGES)
    session = card_session(host)
    card.store.path.chmod(mode)
    assert_refused(host, session, inner)


def test_a_folder_that_cannot_be_written_refuses(card: Card, inner: Inner) -> None:
    host = card.host(inner, prefix=WITHOUT_PRIVILEGES)
    session = card_session(host)
    Path(f"{card.store.path}-journal").unlink(missing_ok=True)
    card.path.chmod(0o500)
    try:
        assert_refused(host, session, inner)
    finally:
        card.path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("prefix", [(), WITHOUT_PRIVILEGES], ids=["root", "without privileges"])
def test_somebody_elses_store_refuses(card: Card, inner: Inner, prefix: tuple[str, ...]) -> None:
    host = card.host(inner, prefix=prefix)
    session = card_session(host)
    os.chown(card.store.path, 65534, 65534)
    assert_refused(host, session, inner)


def test_a_full_disk_refuses_and_costs_nothing(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = card_session(host)
    Path(f"{card.store.path}-journal").unlink(missing_ok=True)
    # Smaller than any journal, larger than the inner module's count of calls.
    host.do("file_size_limit", 4000)
    assert_refused(host, session, inner)
    other = card.host()
    assert (card.pin_tries, card.user_code_tries) == (3, 3)
    assert other.login(card_session(other), UserType.USER, PIN) == CKR.OK


def test_a_lock_that_somebody_holds_refuses_after_five_seconds(card: Card, inner: Inner) -> None:
    host, maker, reader = card.host(inner), card.host(), card.host()
    session, makers_session, slot = card_session(host), card_session(maker), card_slot(reader)
    token_object = Template([(Attribute.TOKEN, b"\x01")])
    with card.store.lock(exclusive=True):
        start = time.monotonic()
        # Whether this is a card can be told only while nobody rewrites the token.
        maker.ask_call("C_CreateObject", makers_session, token_object, 1, Ulong())
        host.ask_call("C_Login", session, UserType.USER, PIN.encode(), len(PIN))
        assert reader.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR
        assert time.monotonic() - start < 4
        assert host.answer().rv == CKR.DEVICE_ERROR
        assert maker.answer().rv == CKR.DEVICE_ERROR
        assert 4 < time.monotonic() - start < 9
    assert inner.count("C_Login") == 0
    assert host.login(session, UserType.USER, PIN) == CKR.OK


def test_a_reader_does_not_keep_a_reader_out(card: Card) -> None:
    host = card.host()
    slot = card_slot(host)
    with card.store.lock(exclusive=False):
        assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.OK


def test_a_store_that_comes_back_is_used_again(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    away = card.store.path.rename(card.path / "away")
    assert host.login(session, UserType.USER, PIN) == CKR.DEVICE_ERROR
    away.rename(card.store.path)
    assert host.login(session, UserType.USER, PIN) == CKR.OK
