# SPDX-License-Identifier: Apache-2.0
"""A tender with its site, two groups of cards and bidders, all with keys in software, for tests of bids."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from xca_common.bid import Bid, BidFile
from xca_common.pki import profile
from xca_common.pki.authority import ENCRYPTION, directory_attributes
from xca_common.pki.bid_records import Notice, Receipt, SignedRecord
from xca_common.pki.encrypted_data import RecipientCertificate
from xca_common.pki.sealed_bid import SealedBid, seal
from xca_common.pki.signed_bid import recipients
from xca_login.testing.parties import NOW, Party, holder, party
from xca_login.testing.tokens import sign

ORIGIN = "https://bids.example.gov.tw"
HOUR = timedelta(hours=1)
FILES = {"標價清單.pdf": b"%PDF-1.7 " + bytes(range(256)) * 300, "b.txt": b"b"}


@cache
def site() -> Party:
    return party("the site of the tender")


@cache
def ca() -> Party:
    return party("a CA of bidders", ca=True)


def bidder(tax_id: str = "12345675") -> Party:
    attributes = directory_attributes(profile.COMPANY, "primary", tax_id=tax_id)
    return holder(ca(), f"company {tax_id}", attributes_=attributes)


def group(*names: str) -> list[Party]:
    return [party(name, usage=ENCRYPTION) for name in names]


@dataclass(frozen=True)
class Submitted:
    """A bid as the site has it.

    Attributes:
        data: the sealed bid.
        shown: what it shows.
        receipt: its receipt.
        signed: the receipt as the site signed it.
    """

    data: bytes
    shown: SealedBid
    receipt: Receipt
    signed: bytes


@dataclass(frozen=True)
class Tender:
    """A tender.

    Attributes:
        der: the signed notice.
        signed: the same, read.
    """

    der: bytes
    signed: SignedRecord[Notice]

    @classmethod
    def of(
        cls,
        outer: Sequence[bytes],
        inner: Sequence[bytes],
        deadline: datetime = NOW - HOUR,
        opens_from: datetime = NOW - HOUR / 2,
        opens_until: datetime = NOW + HOUR,
        number: str = "115-A/7",
    ) -> "Tender":
        notice = Notice(
            ORIGIN, number, "教學大樓整修工程", deadline, opens_from, opens_until, tuple(outer), tuple(inner)
        )
        der = notice.sign(site().certificate, site().key)
        return cls(der, SignedRecord.read(Notice, der))

    def bid(self, tax_id: str, files: Mapping[str, bytes] = FILES, **changes: Any) -> Bid:
        listed = tuple(BidFile.of(name, io.BytesIO(content)) for name, content in files.items())
        said = Bid(
            self.signed.record.tender,
            self.signed.sha256.hex(),
            tax_id,
            f"E-7 {'2' * 64}",
            "none",
            "3" * 64,
            1,
            None,
            recipients(self.signed.record),
            listed,
        )
        return replace(said, **changes)

    def submitted(
        self,
        by: Party,
        tax_id: str = "12345675",
        *,
        files: Mapping[str, bytes] = FILES,
        account: str | None = None,
        **changes: Any,
    ) -> Submitted:
        """Seal a bid, and return it with its receipt."""
        said = self.bid(tax_id, files, **changes)
        manifest = sign(by, said.statement(ORIGIN, NOW, "a" * 64).encode())
        data, notice = io.BytesIO(), self.signed.record
        outer, inner = (
            [RecipientCertificate.read(der) for der in ders] for ders in (notice.outer, notice.inner)
        )
        contents = [(told, io.BytesIO(files[told.name])) for told in said.files]
        shown = seal(manifest, contents, outer, inner, data)
        return self.received(data.getvalue(), shown, account or tax_id)

    def received(self, data: bytes, shown: SealedBid, account: str, **changes: Any) -> Submitted:
        receipt = Receipt(
            ORIGIN,
            self.signed.record.tender,
            self.signed.sha256,
            account,
            bytes.fromhex("3" * 64),
            1,
            None,
            shown.size,
            shown.sha256,
            shown.outer_key,
            shown.inner_key,
            self.signed.record.deadline - HOUR,
            self.signed.record.deadline - HOUR,
            bytes(32),
        )
        receipt = replace(receipt, **changes)
        return Submitted(data, shown, receipt, receipt.sign(site().certificate, site().key))
