# SPDX-License-Identifier: Apache-2.0
"""Signed PDF files: every signature, and what was changed after it."""

import hashlib
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

from support.cli.json_schemas import check
from support.cli.xcactl import Result
from support.hostile_pki import repeated
from support.signed_pdf import (
    page,
    sign_pdf,
    signatures_of,
    signed_over,
    stamp_pdf,
    stamper_of,
    with_long_list,
    with_other_page,
    with_store,
)
from support.time_stamping import authority
from xca_login.testing.parties import DAY, NOW, Party, party
from xca_login.testing.tokens import signed
from xca_plugin import own_loop, time_limit
from xca_plugin.cli.root import xcactl

HOUR = timedelta(hours=1)
NOT_VALID = 62
REVOCATION_UNKNOWN = 78


@pytest.fixture(scope="session")
def root() -> Party:
    return party("root", ca=True)


@pytest.fixture(scope="session")
def issuer(root: Party) -> Party:
    return party("issuer", root, ca=True)


@pytest.fixture(scope="session")
def signer(issuer: Party) -> Party:
    return party("signer", issuer)


@pytest.fixture(scope="session")
def stamper(root: Party) -> Party:
    return authority(root)


@pytest.fixture(scope="session")
def once(signer: Party, issuer: Party) -> bytes:
    """A PDF with one signature."""
    return sign_pdf(page(), signer, [issuer])


@pytest.fixture(scope="session")
def twice(once: bytes, issuer: Party) -> bytes:
    """A PDF with two signatures."""
    return sign_pdf(once, party("other", issuer), [issuer], field="Sig2")


class Verifier:
    """xcactl verify FILE.pdf in this process."""

    def __init__(self, folder: Path, root: Party) -> None:
        self.folder = folder
        self.root = root.write(folder / "root.cer")

    def __call__(self, pdf: bytes, *options: str) -> Result:
        file = self.folder / "file.pdf"
        file.write_bytes(pdf)
        arguments = ["verify", str(file), "--ca-file", str(self.root), *options]
        done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, arguments)
        return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def verify(tmp_path: Path, root: Party) -> Verifier:
    return Verifier(tmp_path, root)


def test_signed_pdf_is_valid_and_says_who_signed(verify: Verifier, once: bytes) -> None:
    result = verify(once)
    assert result.status == 0, result.err
    assert "The signature is valid." in result.out
    assert "O=signer" in result.out
    assert "Sig1" in result.out
    assert "nothing" in result.out


@pytest.mark.parametrize(
    "tail",
    [
        b"\n<script>alert(1)</script>\n",
        b"PK\3\4",
        b"%",
        bytes(100) + b"x",
        b"\n% other\nstartxref\nSTART\n%%EOF\n",
    ],
    ids=["markup", "archive", "comment", "after zeros", "its own end"],
)
def test_bytes_behind_the_newest_revision_make_no_signature_valid(
    verify: Verifier, once: bytes, twice: bytes, tail: bytes
) -> None:
    for pdf in (once, twice):
        start = pdf.rsplit(b"startxref", 1)[1].split()[0]
        result = verify(pdf + tail.replace(b"START", start), "--any")
        assert result.status == NOT_VALID, result.out
        assert "nothing" not in result.out


def test_white_space_behind_a_pdf_changes_nothing(verify: Verifier, once: bytes) -> None:
    assert verify(once + b"\r\n \n").status == 0


def test_signed_pdf_is_verified_inside_a_running_event_loop(
    verify: Verifier, signer: Party, issuer: Party, stamper: Party
) -> None:
    async def asked() -> Result:
        return verify(stamp_pdf(sign_pdf(page(), signer, [issuer]), stamper_of(stamper)))

    result = own_loop.run(asked())
    assert result.status == 0, result.err


def test_every_signature_of_a_pdf_is_shown(verify: Verifier, twice: bytes) -> None:
    result = verify(twice)
    assert result.status == 0, result.err
    assert "2 of 2 signatures are valid" in result.out
    for words in ("O=signer", "O=other", "form fields were filled in or signatures added", "nothing"):
        assert words in result.out


