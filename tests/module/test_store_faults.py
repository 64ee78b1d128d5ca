# SPDX-License-Identifier: Apache-2.0
"""A card store that cannot be used: the card refuses, and nobody asks the inner module about a secret."""

import fcntl
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import Attribute, UserType

from pkcs11_shim import Store, StoreError
from pkcs11_shim.store import _BLOCK, _FORMAT, _RECORD, _SLOT, _with_checksum
from support.module import compiling
from support.module.cards import (
    PIN,
    PLAIN,
    PLAIN_PIN,
    USER_CODE,
    WRONG,
    Card,
    Gate,
    Inner,
    card_session,
    card_slot,
    signs,
    so_session,
    user_session,
)
from support.module.cryptoki import CKR
from support.module.host import Host, Room, Template, Ulong, given
from support.read_only import can_mount, read_only

SLOT_SIZE = 4 + _SLOT.size
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


def with_format(number: int) -> Callable[[Path], None]:
    """Have the store's own slots be of another format, and whole."""

    def write(store: Path) -> None:
        content = store.read_bytes()
        with store.open("r+b") as file:
            for offset in (0, _BLOCK):
                slot = content[offset : offset + SLOT_SIZE]
                file.seek(offset)
                file.write(_with_checksum(struct.pack("=I", number) + slot[8:]))

    return write


def overwrite(offset: int, size: int) -> Callable[[Path], None]:
    def write(store: Path) -> None:
        with store.open("r+b") as file:
            file.seek(offset)
            file.write(b"\xff" * size)

    return write


def remember(**values: int | bytes) -> Callable[[Path], None]:
    return lambda store: Card(store.parent).write(**values)


