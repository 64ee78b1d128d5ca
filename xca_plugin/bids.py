# SPDX-License-Identifier: Apache-2.0
"""Sealed bids with a card: sealed and signed, looked at, opened, rehearsed.

What needs no card stands in xca_common.pki.sealed_bid, bid_records and signed_bid.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar, cast

from xca_common.bid import MOST_FILES, BadFileName, BidFile, check_files
from xca_common.errors import FileProblem
from xca_common.pki import sealed_bid, strict_certificate
from xca_common.pki.bid_records import MOST_BYTES, Notice, Receipt, Record, SignedRecord
from xca_common.pki.certificate import Certificate
from xca_common.pki.certificate_file import certificates_in
from xca_common.pki.encrypted_data import (
    NotDecryptable,
    NotForEncryption,
    Recipient,
    RecipientCertificate,
)
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.sealed_bid import InnerBid, OpenedBid, SealedBid
from xca_common.pki.signed_bid import OtherBid, SignedBid, recipients
from xca_common.scratch import temporary_folder
from xca_common.statement import MalformedStatement, Statement, StatementKind
from xca_common.taipei import moment
from xca_plugin import errors
from xca_plugin.enveloped import Enveloped, RecipientCard
from xca_plugin.i18n import text
from xca_plugin.model import CardSession, Hash, Padding
from xca_plugin.named_file import input_file, is_empty, problems_of
from xca_plugin.path_validation import find_chain
from xca_plugin.signed_data import signed_data
from xca_plugin.trust import Trust

_MOST_REHEARSAL_BYTES: Final = 64 << 10
_R = TypeVar("_R", bound=Record)


@dataclass(frozen=True)
class Tender:
    """A tender, as the notice tells it that its site signed.

    Attributes:
        path: the file with the notice.
        signed: the notice.
        site: certificates with which the site signs, in DER.
    """

    path: Path
    signed: SignedRecord[Notice]
    site: frozenset[bytes]

    @classmethod
    def read(cls, path: Path, site: Path) -> Self:
        """Read a notice.

        Args:
            path: the file with it.
            site: a file with the certificates with which the site signs.

        Raises:
            NotOfTheSite: it is no notice, or none of them signed it.
            NotACertificate: the other file holds something else.
            FileProblem: a file cannot be read.
        """
        with input_file(site) as file:
            data = file.read(MOST_BYTES)
        try:
            trusted = frozenset(certificates_in(data))
        except (Malformed, TooMuchError) as error:
            raise errors.NotACertificate(path=site, detail=error.detail) from error
        signed = _signed(Notice, path, trusted)
        try:
            for der in (*signed.record.outer, *signed.record.inner):
                strict_certificate.load(der)
            if len(recipients(signed.record)) < len(signed.record.outer) + len(signed.record.inner):
                raise Malformed(text("two of its cards have the same key"))
        except Malformed as error:
            raise errors.NotOfTheSite(path=path, detail=error.detail) from error
        return cls(path, signed, trusted)

    @property
    def notice(self) -> Notice:
        """What the notice says."""
        return self.signed.record

    def receipt(self, path: Path) -> Receipt:
        """Read the receipt of a bid for this tender.

        Raises:
            NotOfTheSite: it is none, or for another tender.
            FileProblem: it cannot be read.
        """
        receipt = _signed(Receipt, path, self.site).record
        _check_tender(self, path, receipt)
        return receipt

    def replaced(self, path: Path) -> tuple[Receipt, bytes]:
        """Read the receipt of a bid that another one is to replace; return its SHA-256 as well.

        Raises:
            NotOfTheSite, FileProblem: as receipt.
        """
        signed = _signed(Receipt, path, self.site)
        _check_tender(self, path, signed.record)
        return signed.record, signed.sha256

    def recipients(self) -> tuple[list[RecipientCertificate], list[RecipientCertificate]]:
        """Return the cards of the outer and of the inner group, as bids are encrypted to them.

        Raises:
            NotForEncryption: one is not valid today, or not meant for encryption.
        """
        try:
            outer, inner = (
                [RecipientCertificate.read(der) for der in group]
                for group in (self.notice.outer, self.notice.inner)
            )
        except NotForEncryption as error:
            raise errors.NotForEncryption(path=self.path, reason=error.reason) from error
        return outer, inner

    def check_deadline(self) -> None:
        """Refuse to go on after the deadline, by the clock of this computer.

        Raises:
            DeadlinePassed: it has passed.
        """
        if datetime.now(UTC) > self.notice.deadline:
            raise errors.DeadlinePassed(deadline=moment(self.notice.deadline))

    def check_opening(self) -> None:
        """Refuse to go on when bids are not opened, by the clock of this computer.

        Raises:
            OpeningClosed: it is too early or too late.
        """
        if not self.notice.opens_from <= datetime.now(UTC) <= self.notice.opens_until:
            raise errors.OpeningClosed(
                opens_from=moment(self.notice.opens_from), opens_until=moment(self.notice.opens_until)
            )


def listed(paths: Sequence[Path], bar: Callable[[BinaryIO], BinaryIO] = lambda file: file) -> list[BidFile]:
    """Read the files of a bid.

    Args:
        paths: where they are. They have the names of these files.
        bar: wraps a file that is read, to show how far it is.

    Raises:
        BidFileRefused: one may not be part of a bid.
        FileProblem: one cannot be read.
    """
    told = []
    for path in paths:
        with input_file(path, twice=True) as file, _refusing(path):
            told.append(BidFile.of(path.name, bar(file)))
    with _refusing(paths[0]):
        check_files(told)
    return told


def organisation_of(certificate: Certificate, number: str) -> str:
    """Return how a bid names the organisation of a card.

    Raises:
        NotABidder: the certificate names none.
    """
    organisation = certificate.organisation_oid or certificate.tax_id
    if organisation is None:
        raise errors.NotABidder(number=number)
    return organisation


def signed_manifest(statement: Statement, certificate: Certificate, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the statement of a bid, as its bidder's card signs it.

    Args:
        statement: Bid.statement().
        certificate: of the key that signs.
        sign: returns the card's signature of a digest.

    Raises:
        XcaError: as Cards.sign.
    """
    return signed_data(statement.encode(), certificate, sign)


