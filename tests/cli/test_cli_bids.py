# SPDX-License-Identifier: Apache-2.0
"""xcactl bid: bids sealed with a card, looked at, opened with the cards of two groups, rehearsed."""

import io
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

from softhsm import Environment, cards
from support.bids.tender import FILES, HOUR, ORIGIN, Submitted, Tender, bidder, ca, group, site
from support.cli.xcactl import PIN, USER_CODE, XCACTL, Result, Workspace
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.certificate_file import certificates_in
from xca_common.pki.encrypted_data import EncryptedWriter, RecipientCertificate, encrypt
from xca_common.pki.sealed_bid import OpenedBid, SealedBid, open_inner, open_outer, with_key
from xca_common.pki.signed_bid import SignedBid
from xca_common.statement import Statement, StatementKind
from xca_login.testing.parties import NOW, Party, party

BIG = 96 << 20
MOST_MEMORY = 100 << 20


@dataclass(frozen=True)
class Officers:
    """Two officers with cards, one in each group, and a colleague of each with a key in software.

    Attributes:
        workspace: where both cards are.
        first: the number of the card that opens first.
        second: that of the card that opens then.
        tender: a tender whose bids are opened now.
        colleagues: one of each group.
    """

    workspace: Workspace
    first: str
    second: str
    tender: Tender
    colleagues: tuple[Party, Party]

    @property
    def folder(self) -> Path:
        return self.workspace.home

    def put(self, name: str, one: Submitted) -> Path:
        path = self.folder / name
        path.write_bytes(one.data)
        (self.folder / f"{name}.receipt").write_bytes(one.signed)
        return path

    def open(self, number: str, *files: str, options: tuple[str, ...] = ()) -> Result:
        pin = self.folder / "pin"
        pin.write_text(PIN)
        given = ("--notice", "notice.p7m", "--site", "site.pem", "--ca-file", "ca.pem")
        return self.workspace.run(
            "bid", "open", *files, *given, "--card", number, "--pin", f"file:{pin}", *options
        )

    def left(self) -> set[str]:
        """Files that are no test's own."""
        own = {"pin", "notice.p7m", "site.pem", "ca.pem"}
        return {path.name for path in self.folder.iterdir() if path.is_file()} - own


@pytest.fixture(scope="module")
def both(issued_twice: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[str]]:
    workspace = issued_twice.copy(tmp_path_factory.mktemp("officers") / "workspace")
    numbers = [card.number for card in cards(Environment(workspace.path))]
    for number in numbers:
        arguments = ("activate", "--yes", "--card", number, "--user-code", "stdin", "--new-pin", "stdin")
        assert workspace.run(*arguments, stdin=f"{USER_CODE}\n{PIN}\n").status == 0
        assert workspace.run("cert", "export", "cert2", "--card", number, "-o", f"{number}.pem").status == 0
    return workspace, numbers


@pytest.fixture
def officers(both: tuple[Workspace, list[str]], tmp_path: Path) -> Officers:
    before, (first, second) = both
    workspace = replace(before.copy(tmp_path / "cards"), home=tmp_path / "home")
    workspace.home.mkdir()
    one, other = (certificates_in((before.path / f"{each}.pem").read_bytes())[0] for each in (first, second))
    colleagues = group("officer", "auditor")
    tender = Tender.of([one, colleagues[0].der], [other, colleagues[1].der])
    (workspace.home / "notice.p7m").write_bytes(tender.der)
    (workspace.home / "site.pem").write_bytes(site().pem)
    (workspace.home / "ca.pem").write_bytes(ca().pem)
    return Officers(workspace, first, second, tender, (colleagues[0], colleagues[1]))


def test_bids_are_opened_by_two_cards_one_after_the_other(officers: Officers) -> None:
    for name in ("a.bid", "b.bid"):
        officers.put(name, officers.tender.submitted(bidder()))
    result = officers.open(officers.first, "a.bid", "b.bid")
    assert result.status == 0, result.err
    assert officers.open(officers.first, "a.bid.inner").status == 101
    result = officers.open(officers.second, "a.bid.inner", "b.bid.inner")
    assert result.status == 0, result.err
    assert "Bid of: company 12345675" in result.err
    for name in ("a.bid.zip", "b.bid.zip"):
        assert (officers.folder / name).stat().st_mode & 0o777 == 0o600
        with ZipFile(officers.folder / name) as archive:
            assert {each: archive.read(each) for each in archive.namelist()[1:]} == FILES


