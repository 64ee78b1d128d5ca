# SPDX-License-Identifier: Apache-2.0
"""What a bidder signed: read, and compared with what was submitted."""

from dataclasses import replace
from typing import Any

import pytest

from xca_common.bid import Bid, BidFile
from xca_common.pki import profile
from xca_common.pki.authority import ENCRYPTION, directory_attributes
from xca_common.pki.bid_records import Notice, Receipt, SignedRecord
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.signed_bid import OtherBid, SignedBid, recipients
from xca_login.testing.parties import DAY, NOW, Party, holder, party
from xca_login.testing.tokens import attributes, sign

pytestmark = pytest.mark.fast

ORIGIN = "https://bids.example.gov.tw"
TAX_ID = "12345675"


@pytest.fixture(scope="module")
def notice() -> SignedRecord[Notice]:
    names = ("officer 1", "officer 2", "auditor 1", "auditor 2")
    cards = [party(name, usage=ENCRYPTION).der for name in names]
    told = Notice(ORIGIN, "113-A/7", "t", NOW, NOW + DAY, NOW + 2 * DAY, tuple(cards[:2]), tuple(cards[2:]))
    site = party("site")
    return SignedRecord.read(Notice, told.sign(site.certificate, site.key))


@pytest.fixture(scope="module")
def bidder() -> Party:
    ca = party("a CA", ca=True)
    return holder(
        ca, "a company", attributes_=directory_attributes(profile.COMPANY, "primary", tax_id=TAX_ID)
    )


def bid(notice: SignedRecord[Notice]) -> Bid:
    file = BidFile("a.pdf", 1, "0" * 64)
    keys = recipients(notice.record)
    return Bid("113-A/7", notice.sha256.hex(), TAX_ID, f"i {'2' * 64}", "b", "3" * 64, 1, None, keys, (file,))


def receipt(notice: SignedRecord[Notice]) -> Receipt:
    some = b"\4" * 32
    return Receipt(
        ORIGIN, "113-A/7", notice.sha256, TAX_ID, b"\x33" * 32, 1, None, 9, some, some, some, NOW, NOW, some
    )


def manifest(said: Bid, bidder: Party, origin: str = ORIGIN) -> bytes:
    return sign(bidder, said.statement(origin, NOW, "a" * 64).encode())


def test_bid_is_the_one_that_was_submitted(notice: SignedRecord[Notice], bidder: Party) -> None:
    said = replace(bid(notice), bid="33" * 32)
    one = SignedBid.read(manifest(said, bidder))
    one.check(notice, receipt(notice))
    assert (one.bid, one.certificate.der) == (said, bidder.der)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tender": "113-A/8"}, "another tender"),
        ({"notice": "1" * 64}, "another notice"),
        ({"recipients": frozenset({"5" * 64})}, "another notice"),
        ({"organisation": "87654321"}, "another organisation than the certificate"),
        ({"bid": "44" * 32}, "another submission"),
        ({"sequence": 2}, "another submission"),
        ({"replaces": "6" * 64}, "another submission"),
    ],
)
def test_bid_that_was_made_for_something_else_is_refused(
    notice: SignedRecord[Notice], bidder: Party, change: dict[str, Any], reason: str
) -> None:
    said = replace(replace(bid(notice), bid="33" * 32), **change)
    with pytest.raises(OtherBid, match=reason):
        SignedBid.read(manifest(said, bidder)).check(notice, receipt(notice))


def test_bid_of_another_site_is_refused(notice: SignedRecord[Notice], bidder: Party) -> None:
    said = replace(bid(notice), bid="33" * 32)
    with pytest.raises(OtherBid, match="another tender"):
        SignedBid.read(manifest(said, bidder, "https://other.example.gov.tw")).check(notice, receipt(notice))


def test_envelope_that_another_account_copied_is_refused_and_the_first_is_not(
    notice: SignedRecord[Notice], bidder: Party
) -> None:
    one = SignedBid.read(manifest(replace(bid(notice), bid="33" * 32), bidder))
    with pytest.raises(OtherBid, match="another organisation submitted it"):
        one.check(notice, replace(receipt(notice), account="87654321"))
    one.check(notice, receipt(notice))


def test_what_no_bidder_signed_is_refused(notice: SignedRecord[Notice], bidder: Party) -> None:
    content = bid(notice).statement(ORIGIN, NOW, "a" * 64).encode()
    whole = sign(bidder, content)
    of_another_text = sign(bidder, content, signed_attributes=attributes(b"another text"))
    no_attributes = sign(bidder, content, signed_attributes=[])
    for junk in (b"", b"junk", whole.replace(b"113-A/7", b"113-A/8"), of_another_text, no_attributes):
        with pytest.raises((Malformed, TooMuchError, EOFError)):
            SignedBid.read(junk)
    with pytest.raises(Malformed, match="signed something else"):
        SignedBid.read(sign(bidder, b"hello"))
