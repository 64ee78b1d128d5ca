# SPDX-License-Identifier: Apache-2.0
"""The site that people log in to."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from xca_common.statement import is_origin
from xca_login.errors import BadOrigin

_ON_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1"})


@dataclass(frozen=True)
class Site:
    """A site, from its own configuration; never from what a request says.

    Attributes:
        origin: as browsers write it (RFC 6454, section 6.2), such as https://bids.example.gov.tw. It is
            https, or http on this machine.
        name: what people call it.

    Raises:
        BadOrigin: it is no such origin.
    """

    origin: str
    name: str

    def __post_init__(self) -> None:
        url = urlsplit(self.origin) if is_origin(self.origin) else None
        if url is None or (url.scheme != "https" and url.hostname not in _ON_THIS_MACHINE):
            raise BadOrigin(origin=self.origin)