def test_bid_is_sealed_with_the_card_and_opened_by_the_groups_keys(officers: Officers) -> None:
    deadline = datetime.now(UTC) + HOUR
    outer, inner = group("officer 1", "officer 2"), group("auditor 1", "auditor 2")
    ders = [one.der for one in outer], [one.der for one in inner]
    tender = Tender.of(*ders, deadline, deadline + HOUR, deadline + 2 * HOUR)
    folder = officers.folder
    (folder / "notice.p7m").write_bytes(tender.der)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "instrument").write_bytes(b"instrument")
    common = ("--notice", "notice.p7m", "--site", "site.pem")
    sealing = ("--card", officers.first, "--pin", "stdin", "--instrument", "instrument")
    arguments = ("bid", "seal", *FILES, "-o", "our.bid", *common, *sealing, "--instrument-number", "E-7")
    run = officers.workspace.run
    assert run(*arguments, stdin=f"{PIN}\n").status == 2  # no number of a bid
    result = run(*arguments, "--bid", "3" * 64, stdin=f"{PIN}\n")
    assert result.status == 0, result.err
    with (folder / "our.bid").open("rb") as file:
        shown = SealedBid.read(file, ders[0])
        assert shown.sha256.hex() in result.err
        within, plain = io.BytesIO(), io.BytesIO()
        open_outer(file, shown.outer_key, outer[1].der, with_key(outer[1].key), within)
    open_inner(within, shown.inner_key, inner[0].der, with_key(inner[0].key), plain)
    signed = SignedBid.read(OpenedBid(plain).manifest)
    organisation = signed.certificate.organisation_oid
    assert organisation is not None
    received = tender.received((folder / "our.bid").read_bytes(), shown, organisation)
    signed.check(tender.signed, received.receipt)
    assert [told.name for told in signed.bid.files] == list(FILES)

    (folder / "our.receipt").write_bytes(received.signed)
    result = run("bid", "check", "our.bid", *common, "--receipt", "our.receipt")
    assert result.status == 0, result.err
    assert shown.sha256.hex() in result.out
    result = run(*arguments, "--force", "--replaces", "our.receipt", stdin=f"{PIN}\n")
    assert result.status == 0, result.err
    assert run("bid", "check", "our.bid", *common, "--receipt", "our.receipt").status == 103
    assert run("bid", "check", "our.bid", *common).status == 0


def test_bid_of_a_tender_whose_deadline_has_passed_is_not_sealed(officers: Officers) -> None:
    (officers.folder / "a.txt").write_bytes(b"a")
    common = ("--notice", "notice.p7m", "--site", "site.pem", "--instrument", "a.txt")
    result = officers.workspace.run(
        *("bid", "seal", "a.txt", "-o", "a.bid", *common, "--instrument-number", "E-7", "--bid", "3" * 64),
        *("--card", officers.first, "--pin", "stdin"),
        stdin=f"{PIN}\n",
    )
    assert result.status == 108
    assert officers.left() == {"a.txt"}


def test_file_that_no_system_could_write_is_not_sealed(officers: Officers) -> None:
    deadline = datetime.now(UTC) + HOUR
    cards = [one.der for one in group("officer 1", "officer 2", "auditor 1", "auditor 2")]
    tender = Tender.of(cards[:2], cards[2:], deadline, deadline + HOUR, deadline + 2 * HOUR)
    (officers.folder / "notice.p7m").write_bytes(tender.der)
    (officers.folder / "a:b").write_bytes(b"a")
    common = ("--notice", "notice.p7m", "--site", "site.pem", "--instrument", "pin")
    (officers.folder / "pin").write_bytes(b"x")
    result = officers.workspace.run(
        *("bid", "seal", "a:b", "-o", "a.bid", *common, "--instrument-number", "E-7", "--bid", "3" * 64),
        *("--card", officers.first, "--pin", "stdin"),
        stdin=f"{PIN}\n",
    )
    assert result.status == 106
    assert "not every system can give a file this name" in result.err


def test_bids_are_opened_within_the_window_only(officers: Officers) -> None:
    notice = officers.tender.signed.record
    for since, until in ((HOUR, 2 * HOUR), (-2 * HOUR, -HOUR)):
        now = datetime.now(UTC)
        tender = Tender.of(notice.outer, notice.inner, now - 3 * HOUR, now + since, now + until)
        (officers.folder / "notice.p7m").write_bytes(tender.der)
        officers.put("a.bid", tender.submitted(bidder()))
        assert officers.open(officers.first, "a.bid").status == 109
    assert officers.left() == {"a.bid", "a.bid.receipt"}


