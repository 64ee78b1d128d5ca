# SPDX-License-Identifier: Apache-2.0
"""Statements are recognised, and read to the letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xca_common.statement import MalformedStatement, Statement, StatementKind, begins_as_statement

NONCE = "6f2c" * 16
HASH = "0a" * 32
LATER_HASH = "0b" * 32
HEAD = f"https://site.example.gov.tw\n20261126T133000Z\n{NONCE}"
BID = "\n".join(
    (
        f"xca-statement/1 bid\n{HEAD}",
        "version 1",
        "tender 115-0042",
        f"notice {HASH}",
        "organisation 2.16.886.101.90003.20001",
        f"instrument 7:a {HASH}",
        "bond none",
        f"bid {HASH}",
        "sequence 2",
        f"replaces {HASH}",
        f"recipient {HASH}",
        f"recipient {LATER_HASH}",
        f"file 2 10 {HASH} 5qiZ5ZauLnBkZg",
        f"file 10 99 {HASH} YQ",
    )
)
GOOD = {
    StatementKind.LOGIN: f"xca-statement/1 login\n{HEAD}",
    StatementKind.ACCEPTANCE: (
        f"xca-statement/1 acceptance\n{HEAD}\ncard XC00000000091349\ncert1 {HASH}\ncert2 {HASH}"
    ),
    StatementKind.RENEWAL: f"xca-statement/1 renewal\n{HEAD}\norganisation 2.16.886.111.100000\nform {HASH}",
    StatementKind.REGISTRATION: f"xca-statement/1 registration\n{HEAD}\ncert2 {HASH}",
    StatementKind.POSSESSION: f"xca-statement/1 possession\n{HEAD}",
    StatementKind.REHEARSAL: f"xca-statement/1 rehearsal\n{HEAD}",
    StatementKind.BID: BID,
    StatementKind.WITHDRAW: f"xca-statement/1 withdraw\n{HEAD}\ntender 115-0042\nbid {HASH}\nreceipt {HASH}",
    StatementKind.OPEN: f"xca-statement/1 open\n{HEAD}\ntender 115-0042\nlist {HASH}\nofficer chair",
}
LOGIN = GOOD[StatementKind.LOGIN]


@pytest.mark.parametrize("kind", StatementKind)
def test_statement_of_a_kind_is_read(kind: StatementKind) -> None:
    statement = Statement.parse(GOOD[kind].encode())
    assert (statement.kind, statement.origin, statement.nonce) == (kind, "https://site.example.gov.tw", NONCE)
    assert statement.time.isoformat() == "2026-11-26T13:30:00+00:00"
    lines = GOOD[kind].split("\n")[4:]
    assert [f"{key} {value}" for key, value in statement.fields] == lines
    assert kind.is_signed is (kind not in (StatementKind.POSSESSION, StatementKind.REHEARSAL))
    assert statement.encode() == GOOD[kind].encode()


@pytest.mark.parametrize(
    "text",
    [
        f"{LOGIN}\n",
        f"\n{LOGIN}",
        f"\ufeff{LOGIN}",
        LOGIN.replace("\n", "\r\n"),
        LOGIN.replace(" login", "  login"),
        LOGIN.replace("/1 ", "/2 "),
        LOGIN.replace("login", "logout"),
        LOGIN.replace("login", "Login"),
        LOGIN.replace("https", "ftp"),
        LOGIN.replace("site.example", "Site.example"),
        LOGIN.replace("gov.tw", "gov.tw/"),
        LOGIN.replace("gov.tw", "gov.tw:443"),
        LOGIN.replace("https://", "https://user@"),
        LOGIN.replace("site.example", f"{'a' * 64}.example"),
        LOGIN.replace("20261126", "20261326"),
        LOGIN.replace("T133000Z", "T13300Z"),
        LOGIN.replace("T133000Z", "T133000+0800"),
        LOGIN.replace(NONCE, NONCE.upper()),
        LOGIN.replace(NONCE, NONCE[:-1]),
        f"{LOGIN}\nbid {HASH}",
        GOOD[StatementKind.REGISTRATION].replace("cert2", "cert1"),
        GOOD[StatementKind.REGISTRATION].replace(f"\ncert2 {HASH}", ""),
        GOOD[StatementKind.REGISTRATION] + f"\ncert2 {HASH}",
        GOOD[StatementKind.OPEN].replace("chair", "chair "),
        BID.replace("sequence 2", "sequence 02"),
        BID.replace(f"recipient {HASH}\nrecipient {LATER_HASH}", f"recipient {LATER_HASH}\nrecipient {HASH}"),
        BID.replace(f"recipient {LATER_HASH}", f"recipient {HASH}"),
        BID.replace("file 10", "file 2"),
        BID.replace(f"\nrecipient {HASH}\nrecipient {LATER_HASH}", ""),
        BID + "\nfile 11 1 " + HASH + " YQ" + "\nrecipient " + LATER_HASH,
        BID + "".join(f"\nfile {number} 1 {HASH} YQ" for number in range(11, 4000)),
        "xca-statement/1 login",
        "xca-statement/",
        f"{LOGIN}\né",
    ],
)
def test_statement_that_is_not_to_the_letter_is_malformed_and_still_recognised(text: str) -> None:
    assert begins_as_statement(text.encode())
    with pytest.raises(MalformedStatement):
        Statement.parse(text.encode())


@pytest.mark.parametrize(
    ("data", "recognised"),
    [
        (LOGIN.encode(), True),
        (b"\xef\xbb\xbf \t\r\n\x0b\x0c\xef\xbb\xbfxca-statement/9", True),
        (b"XCA-Statement/1 login", True),
        (b" " * 3_000_000 + b"xca-statement/1 login", True),
        (b"xca-statement", False),
        (b"contract\nxca-statement/1 login", False),
        (b"", False),
    ],
)
def test_beginning_tells_a_statement(data: bytes, recognised: bool) -> None:
    assert begins_as_statement(data) is recognised


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_statement_or_malformed(data: bytes) -> None:
    for text in (data, LOGIN.encode() + data):
        try:
            assert Statement.parse(text).kind is StatementKind.LOGIN
        except MalformedStatement:
            continue
        assert text == LOGIN.encode()
