# SPDX-License-Identifier: Apache-2.0
"""What a site that takes bids signs: the notice of a tender, the receipt of a bid, the list at the deadline.

Each is CMS SignedData around a DER structure with a content type of its own (signed_content), so that none
passes for another. Who keeps one proves with it what the site said. Times are the site's own, in UTC.

    Notice ::= SEQUENCE {                       -- 招標公告
        version       INTEGER (1),
        origin        UTF8String,               -- of the site
        tender        UTF8String,               -- its number
        title         UTF8String,
        deadline      GeneralizedTime,          -- the last moment at which a bid is in time
        opensFrom     GeneralizedTime,
        opensUntil    GeneralizedTime,
        outer         SEQUENCE OF OCTET STRING, -- certificates of the cards that open first
        inner         SEQUENCE OF OCTET STRING, -- and of those that open then
        documents     SEQUENCE OF SEQUENCE { name UTF8String, size INTEGER, sha256 OCTET STRING } }

    Receipt ::= SEQUENCE {                      -- 投標收據
        version       INTEGER (1),
        origin        UTF8String,
        tender        UTF8String,
        notice        OCTET STRING,             -- SHA-256 of the signed notice
        account       UTF8String,               -- of the bidder at the site
        bid           OCTET STRING,             -- the number that the site gave the bid, 32 bytes
        sequence      INTEGER,
        replaces      OCTET STRING,             -- SHA-256 of the receipt that it replaces; empty: of none
        size          INTEGER,                  -- of the sealed bid
        sha256        OCTET STRING,             -- of the sealed bid
        outerKey      OCTET STRING,             -- digests of the keys of its envelopes
        innerKey      OCTET STRING,
        begun         GeneralizedTime,          -- the upload's beginning
        ended         GeneralizedTime,          -- and its end, which decides
        head          OCTET STRING }            -- the head of the site's chain before it

    SealedList ::= SEQUENCE {                   -- 標封清單
        version       INTEGER (1),
        origin        UTF8String,
        tender        UTF8String,
        notice        OCTET STRING,
        at            GeneralizedTime,          -- when the bids were fixed
        receipts      SEQUENCE OF OCTET STRING, -- SHA-256 of each signed receipt that counts, ascending
        late          SEQUENCE OF OCTET STRING, -- likewise, of those that came too late
        head          OCTET STRING }
"""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, Generic, Self, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import rsa

from xca_common.bid import BidFile, check_files
from xca_common.i18n import text
from xca_common.pki import signed_content
from xca_common.pki.encrypted_data import MOST_RECIPIENTS
from xca_common.pki.malformed import Malformed
from xca_common.pki.sealed_bid import LEAST_RECIPIENTS
from xca_common.pki.signed_content import SignedContent
from xca_common.statement import is_origin

MOST_BYTES: Final = 4 << 20
"""A signed record has at most so many."""
_VERSION: Final = 1
_DIGEST_BYTES: Final = 32
_OTHER_FORM: Final = text("it has another form")
_NO_SITE: Final = text("it names no site")


@asn1.sequence
class _Document:
    name: str
    size: int
    sha256: bytes


@asn1.sequence
class _Notice:
    version: int
    origin: str
    tender: str
    title: str
    deadline: asn1.GeneralizedTime
    opens_from: asn1.GeneralizedTime
    opens_until: asn1.GeneralizedTime
    outer: list[bytes]
    inner: list[bytes]
    documents: list[_Document]


@asn1.sequence
class _Receipt:
    version: int
    origin: str
    tender: str
    notice: bytes
    account: str
    bid: bytes
    sequence: int
    replaces: bytes
    size: int
    sha256: bytes
    outer_key: bytes
    inner_key: bytes
    begun: asn1.GeneralizedTime
    ended: asn1.GeneralizedTime
    head: bytes


@asn1.sequence
class _SealedList:
    version: int
    origin: str
    tender: str
    notice: bytes
    at: asn1.GeneralizedTime
    receipts: list[bytes]
    late: list[bytes]
    head: bytes