def seal(
    tender: Tender,
    manifest: bytes,
    files: Mapping[Path, BidFile],
    output: BinaryIO,
    bar: Callable[[BinaryIO], BinaryIO] = lambda file: file,
) -> SealedBid:
    """Seal a bid.

    Args:
        tender: the tender.
        manifest: signed_manifest() of the bid that lists the files.
        files: the files, in the order of the bid.
        output: takes the sealed bid; it is worth nothing when this fails.
        bar: as listed().

    Raises:
        NotForEncryption: as Tender.recipients.
        FileProblem: a file cannot be read, or changed since it was listed.
    """
    outer, inner = tender.recipients()
    by_name = {told.name: path for path, told in files.items()}
    with ExitStack() as stack:
        contents = [(told, bar(stack.enter_context(input_file(path)))) for path, told in files.items()]
        try:
            return sealed_bid.seal(manifest, contents, outer, inner, output)
        except sealed_bid.OtherFiles as error:
            problem = FileProblem(path=by_name[error.name], detail=text("it changed while it was read"))
            raise problem.with_step(text("Wait until no program writes to it. Then do it again.")) from error


def check(path: Path, file: BinaryIO, tender: Tender, receipt: Receipt | None = None) -> SealedBid:
    """Look at a sealed bid without opening it.

    Args:
        path: the file, for messages.
        file: the file, open, with a beginning to go back to.
        tender: the tender that it is for.
        receipt: the receipt that must be of it; None: none is compared.

    Raises:
        NotABid, BidForOthers, TooMuch, CutOff: it is none for this tender.
        OtherBidThanReceived: the receipt is of another one.
    """
    with _reading(path):
        sealed = SealedBid.read(file, tender.notice.outer)
    if receipt is not None and (sealed.size, sealed.sha256, sealed.outer_key, sealed.inner_key) != (
        receipt.size,
        receipt.sha256,
        receipt.outer_key,
        receipt.inner_key,
    ):
        raise errors.OtherBidThanReceived(path=path)
    return sealed


