# SPDX-License-Identifier: Apache-2.0
"""What a site that takes bids signs: notices, receipts, lists."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from xca_common.bid import BidFile
from xca_common.pki import signed_content
from xca_common.pki.bid_records import MOST_BYTES, Notice, Receipt, Record, SealedList, SignedRecord
from xca_common.pki.encrypted_data import MOST_RECIPIENTS
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_login.testing.parties import NOW, Party, key, party

pytestmark = pytest.mark.fast

HOUR = timedelta(hours=1)
DIGEST = b"\1" * 32
NOTICE = Notice(
    origin="https://bids.example.gov.tw",
    tender="113-A/7",
    title="教學大樓整修工程",
    deadline=NOW,
    opens_from=NOW + HOUR,
    opens_until=NOW + 5 * HOUR,
    outer=(b"officer 1", b"officer 2"),
    inner=(b"auditor 1", b"auditor 2"),
    documents=(BidFile("投標須知.pdf", 7, "2" * 64),),
)
RECEIPT = Receipt(
    origin=NOTICE.origin,
    tender=NOTICE.tender,
    notice=DIGEST,
    account="2.16.886.101.20003",
    bid=b"\2" * 32,
    sequence=1,
    replaces=None,
    size=1 << 33,
    sha256=b"\3" * 32,
    outer_key=b"\4" * 32,
    inner_key=b"\5" * 32,
    begun=NOW - HOUR,
    ended=NOW + timedelta(milliseconds=999),
    head=b"\6" * 32,
)
LIST = SealedList(
    origin=NOTICE.origin,
    tender=NOTICE.tender,
    notice=DIGEST,
    at=NOW + HOUR,
    receipts=frozenset({b"\x07" * 32, b"\x08" * 32}),
    late=frozenset(),
    head=DIGEST,
)
RECORDS = [NOTICE, RECEIPT, replace(RECEIPT, replaces=DIGEST), LIST, replace(NOTICE, documents=())]


@pytest.fixture(scope="module")
def site() -> Party:
    return party("site")


@pytest.mark.parametrize("record", RECORDS)
def test_record_is_read_as_it_was_signed(record: Record, site: Party) -> None:
    der = record.sign(site.certificate, site.key)
    read = SignedRecord.read(type(record), der)
    assert (read.record, read.certificate) == (record, site.certificate)
    assert read.sha256 == hashlib.sha256(der).digest()


def test_time_of_another_zone_is_signed_as_the_same_moment(site: Party) -> None:
    taipei = timezone(timedelta(hours=8))
    said = replace(RECEIPT, ended=RECEIPT.ended.astimezone(taipei))
    assert said.sign(site.certificate, site.key) == RECEIPT.sign(site.certificate, site.key)


@pytest.mark.parametrize("other", [RECEIPT, LIST])
def test_record_of_another_kind_is_refused(other: Record, site: Party) -> None:
    with pytest.raises(Malformed, match="something else"):
        SignedRecord.read(Notice, other.sign(site.certificate, site.key))


def test_record_that_was_changed_is_refused(site: Party) -> None:
    der = RECEIPT.sign(site.certificate, site.key)
    with pytest.raises(Malformed, match="changed"):
        SignedRecord.read(Receipt, der.replace(b"\3" * 32, b"\2" * 32))
    with pytest.raises(Malformed, match="changed"):
        SignedRecord.read(Receipt, RECEIPT.sign(site.certificate, key("another")))


def test_what_is_no_record_is_refused() -> None:
    for junk in (b"", b"junk", b"\x30\x80", bytes(MOST_BYTES + 1)):
        with pytest.raises((Malformed, TooMuchError, EOFError)):
            SignedRecord.read(Notice, junk)


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "bids.example.gov.tw"},
        {"deadline": NOW + HOUR},
        {"opens_until": NOW + HOUR},
        {"outer": (b"officer 1",)},
        {"inner": (b"auditor 1", b"officer 1")},
        {"inner": tuple(b"auditor %d" % each for each in range(MOST_RECIPIENTS + 1))},
        {"documents": (BidFile("../x", 1, "2" * 64),)},
        {"documents": NOTICE.documents * 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_notice_that_nobody_could_bid_by_cannot_be_made(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(NOTICE, **change)


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (NOTICE, {"tender": ""}),
        *((one, {"origin": "bids.example.gov.tw"}) for one in (RECEIPT, LIST)),
        (RECEIPT, {"sha256": b"\3" * 31}),
        (RECEIPT, {"replaces": b"\3"}),
        (RECEIPT, {"sequence": 0}),
        (RECEIPT, {"size": -1}),
        (RECEIPT, {"ended": RECEIPT.begun - HOUR}),
        (LIST, {"late": LIST.receipts}),
        (LIST, {"receipts": frozenset({b"short"})}),
    ],
)
def test_record_that_says_what_cannot_be_is_refused(
    record: Record, change: dict[str, Any], site: Party
) -> None:
    said = replace(record, **change)  # type: ignore[type-var]  # each of them is a dataclass
    der = signed_content.sign(record.CONTENT_TYPE, said.encode(), site.certificate, site.key)
    with pytest.raises(Malformed):
        SignedRecord.read(type(record), der)


def test_list_in_another_order_is_refused(site: Party) -> None:
    first, second = sorted(LIST.receipts)
    swapped = LIST.encode().replace(first, b"x" * 32).replace(second, first).replace(b"x" * 32, second)
    der = signed_content.sign(LIST.CONTENT_TYPE, swapped, site.certificate, site.key)
    with pytest.raises(Malformed):
        SignedRecord.read(SealedList, der)


def test_moment_of_a_millisecond_is_kept(site: Party) -> None:
    read = SignedRecord.read(Receipt, RECEIPT.sign(site.certificate, site.key)).record
    assert read.ended == NOW + timedelta(milliseconds=999)
    assert isinstance(read.ended, datetime)
