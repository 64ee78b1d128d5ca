# SPDX-License-Identifier: Apache-2.0
"""The archive of a tender: what it proves, and that nothing can be added or taken away unseen."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo
from zlib import crc32

import pytest
from click.testing import CliRunner

from support.bids.tender import HOUR, ORIGIN, Tender, bidder, group, site
from xca_common.pki.bid_records import Receipt, SealedList, SignedRecord
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.statement import Statement, StatementKind
from xca_login.bids import chain
from xca_login.bids.archive import Archive
from xca_login.bids.chain import Link, Opening
from xca_login.bids.verification import ArchiveRefused, Fate, Proved, verify
from xca_login.commands import xca_login
from xca_login.testing.parties import NOW, Party
from xca_login.testing.tokens import sign

pytestmark = pytest.mark.fast

FIRST, SECOND, THIRD, FOURTH = "12345675", "22099131", "04595257", "70759028"
MINUTE = timedelta(minutes=1)


@dataclass
class Site:
    """A site that keeps a chain, and writes an archive of one tender."""

    links: list[Link] = field(default_factory=list)
    head: bytes = chain.FIRST
    salts: dict[bytes, bytes] = field(default_factory=dict)
    archive: dict[str, dict[bytes, bytes]] = field(
        default_factory=lambda: {"receipts": {}, "manifests": {}, "withdrawals": {}, "openings": {}}
    )

    def add(self, document: bytes, at: datetime) -> None:
        opening = Opening.of(document)
        self.salts[opening.document] = opening.salt
        self.link(Link(at, opening.commitment))

    def link(self, link: Link) -> None:
        self.links.append(link)
        self.head = link.head(self.head)

    def keep(self, folder: str, document: bytes, at: datetime) -> bytes:
        self.add(document, at)
        digest = sha256(document).digest()
        self.archive[folder][digest] = document
        return digest

    def take(self, tender: Tender, account: str, ended: datetime, **changes: Any) -> bytes:
        some = sha256(account.encode()).digest()
        notice = tender.signed.record
        receipt = Receipt(
            ORIGIN, notice.tender, tender.signed.sha256, account, some, 1, None, 9, some, some, some,
            ended - MINUTE, ended, self.head,
        )  # fmt: skip
        receipt = replace(receipt, **changes)
        return self.keep("receipts", receipt.sign(site().certificate, site().key), ended)


@dataclass(frozen=True)
class Whole:
    """A tender from its notice to its opening: one bid replaced, one withdrawn, one late, two opened."""

    archive: Archive
    tender: Tender
    digests: dict[str, bytes]


def opened_by(one: Party, role: str, tender: Tender, listed: bytes, at: datetime) -> bytes:
    fields = (
        ("tender", tender.signed.record.tender),
        ("list", sha256(listed).hexdigest()),
        ("officer", role),
    )
    return sign(one, Statement(StatementKind.OPEN, ORIGIN, at, "d" * 64, fields).encode())


def whole(
    change: Callable[[Site, Tender], None] = lambda kept, tender: None,
    roles: tuple[tuple[str, str], ...] = (("officer 1", "outer"), ("auditor 1", "inner")),
    opening: datetime = NOW,
) -> Whole:
    outer, inner = group("officer 1", "officer 2"), group("auditor 1", "auditor 2")
    tender = Tender.of([one.der for one in outer], [one.der for one in inner])
    deadline, kept = tender.signed.record.deadline, Site()
    kept.link(Link(deadline - 3 * HOUR, chain.tick()))
    kept.add(tender.der, deadline - 2 * HOUR)
    digests = {}
    digests["replaced"] = kept.take(tender, FIRST, deadline - HOUR)
    kept.link(Link(deadline - HOUR, chain.tick()))
    digests["withdrawn"] = kept.take(tender, SECOND, deadline - HOUR)
    digests["first"] = kept.take(tender, FIRST, deadline - MINUTE, sequence=2, replaces=digests["replaced"])
    fields = (
        ("tender", tender.signed.record.tender),
        ("bid", sha256(SECOND.encode()).hexdigest()),
        ("receipt", digests["withdrawn"].hex()),
    )
    statement = Statement(StatementKind.WITHDRAW, ORIGIN, NOW, "e" * 64, fields)
    kept.keep("withdrawals", sign(bidder(SECOND), statement.encode()), deadline - MINUTE)
    digests["last"] = kept.take(tender, THIRD, deadline)
    digests["late"] = kept.take(tender, FOURTH, deadline + timedelta(milliseconds=1))
    counting = {digests["first"], digests["last"]}
    at = deadline + MINUTE
    fixed = SealedList(
        ORIGIN, tender.signed.record.tender, tender.signed.sha256, at,
        frozenset(counting), frozenset({digests["late"]}), kept.head,
    )  # fmt: skip
    listed = fixed.sign(site().certificate, site().key)
    change(kept, tender)
    kept.add(listed, at)
    # Officers sign with another key than bids are encrypted to; the name is the same.
    for name, role in roles:
        (one,) = group(name)
        kept.keep("openings", opened_by(one, role, tender, listed, opening), opening)
    for digest, account, sequence in ((digests["first"], FIRST, 2), (digests["last"], THIRD, 1)):
        replaces = digests["replaced"].hex() if sequence == 2 else None
        number = sha256(account.encode()).hexdigest()
        said = tender.bid(account, bid=number, sequence=sequence, replaces=replaces)
        kept.archive["manifests"][digest] = sign(
            bidder(account), said.statement(ORIGIN, NOW, "a" * 64).encode()
        )
    archive = Archive(kept.links, chain.FIRST, tender.der, listed, **kept.archive, salts=kept.salts)
    return Whole(archive, tender, digests)


@pytest.fixture(scope="module")
def one() -> Whole:
    return whole()


def test_archive_proves_who_bid_when_what_became_of_it_and_who_opened(one: Whole) -> None:
    proved = verify(one.archive)
    fates = [(bid.receipt.account, bid.fate, bid.bidder is not None) for bid in proved.bids]
    assert fates == [
        (FIRST, Fate.REPLACED, False),
        (SECOND, Fate.WITHDRAWN, False),
        (FIRST, Fate.OPENED, True),
        (THIRD, Fate.OPENED, True),
        (FOURTH, Fate.LATE, False),
    ]
    assert [opening.group for opening in proved.openings] == ["outer", "inner"]
    assert proved.site == site().certificate


def test_archive_is_read_as_it_was_written(one: Whole) -> None:
    file = io.BytesIO()
    one.archive.write(file)
    assert Archive.read(file) == one.archive


def test_head_that_a_bidder_kept_is_in_the_chain_and_no_other(one: Whole) -> None:
    receipts = one.archive.receipts.values()
    heads = [SignedRecord.read(Receipt, der).record.head for der in receipts]
    assert isinstance(verify(one.archive, heads), Proved)
    with pytest.raises(ArchiveRefused, match="kept elsewhere"):
        verify(one.archive, [*heads, b"x" * 32])


def without(folder: str, name: str) -> Callable[[Whole], Archive]:
    def change(one: Whole) -> Archive:
        kept = {**getattr(one.archive, folder)}
        kept.pop(one.digests[name])
        return replace(one.archive, **{folder: kept})  # type: ignore[arg-type]  # one of its folders

    return change


def later_chain(one: Whole) -> Archive:
    """The chain made anew, with a receipt of its own behind the deadline."""
    links = [*one.archive.links[:-4], Link(one.archive.links[-4].at, chain.tick()), *one.archive.links[-4:]]
    return replace(one.archive, links=links)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("receipts", "last"), "opened that does not count"),
        (without("receipts", "late"), "not that of the receipts"),
        (without("receipts", "replaced"), "not its own"),
        (lambda one: replace(one.archive, withdrawals={}), "not that of the receipts"),
        (lambda one: replace(one.archive, openings={}), "both groups"),
        (lambda one: replace(one.archive, salts={}), "not in the chain"),
        (lambda one: replace(one.archive, before=b"x" * 32), "another head"),
        (lambda one: replace(one.archive, links=one.archive.links[1:]), "another head"),
        (lambda one: replace(one.archive, links=[*one.archive.links, one.archive.links[0]]), "twice"),
        (later_chain, "another head"),
        (lambda one: replace(one.archive, sealed_list=one.archive.notice), "something else"),
    ],
    ids=[
        *("bid removed", "late bid removed", "replaced bid removed", "withdrawal removed"),
        *("openings removed", "salts removed", "another beginning", "beginning removed"),
        *("link twice", "chain made anew", "no list"),
    ],
)
def test_archive_from_which_something_was_taken_is_refused(
    one: Whole, change: Callable[[Whole], Archive], reason: str
) -> None:
    with pytest.raises(ArchiveRefused, match=reason):
        verify(change(one))


def test_bid_that_was_added_after_the_deadline_is_refused() -> None:
    def add(kept: Site, tender: Tender) -> None:
        deadline = tender.signed.record.deadline
        kept.take(tender, "16446274", deadline - MINUTE, head=kept.head)

    with pytest.raises(ArchiveRefused, match=r"another head|not that of the receipts"):
        verify(whole(add).archive)


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ((("officer 1", "outer"), ("officer 1", "outer")), "both groups"),
        ((("officer 1", "outer"), ("officer 2", "outer")), "both groups"),
        ((("officer 1", "outer"), ("officer 1", "inner")), "no group"),
        ((("a stranger", "outer"), ("auditor 1", "inner")), "no group"),
        ((("officer 1", "chair"), ("auditor 1", "inner")), "no group"),
    ],
)
def test_opening_by_the_same_group_or_by_strangers_is_refused(
    roles: tuple[tuple[str, str], ...], reason: str
) -> None:
    with pytest.raises(ArchiveRefused, match=reason):
        verify(whole(roles=roles).archive)


def test_opening_outside_its_window_is_refused() -> None:
    for at in (NOW - HOUR / 2 - MINUTE, NOW + HOUR + MINUTE):
        with pytest.raises(ArchiveRefused, match="outside the time"):
            verify(whole(opening=at).archive)


def test_bid_that_somebody_else_signed_is_refused(one: Whole) -> None:
    swapped = {**one.archive.manifests, one.digests["last"]: one.archive.manifests[one.digests["first"]]}
    with pytest.raises(ArchiveRefused, match="another organisation submitted it"):
        verify(replace(one.archive, manifests=swapped))


def test_what_is_no_archive_is_refused(one: Whole) -> None:
    file = io.BytesIO()
    one.archive.write(file)
    data = file.getvalue()
    receipt = one.archive.receipts[one.digests["last"]]
    for junk in (b"", b"junk", data[:-30], data.replace(receipt, receipt[:-1] + bytes([receipt[-1] ^ 1]))):
        with pytest.raises((Malformed, TooMuchError)):
            Archive.read(io.BytesIO(junk))


def test_archive_whose_files_lie_in_one_another_is_refused() -> None:
    """Else a small file asks for the memory of a big one."""
    names = [f"receipts/{each:064x}" for each in (1, 2)]
    inner = ZipInfo(names[1])
    content = b"x" * 4096
    inner.CRC, inner.file_size, inner.compress_size = crc32(content), len(content), len(content)
    file = io.BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr(names[0], inner.FileHeader() + content)
        inner.header_offset = len(archive.infolist()[0].FileHeader())
        archive.filelist.append(inner)
    with pytest.raises(Malformed, match="another form"):
        Archive.read(file)


def test_command_says_who_bid_and_whose_word_it_is(one: Whole, tmp_path: Path) -> None:
    file, certificate = tmp_path / "tender.archive", tmp_path / "site.pem"
    with file.open("wb") as output:
        one.archive.write(output)
    certificate.write_bytes(site().pem)
    run = CliRunner(env={"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}).invoke
    result = run(xca_login, ["verify-archive", str(file), "--site", str(certificate)])
    assert result.exit_code == 0, result.output
    assert f"{THIRD}: opened" in result.output
    assert "as the site says" in result.output
    assert "the officers say" in result.output
    assert run(xca_login, ["verify-archive", str(file)]).exit_code == 3
    assert run(xca_login, ["verify-archive", str(file), "--head", "0" * 63]).exit_code == 2
    assert run(xca_login, ["verify-archive", str(file), "--head", "0f" * 32]).exit_code == 1
    certificate.write_bytes(bidder().pem)
    assert run(xca_login, ["verify-archive", str(file), "--site", str(certificate)]).exit_code == 1
    assert run(xca_login, ["verify-archive", str(certificate)]).exit_code == 4