class Opener:
    """Opens the bids of a tender with the card of an officer.

    Args:
        tender: the tender.
        by: the officer's card. It is told by its key, so that a certificate that was made anew for the same
            key opens as well.
        trust: what the certificates of bidders are judged by; None: only outer envelopes are opened.

    Attributes:
        is_first: the card is of the group that opens first.
    """

    def __init__(self, tender: Tender, by: RecipientCard, trust: Trust | None) -> None:
        self._tender, self._by, self._trust = tender, by, trust
        key = by.certificate.public_key
        notice = tender.notice
        own = [
            der for der in (*notice.outer, *notice.inner) if Certificate.parse("", "", der).public_key == key
        ]
        if not own:
            ders = (*notice.outer, *notice.inner)
            names = [Certificate.parse("", "", der).holder_name for der in ders]
            raise errors.NotForThisCard(number=by.card.number, path=tender.path, recipients=names)
        self._certificate = own[0]
        self.is_first = own[0] in notice.outer

    def open(
        self, path: Path, file: BinaryIO, receipt: Receipt, session: CardSession, output: BinaryIO
    ) -> Certificate | None:
        """Open one envelope of a bid.

        Args:
            path: the file, for messages.
            file: a sealed bid for the first group, what this wrote of it for the second; open, with a
                beginning to go back to.
            receipt: the receipt of the bid.
            session: of the officer's card.
            output: takes what is in the envelope: for the second group a ZIP with the bidder's files. It is
                worth nothing when this fails.

        Returns:
            The bidder's certificate; None: one envelope is left.

        Raises:
            BidTooLate: the receipt says that it came after the deadline.
            NotABid, BidForOthers, OtherBidThanReceived, TooMuch, CutOff: it is not the bid of the receipt.
            NotDecryptable: the key or the content does not decrypt.
            OtherBidKey: it opens with another key than it was submitted with.
            BidContradicts: what it holds is not the bid of the receipt, or nobody vouches for its bidder.
            FileProblem: a temporary file cannot be written.
            XcaError: as CardSession.decrypt.
        """
        deadline = self._tender.notice.deadline
        if receipt.ended > deadline:
            raise errors.BidTooLate(path=path, ended=moment(receipt.ended), deadline=moment(deadline))
        if self.is_first:
            sealed = check(path, file, self._tender, receipt)
            output.write(InnerBid(sealed.sha256, sealed.inner_key).line)
            with self._opening(path):
                sealed_bid.open_outer(
                    file, receipt.outer_key, self._certificate, self._decrypting(session), output
                )
            return None
        with _reading(path):
            inner = InnerBid.read(file, self._tender.notice.inner)
        if (inner.sealed, inner.key) != (receipt.sha256, receipt.inner_key):
            raise errors.OtherBidThanReceived(path=path)
        with problems_of(text("(temporary file)")), _temporary(path) as plain:
            with self._opening(path):
                sealed_bid.open_inner(
                    file, receipt.inner_key, self._certificate, self._decrypting(session), plain
                )
            return self._write_checked(path, plain, receipt, output)

    def _write_checked(self, path: Path, plain: BinaryIO, receipt: Receipt, output: BinaryIO) -> Certificate:
        try:
            opened = OpenedBid(plain)
            signed = SignedBid.read(opened.manifest)
            signed.check(self._tender.signed, receipt)
            self._check_bidder(signed.certificate, receipt)
            opened.write(signed.bid, output)
        except OtherBid as error:
            raise errors.BidContradicts(path=path, reason=error.reason) from error
        except sealed_bid.OtherFiles as error:
            reason = text("its file {name} is not what its bidder listed").format(name=error.name)
            raise errors.BidContradicts(path=path, reason=reason) from error
        except (Malformed, TooMuchError) as error:
            raise errors.BidContradicts(path=path, reason=error.detail) from error
        except EOFError as error:
            raise errors.BidContradicts(path=path, reason=text("it is cut off")) from error
        return signed.certificate

    def _check_bidder(self, bidder: Certificate, receipt: Receipt) -> None:
        """Judge the bidder's certificate as of the upload."""
        if self._trust is None:
            raise ValueError("no trust")
        signer = strict_certificate.load(bidder.der)
        found = find_chain(signer, self._trust.certificates, self._trust.trusted, receipt.ended)
        if found.chain is None:
            reason = text("nobody who is trusted vouches for the certificate of {holder}")
            raise OtherBid(reason.format(holder=bidder.holder))

    def _decrypting(self, session: CardSession) -> sealed_bid.DecryptKey:
        def decrypt(recipient: Recipient) -> bytes:
            try:
                return session.decrypt(
                    recipient.encrypted_key, digest_hash=Hash.SHA1, padding=Padding.PKCS1V15
                )
            except errors.NotDecryptable:
                return b""

        return decrypt

    @contextmanager
    def _opening(self, path: Path) -> Iterator[None]:
        with _reading(path):
            try:
                yield
            except NotDecryptable as error:
                raise errors.NotDecryptable(number=self._by.card.number) from error
            except sealed_bid.OtherKey as error:
                raise errors.OtherBidKey(path=path) from error
            except sealed_bid.NotARecipient as error:
                raise errors.BidForOthers(path=path) from error


