# SPDX-License-Identifier: Apache-2.0
"""The hash chain of a site that takes bids: what was there, in which order, and nothing in between.

A link is a moment and a commitment: SHA-256 of a random salt and of the SHA-256 of a document. Each minute
one is made of no document at all. Nobody can tell the two apart, so heads may be published while bids are
secret.
The head after a link is

    SHA-256("xca-bid-chain/1" || head before || moment || commitment)

with the moment as microseconds since 1970 in eight bytes, the highest first. The head before the first link
is 32 zeros.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Self

from xca_common.pki.malformed import Malformed
from xca_login.i18n import text

FIRST: Final = bytes(32)
"""The head before the first link."""
MOST_LINKS: Final = 4_000_000
"""Of an archive: one a minute for seven years, and some for the bids."""
_LABEL: Final = b"xca-bid-chain/1"
_LINK_BYTES: Final = 8 + 32
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Link:
    """A link of the chain.

    Attributes:
        at: when, by the site's clock, with a time zone.
        commitment: to a document, or to none.
    """

    at: datetime
    commitment: bytes

    def head(self, before: bytes) -> bytes:
        """Return the head after this link.

        Args:
            before: the head before it.
        """
        return hashlib.sha256(_LABEL + before + self.encode()).digest()

    def encode(self) -> bytes:
        """Return it as 40 bytes."""
        return ((self.at - _BEGINNING) // _MICROSECOND).to_bytes(8) + self.commitment

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what encode() returned.

        Raises:
            Malformed: its moment cannot be.
        """
        try:
            return cls(_BEGINNING + _MICROSECOND * int.from_bytes(data[:8]), data[8:])
        except OverflowError as error:
            raise Malformed(text("it has another form")) from error


@dataclass(frozen=True)
class Opening:
    """What opens a commitment.

    Attributes:
        document: SHA-256 of the document.
        salt: 32 random bytes.
    """

    document: bytes
    salt: bytes

    @classmethod
    def of(cls, document: bytes) -> Self:
        """Choose a salt for a document.

        Args:
            document: all of it.
        """
        return cls(hashlib.sha256(document).digest(), secrets.token_bytes(32))

    @property
    def commitment(self) -> bytes:
        """The commitment."""
        return hashlib.sha256(self.salt + self.document).digest()

    def opens(self, commitment: bytes) -> bool:
        """Tell whether it opens a commitment."""
        return hmac.compare_digest(self.commitment, commitment)


def tick() -> bytes:
    """Return the commitment to no document, for a link that says only that the minute was over."""
    return Opening(secrets.token_bytes(32), secrets.token_bytes(32)).commitment


def heads(links: Iterable[Link], before: bytes = FIRST) -> Iterator[bytes]:
    """Yield the head before each link, and at last the one after all."""
    yield before
    for link in links:
        before = link.head(before)
        yield before


def encode(links: Iterable[Link]) -> bytes:
    """Return links as a file."""
    return b"".join(link.encode() for link in links)


def decode(data: bytes) -> list[Link]:
    """Read links from a file.

    Raises:
        Malformed: it is none, or its links go back in time.
    """
    if len(data) % _LINK_BYTES or len(data) // _LINK_BYTES > MOST_LINKS:
        raise Malformed(text("it has another form"))
    links = [Link.decode(data[at : at + _LINK_BYTES]) for at in range(0, len(data), _LINK_BYTES)]
    if any(before.at > after.at for before, after in pairwise(links)):
        raise Malformed(text("its links go back in time"))
    return links
