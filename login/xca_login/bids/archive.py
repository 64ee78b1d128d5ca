# SPDX-License-Identifier: Apache-2.0
"""The archive of a tender: everything that proves, offline and years later, what happened to its bids.

It is a ZIP that compresses nothing, of

    form               xca-bid-archive/1
    chain              the links of the site's chain (chain.encode)
    before             the head before the first of them, 32 bytes
    notice.p7m         the signed notice
    list.p7m           the signed list of the bids that count
    receipts/          every signed receipt, also of bids that were replaced, withdrawn or late
    manifests/         what the bidder signed, of each bid that was opened; the name is the receipt's
    withdrawals/       what a bidder signed to withdraw a bid
    openings/          what the officers signed to open
    salts/             for each document that is in the chain, all but manifests: the salt of its commitment

Files in folders, and salts, are named after the SHA-256 of the document, in hexadecimal digits.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import SEEK_END
from typing import BinaryIO, Final, Self
from zipfile import ZIP_STORED, ZipFile

from xca_common.pki.bid_records import MOST_BYTES
from xca_common.pki.malformed import Malformed, reading
from xca_login.bids import chain
from xca_login.bids.chain import Link
from xca_login.i18n import text

_FORM: Final = b"xca-bid-archive/1"
_MOST_FILES: Final = 100_000
_FOLDERS: Final = ("receipts", "manifests", "withdrawals", "openings", "salts")
_NAME: Final = re.compile(rf"({'|'.join(_FOLDERS)})/([0-9a-f]{{64}})")
_SINGLE: Final = ("form", "chain", "before", "notice.p7m", "list.p7m")


@dataclass(frozen=True)
class Archive:
    """The archive of a tender. Nothing of it is verified yet.

    Attributes:
        links: of the chain.
        before: the head before the first of them.
        notice: the signed notice.
        sealed_list: the signed list.
        receipts: signed receipts, by their SHA-256.
        manifests: what bidders signed, by the SHA-256 of the receipt.
        withdrawals: signed statements, by their SHA-256.
        openings: signed statements, by their SHA-256.
        salts: by the SHA-256 of the document.
    """

    links: list[Link]
    before: bytes
    notice: bytes
    sealed_list: bytes
    receipts: Mapping[bytes, bytes]
    manifests: Mapping[bytes, bytes] = field(default_factory=dict)
    withdrawals: Mapping[bytes, bytes] = field(default_factory=dict)
    openings: Mapping[bytes, bytes] = field(default_factory=dict)
    salts: Mapping[bytes, bytes] = field(default_factory=dict)

    def write(self, output: BinaryIO) -> None:
        """Write it as a file."""
        single = (_FORM, chain.encode(self.links), self.before, self.notice, self.sealed_list)
        with ZipFile(output, "w", ZIP_STORED) as archive:
            for name, content in zip(_SINGLE, single, strict=True):
                archive.writestr(name, content)
            for folder in _FOLDERS:
                for digest, content in getattr(self, folder).items():
                    archive.writestr(f"{folder}/{digest.hex()}", content)

    @classmethod
    def read(cls, file: BinaryIO) -> Self:
        """Read what write() wrote.

        Raises:
            Malformed: it is something else, or a document in it is not the one of its name.
        """
        with reading(text("its archive of files")), ZipFile(file) as archive:
            infos = archive.infolist()
            if len(infos) > _MOST_FILES or len({info.filename for info in infos}) != len(infos):
                raise Malformed(text("it has another form"))
            if sum(info.file_size for info in infos) > file.seek(
                0, SEEK_END
            ):  # many names for the same bytes
                raise Malformed(text("it has another form"))
            folders: dict[str, dict[bytes, bytes]] = {name: {} for name in _FOLDERS}
            single: dict[str, bytes] = {}
            for info in infos:
                most = chain.MOST_LINKS * 40 if info.filename == "chain" else MOST_BYTES
                if info.compress_type != ZIP_STORED or info.file_size > most:
                    raise Malformed(text("it has another form"))
                if info.filename in _SINGLE:
                    single[info.filename] = archive.read(info)
                elif found := _NAME.fullmatch(info.filename):
                    folders[found[1]][bytes.fromhex(found[2])] = archive.read(info)
                else:
                    raise Malformed(text("it has another form"))
        if set(single) != set(_SINGLE) or single["form"] != _FORM or len(single["before"]) != 32:
            raise Malformed(text("it is no archive of bids"))
        for name in ("receipts", "withdrawals", "openings"):
            if any(hashlib.sha256(document).digest() != digest for digest, document in folders[name].items()):
                raise Malformed(text("a document in it is not the one of its name"))
        links = chain.decode(single["chain"])
        return cls(links, single["before"], single["notice.p7m"], single["list.p7m"], **folders)