def test_bid_that_came_after_the_deadline_is_not_opened(officers: Officers) -> None:
    one, late = officers.tender.submitted(bidder()), officers.tender.signed.record.deadline + HOUR / 4
    officers.put("a.bid", officers.tender.received(one.data, one.shown, "12345675", ended=late))
    result = officers.open(officers.first, "a.bid")
    assert result.status == 111
    assert officers.left() == {"a.bid", "a.bid.receipt"}


def test_notice_that_names_a_key_twice_is_refused(officers: Officers) -> None:
    one, other = party("officer", usage=ENCRYPTION), party("auditor", usage=ENCRYPTION)
    again = party("officer again", usage=ENCRYPTION, key_name="officer")
    tender = Tender.of([one.der, officers.colleagues[0].der], [again.der, other.der])
    (officers.folder / "notice.p7m").write_bytes(tender.der)
    (officers.folder / "a.bid").write_bytes(b"")
    result = officers.workspace.run("bid", "check", "a.bid", "--notice", "notice.p7m", "--site", "site.pem")
    assert result.status == 100
    assert "two of its cards have the same key" in result.err


def test_opened_bid_does_not_take_the_place_of_the_receipt(officers: Officers) -> None:
    officers.put("a.bid", officers.tender.submitted(bidder()))
    result = officers.open(officers.first, "a.bid", options=("-o", "a.bid.receipt", "--force"))
    assert result.status not in (0, 70)
    assert "would replace a file" in result.err


def test_notice_that_another_site_signed_is_refused(officers: Officers) -> None:
    officers.put("a.bid", officers.tender.submitted(bidder()))
    (officers.folder / "site.pem").write_bytes(ca().pem)
    result = officers.open(officers.first, "a.bid")
    assert result.status == 100
    assert "another certificate" in result.err


def test_card_of_no_group_opens_nothing(officers: Officers) -> None:
    others = [one.der for one in group("officer 1", "officer 2", "auditor 1", "auditor 2")]
    tender = Tender.of(others[:2], others[2:])
    (officers.folder / "notice.p7m").write_bytes(tender.der)
    officers.put("a.bid", tender.submitted(bidder()))
    result = officers.open(officers.first, "a.bid")
    assert result.status == 65
    assert "officer 1" in result.err


def test_altered_bid_is_opened_by_nobody_and_leaves_no_byte(officers: Officers) -> None:
    one = officers.tender.submitted(bidder())
    data = bytearray(one.data)
    data[len(data) // 2] ^= 1
    # As if the site had taken it so.
    shown = SealedBid.read(io.BytesIO(data))
    officers.put("a.bid", officers.tender.received(bytes(data), shown, "12345675"))
    assert officers.open(officers.first, "a.bid").status == 52
    officers.put("b.bid", replace(one, data=bytes(data)))
    assert officers.open(officers.first, "b.bid").status == 103
    assert officers.left() == {"a.bid", "a.bid.receipt", "b.bid", "b.bid.receipt"}


def test_one_bad_bid_among_several_stops_nothing(officers: Officers) -> None:
    tender = officers.tender
    names = [f"{number}.bid" for number in range(4)]
    for name in names:
        officers.put(name, tender.submitted(bidder()))
    bad = officers.folder / names[1]
    bad.write_bytes(bad.read_bytes()[:-1])
    result = officers.open(officers.first, *names)
    assert result.status in (67, 101)
    assert "1 of 4 files failed." in result.err
    opened = {f"{name}.inner" for name in names if name != names[1]}
    assert opened <= officers.left()
    assert f"{names[1]}.inner" not in officers.left()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"account": "87654321"}, "another organisation submitted it"),
        ({"tender": "115-A/8"}, "another tender"),
        ({"bid": "4" * 64}, "another submission"),
        ({"tax_id": "87654321"}, "another organisation than the certificate"),
    ],
    ids=["copied by another account", "another tender", "another submission", "another organisation"],
)
def test_wrong_bid_in_the_right_envelope_is_refused(
    officers: Officers, what: dict[str, str], reason: str
) -> None:
    officers.put("a.bid", officers.tender.submitted(bidder(), **what))  # type: ignore[arg-type]
    assert officers.open(officers.first, "a.bid").status == 0
    before = officers.left()
    result = officers.open(officers.second, "a.bid.inner")
    assert result.status == 105
    assert reason in result.err
    assert officers.left() == before


def test_bidder_for_whom_nobody_vouches_is_refused(officers: Officers) -> None:
    officers.put("a.bid", officers.tender.submitted(bidder()))
    assert officers.open(officers.first, "a.bid").status == 0
    (officers.folder / "ca.pem").write_bytes(party("another CA", ca=True).pem)
    result = officers.open(officers.second, "a.bid.inner")
    assert result.status == 105
    assert "vouches" in result.err


