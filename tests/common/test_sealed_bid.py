# SPDX-License-Identifier: Apache-2.0
"""Sealed bids: sealed, looked at and opened without a card; opened by OpenSSL too."""

import base64
import hashlib
import io
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from xca_common.bid import BadFileName, Bid, BidFile, check_files
from xca_common.pki import sealed_bid
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.encrypted_data import EncryptedWriter, NotDecryptable, RecipientCertificate
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.sealed_bid import (
    InnerBid,
    NotARecipient,
    OpenedBid,
    OtherFiles,
    OtherKey,
    OtherRecipients,
    SealedBid,
    open_inner,
    open_outer,
    seal,
    with_key,
)
from xca_common.statement import MalformedStatement, Statement
from xca_login.testing.parties import NOW, Party, party

pytestmark = pytest.mark.fast

ORIGIN = "https://bids.example.gov.tw"
NONCE = "ab" * 32
MANIFEST = b"what the bidder signed"
CONTENTS = {"標價清單.pdf": b"%PDF-1.7 " + bytes(range(256)) * 9000, "empty.txt": b"", "b.txt": b"b"}


def group(*names: str) -> list[Party]:
    return [party(name, usage=ENCRYPTION) for name in names]


@pytest.fixture(scope="module")
def outer() -> list[Party]:
    return group("officer 1", "officer 2")


@pytest.fixture(scope="module")
def inner() -> list[Party]:
    return group("auditor 1", "auditor 2")


def to(parties: Sequence[Party]) -> list[RecipientCertificate]:
    return [RecipientCertificate.read(one.der) for one in parties]


def ders(parties: Sequence[Party]) -> list[bytes]:
    return [one.der for one in parties]


def listed() -> tuple[BidFile, ...]:
    return tuple(BidFile.of(name, io.BytesIO(content)) for name, content in CONTENTS.items())


def bid(**changes: object) -> Bid:
    said = Bid(
        tender="113-A/7",
        notice="1" * 64,
        organisation="2.16.886.101.20003",
        instrument=f"i-7 {'2' * 64}",
        bond="b-9",
        bid="3" * 64,
        sequence=1,
        replaces=None,
        recipients=frozenset({"5" * 64, "4" * 64}),
        files=listed(),
    )
    return replace(said, **changes)  # type: ignore[arg-type]  # tests give the right ones


def sealed(outer: Sequence[Party], inner: Sequence[Party]) -> tuple[io.BytesIO, SealedBid]:
    files = [(told, io.BytesIO(CONTENTS[told.name])) for told in listed()]
    output = io.BytesIO()
    envelope = seal(MANIFEST, files, to(outer), to(inner), output)
    return output, envelope


def opened(file: io.BytesIO, envelope: SealedBid, first: Party, second: Party) -> OpenedBid:
    within, plain = io.BytesIO(), io.BytesIO()
    open_outer(file, envelope.outer_key, first.der, with_key(first.key), within)
    open_inner(within, envelope.inner_key, second.der, with_key(second.key), plain)
    return OpenedBid(plain)


def contents(one: OpenedBid, said: Bid) -> dict[str, bytes]:
    output = io.BytesIO()
    one.write(said, output)
    with ZipFile(output) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found.pop("manifest.p7m") == one.manifest
    return found


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_bid_is_opened_by_any_card_of_each_group(
    outer: list[Party], inner: list[Party], first: int, second: int
) -> None:
    file, envelope = sealed(outer, inner)
    one = opened(file, envelope, outer[first], inner[second])
    assert one.manifest == MANIFEST
    assert contents(one, bid()) == CONTENTS


def test_envelope_shows_its_digest_and_nothing_of_the_bid(outer: list[Party], inner: list[Party]) -> None:
    file, envelope = sealed(outer, inner)
    data = file.getvalue()
    assert SealedBid.read(file, ders(outer)) == envelope
    assert (envelope.size, envelope.sha256) == (len(data), hashlib.sha256(data).digest())
    assert envelope.outer_key != envelope.inner_key
    assert CONTENTS["標價清單.pdf"][:40] not in data
    assert MANIFEST not in data
    assert "標價清單".encode() not in data