def test_signatures_of_a_pdf_are_told_in_json(verify: Verifier, twice: bytes) -> None:
    document = verify(twice, "--json").json
    check(document, "verify")
    found = [(one["pdf"]["field"], one["pdf"]["changes"], one["valid"]) for one in document["signatures"]]
    assert found == [("Sig1", "forms", True), ("Sig2", "none", True)]
    assert document["signed_at"] is not None


def test_changed_page_makes_a_signature_not_valid(verify: Verifier, once: bytes) -> None:
    result = verify(with_other_page(once))
    assert result.status == NOT_VALID
    assert "was changed after it in a way that it does not allow" in result.err
    document = verify(with_other_page(once), "--json").json
    check(document, "verify")
    assert document["pdf"]["changes"] == "other"


def test_change_before_the_last_signature_makes_only_the_first_not_valid(
    verify: Verifier, once: bytes, issuer: Party
) -> None:
    pdf = sign_pdf(with_other_page(once), party("other", issuer), [issuer], field="Sig2")
    document = verify(pdf, "--json").json
    assert [one["valid"] for one in document["signatures"]] == [False, True]
    assert verify(pdf).status == NOT_VALID
    assert verify(pdf, "--any").status == 0


def test_signature_that_forbids_changes_is_not_valid_after_one(
    verify: Verifier, signer: Party, issuer: Party
) -> None:
    locked = sign_pdf(page(), signer, [issuer], certify=True, docmdp_permissions=MDPPerm.NO_CHANGES)
    assert verify(locked).status == 0
    more = with_store(locked, [issuer])
    assert verify(more).status == 0  # what verifiers need may be added
    open_to_forms = sign_pdf(page(), signer, [issuer], certify=True, docmdp_permissions=MDPPerm.FILL_FORMS)
    again = sign_pdf(open_to_forms, party("other", issuer), [issuer], field="Sig2")
    assert verify(again).status == 0


