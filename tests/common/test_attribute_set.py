# SPDX-License-Identifier: Apache-2.0
"""DER of a SET OF Attribute is recognised, in one piece and in chunks."""

from typing import Any

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from xca_common.pki.attribute_set import AttributeSetFile, is_attribute_set

SMALL = bytes.fromhex("3107300506012a3100")
USUAL = cms.CMSAttributes(
    [
        {"type": "content_type", "values": ["data"]},
        {"type": "message_digest", "values": [bytes(32)]},
    ]
).dump()
LONG = cms.CMSAttributes([{"type": "message_digest", "values": [bytes(70_000)]}]).dump()
OTHERS = (
    b"",
    b"1",
    b"1" * 100,
    b"12 0 contracts",
    bytes.fromhex("3100"),
    bytes.fromhex("3080300506012a31000000"),
    bytes.fromhex("3007300506012a3100"),
    bytes.fromhex("3107310506012a3100"),
    bytes.fromhex("3107300504012a3100"),
    bytes.fromhex("3107300506012a3000"),
    bytes.fromhex("310a300806012a31000500"),
    SMALL[:-1],
    SMALL + b"\0",
    USUAL + USUAL,
)


def in_chunks(data: bytes, size: int) -> bool:
    file = AttributeSetFile()
    for at in range(0, len(data), size):
        file.add(data[at : at + size])
    return file.is_attribute_set


@pytest.mark.parametrize("data", [SMALL, USUAL, LONG], ids=["small", "usual", "long"])
def test_attribute_set_is_recognised(data: bytes) -> None:
    assert is_attribute_set(data)
    for size in (1, 7, 1000, 1 << 20):
        assert in_chunks(data, size)


@pytest.mark.parametrize("data", OTHERS)
def test_other_data_is_no_attribute_set(data: bytes) -> None:
    assert not is_attribute_set(data)
    for size in (1, 7, 1000):
        assert not in_chunks(data, size)


class Counted(bytes):
    """Data that counts how often a part of it is read."""

    reads = 0

    def __getitem__(self, at: Any) -> Any:
        self.reads += 1
        return super().__getitem__(at)


def set_of(elements: bytes) -> Counted:
    return Counted(b"\x31\x84" + len(elements).to_bytes(4, "big") + elements)


def test_set_of_other_elements_is_told_by_the_first() -> None:
    data = set_of(bytes.fromhex("3000") * 10_000)
    assert not is_attribute_set(data)
    assert data.reads < 10


def test_set_of_very_many_attributes_is_not_read_to_its_end() -> None:
    data = set_of(SMALL[2:] * 20_000)
    assert is_attribute_set(data)
    assert data.reads < 4000
    assert is_attribute_set(set_of(SMALL[2:] * 1000))
    assert not is_attribute_set(set_of(SMALL[2:] * 999 + bytes.fromhex("3000")))


def test_file_too_big_to_be_kept_is_told_by_its_size() -> None:
    size = 17 << 20
    whole = bytes.fromhex("3184") + size.to_bytes(4, "big") + bytes(size)
    assert in_chunks(whole, 1 << 20)
    assert not in_chunks(whole + b"\0", 1 << 20)


@given(st.binary(max_size=200), st.integers(1, 200))
def test_data_of_any_kind_is_judged_alike_in_chunks(data: bytes, size: int) -> None:
    for each in (data, b"1" + bytes([len(data) % 128]) + data, USUAL + data):
        assert in_chunks(each, size) is is_attribute_set(each)
