# SPDX-License-Identifier: Apache-2.0
"""The card store as the issuer writes it."""

from datetime import date
from pathlib import Path

import pytest

from pkcs11_shim import EMPTY_STORE, Store, StoreError, rules
from pkcs11_shim.store import _EVENTS, _RECORD

pytestmark = pytest.mark.fast

FIRST, SECOND, THIRD = "XC00000000000001", "XC00000000000002", "XC00000000000003"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "cards.db")
    store.path.write_bytes(EMPTY_STORE)
    Path(f"{store.path}.lock").touch()
    return store


def add(store: Store, *numbers: str) -> None:
    with store.writing() as writer:
        for number in numbers:
            writer.add(
                number,
                reader="讀卡機",
                model="T7S",
                issued_on=date(2026, 1, 2),
                activate_by=date(2026, 4, 2),
            )


def test_store_reads_a_card_as_it_was_written(store: Store) -> None:
    add(store, SECOND, FIRST)
    row = store.card(FIRST)
    assert row
    assert (row.reader, row.model) == ("讀卡機", "T7S")
    assert (row.issued_on, row.activate_by) == (date(2026, 1, 2), date(2026, 4, 2))
    assert (row.pin_tries, row.user_code_tries) == (rules.MAX_TRIES, rules.MAX_TRIES)
    assert row.activated_at is None
    assert [row.number for row in store.cards()] == [FIRST, SECOND]
    assert store.card(THIRD) is None


def test_store_uses_a_freed_record_again_without_its_history(store: Store) -> None:
    add(store, FIRST, SECOND)
    size = store.path.stat().st_size
    with store.writing() as writer:
        for _ in range(3):
            writer.replace_secrets(FIRST, event="repair")
        writer.remove(FIRST)
    assert [row.number for row in store.cards()] == [SECOND]
    assert store.events(FIRST) == []
    add(store, THIRD)
    assert store.path.stat().st_size == size
    assert [row.number for row in store.cards()] == [SECOND, THIRD]
    assert [event.event for event in store.events(THIRD)] == ["issue"]


def test_store_gives_a_number_issued_again_a_later_epoch(store: Store) -> None:
    add(store, FIRST)
    before = store.card(FIRST)
    with store.writing() as writer:
        writer.remove(FIRST)
    add(store, FIRST)
    after = store.card(FIRST)
    assert before
    assert after
    assert after.epoch > before.epoch


def test_store_keeps_the_newest_events_of_a_long_history(store: Store) -> None:
    add(store, FIRST, SECOND)
    with store.writing() as writer:
        for _ in range(_EVENTS):
            writer.replace_secrets(FIRST, event="repair")
        writer.replace_secrets(FIRST, event="reset-user-code")
    events = [event.event for event in store.events(FIRST)]
    assert events == ["repair"] * (_EVENTS - 1) + ["reset-user-code"]
    assert [event.event for event in store.events(SECOND)] == ["issue"]


def test_store_with_a_record_that_is_not_whole_shows_the_other_cards(store: Store) -> None:
    add(store, FIRST, SECOND)
    with store.path.open("r+b") as file:
        file.seek(_RECORD)
        file.write(b"\xff" * _RECORD)
    assert [row.number for row in store.cards()] == [SECOND]
    # It may be somebody's, damaged: no other card is put there.
    add(store, THIRD)
    assert store.path.stat().st_size == 4 * _RECORD


def test_store_of_an_earlier_version_is_refused_with_what_to_do(store: Store) -> None:
    store.path.write_bytes(b"SQLite format 3\0".ljust(4096, b"\0"))
    with pytest.raises(StoreError, match=r"another version.*issued anew"):
        store.cards()
    with pytest.raises(StoreError, match="another version"):
        add(store, FIRST)


def test_store_without_the_card_refuses_to_replace_its_secrets(store: Store) -> None:
    with store.writing() as writer, pytest.raises(StoreError, match=FIRST):
        writer.replace_secrets(FIRST, event="repair")