def become_directory(store: Path) -> None:
    store.unlink()
    store.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda store: store.write_bytes(b""),
    "junk": lambda store: store.write_bytes(os.urandom(20000)),
    "one block": lambda store: store.write_bytes(store.read_bytes()[:_BLOCK]),
    "own record only": lambda store: store.write_bytes(store.read_bytes()[:_RECORD]),
    "half a card": lambda store: store.write_bytes(store.read_bytes()[: _RECORD + _BLOCK]),
    "own slots overwritten": overwrite(0, _RECORD),
    "card's slots overwritten": overwrite(_RECORD, 2 * _BLOCK),
    "directory": become_directory,
    "newer format": with_format(_FORMAT + 1),
    "no format": with_format(0),
    "earlier version": lambda store: store.write_bytes(b"SQLite format 3\0".ljust(_BLOCK, b"\0")),
    "negative generation": lambda store: Card(store.parent).write_generation(-2),
    "no row": lambda store: Card(store.parent).write(number=b""),
    "more tries than a card has": remember(pin_tries=1000, user_code_tries=1000),
    "no lock file": lambda store: Path(f"{store}.lock").unlink(),
    "others may write": lambda store: store.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_store_damaged_after_the_start_refuses(
    card: Card, inner: Inner, damage: Callable[[Path], object]
) -> None:
    host = card.host(inner)
    session, slot = card_session(host), card_slot(host)
    damage(card.store.path)
    assert_refused(host, session, inner)
    assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_store_that_is_damaged_before_the_start_refuses(
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


def test_damaged_store_refuses_a_new_pin(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = so_session(host)
    card.store.path.unlink()
    assert host.init_pin(session, "newpin-1") == CKR.DEVICE_ERROR
    assert host.set_pin(session, USER_CODE, "NewCode-99") == CKR.DEVICE_ERROR
    assert inner.count("C_InitPIN", "C_SetPIN") == 0


def test_session_that_is_logged_in_signs_without_the_store(card: Card) -> None:
    host = card.host()
    session = user_session(host)
    card.store.path.unlink()
    assert signs(host, session)


def test_module_without_a_store_makes_none(card: Card) -> None:
    slot = card_slot(card.host())
    for file in card.path.glob("cards.db*"):
        file.unlink()
    host = card.host()
    assert host.login(host.open(slot), UserType.USER, PIN) == CKR.DEVICE_ERROR
    assert not list(card.path.glob("cards.db*"))


@pytest.mark.parametrize("mode", [0o400, 0o000])
def test_store_that_cannot_be_written_refuses(card: Card, inner: Inner, mode: int) -> None:
    host = card.host(inner, prefix=WITHOUT_PRIVILEGES)
    session = card_session(host)
    card.store.path.chmod(mode)
    assert_refused(host, session, inner)


def test_folder_that_cannot_be_written_is_none_of_the_cards_concern(card: Card) -> None:
    host = card.host(prefix=WITHOUT_PRIVILEGES)
    session = card_session(host)
    card.path.chmod(0o500)
    try:
        assert host.login(session, UserType.USER, PIN) == CKR.OK
    finally:
        card.path.chmod(0o700)


def no_lock(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def run(lock: Path) -> None:
        lock.unlink()
        change(lock)

    return run


LOCK_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "read-only": (lambda lock: lock.chmod(0o400), "Permission denied"),
    "unreadable": (lambda lock: lock.chmod(0o000), "Permission denied"),
    "directory": (no_lock(Path.mkdir), "Is a directory"),
    "link": (no_lock(lambda lock: lock.symlink_to("elsewhere")), "Too many levels of symbolic links"),
    "missing": (Path.unlink, "No such file or directory"),
}


@pytest.mark.parametrize(("damage", "reason"), LOCK_DAMAGES.values(), ids=LOCK_DAMAGES)
def test_lock_file_that_cannot_be_locked_stops_cards_only(
    card: Card, inner: Inner, damage: Callable[[Path], object], reason: str
) -> None:
    slot, plain_slot = card_slot(card.host()), card.direct().slot(PLAIN)
    damage(Path(f"{card.store.path}.lock"))
    log = card.path / "log"
    host = card.host(inner, prefix=WITHOUT_PRIVILEGES, XCA_LOG_FILE=str(log))
    plain = host.open(plain_slot)
    assert host.login(plain, UserType.USER, PLAIN_PIN) == CKR.OK
    assert host.logout(plain) == CKR.OK
    assert inner.count("C_Login") == 1
    assert_refused(host, host.open(slot), inner)
    said = log.read_text()
    assert f"the lock of the card store {card.store.path} cannot be taken: {reason}" in said
    assert "within" not in said


@pytest.mark.skipif(not can_mount(), reason="only root can mount")
def test_read_only_file_system_stops_cards_only(card: Card, inner: Inner, tmp_path: Path) -> None:
    slot = card_slot(card.host())
    log = tmp_path / "log"
    host = card.host(inner, prefix=read_only(card.path), XCA_LOG_FILE=str(log))
    assert host.token(host.slot(PLAIN)).label.rstrip() == PLAIN.encode()
    host.open(host.slot(PLAIN))
    assert_refused(host, host.open(slot), inner)
    assert "Read-only file system" in log.read_text()
    assert "within" not in log.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("prefix", [(), WITHOUT_PRIVILEGES], ids=["root", "without privileges"])
def test_store_owned_by_another_user_refuses(card: Card, inner: Inner, prefix: tuple[str, ...]) -> None:
    host = card.host(inner, prefix=prefix)
    session = card_session(host)
    os.chown(card.store.path, 65534, 65534)
    assert_refused(host, session, inner)


@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(4000, id="nothing"),
        pytest.param(_RECORD + SLOT_SIZE, id="one slot"),
        pytest.param(_RECORD + _BLOCK + SLOT_SIZE, id="no event"),
    ],
)
def test_store_that_cannot_be_written_to_its_end_refuses_and_costs_nothing(
    card: Card, inner: Inner, limit: int, turn: int
) -> None:
    for _ in range(turn):  # slots are written by turns
        card.set_tries()
    host = card.host(inner)
    session = card_session(host)
    host.do("file_size_limit", limit)
    assert_refused(host, session, inner)
    other = card.host()
    assert (card.pin_tries, card.user_code_tries) == (3, 3)
    assert other.login(card_session(other), UserType.USER, PIN) == CKR.OK