def test_signature_added_where_the_certifier_forbids_it_makes_that_one_not_valid(
    verify: Verifier, signer: Party, issuer: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = sign_pdf(page(), signer, [issuer], certify=True, docmdp_permissions=MDPPerm.NO_CHANGES)
    # pyHanko itself would not sign it.
    monkeypatch.setattr(signers.PdfSigner, "_enforce_certification_constraints", lambda *_: None)
    again = sign_pdf(locked, party("other", issuer), [issuer], field="Sig2")
    document = verify(again, "--json").json
    assert [one["valid"] for one in document["signatures"]] == [False, True]
    assert document["signatures"][0]["pdf"]["changes"] == "forms"


def test_changed_byte_makes_a_signature_not_valid(verify: Verifier, once: bytes) -> None:
    result = verify(once.replace(b"400 300", b"400 301", 1))
    assert result.status == NOT_VALID
    assert "the PDF was altered after it was signed" in result.err


# --- signatures whose signer chose what they cover: the digest is right

HOLE = 64  # bytes
LEAVES_OUT = "it leaves out more of the PDF than itself"


def _ranges(pdf: bytes) -> list[int]:
    return [int(number) for number in signatures_of(pdf)[-1].byte_range]


class Chooser:
    """Somebody who signs chosen ranges of a signed PDF."""

    def __init__(self, pdf: bytes, signer: Party, issuer: Party) -> None:
        self.pdf = pdf
        self.by = lambda content: signed(signer, content, [issuer])
        _, self.first, self.second, self.length = _ranges(pdf)

    def __call__(self, *ranges: int, at: int | None = None, room: int = 0) -> bytes:
        return signed_over(self.pdf, ranges, self.by, at=at, room=room)


@pytest.fixture(scope="session")
def choose(once: bytes, signer: Party, issuer: Party) -> Chooser:
    return Chooser(once, signer, issuer)


def test_signature_over_the_ranges_that_a_pdf_asks_for_is_valid(verify: Verifier, choose: Chooser) -> None:
    """The signer of the tests below is refused for nothing but the ranges."""
    result = verify(choose(0, choose.first, choose.second, choose.length))
    assert result.status == 0, result.err
    assert "The signature is valid." in result.out


@pytest.mark.parametrize("content", [b"", b"%other\n"], ids=["unchanged", "changed"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before", "behind"])
def test_hole_beside_a_signature_that_a_signer_left_is_refused(
    verify: Verifier, choose: Chooser, is_before: bool, content: bytes
) -> None:
    """The hole is larger than the signature, and what stands in it can be changed later."""
    at, room = (choose.first + HOLE, 0) if is_before else (choose.first, HOLE)
    pdf = choose(0, choose.first, choose.second, choose.length, at=at, room=room)
    hole = choose.first if is_before else choose.second - HOLE
    assert pdf[hole : hole + HOLE].isspace()
    result = verify(pdf[:hole] + content.ljust(HOLE) + pdf[hole + HOLE :])
    assert result.status == 61, result.err
    assert LEAVES_OUT in result.err
    assert "is valid" not in result.out


@pytest.mark.parametrize("content", [b"", b"%other\n"], ids=["unchanged", "changed"])
def test_hole_of_the_size_of_a_signature_at_another_place_is_refused(
    verify: Verifier, choose: Chooser, content: bytes
) -> None:
    """The hole leaves out spaces before the signature, and the signature's last zeros are signed instead."""
    first = choose.first
    pdf = choose(0, first, choose.second - HOLE, choose.length + HOLE, at=first + HOLE)
    result = verify(pdf[:first] + content.ljust(HOLE) + pdf[first + HOLE :])
    assert result.status == 61, result.err
    assert LEAVES_OUT in result.err


@pytest.mark.parametrize(
    ("ranges", "status", "words"),
    [
        (lambda c: (9, c.first, c.second, c.length), 61, LEAVES_OUT),
        (lambda c: (9, c.first - 9, c.second, c.length), 61, LEAVES_OUT),
        (lambda c: (0, c.first - HOLE, c.second, c.length), 61, LEAVES_OUT),
        (lambda c: (0, c.first, c.second + HOLE, c.length - HOLE), 61, LEAVES_OUT),
        (lambda c: (0, c.first, c.first - HOLE, HOLE), 61, LEAVES_OUT),
        (lambda c: (0, c.first, 0, c.first), 61, LEAVES_OUT),
        (lambda c: (0, c.first, c.second, 0), 61, LEAVES_OUT),
        (lambda c: (0, c.first, c.second, -1), 61, LEAVES_OUT),
        (lambda c: (0, c.first, c.second, c.length - 40), NOT_VALID, "does not cover the whole of the PDF"),
        (lambda c: (0, c.first, c.second, c.length - 3), NOT_VALID, "does not cover the whole of the PDF"),
        (lambda c: (0, c.first, c.second, c.length + 1), 67, "ends too early"),
        (lambda c: (0, c.first), 61, "which part of the PDF it covers"),
        (lambda c: (0, c.first, c.second, c.length - 9, c.second + c.length - 9, 9), 61, "which part of the"),
    ],
    ids=[
        *("start of another place", "start left out", "end before the signature", "start behind it"),
        *("overlapping", "same part twice", "nothing behind it", "negative", "end left out"),
        *("last letters left out", "past the end", "one range", "three ranges"),
    ],
)
def test_ranges_that_do_not_cover_the_revision_are_refused(
    verify: Verifier, choose: Chooser, ranges: Callable[[Chooser], tuple[int, ...]], status: int, words: str
) -> None:
    result = verify(choose(*ranges(choose)))
    assert result.status == status, result.err
    assert words in result.err
    assert "is valid" not in result.out


def test_signature_with_two_signers_in_a_pdf_is_refused(
    verify: Verifier, once: bytes, signer: Party, issuer: Party, choose: Chooser
) -> None:
    ranges = (0, choose.first, choose.second, choose.length)
    twofold = signed_over(once, ranges, lambda content: repeated(signed(signer, content, [issuer])))
    result = verify(twofold)
    assert result.status == 61
    assert "is valid" not in result.out


def test_signature_that_covers_only_an_earlier_revision_is_not_valid(
    verify: Verifier, twice: bytes, once: bytes, signer: Party, issuer: Party
) -> None:
    """The last signature ends before the cross-references of its own revision."""
    chooser = Chooser(twice, signer, issuer)
    document = verify(chooser(0, chooser.first, chooser.second, 20), "--json").json
    assert [one["valid"] for one in document["signatures"]] == [True, False]
    assert "does not cover the whole" in document["signatures"][1]["problem"]


def _time_stamped_over(pdf: bytes, stamper: DummyTimeStamper, length: Callable[[int], int]) -> bytes:
    stamped = stamp_pdf(pdf, stamper)
    _, first, second, rest = _ranges(stamped)

    def token(content: bytes) -> bytes:
        found = own_loop.run(stamper.async_timestamp(hashlib.sha256(content).digest(), "sha256"))
        return bytes(found.dump())

    return signed_over(stamped, (0, first, second, length(rest)), token)


@pytest.mark.parametrize(
    ("length", "status"),
    [(lambda rest: rest, 0), (lambda rest: rest - 40, NOT_VALID), (lambda rest: rest + 40, NOT_VALID)],
    ids=["whole", "end left out", "past the end"],
)
def test_time_stamp_of_a_part_of_a_pdf_proves_nothing(
    verify: Verifier,
    expired: Party,
    issuer: Party,
    stamper: Party,
    length: Callable[[int], int],
    status: int,
) -> None:
    stamp = stamper_of(stamper, NOW - DAY)
    result = verify(_time_stamped_over(sign_pdf(page(), expired, [issuer]), stamp, length))
    assert result.status == status, result.err
    assert "Time-stamp of the document" in result.out
    assert ("not proved" in result.out) is (status != 0)


def test_unknown_root_of_a_pdf_is_not_valid(tmp_path: Path, once: bytes) -> None:
    result = Verifier(tmp_path, party("stranger", ca=True))(once)
    assert result.status == 57
    assert "is valid" not in result.out


def test_untrusted_root_does_not_hide_a_change(tmp_path: Path, once: bytes) -> None:
    result = Verifier(tmp_path, party("stranger", ca=True))(with_other_page(once))
    assert result.status == NOT_VALID


def test_certfile_completes_the_chain_of_a_pdf(verify: Verifier, signer: Party, issuer: Party) -> None:
    pdf = sign_pdf(page(), signer)
    assert verify(pdf).status == 57
    assert verify(pdf, "--certfile", str(issuer.write(verify.folder / "issuer"))).status == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: page(), "the PDF holds no signature"),
        (lambda: b"%PDF-1.7\nnothing", "the PDF cannot be read"),
        (lambda: b"%PDF-", "the PDF cannot be read"),
        (lambda: page("secret"), "can only be read with its password"),
    ],
)
def test_pdf_that_cannot_be_verified_says_why(
    verify: Verifier, make: Callable[[], bytes], words: str
) -> None:
    result = verify(make())
    assert result.status == 61, result.err
    assert words in result.err