def rehearse(path: Path, file: BinaryIO, origin: str, by: RecipientCard, session: CardSession) -> str:
    """Open a rehearsal of a site with an officer's card.

    Args:
        path: the file, for messages.
        file: the file, open: encrypted to the card.
        origin: of the site.
        by: the card.
        session: of the card.

    Returns:
        The nonce, which tells the site that the card opens what is encrypted to it.

    Raises:
        NotARehearsal: it holds something else, or is another site's.
        NotEncrypted, NotForThisCard, NotDecryptable, TooMuch, CutOff, XcaError: as Enveloped.decrypt.
    """
    if os.fstat(file.fileno()).st_size > _MOST_REHEARSAL_BYTES:
        raise errors.NotARehearsal(path=path, detail=text("it is longer than it can be"))
    output = BytesIO()
    Enveloped(file).decrypt(output, by, session.decrypt)
    try:
        statement = Statement.parse(output.getvalue())
    except MalformedStatement as error:
        raise errors.NotARehearsal(path=path, detail=text("it holds something else")) from error
    if statement.kind is not StatementKind.REHEARSAL:
        raise errors.NotARehearsal(path=path, detail=text("it holds something else"))
    if statement.origin != origin:
        other = text("it is for {origin}").format(origin=statement.origin)
        raise errors.NotARehearsal(path=path, detail=other)
    return statement.nonce


def _signed(kind: type[_R], path: Path, trusted: frozenset[bytes]) -> SignedRecord[_R]:
    with input_file(path) as file:
        der = file.read(MOST_BYTES + 1)
    try:
        signed = SignedRecord.read(kind, der)
    except (Malformed, TooMuchError) as error:
        raise errors.NotOfTheSite(path=path, detail=error.detail) from error
    except EOFError as error:
        raise errors.CutOff(path=path, is_empty=not der) from error
    if strict_certificate.as_asn1(signed.certificate).dump() not in trusted:
        raise errors.NotOfTheSite(path=path, detail=text("it was signed with another certificate"))
    return signed


def _check_tender(tender: Tender, path: Path, receipt: Receipt) -> None:
    notice = tender.notice
    named = (receipt.origin, receipt.tender, receipt.notice)
    if named != (notice.origin, notice.tender, tender.signed.sha256):
        raise errors.NotOfTheSite(path=path, detail=text("it is for another tender"))


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except BadFileName as error:
        raise errors.BidFileRefused(path=error.name, reason=error.reason) from error
    except ValueError as error:
        reason = text("a bid has {count} files at most").format(count=MOST_FILES)
        raise errors.BidFileRefused(path=path, reason=reason) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise errors.CutOff(path=path, is_empty=is_empty(path)) from error
    except TooMuchError as error:
        raise errors.TooMuch(path=path, detail=error.detail) from error
    except Malformed as error:
        raise errors.NotABid(path=path, detail=error.detail) from error
    except sealed_bid.OtherRecipients as error:
        raise errors.BidForOthers(path=path) from error


def _temporary(path: Path) -> BinaryIO:
    """Return a file without a name for a bid that is being judged: beside the sealed one, which is as big."""
    folder = path.parent if os.access(path.parent, os.W_OK) else temporary_folder()
    return cast("BinaryIO", tempfile.TemporaryFile(dir=folder))