class Record(ABC):
    """What a site signs.

    Attributes:
        CONTENT_TYPE: eContentType of its kind.
    """

    CONTENT_TYPE: ClassVar[str]

    @abstractmethod
    def encode(self) -> bytes:
        """Return it in DER."""

    @classmethod
    @abstractmethod
    def decode(cls, der: bytes) -> Self:
        """Read it.

        Raises:
            Malformed: it is none, or says what cannot be.
        """

    def sign(self, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> bytes:
        """Return it as the site signs it, in DER.

        Args:
            certificate: the site's; it names its key (subjectKeyIdentifier).
            key: the site's.
        """
        return signed_content.sign(self.CONTENT_TYPE, self.encode(), certificate, key)


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class SignedRecord(Generic[R]):
    """A record that somebody signed. Whether he may is judged by who reads it.

    Attributes:
        record: the record.
        certificate: the signer's.
        sha256: the digest of all that was signed, with the signature.
    """

    record: R
    certificate: x509.Certificate
    sha256: bytes

    @classmethod
    def read(cls, kind: type[R], der: bytes) -> "SignedRecord[R]":
        """Read a record, and verify that its signer's key signed it.

        Args:
            kind: what is expected.
            der: what was handed in.

        Raises:
            Malformed: it is something else, says what cannot be, or was changed after it was signed.
            TooMuchError: it has more parts than are read.
            EOFError: it ends too early.
        """
        if len(der) > MOST_BYTES:
            raise Malformed(text("it is longer than it can be"))
        signed = SignedContent.read(der)
        if signed.content_type != kind.CONTENT_TYPE:
            raise Malformed(text("it is something else that was signed"))
        if not signed.is_genuine:
            raise Malformed(text("it was changed after it was signed"))
        return SignedRecord(kind.decode(signed.content), signed.certificate, hashlib.sha256(der).digest())


@dataclass(frozen=True)
class Notice(Record):
    """The notice of a tender (招標公告): what a bidder has to know to seal a bid.

    Attributes:
        origin: of the site that takes bids.
        tender: number of the tender.
        title: what it is about.
        deadline: the last moment at which a bid is in time.
        opens_from: from then on the bids may be opened.
        opens_until: until then.
        outer: certificates of the cards that open first, in DER; two at least.
        inner: certificates of those that open then; two at least, none of them in `outer`.
        documents: the documents of the tender.
    """

    CONTENT_TYPE: ClassVar[str] = "2.25.113201208909365609381690168662467421302"

    origin: str
    tender: str
    title: str
    deadline: datetime
    opens_from: datetime
    opens_until: datetime
    outer: tuple[bytes, ...]
    inner: tuple[bytes, ...]
    documents: tuple[BidFile, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a notice that nobody could bid or open by.

        Raises:
            Malformed: it is one.
        """
        if not is_origin(self.origin):
            raise Malformed(_NO_SITE)
        if not self.deadline < self.opens_from < self.opens_until:
            raise Malformed(text("its deadline and its times of opening do not follow one another"))
        if min(len(self.outer), len(self.inner)) < LEAST_RECIPIENTS:
            raise Malformed(text("a group has fewer than two cards"))
        if max(len(self.outer), len(self.inner)) > MOST_RECIPIENTS:
            raise Malformed(text("a group has more than {count} cards").format(count=MOST_RECIPIENTS))
        if len({*self.outer, *self.inner}) < len(self.outer) + len(self.inner):
            raise Malformed(text("a card is named twice"))
        try:
            if self.documents:
                check_files(self.documents)
        except ValueError:
            raise Malformed(_OTHER_FORM) from None

    def encode(self) -> bytes:
        """Return it in DER."""
        return asn1.encode_der(
            _Notice(
                version=_VERSION,
                origin=self.origin,
                tender=self.tender,
                title=self.title,
                deadline=_time(self.deadline),
                opens_from=_time(self.opens_from),
                opens_until=_time(self.opens_until),
                outer=[*self.outer],
                inner=[*self.inner],
                documents=[
                    _Document(name=one.name, size=one.size, sha256=bytes.fromhex(one.sha256))
                    for one in self.documents
                ],
            )
        )

    @classmethod
    def decode(cls, der: bytes) -> Self:
        """Read it.

        Raises:
            Malformed: as Record.decode.
        """
        read = _decoded(_Notice, der)
        _check(read.version, read.origin, read.tender, *(one.sha256 for one in read.documents))
        return cls(
            read.origin,
            read.tender,
            read.title,
            read.deadline.as_datetime(),
            read.opens_from.as_datetime(),
            read.opens_until.as_datetime(),
            tuple(read.outer),
            tuple(read.inner),
            tuple(BidFile(one.name, one.size, one.sha256.hex()) for one in read.documents),
        )


@dataclass(frozen=True)
class Receipt(Record):
    """The receipt of a bid (投標收據).

    Attributes:
        origin: of the site.
        tender: number of the tender.
        notice: SHA-256 of the signed notice.
        account: the bidder's at the site.
        bid: the number that the site gave the bid, 32 bytes.
        sequence: how many times it was submitted, beginning with 1.
        replaces: SHA-256 of the signed receipt that this one replaces; None: it replaces none.
        size: bytes of the sealed bid.
        sha256: the digest of the sealed bid.
        outer_key: the digest of the key of its outer envelope.
        inner_key: that of its inner envelope.
        begun: when its upload began.
        ended: when it ended, which decides whether it was in time.
        head: the head of the site's chain before it.
    """

    CONTENT_TYPE: ClassVar[str] = "2.25.97509136862710948329688336024894911662"

    origin: str
    tender: str
    notice: bytes
    account: str
    bid: bytes
    sequence: int
    replaces: bytes | None
    size: int
    sha256: bytes
    outer_key: bytes
    inner_key: bytes
    begun: datetime
    ended: datetime
    head: bytes

    def encode(self) -> bytes:
        """Return it in DER."""
        return asn1.encode_der(
            _Receipt(
                version=_VERSION,
                origin=self.origin,
                tender=self.tender,
                notice=self.notice,
                account=self.account,
                bid=self.bid,
                sequence=self.sequence,
                replaces=self.replaces or b"",
                size=self.size,
                sha256=self.sha256,
                outer_key=self.outer_key,
                inner_key=self.inner_key,
                begun=_time(self.begun),
                ended=_time(self.ended),
                head=self.head,
            )
        )

    @classmethod
    def decode(cls, der: bytes) -> Self:
        """Read it.

        Raises:
            Malformed: as Record.decode.
        """
        read = _decoded(_Receipt, der)
        replaced = (read.replaces,) if read.replaces else ()
        digests = (read.notice, read.bid, read.sha256, read.outer_key, read.inner_key, read.head)
        _check(read.version, read.origin, read.tender, *digests, *replaced)
        begun, ended = read.begun.as_datetime(), read.ended.as_datetime()
        if begun > ended or read.sequence < 1 or read.size < 0:
            raise Malformed(_OTHER_FORM)
        return cls(
            read.origin,
            read.tender,
            read.notice,
            read.account,
            read.bid,
            read.sequence,
            read.replaces or None,
            read.size,
            read.sha256,
            read.outer_key,
            read.inner_key,
            begun,
            ended,
            read.head,
        )


@dataclass(frozen=True)
class SealedList(Record):
    """Which bids there are, fixed at the deadline (標封清單).

    Attributes:
        origin: of the site.
        tender: number of the tender.
        notice: SHA-256 of the signed notice.
        at: when the bids were fixed, after the deadline.
        receipts: SHA-256 of each signed receipt that counts: neither replaced nor withdrawn.
        late: SHA-256 of each of those that came too late.
        head: the head of the site's chain before it.
    """

    CONTENT_TYPE: ClassVar[str] = "2.25.172301816442601284312870848700170445266"

    origin: str
    tender: str
    notice: bytes
    at: datetime
    receipts: frozenset[bytes]
    late: frozenset[bytes]
    head: bytes

    def encode(self) -> bytes:
        """Return it in DER. The order of the digests tells nothing of when the bids came."""
        return asn1.encode_der(
            _SealedList(
                version=_VERSION,
                origin=self.origin,
                tender=self.tender,
                notice=self.notice,
                at=_time(self.at),
                receipts=sorted(self.receipts),
                late=sorted(self.late),
                head=self.head,
            )
        )

    @classmethod
    def decode(cls, der: bytes) -> Self:
        """Read it.

        Raises:
            Malformed: as Record.decode.
        """
        read = _decoded(_SealedList, der)
        _check(read.version, read.origin, read.tender, read.notice, read.head, *read.receipts, *read.late)
        found = cls(
            read.origin,
            read.tender,
            read.notice,
            read.at.as_datetime(),
            frozenset(read.receipts),
            frozenset(read.late),
            read.head,
        )
        if found.encode() != der or found.receipts & found.late:
            raise Malformed(_OTHER_FORM)
        return found


_S = TypeVar("_S")


def _decoded(kind: type[_S], der: bytes) -> _S:
    try:
        return asn1.decode_der(kind, der)
    except Exception as error:  # cryptography raises several kinds
        raise Malformed(_OTHER_FORM) from error


def _check(version: int, origin: str, tender: str, *digests: bytes) -> None:
    if not is_origin(origin):
        raise Malformed(_NO_SITE)
    if version != _VERSION or not tender or any(len(one) != _DIGEST_BYTES for one in digests):
        raise Malformed(_OTHER_FORM)


def _time(moment: datetime) -> asn1.GeneralizedTime:
    return asn1.GeneralizedTime(moment.astimezone(UTC))