def test_encrypted_pdf_without_a_password_to_open_is_verified(
    verify: Verifier, signer: Party, issuer: Party
) -> None:
    assert verify(sign_pdf(page(""), signer, [issuer])).status == 0


def test_detached_signature_of_a_pdf_is_still_verified(
    verify: Verifier, signer: Party, issuer: Party
) -> None:
    pdf = page()
    signature = verify.folder / "file.p7s"
    signature.write_bytes(signed(signer, pdf, [issuer]))
    assert verify(pdf).status == 61
    (verify.folder / "file.pdf").write_bytes(pdf)
    arguments = ["verify", str(verify.folder / "file.pdf"), str(signature), "--ca-file", str(verify.root)]
    assert CliRunner().invoke(xcactl, arguments).exit_code == 0


def test_output_with_a_pdf_is_a_wrong_use(verify: Verifier, once: bytes) -> None:
    assert verify(once, "-o", str(verify.folder / "out")).status == 2


# --- time-stamps, and what the PDF holds for verifiers


@pytest.fixture(scope="session")
def expired(issuer: Party) -> Party:
    """Somebody whose certificate ended an hour ago."""
    return party("expired", issuer, end=NOW - HOUR)


def test_time_stamp_in_a_pdf_keeps_an_expired_signer_valid(
    verify: Verifier, expired: Party, issuer: Party, stamper: Party
) -> None:
    assert verify(sign_pdf(page(), expired, [issuer])).status == NOT_VALID
    result = verify(sign_pdf(page(), expired, [issuer], stamper=stamper_of(stamper, NOW - DAY)))
    assert result.status == 0, result.err
    assert "by O=stamper" in result.out