def test_envelope_is_opened_by_openssl_twice(tmp_path: Path, outer: list[Party], inner: list[Party]) -> None:
    file, _ = sealed(outer, inner)
    (tmp_path / "outer").write_bytes(file.getvalue().partition(b"\n")[2])
    for name, result, who in (("outer", "inner", outer[1]), ("inner", "bid.zip", inner[0])):
        (tmp_path / "certificate.pem").write_bytes(who.pem)
        (tmp_path / "key.pem").write_bytes(
            who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        command = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", name, "-out", result]
        command += ["-inkey", "key.pem", "-recip", "certificate.pem"]
        subprocess.run(command, cwd=tmp_path, check=True)
    with ZipFile(tmp_path / "bid.zip") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "manifest.p7m": MANIFEST,
            **CONTENTS,
        }


def test_no_group_opens_a_bid_alone(outer: list[Party], inner: list[Party]) -> None:
    file, envelope = sealed(outer, inner)
    within = io.BytesIO()
    for other in inner:
        with pytest.raises(NotARecipient):
            open_outer(file, envelope.outer_key, other.der, with_key(other.key), within)
    open_outer(file, envelope.outer_key, outer[0].der, with_key(outer[0].key), within)
    with pytest.raises(NotARecipient):
        open_inner(within, envelope.inner_key, outer[1].der, with_key(outer[1].key), io.BytesIO())
    with pytest.raises(Malformed):
        OpenedBid(within)


def test_envelope_to_other_cards_than_the_groups_is_refused(outer: list[Party], inner: list[Party]) -> None:
    file, _ = sealed(outer, inner)
    for others in ([outer[0]], [*outer, inner[0]], [outer[0], inner[0]], inner):
        with pytest.raises(OtherRecipients):
            SealedBid.read(file, ders(others))


