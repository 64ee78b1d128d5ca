# SPDX-License-Identifier: Apache-2.0
"""What a bid says: the statement (kind `bid`) that its bidder signs, with the files that it lists."""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final, Self

from xca_common.harmless_text import harmless
from xca_common.i18n import Text, text
from xca_common.statement import MalformedStatement, Statement, StatementKind

MOST_FILES: Final = 1000
"""Files of one bid."""
_CHUNK: Final = 1 << 20
_VERSION: Final = "1"
_NONE: Final = "none"
_MOST_NAME_BYTES: Final = 240
"""Of a file's name: file systems take 255."""
_UNUSABLE: Final = re.compile(r'[/\\:*?"<>|]|^[ .]|[ .]$')
# Windows opens devices by these names, whatever their ending is.
_DEVICE: Final = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?")


class BadFileName(ValueError):  # a situation
    """A file of a bid may not have its name.

    Attributes:
        name: the name.
        reason: why, as a clause.
    """

    def __init__(self, name: str, reason: Text) -> None:
        super().__init__()
        self.name, self.reason = name, reason


@dataclass(frozen=True)
class BidFile:
    """A file of a bid.

    Attributes:
        name: its name, without a folder.
        size: bytes.
        sha256: its digest, hexadecimal.
    """

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, file: BinaryIO) -> Self:
        """Read a file to its end.

        Raises:
            BadFileName: it may not have this name.
        """
        _check_name(name)
        digest, size = hashlib.sha256(), 0
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
        return cls(name, size, digest.hexdigest())


@dataclass(frozen=True)
class Bid:
    """What a bid says.

    Attributes:
        tender: number of the tender.
        notice: SHA-256 of the tender's signed notice, hexadecimal. It fixes recipients, deadline, opening.
        organisation: the bidder's, by its OID or 統一編號.
        instrument: what entitles to bid (領標憑據): its number, a blank, its SHA-256.
        bond: number of the bid bond (押標金).
        bid: the number that the site gave the bid, 64 hexadecimal digits.
        sequence: how many times it was submitted, beginning with 1.
        replaces: SHA-256 of the receipt of the one that it replaces, hexadecimal; None: it replaces none.
        recipients: SHA-256 of the public keys (SubjectPublicKeyInfo) that open it, hexadecimal.
        files: in the bidder's order.
    """

    tender: str
    notice: str
    organisation: str
    instrument: str
    bond: str
    bid: str
    sequence: int
    replaces: str | None
    recipients: frozenset[str]
    files: tuple[BidFile, ...]

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read a statement.

        Raises:
            MalformedStatement: it is not a bid's, or of a version that is not known, or lists files whose
                names nobody may give them.
        """
        if statement.kind is not StatementKind.BID:
            raise MalformedStatement
        one = dict(statement.fields)
        listed = [value.split(" ") for key, value in statement.fields if key == "file"]
        numbers = [int(number) for number, *_ in listed]
        if one["version"] != _VERSION or numbers != list(range(1, len(listed) + 1)):
            raise MalformedStatement
        try:
            files = tuple(BidFile(_decoded(name), int(size), sha256) for _, size, sha256, name in listed)
            check_files(files)
        except ValueError:
            raise MalformedStatement from None
        return cls(
            one["tender"],
            one["notice"],
            one["organisation"],
            one["instrument"],
            one["bond"],
            one["bid"],
            int(one["sequence"]),
            None if one["replaces"] == _NONE else one["replaces"],
            frozenset(value for key, value in statement.fields if key == "recipient"),
            files,
        )

    def statement(self, origin: str, time: datetime, nonce: str) -> Statement:
        """Return the statement that the bidder signs. of() reads it.

        Args:
            origin: of the site that takes bids.
            time: by the site's clock, with a time zone.
            nonce: 64 hexadecimal digits.

        Raises:
            BadFileName: a file may not have its name.
            ValueError: there are no files, or too many.
        """
        check_files(self.files)
        return Statement(
            StatementKind.BID,
            origin,
            time,
            nonce,
            (
                ("version", _VERSION),
                ("tender", self.tender),
                ("notice", self.notice),
                ("organisation", self.organisation),
                ("instrument", self.instrument),
                ("bond", self.bond),
                ("bid", self.bid),
                ("sequence", str(self.sequence)),
                ("replaces", self.replaces or _NONE),
                *(("recipient", one) for one in sorted(self.recipients)),
                *(("file", _line(number, file)) for number, file in enumerate(self.files, 1)),
            ),
        )


def check_files(files: Sequence[BidFile]) -> None:
    """Make sure that files can be those of one bid.

    Raises:
        BadFileName: one may not have its name, or two have one that counts as the same.
        ValueError: there are none, or too many.
    """
    if not 0 < len(files) <= MOST_FILES:
        raise ValueError("no files, or too many")
    seen = set()
    for file in files:
        _check_name(file.name)
        folded = unicodedata.normalize("NFKC", file.name).casefold()
        if folded in seen:
            raise BadFileName(file.name, text("another file has the same name, or one that looks like it"))
        seen.add(folded)


def _check_name(name: str) -> None:
    if len(name.encode(errors="surrogatepass")) > _MOST_NAME_BYTES:
        raise BadFileName(name, text("it has more than {count} bytes").format(count=_MOST_NAME_BYTES))
    # Also a surrogate is shown as something else: it stands for a byte that is no character.
    if not name or harmless(name, longest=None) != name or not unicodedata.is_normalized("NFC", name):
        raise BadFileName(name, text("it has a character that cannot be seen, or that has several encodings"))
    if _UNUSABLE.search(name) or _DEVICE.fullmatch(name):
        raise BadFileName(name, text("not every system can give a file this name"))


def _line(number: int, file: BidFile) -> str:
    name = base64.urlsafe_b64encode(file.name.encode()).rstrip(b"=").decode("ascii")
    return f"{number} {file.size} {file.sha256} {name}"


def _decoded(name: str) -> str:
    decoded = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii") != name:
        raise ValueError
    return decoded.decode()
