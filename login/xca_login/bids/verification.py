# SPDX-License-Identifier: Apache-2.0
"""What an archive of bids proves, and whose word each part of it is."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from xca_common.i18n import Text
from xca_common.pki import bid_records, strict_certificate
from xca_common.pki.bid_records import Notice, Receipt, SealedList, SignedRecord
from xca_common.pki.certificate import Certificate
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.signed_bid import OtherBid, SignedBid
from xca_common.pki.signed_content import SignedContent
from xca_common.statement import MalformedStatement, Statement, StatementKind
from xca_login.bids import chain
from xca_login.bids.archive import Archive
from xca_login.bids.chain import Opening
from xca_login.i18n import text

_DATA: Final = "1.2.840.113549.1.7.1"
_OUTER: Final = "outer"
_INNER: Final = "inner"
_R = TypeVar("_R", bound=bid_records.Record)


class ArchiveRefused(ValueError):  # a situation
    """An archive does not prove what it should.

    Attributes:
        reason: why, as a clause.
    """

    def __init__(self, reason: Text) -> None:
        super().__init__(reason("en"))
        self.reason = reason


class Fate(Enum):
    """What became of a bid."""

    OPENED = "opened"
    SEALED = "sealed"
    """It counts, and the archive has nothing of what is in it: it could not be opened, or nobody did."""
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"
    LATE = "late"


@dataclass(frozen=True)
class ProvedBid:
    """A bid.

    Attributes:
        receipt: what the site signed: the site's word, above all about the times.
        fate: what became of it.
        bidder: the certificate of who signed it; None: the archive has only the site's word who submitted it.
    """

    receipt: Receipt
    fate: Fate
    bidder: Certificate | None


@dataclass(frozen=True)
class ProvedOpening:
    """An officer who opened.

    Attributes:
        at: when, as the site asked for the signature: the site's word.
        group: `outer` or `inner`.
        officer: the certificate of who signed that: the officer's word.
    """

    at: datetime
    group: str
    officer: Certificate


@dataclass(frozen=True)
class Proved:
    """What an archive proves.

    Attributes:
        notice: what the site announced.
        site: the certificate with which the site signed everything.
        listed_at: when the list of bids was fixed.
        bids: in the order in which they came.
        openings: in their order.
        head: the last head of the chain.
    """

    notice: Notice
    site: x509.Certificate
    listed_at: datetime
    bids: tuple[ProvedBid, ...]
    openings: tuple[ProvedOpening, ...]
    head: bytes


def verify(archive: Archive, heads: Iterable[bytes] = ()) -> Proved:
    """Verify an archive. Whether the site's certificate is the site's, who asks has to know.

    Args:
        archive: the archive.
        heads: heads of the chain that others kept: in their receipts, in mails, under time-stamps.

    Raises:
        ArchiveRefused: it does not prove that nothing was added or taken away.
    """
    return _Verification(archive).run(heads)


class _Verification:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._heads = list(chain.heads(archive.links, archive.before))
        self._places = {link.commitment: place for place, link in enumerate(archive.links)}
        if len(self._places) != len(archive.links):
            raise ArchiveRefused(text("a link of the chain is there twice"))

    def run(self, heads: Iterable[bytes]) -> Proved:
        if not {*heads} <= {*self._heads}:
            raise ArchiveRefused(text("a head that was kept elsewhere is not in the chain"))
        archive = self._archive
        self._notice = _record(Notice, archive.notice)
        listed = self._of_site(SealedList, archive.sealed_list)
        notice, fixed = self._notice.record, listed.record
        noticed_at, self._listed_at = self._place(archive.notice), self._place(archive.sealed_list)
        self._same_tender(fixed.origin, fixed.tender, fixed.notice)
        if fixed.at <= notice.deadline:
            raise ArchiveRefused(text("the list of bids was made before the deadline"))
        if self._heads[self._listed_at] != fixed.head:
            raise ArchiveRefused(text("the list of bids names another head of the chain"))
        receipts = {digest: self._receipt(der, noticed_at) for digest, der in archive.receipts.items()}
        fates = self._fates(receipts)
        counting = {digest for digest, fate in fates.items() if fate in (Fate.OPENED, Fate.SEALED)}
        late = {digest for digest, fate in fates.items() if fate is Fate.LATE}
        if (counting, late) != ({*fixed.receipts}, {*fixed.late}):
            raise ArchiveRefused(text("the list of bids is not that of the receipts"))
        order = sorted(receipts, key=lambda digest: self._place(archive.receipts[digest]))
        bids = tuple(ProvedBid(receipts[one], fates[one], self._bidder(one, receipts[one])) for one in order)
        openings = self._openings(hashlib.sha256(archive.sealed_list).hexdigest())
        return Proved(notice, self._notice.certificate, fixed.at, bids, openings, self._heads[-1])

    def _place(self, document: bytes) -> int:
        """Return which link is of a document."""
        digest = hashlib.sha256(document).digest()
        salt = self._archive.salts.get(digest)
        place = None if salt is None else self._places.get(Opening(digest, salt).commitment)
        if place is None:
            raise ArchiveRefused(text("a document is not in the chain"))
        return place

    def _of_site(self, kind: type[_R], der: bytes) -> SignedRecord[_R]:
        signed = _record(kind, der)
        if signed.certificate != self._notice.certificate:
            raise ArchiveRefused(text("a document was not signed as the notice was"))
        return signed

    def _same_tender(self, origin: str, tender: str, notice: bytes) -> None:
        own = self._notice.record
        if (origin, tender, notice) != (own.origin, own.tender, self._notice.sha256):
            raise ArchiveRefused(text("a document is of another tender"))

    def _receipt(self, der: bytes, noticed_at: int) -> Receipt:
        receipt = self._of_site(Receipt, der).record
        self._same_tender(receipt.origin, receipt.tender, receipt.notice)
        place = self._place(der)
        if self._heads[place] != receipt.head or not noticed_at < place < self._listed_at:
            raise ArchiveRefused(text("a receipt is not in the chain where it says"))
        if receipt.ended > self._archive.links[place].at:
            raise ArchiveRefused(text("a receipt is in the chain before its upload ended"))
        return receipt

    def _fates(self, receipts: Mapping[bytes, Receipt]) -> dict[bytes, Fate]:
        deadline = self._notice.record.deadline
        fates = {}
        for digest, receipt in receipts.items():
            is_open = digest in self._archive.manifests
            fates[digest] = Fate.LATE if receipt.ended > deadline else Fate.OPENED if is_open else Fate.SEALED
        for receipt in receipts.values():
            if receipt.replaces is None:
                continue
            replaced = receipts.get(receipt.replaces)
            if replaced is None or (replaced.account, replaced.bid) != (receipt.account, receipt.bid):
                raise ArchiveRefused(text("a bid replaces one that is not its own"))
            if receipt.ended <= deadline:
                fates[receipt.replaces] = Fate.REPLACED
        for der in self._archive.withdrawals.values():
            statement, holder = self._statement(der, StatementKind.WITHDRAW)
            said = dict(statement.fields)
            digest = bytes.fromhex(said["receipt"])
            withdrawn = receipts.get(digest)
            place = self._place(der)
            own = {holder.organisation_oid, holder.tax_id}
            if withdrawn is None or said["bid"] != withdrawn.bid.hex() or withdrawn.account not in own:
                raise ArchiveRefused(text("somebody else withdrew a bid than submitted it"))
            if place > self._listed_at or self._archive.links[place].at > deadline:
                raise ArchiveRefused(text("a bid was withdrawn after the deadline"))
            fates[digest] = Fate.WITHDRAWN
        if any(digest not in fates or fates[digest] is not Fate.OPENED for digest in self._archive.manifests):
            raise ArchiveRefused(text("a bid was opened that does not count"))
        return fates

    def _statement(self, der: bytes, kind: StatementKind) -> tuple[Statement, Certificate]:
        """Read what a card signed for the tender."""
        with _refusing():
            signed = SignedContent.read(der)
            if signed.content_type != _DATA or not signed.is_genuine:
                raise ArchiveRefused(text("a signature in it does not hold"))
            statement = Statement.parse(signed.content)
            holder = Certificate.parse("", "", signed.certificate.public_bytes(Encoding.DER))
        own, said = self._notice.record, dict(statement.fields)
        if statement.kind is not kind or (statement.origin, said["tender"]) != (own.origin, own.tender):
            raise ArchiveRefused(text("a document is of another tender"))
        return statement, holder

    def _bidder(self, digest: bytes, receipt: Receipt) -> Certificate | None:
        manifest = self._archive.manifests.get(digest)
        if manifest is None:
            return None
        with _refusing():
            signed = SignedBid.read(manifest)
            signed.check(self._notice, receipt)
        return signed.certificate

    def _openings(self, list_digest: str) -> tuple[ProvedOpening, ...]:
        notice = self._notice.record
        found: list[tuple[int, ProvedOpening]] = []
        for der in self._archive.openings.values():
            statement, officer = self._statement(der, StatementKind.OPEN)
            said, place = dict(statement.fields), self._place(der)
            groups = {_OUTER: notice.outer, _INNER: notice.inner}
            members = [Certificate.parse("", "", one) for one in groups.get(said["officer"], ())]
            if (officer.holder, officer.issuer) not in [(one.holder, one.issuer) for one in members]:
                raise ArchiveRefused(text("somebody opened who is in no group of the notice"))
            if said["list"] != list_digest or place < self._listed_at:
                raise ArchiveRefused(text("an opening is of another list of bids"))
            if not notice.opens_from <= self._archive.links[place].at <= notice.opens_until:
                raise ArchiveRefused(text("bids were opened outside the time of the opening"))
            found.append((place, ProvedOpening(statement.time, said["officer"], officer)))
        keys = [one.officer.public_key for _, one in found]
        groups_there = {one.group for _, one in found}
        is_by_both = groups_there == {_OUTER, _INNER} and len(keys) == len({*keys})
        if (self._archive.manifests or found) and not is_by_both:
            raise ArchiveRefused(text("bids were opened without cards of both groups"))
        return tuple(one for _, one in sorted(found, key=lambda pair: pair[0]))


def _record(kind: type[_R], der: bytes) -> SignedRecord[_R]:
    with _refusing():
        signed = SignedRecord.read(kind, der)
        if isinstance(signed.record, Notice):
            for one in (*signed.record.outer, *signed.record.inner):
                strict_certificate.load(one)
                Certificate.parse("", "", one)
    return signed


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (Malformed, TooMuchError) as error:
        raise ArchiveRefused(error.detail) from error
    except OtherBid as error:
        raise ArchiveRefused(error.reason) from error
    except (MalformedStatement, EOFError) as error:
        raise ArchiveRefused(text("a document in it cannot be read")) from error
