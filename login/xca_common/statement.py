# SPDX-License-Identifier: Apache-2.0
"""Statements: the texts that a holder's card signs, or opens, for a program of a web site.

A statement says what it is for (its kind), for which site (its origin), when, and which nonce makes it the
only one. Its lines are ASCII, separated by one LF:

    xca-statement/1 login
    https://site.example.gov.tw
    20261126T133000Z
    (64 hexadecimal digits)

Some kinds go on with lines `key value`. Whatever signs asks begins_as_statement() first: a statement is
signed only as PKCS #7, for the site that it names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Final, Self

ORIGIN_ATTRIBUTE: Final = "2.25.244382402430158781380657099509623453049"
"""The signed attribute (RFC 5652, section 5.3) with the origin of the page that asked: one UTF8String."""

_NAME: Final = b"xca-statement/"
_IGNORED: Final = re.compile(rb"(?:\xef\xbb\xbf|\s)*")  # byte order marks and white space
_MOST_BYTES: Final = 256 << 10
_ALPHABET: Final = re.compile(rb"[A-Za-z0-9.:/_ \n-]*")
_HEAD: Final = re.compile(r"xca-statement/1 ([a-z]+)")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_ORIGIN: Final = re.compile(rf"(https?)://{_LABEL}(?:\.{_LABEL})*(?::([1-9][0-9]{{0,4}}))?")
_DEFAULT_PORTS: Final = {("https", "443"), ("http", "80")}
_LONGEST_ORIGIN: Final = 253 + len("https://:65535")
_TIME: Final = "%Y%m%dT%H%M%SZ"
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,17})"
_SHA256: Final = r"[0-9a-f]{64}"
_WORDS: Final = r"[A-Za-z0-9.:/_-]+(?: [A-Za-z0-9.:/_-]+)*"
_HEX_32_BYTES: Final = re.compile(_SHA256)


class StatementKind(StrEnum):
    """What a statement is for."""

    LOGIN = "login"
    """The holder logs in."""
    ACCEPTANCE = "acceptance"
    """The holder accepts the certificates on a new card."""
    RENEWAL = "renewal"
    """The holder applies for a new card with the old one."""
    REGISTRATION = "registration"
    """The holder registers the certificate for encryption."""
    POSSESSION = "possession"
    """It is opened, not signed: it proves that the holder has the key for decryption."""
    REHEARSAL = "rehearsal"
    """It is opened, not signed: a trial before bids are opened."""
    BID = "bid"
    """The holder submits a bid."""
    WITHDRAW = "withdraw"
    """The holder withdraws a bid."""
    OPEN = "open"
    """An officer opens the bids of a tender."""

    @property
    def is_signed(self) -> bool:
        """Whether cards sign it. The others are encrypted to a card, and opened with it."""
        return self not in (StatementKind.POSSESSION, StatementKind.REHEARSAL)


@dataclass(frozen=True)
class _Key:
    """A line after the nonce.

    Attributes:
        name: what it begins with.
        value: pattern of the rest.
        is_repeated: whether there may be several, in ascending order.
    """

    name: str
    value: str
    is_repeated: bool = False


_KEYS: Final[Mapping[StatementKind, tuple[_Key, ...]]] = {
    StatementKind.LOGIN: (),
    StatementKind.ACCEPTANCE: (
        _Key("card", "[A-Za-z0-9]{1,32}"),
        _Key("cert1", _SHA256),
        _Key("cert2", _SHA256),
    ),
    StatementKind.RENEWAL: (_Key("organisation", _WORDS), _Key("form", _SHA256)),
    StatementKind.REGISTRATION: (_Key("cert2", _SHA256),),
    StatementKind.POSSESSION: (),
    StatementKind.REHEARSAL: (),
    StatementKind.BID: (
        _Key("version", _NUMBER),
        _Key("tender", _WORDS),
        _Key("notice", _SHA256),
        _Key("organisation", _WORDS),
        _Key("instrument", f"{_WORDS} {_SHA256}"),
        _Key("bond", _WORDS),
        _Key("bid", _SHA256),
        _Key("sequence", _NUMBER),
        _Key("replaces", f"(?:none|{_SHA256})"),
        _Key("recipient", _SHA256, is_repeated=True),
        _Key("file", f"{_NUMBER} {_NUMBER} {_SHA256} [A-Za-z0-9_-]+", is_repeated=True),
    ),
    StatementKind.WITHDRAW: (_Key("tender", _WORDS), _Key("bid", _SHA256), _Key("receipt", _SHA256)),
    StatementKind.OPEN: (_Key("tender", _WORDS), _Key("list", _SHA256), _Key("officer", _WORDS)),
}


class MalformedStatement(ValueError):
    """A text begins as a statement and is none."""


@dataclass(frozen=True)
class Statement:
    """A statement, read strictly.

    Attributes:
        kind: what it is for.
        origin: the site that it is for, as browsers write it.
        time: when it was made, by the clock of the site, with a time zone.
        nonce: 64 hexadecimal digits.
        fields: the lines after the nonce, as pairs of key and value.
    """

    kind: StatementKind
    origin: str
    time: datetime
    nonce: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a statement.

        Raises:
            MalformedStatement: the data is not exactly a statement.
        """
        if len(data) > _MOST_BYTES or not _ALPHABET.fullmatch(data):
            raise MalformedStatement
        head, *lines = data.decode("ascii").split("\n")
        found = _HEAD.fullmatch(head)
        if found is None or found[1] not in list(StatementKind) or len(lines) < 3:
            raise MalformedStatement
        kind = StatementKind(found[1])
        origin, time, nonce, *rest = lines
        if not is_origin(origin) or not _HEX_32_BYTES.fullmatch(nonce):
            raise MalformedStatement
        return cls(kind, origin, _time(time), nonce, _fields(kind, rest))

    def encode(self) -> bytes:
        """Return the statement as it is signed. parse() reads it."""
        time = self.time.astimezone(UTC).strftime(_TIME)
        pairs = (f"{key} {value}" for key, value in self.fields)
        lines = (f"{_NAME.decode()}1 {self.kind}", self.origin, time, self.nonce, *pairs)
        return "\n".join(lines).encode("ascii")