def test_time_stamp_of_the_document_keeps_an_expired_signer_valid(
    verify: Verifier, expired: Party, issuer: Party, stamper: Party
) -> None:
    pdf = stamp_pdf(sign_pdf(page(), expired, [issuer]), stamper_of(stamper, NOW - DAY))
    result = verify(pdf)
    assert result.status == 0, result.err
    assert "Time-stamp of the document" in result.out
    document = verify(pdf, "--json").json
    check(document, "verify")
    assert document["document_time_stamps"][0]["proved"]
    assert document["pdf"]["changes"] == "archival"


def test_time_stamp_of_the_document_proves_nothing_of_later_signatures(
    verify: Verifier, expired: Party, signer: Party, issuer: Party, stamper: Party
) -> None:
    pdf = stamp_pdf(sign_pdf(page(), signer, [issuer]), stamper_of(stamper, NOW - DAY))
    later = sign_pdf(pdf, expired, [issuer], field="Sig2")
    document = verify(later, "--json").json
    assert [one["valid"] for one in document["signatures"]] == [True, False]


def test_untrusted_time_stamp_of_the_document_proves_nothing(
    verify: Verifier, expired: Party, issuer: Party
) -> None:
    stranger = authority(party("stranger", ca=True))
    result = verify(stamp_pdf(sign_pdf(page(), expired, [issuer]), stamper_of(stranger, NOW - DAY)))
    assert result.status == NOT_VALID
    assert "not proved" in result.out


def test_time_stamp_of_an_earlier_authority_counts_under_a_later_one(
    verify: Verifier, expired: Party, issuer: Party, root: Party, stamper: Party
) -> None:
    """PAdES-LTA: the first authority's certificate ended, and a later time-stamp was made before that."""
    purpose = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)]
    ended = party("ended stamper", root, extensions=purpose, end=NOW - HOUR)
    inner = sign_pdf(page(), expired, [issuer], stamper=stamper_of(ended, NOW - 3 * DAY))
    assert verify(inner).status == NOT_VALID
    assert verify(stamp_pdf(inner, stamper_of(stamper, NOW - 2 * HOUR))).status == 0


def test_pdf_with_time_stamps_only_has_no_signature(verify: Verifier, stamper: Party) -> None:
    result = verify(stamp_pdf(page(), stamper_of(stamper)))
    assert result.status == 61
    assert "holds no signature" in result.err


