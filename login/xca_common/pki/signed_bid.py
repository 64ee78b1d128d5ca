# SPDX-License-Identifier: Apache-2.0
"""What a bidder signed, and whether it is the bid that was submitted."""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives.serialization import Encoding

from xca_common.bid import Bid
from xca_common.i18n import Text, text
from xca_common.pki.bid_records import Notice, Receipt, SignedRecord
from xca_common.pki.certificate import Certificate
from xca_common.pki.malformed import Malformed
from xca_common.pki.signed_content import SignedContent
from xca_common.statement import MalformedStatement, Statement

_DATA: Final = "1.2.840.113549.1.7.1"


class OtherBid(ValueError):  # a situation
    """A bid is not the one that was submitted.

    Attributes:
        reason: in what it differs, as a clause.
    """

    def __init__(self, reason: Text) -> None:
        super().__init__(reason("en"))
        self.reason = reason


@dataclass(frozen=True)
class SignedBid:
    """What a bidder signed. His key signed it; whose certificate that is, is judged by who reads it.

    Attributes:
        statement: the statement.
        bid: what it says.
        certificate: the bidder's.
    """

    statement: Statement
    bid: Bid
    certificate: Certificate

    @classmethod
    def read(cls, manifest: bytes) -> Self:
        """Read the manifest of an opened bid (OpenedBid.manifest).

        Raises:
            Malformed: it is no statement of a bid, or was changed after it was signed.
            TooMuchError: it has more parts than are read.
            EOFError: it ends too early.
        """
        signed = SignedContent.read(manifest)
        if signed.content_type != _DATA or not signed.is_genuine:
            raise Malformed(text("it was changed after it was signed"))
        try:
            statement = Statement.parse(signed.content)
            bid = Bid.of(statement)
        except MalformedStatement as error:
            raise Malformed(text("its bidder signed something else")) from error
        der = signed.certificate.public_bytes(Encoding.DER)
        return cls(statement, bid, Certificate.parse("", "", der))

    def check(self, notice: SignedRecord[Notice], receipt: Receipt) -> None:
        """Make sure that it is the bid of a receipt, for the tender of a notice.

        Raises:
            OtherBid: it is not.
        """
        told, own = notice.record, self.bid
        if (self.statement.origin, own.tender) != (told.origin, told.tender):
            raise OtherBid(text("it is for another tender"))
        if own.notice != notice.sha256.hex() or own.recipients != recipients(told):
            raise OtherBid(text("it was made for another notice of the tender"))
        if own.organisation not in (self.certificate.organisation_oid, self.certificate.tax_id):
            raise OtherBid(text("it names another organisation than the certificate of who signed it"))
        if own.organisation != receipt.account:
            raise OtherBid(text("another organisation submitted it than the one that signed it"))
        replaced = None if own.replaces is None else bytes.fromhex(own.replaces)
        submitted = (receipt.bid.hex(), receipt.sequence, receipt.replaces)
        if (own.bid, own.sequence, replaced) != submitted:
            raise OtherBid(text("it was made for another submission"))


def recipients(notice: Notice) -> frozenset[str]:
    """Return the digests of the keys that open the bids of a tender, as a bid lists them.

    Raises:
        Malformed: a certificate of the notice cannot be read.
    """
    ders = (*notice.outer, *notice.inner)
    keys = (Certificate.parse("", "", der).public_key for der in ders)
    return frozenset(hashlib.sha256(key).hexdigest() for key in keys)