@pytest.fixture(scope="session")
def full_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that lets no file of its process grow by more than FREE bytes in all."""
    source = compiling.TESTS / "native" / "full_disk.c"
    return compiling.library(
        tmp_path_factory.mktemp("full-disk") / "full_disk.so", source, "-fvisibility=default"
    )


@pytest.mark.parametrize("free", [0, 4096, 12288, 20480])
def test_right_pin_on_a_full_disk_locks_no_card(card: Card, full_disk: Path, free: int) -> None:
    host = card.host(LD_PRELOAD=str(full_disk), FREE=str(free))
    session = card_session(host)
    for _ in range(5):
        assert host.login(session, UserType.USER, PIN) == CKR.OK
        assert host.logout(session) == CKR.OK
    assert card.pin_tries == 3


def test_store_with_holes_gets_its_space_before_a_try_is_spent(card: Card) -> None:
    content = card.store.path.read_bytes()
    with card.store.path.open("wb") as file:
        for offset in range(0, len(content), _BLOCK):
            if any(content[offset : offset + _BLOCK]):
                file.seek(offset)
                file.write(content[offset : offset + _BLOCK])
        file.truncate(len(content))
    blocks = card.store.path.stat().st_blocks
    if blocks * 512 >= len(content):
        pytest.skip("this file system makes no holes")
    host = card.host()
    assert host.login(card_session(host), UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert (card.store.path.stat().st_blocks - blocks) * 512 > 2 * _BLOCK
    assert card.pin_tries == 2


def put_back(card: Card, content: bytes) -> None:
    """Put an older store in the place of the one that is there."""
    older = card.path / "older"
    older.write_bytes(content)
    older.chmod(0o600)
    older.rename(card.store.path)


def test_older_store_put_back_refuses_whom_it_would_give_tries(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session, slot = card_session(host), card_slot(host)
    older = card.store.path.read_bytes()
    for wrong in WRONG[:2]:
        assert host.login(session, UserType.USER, wrong) == CKR.PIN_INCORRECT
    newer = card.store.path.read_bytes()
    put_back(card, older)
    assert_refused(host, session, inner)
    assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR
    put_back(card, newer)
    assert host.login(session, UserType.USER, PIN) == CKR.OK


def test_generation_that_goes_backwards_refuses(card: Card, inner: Inner) -> None:
    older = card.store.path.read_bytes()
    other = card.host()
    assert other.set_pin(card_session(other), PIN, "newpin-1") == CKR.OK
    host = card.host(inner)
    session = host.open(card_slot(card.host()))
    put_back(card, older)
    assert_refused(host, session, inner)


def test_program_that_starts_anew_cannot_know_of_an_older_store(card: Card) -> None:
    """The known limit of docs/security.md: who can write to the folder can change the store."""
    host = card.host()
    older = card.store.path.read_bytes()
    assert host.login(card_session(host), UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    put_back(card, older)
    host.reinitialize()
    assert host.login(card_session(host), UserType.USER, PIN) == CKR.OK


@pytest.mark.integration  # takes those seconds
def test_lock_that_somebody_holds_refuses_after_five_seconds(card: Card, inner: Inner) -> None:
    host, maker, reader = card.host(inner), card.host(), card.host()
    session, makers_session, slot = card_session(host), card_session(maker), card_slot(host)
    token_object = Template([(Attribute.TOKEN, b"\x01")])
    with card.store.lock(exclusive=True):
        start = time.monotonic()
        # Only while nobody rewrites the token can the module tell whether it is a card.
        maker.ask_call("C_CreateObject", makers_session, token_object, 1, Ulong())
        host.ask_call("C_Login", session, UserType.USER, PIN.encode(), len(PIN))
        assert reader.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR
        assert time.monotonic() - start < 4
        assert host.answer().rv == CKR.DEVICE_ERROR
        assert maker.answer().rv == CKR.DEVICE_ERROR
        assert 4 < time.monotonic() - start < 9
    assert inner.count("C_Login") == 0
    assert host.login(session, UserType.USER, PIN) == CKR.OK


def put_another_lock_file(store: Store) -> None:
    new = store.path.with_name("another")
    new.touch(0o600)
    new.rename(f"{store.path}.lock")


def test_another_lock_file_in_the_middle_of_a_login_lets_nobody_else_decide(
    card: Card, inner: Inner, gate: Gate
) -> None:
    host, other = card.host(inner), card.host()
    session, others_session = card_session(host), card_session(other)
    inner.does(f"C_Login wait {gate.path}")
    host.ask_call("C_Login", session, UserType.USER, *given(WRONG[0]))
    waiting = gate.arrived()
    put_another_lock_file(card.store)
    assert other.login(others_session, UserType.USER, WRONG[1]) == CKR.DEVICE_ERROR
    with pytest.raises(StoreError, match="busy"), card.store.writing():
        pass
    os.close(waiting)
    assert host.answer().rv == CKR.PIN_INCORRECT
    assert other.login(others_session, UserType.USER, WRONG[1]) == CKR.PIN_INCORRECT
    assert card.pin_tries == 1


@pytest.mark.parametrize("exclusive", [False, True])
def test_python_locks_the_lock_file_that_is_there_when_it_has_the_lock(
    card: Card, monkeypatch: pytest.MonkeyPatch, exclusive: bool
) -> None:
    lock_file, replacements = fcntl.fcntl, iter(range(3))

    def replace_and_lock(*arguments: Any) -> Any:
        if next(replacements, None) is not None:
            put_another_lock_file(card.store)
        return lock_file(*arguments)

    monkeypatch.setattr(fcntl, "fcntl", replace_and_lock)
    with (
        card.store.lock(exclusive=exclusive),
        pytest.raises(StoreError, match="busy"),
        card.store.lock(exclusive=True, seconds=0),
    ):
        pass
    assert next(replacements, None) is None


def test_reader_does_not_keep_a_reader_out(card: Card) -> None:
    host = card.host()
    slot = card_slot(host)
    with card.store.lock(exclusive=False):
        assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.OK


@pytest.mark.parametrize(
    "size", [0, 100, _BLOCK, _RECORD, _RECORD + 100, _RECORD + _BLOCK, _RECORD + 2 * _BLOCK]
)
@pytest.mark.parametrize("turn", [0, 1])
def test_store_truncated_in_the_middle_of_a_login_gives_no_try_back(
    card: Card, inner: Inner, gate: Gate, size: int, turn: int
) -> None:
    for _ in range(turn):  # slots are written by turns
        card.set_tries()
    host = card.host(inner)
    session = card_session(host)
    inner.does(f"C_Login wait {gate.path}")
    host.ask_call("C_Login", session, UserType.USER, *given(WRONG[0]))
    waiting = gate.arrived()
    os.truncate(card.store.path, size)
    os.close(waiting)
    assert host.answer().rv == CKR.PIN_INCORRECT
    inner.does()
    if size == 0:  # in all other cases the store's own slot is whole, and settling writes the card's anew
        assert_refused(host, session, inner)
    else:
        assert card.pin_tries == 2
        assert host.login(session, UserType.USER, PIN) == CKR.OK


def test_store_that_comes_back_is_used_again(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    away = card.store.path.rename(card.path / "away")
    assert host.login(session, UserType.USER, PIN) == CKR.DEVICE_ERROR
    away.rename(card.store.path)
    assert host.login(session, UserType.USER, PIN) == CKR.OK