def test_altered_envelope_is_opened_by_nobody_and_writes_nothing(
    outer: list[Party], inner: list[Party]
) -> None:
    file, envelope = sealed(outer, inner)
    data = bytearray(file.getvalue())
    data[len(data) // 2] ^= 1
    altered, output = io.BytesIO(data), io.BytesIO()
    with pytest.raises(NotDecryptable):
        open_outer(altered, envelope.outer_key, outer[0].der, with_key(outer[0].key), output)
    assert output.getvalue() == b""
    wrong = with_key(inner[0].key)
    with pytest.raises(NotDecryptable):
        open_outer(file, envelope.outer_key, outer[0].der, wrong, output)
    assert output.getvalue() == b""


def test_envelope_that_two_keys_open_to_two_contents_is_refused(
    outer: list[Party], inner: list[Party]
) -> None:
    """The tag alone does not tell which key is meant: an envelope is made with the digest of another."""
    file, envelope = sealed(outer, inner)
    other = EncryptedWriter(to(outer), 5, key=b"3" * 32)
    made, output = io.BytesIO(), io.BytesIO()
    made.write(file.getvalue().partition(b"\n")[0] + b"\n")
    other.begin(made)
    other.write(b"price")
    other.finish()
    with pytest.raises(OtherKey):
        open_outer(made, envelope.outer_key, outer[0].der, with_key(outer[0].key), output)
    assert output.getvalue() == b""


def test_envelope_that_tells_other_keys_than_when_it_was_submitted_is_refused(
    outer: list[Party], inner: list[Party]
) -> None:
    file, _ = sealed(outer, inner)
    _, other = sealed(outer, inner)
    with pytest.raises(OtherKey):
        open_outer(file, other.outer_key, outer[0].der, with_key(outer[0].key), io.BytesIO())


def test_recipient_whose_key_was_spoilt_loses_the_bid_for_nobody_else(
    outer: list[Party], inner: list[Party]
) -> None:
    file, envelope = sealed(outer, inner)
    infos = cms.ContentInfo.load(file.getvalue().partition(b"\n")[2])["content"]["recipient_infos"]
    serials = [one.chosen["rid"].chosen["serial_number"].native for one in infos]
    own = infos[serials.index(outer[0].certificate.serial_number)]
    key = own.chosen["encrypted_key"].native
    spoilt = io.BytesIO(file.getvalue().replace(key, key[:-1] + bytes([key[-1] ^ 1])))
    with pytest.raises(NotDecryptable):
        open_outer(spoilt, envelope.outer_key, outer[0].der, with_key(outer[0].key), io.BytesIO())
    assert contents(opened(spoilt, envelope, outer[1], inner[0]), bid()) == CONTENTS


def armored(der: bytes) -> bytes:
    return b"-----BEGIN CMS-----\n" + base64.encodebytes(der) + b"-----END CMS-----\n"


def with_a_longer_length(der: bytes) -> bytes:
    return der.replace(b"\n\x30\x83", b"\n\x30\x84\0", 1)


@pytest.mark.parametrize(
    "form", [lambda der: der + b"\0", lambda der: der[:-1], armored, with_a_longer_length]
)
def test_envelope_in_another_form_is_refused(
    form: Callable[[bytes], bytes], outer: list[Party], inner: list[Party]
) -> None:
    file, _ = sealed(outer, inner)
    with pytest.raises((Malformed, EOFError)):
        SealedBid.read(io.BytesIO(form(file.getvalue())))


@pytest.mark.parametrize("junk", [b"", b"%PDF-1.7", b"0" * 100, bytes(100), b"\x30\x80" * 50])
def test_what_is_no_envelope_is_refused(junk: bytes) -> None:
    with pytest.raises((Malformed, TooMuchError, EOFError)):
        SealedBid.read(io.BytesIO(junk))


def test_file_that_changed_since_it_was_listed_is_not_sealed(outer: list[Party], inner: list[Party]) -> None:
    told = BidFile.of("a.txt", io.BytesIO(b"a"))
    for changed in (b"b", b"", b"aa"):
        with pytest.raises(OtherFiles):
            seal(MANIFEST, [(told, io.BytesIO(changed))], to(outer), to(inner), io.BytesIO())


def test_groups_that_are_too_small_or_share_a_card_seal_nothing(
    outer: list[Party], inner: list[Party]
) -> None:
    told = BidFile.of("a.txt", io.BytesIO(b"a"))
    for first, second in ((outer[:1], inner), (outer, inner[:1]), (outer, [outer[0], inner[0]])):
        with pytest.raises(ValueError, match="groups"):
            seal(MANIFEST, [(told, io.BytesIO(b"a"))], to(first), to(second), io.BytesIO())


def test_bid_with_other_files_than_it_lists_is_refused(outer: list[Party], inner: list[Party]) -> None:
    file, envelope = sealed(outer, inner)
    one = opened(file, envelope, outer[0], inner[0])
    files = listed()
    for other in (
        files[:-1],
        (*files, BidFile.of("more", io.BytesIO(b""))),
        (replace(files[0], size=1), *files[1:]),
        (replace(files[0], sha256="0" * 64), *files[1:]),
        files[::-1],
    ):
        with pytest.raises(OtherFiles):
            contents(one, bid(files=other))


def test_archive_of_another_kind_is_refused() -> None:
    def archive(*names: str, kind: int = 0) -> io.BytesIO:
        output = io.BytesIO()
        with ZipFile(output, "w", kind) as made:
            for name in names:
                made.writestr(name, b"x" * 100)
        return output

    with pytest.raises(Malformed):
        OpenedBid(archive("a.txt", "manifest.p7m"))
    with pytest.raises(Malformed):
        OpenedBid(archive())
    with pytest.raises(Malformed):
        OpenedBid(archive("manifest.p7m", kind=ZIP_DEFLATED))
    with pytest.raises(Malformed):
        OpenedBid(io.BytesIO(b"no archive"))


def test_archive_in_which_programs_find_different_files_is_written_anew() -> None:
    def archive(before: bytes = b"", extra: bytes = b"", comment: bytes = b"") -> io.BytesIO:
        output = io.BytesIO()
        with ZipFile(output, "w") as made:
            for name, content in {"manifest.p7m": MANIFEST, **CONTENTS}.items():
                info = ZipInfo(name)
                info.extra = extra
                made.writestr(info, content)
            made.comment = comment
        return io.BytesIO(before + output.getvalue())

    def written(data: io.BytesIO) -> bytes:
        output = io.BytesIO()
        OpenedBid(data).write(bid(), output)
        return output.getvalue()

    another = io.BytesIO()
    with ZipFile(another, "w") as made:
        made.writestr("b.txt", b"another price")
    other_name = b"up\x0a\x00\x01" + bytes(4) + b"other"  # Info-ZIP's Unicode Path
    plain = written(archive())
    for odd in (archive(another.getvalue()), archive(extra=other_name), archive(comment=b"another price")):
        assert written(odd) == plain
    assert b"another price" not in plain


def test_archive_whose_list_is_longer_than_is_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    with ZipFile(output, "w") as made:
        for number in range(100):
            made.writestr(f"manifest.p7m{number}", b"")
    monkeypatch.setattr(sealed_bid, "_MOST_READ", 1000)
    with pytest.raises(TooMuchError):
        OpenedBid(output)


def test_statement_of_a_bid_is_read_as_it_was_written() -> None:
    said = bid(replaces="6" * 64)
    statement = said.statement(ORIGIN, NOW, NONCE)
    assert Bid.of(Statement.parse(statement.encode())) == said
    assert Bid.of(Statement.parse(bid().statement(ORIGIN, NOW, NONCE).encode())) == bid()


@pytest.mark.parametrize(
    "lines",
    [
        {"version 1": "version 2"},
        {"file 1 ": "file 2 ", "file 2 ": "file 3 ", "file 3 ": "file 4 "},
        {"ZW1wdHkudHh0": "Li4vZW1wdHk"},  # ../empty
        {"ZW1wdHkudHh0": "ZW1wdHkudHh1"[:-1]},
        {"ZW1wdHkudHh0": "Qi50eHQ"},  # B.txt beside b.txt
    ],
)
def test_statement_that_lists_what_no_bid_has_is_refused(lines: dict[str, str]) -> None:
    data = bid().statement(ORIGIN, NOW, NONCE).encode().decode()
    for before, after in lines.items():
        assert before in data
        data = data.replace(before, after)
    with pytest.raises(MalformedStatement):
        Bid.of(Statement.parse(data.encode()))


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a/b", "a\\b", "a:b", " a", "a ", "a.", ".a", "CON", "nul.txt", "x" * 241),
        *("a\0b", "a\nb", "a\u202eb", "a\u200bb", "e\u0301", "\udc80"),
    ],
)
def test_file_name_that_not_every_system_has_is_refused(name: str) -> None:
    with pytest.raises(BadFileName):
        BidFile.of(name, io.BytesIO(b""))


def test_no_files_and_too_many_are_refused() -> None:
    for files in ([], [BidFile(f"{number}", 0, "0" * 64) for number in range(1001)]):
        with pytest.raises(ValueError, match="no files, or too many"):
            check_files(files)


def test_bid_whose_outer_envelope_is_open_tells_what_it_was_and_is_opened(
    outer: list[Party], inner: list[Party]
) -> None:
    file, envelope = sealed(outer, inner)
    told, within, plain = InnerBid(envelope.sha256, envelope.inner_key), io.BytesIO(), io.BytesIO()
    within.write(told.line)
    open_outer(file, envelope.outer_key, outer[1].der, with_key(outer[1].key), within)
    assert InnerBid.read(within, ders(inner)) == told
    with pytest.raises(OtherRecipients):
        InnerBid.read(within, ders(outer))
    open_inner(within, told.key, inner[1].der, with_key(inner[1].key), plain)
    assert contents(OpenedBid(plain), bid()) == CONTENTS
    for junk in (file.getvalue(), within.getvalue()[:-1], told.line):
        with pytest.raises((Malformed, EOFError)):
            InnerBid.read(io.BytesIO(junk))