def _crl(issuer: Party, revoked: Party | None, at: datetime = NOW - HOUR) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(at)
        .next_update(at + 2 * HOUR)
    )
    if revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(revoked.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(at).build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_pdf_with_its_own_revocation_information_is_checked(
    verify: Verifier, signer: Party, issuer: Party
) -> None:
    """PAdES-LT: what shows that the certificate was good stands in the file."""
    pdf = with_store(sign_pdf(page(), signer), [issuer], [_crl(issuer, None)])
    result = verify(pdf)
    assert result.status == 0, result.err
    assert "Its certificate is not revoked." in result.out


def test_pdf_whose_own_list_revokes_the_signer_is_not_valid(
    verify: Verifier, signer: Party, issuer: Party
) -> None:
    pdf = with_store(sign_pdf(page(), signer, [issuer]), [], [_crl(issuer, signer)])
    result = verify(pdf)
    assert result.status == NOT_VALID
    assert "was revoked on" in result.err


def test_old_list_in_a_pdf_shows_nothing_without_a_time_stamp(
    verify: Verifier, signer: Party, issuer: Party, stamper: Party
) -> None:
    old = _crl(issuer, None, NOW - 3 * DAY)
    empty = str(verify.folder / "other.crl")
    Path(empty).write_bytes(_crl(party("another", ca=True), None))
    alone = with_store(sign_pdf(page(), signer, [issuer]), [], [old])
    result = verify(alone, "--crl", empty)
    assert result.status == REVOCATION_UNKNOWN
    assert "It cannot be told whether the signature is valid" in result.err
    stamped = sign_pdf(page(), signer, [issuer], stamper=stamper_of(stamper, NOW - 3 * DAY + HOUR))
    result = verify(with_store(stamped, [], [old]))
    assert result.status == 0, result.err
    assert "Its certificate is not revoked." in result.out


def test_list_under_a_later_time_stamp_shows_that_the_certificate_was_good(
    verify: Verifier, signer: Party, issuer: Party, stamper: Party
) -> None:
    """The list is later than the signature's own time-stamp, and too old today."""
    inner = sign_pdf(page(), signer, [issuer], stamper=stamper_of(stamper, NOW - 3 * DAY))
    kept = with_store(inner, [], [_crl(issuer, None, NOW - 2 * DAY)])
    assert "Its certificate is not revoked." not in verify(kept).out
    result = verify(stamp_pdf(kept, stamper_of(stamper, NOW - 2 * DAY + HOUR)))
    assert result.status == 0, result.err
    assert "Its certificate is not revoked." in result.out


def test_odd_store_of_a_pdf_makes_it_no_worse(verify: Verifier, once: bytes, issuer: Party) -> None:
    pdf = with_store(once, [issuer], [_crl(issuer, None)])
    for odd in (pdf.replace(b"/DSS", b"/DSX"), pdf.replace(b"/CRLs [", b"/CRLs 1[")):
        assert verify(odd).status in (0, 61, NOT_VALID)


# --- what takes too long


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The processor time at which each TimeIsUp was made."""
    times: list[float] = []

    class Noted(time_limit.TimeIsUp):
        def __init__(self) -> None:
            times.append(time.process_time())

    monkeypatch.setattr(time_limit, "TimeIsUp", Noted)
    return times


def test_pdf_that_takes_too_long_is_given_up(
    verify: Verifier, once: bytes, monkeypatch: pytest.MonkeyPatch, raised: list[float]
) -> None:
    """The first TimeIsUp ends it; Python may drop one, where a callback runs."""
    monkeypatch.setattr(time_limit, "PDF_SECONDS", 0.3)
    result = verify(with_long_list(once, 400_000))
    assert result.status == 69
    assert "it takes too long to read" in result.err
    assert 1 <= len(raised) <= 2


def _work_for_ever() -> None:
    while True:
        pass


class _EndlesslyDeleted:
    def __del__(self) -> None:
        _work_for_ever()


def _delete_and_work() -> None:
    _EndlesslyDeleted()
    _work_for_ever()


def test_time_limit_that_python_drops_in_a_callback_is_soon_raised_again(
    monkeypatch: pytest.MonkeyPatch, raised: list[float]
) -> None:
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    with pytest.raises(time_limit.TimeIsUp), time_limit.time_limit(0.05):
        _delete_and_work()
    dropped, last = raised
    assert last - dropped < 0.5
    assert sys.unraisablehook == reported.append
    assert reported == []


def test_time_limit_leaves_no_timer_behind() -> None:
    with time_limit.time_limit(60):
        pass
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    with pytest.raises(time_limit.TimeIsUp), time_limit.time_limit(0.05):
        _work_for_ever()
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