def test_envelope_with_two_contents_is_refused(officers: Officers) -> None:
    one = officers.tender.submitted(bidder())
    outer = [RecipientCertificate.read(der) for der in officers.tender.signed.record.outer]
    other, made = EncryptedWriter(outer, 5, key=b"3" * 32), io.BytesIO()
    made.write(one.data.partition(b"\n")[0] + b"\n")
    other.begin(made)
    other.write(b"price")
    other.finish()
    data = made.getvalue()
    officers.put("a.bid", officers.tender.received(data, SealedBid.read(io.BytesIO(data)), "12345675"))
    assert officers.open(officers.first, "a.bid").status == 104
    assert officers.left() == {"a.bid", "a.bid.receipt"}


def test_card_that_locks_in_the_middle_leaves_the_bids_as_they_are(officers: Officers) -> None:
    officers.put("a.bid", officers.tender.submitted(bidder()))
    pin = officers.folder / "wrong"
    pin.write_text("00000000")
    given = ("--notice", "notice.p7m", "--site", "site.pem", "--card", officers.first, "--last-try")
    statuses = [
        officers.workspace.run("bid", "open", "a.bid", *given, "--pin", f"file:{pin}").status
        for _ in range(3)
    ]
    assert statuses[-1] in (35, 36)
    assert officers.open(officers.first, "a.bid").status == 36
    assert officers.left() == {"a.bid", "a.bid.receipt", "wrong"}
    # Another one of the group opens it.
    data = (officers.folder / "a.bid").read_bytes()
    shown, colleague = SealedBid.read(io.BytesIO(data)), officers.colleagues[0]
    open_outer(io.BytesIO(data), shown.outer_key, colleague.der, with_key(colleague.key), io.BytesIO())


def rehearsal(officers: Officers, origin: str, kind: StatementKind = StatementKind.REHEARSAL) -> str:
    statement = Statement(kind, origin, NOW, "c" * 64, ())
    der = officers.tender.signed.record.outer[0]
    with (officers.folder / "rehearsal").open("wb") as output:
        encrypt(io.BytesIO(statement.encode()), output, [RecipientCertificate.read(der)])
    return "rehearsal"


def test_rehearsal_answers_the_nonce_for_the_site_that_asked_only(officers: Officers) -> None:
    def run(name: str) -> Result:
        arguments = ("bid", "rehearse", name, "--origin", ORIGIN, "--card", officers.first)
        return officers.workspace.run(*arguments, "--pin", "stdin", stdin=f"{PIN}\n")

    result = run(rehearsal(officers, ORIGIN))
    assert (result.status, result.out) == (0, "c" * 64 + "\n")
    for name in (
        rehearsal(officers, "https://other.example"),
        rehearsal(officers, ORIGIN, StatementKind.LOGIN),
    ):
        result = run(name)
        assert result.status == 110
        assert "c" * 64 not in result.out + result.err


@pytest.mark.slow
def test_large_bid_takes_little_memory(officers: Officers) -> None:
    deadline = datetime.now(UTC) + HOUR
    notice, folder = officers.tender.signed.record, officers.folder
    tender = Tender.of(notice.outer, notice.inner, deadline, deadline + HOUR, deadline + 2 * HOUR)
    (folder / "later.p7m").write_bytes(tender.der)
    with (folder / "big").open("wb") as big:
        big.truncate(BIG)
    pin = folder / "pin"
    pin.write_text(PIN)
    use = ("--site", "site.pem", "--card", officers.first, "--pin", f"file:{pin}")
    sealing = ("--instrument", "site.pem", "--instrument-number", "E-7", "--bid", "3" * 64)
    arguments = ("seal", "big", "-o", "big.bid", "--notice", "later.p7m", *sealing, *use)
    assert memory(officers.workspace, "bid", *arguments) < MOST_MEMORY
    one = officers.tender.submitted(bidder(), files={"big": bytes(BIG)})
    officers.put("a.bid", one)
    given = ("--notice", "notice.p7m", "--ca-file", "ca.pem", "--site", "site.pem", "--pin", f"file:{pin}")
    for card, name in ((officers.first, "a.bid"), (officers.second, "a.bid.inner")):
        assert memory(officers.workspace, "bid", "open", name, *given, "--card", card) < MOST_MEMORY
    assert (folder / "a.bid.zip").stat().st_size > BIG


def memory(workspace: Workspace, *arguments: str) -> int:
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, sys.executable, *XCACTL, *arguments],
        env=workspace.environment,
        cwd=workspace.home,
        check=True,
        capture_output=True,
    )
    return int(done.stdout) << 10