class Beginning:
    """Tells whether data that comes in chunks begins as a statement."""

    def __init__(self) -> None:
        self._start = b""

    def add(self, chunk: bytes) -> None:
        """Take the next chunk."""
        if len(self._start) < len(_NAME):
            joined = self._start + chunk
            ignored = _IGNORED.match(joined)
            at = ignored.end() if ignored else 0
            self._start = joined[at : at + len(_NAME)]

    @property
    def is_statement(self) -> bool:
        """Whether the data so far begins as a statement."""
        return self._start.lower() == _NAME


def begins_as_statement(data: bytes) -> bool:
    """Tell whether data is to be treated as a statement, well-formed or not.

    It is when `xca-statement/` stands first, after byte order marks and white space.
    """
    beginning = Beginning()
    beginning.add(data)
    return beginning.is_statement


def is_origin(text: str) -> bool:
    """Tell whether a text is an origin as browsers write it (RFC 6454, section 6.2), of http or https."""
    found = _ORIGIN.fullmatch(text)
    return found is not None and len(text) <= _LONGEST_ORIGIN and found.groups() not in _DEFAULT_PORTS


def _time(text: str) -> datetime:
    try:
        time = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise MalformedStatement from None
    if time.strftime(_TIME) != text:  # strptime() also takes numbers without their zeros
        raise MalformedStatement
    return time


def _fields(kind: StatementKind, lines: list[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of key and value; all keys of the kind, in their order."""
    pairs = [(name, value) for name, _, value in (line.partition(" ") for line in lines)]
    by_name = [(name, [value for _, value in group]) for name, group in groupby(pairs, lambda pair: pair[0])]
    keys = _KEYS[kind]
    if [name for name, _ in by_name] != [key.name for key in keys]:
        raise MalformedStatement
    for key, (_, values) in zip(keys, by_name, strict=True):
        if not key.is_repeated and len(values) > 1:
            raise MalformedStatement
        if not all(re.fullmatch(key.value, value) for value in values):
            raise MalformedStatement
        if not all(_order(before) < _order(after) for before, after in pairwise(values)):
            raise MalformedStatement
    return tuple(pairs)


def _order(value: str) -> tuple[int, str]:
    """Return what a repeated value is sorted by: its index, or itself."""
    first, blank, _ = value.partition(" ")
    return (int(first), "") if blank and first.isdecimal() else (0, value)
