# SPDX-License-Identifier: Apache-2.0
"""The mails that a sandbox's centre has sent, as people read them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Final

_NAME: Final = re.compile("[0-9a-f-]{36}")
_LINK: Final = re.compile(r"(https?://[^\s<>\"]+)")


@dataclass(frozen=True)
class ReceivedMail:
    """A mail.

    Attributes:
        name: by which it is asked for.
        at: when it was written.
        to: whom it went to.
        subject: what it is about.
        text: its whole text.
    """

    name: str
    at: datetime
    to: str
    subject: str
    text: str

    @property
    def lines(self) -> Sequence[Sequence[tuple[str, bool]]]:
        """Its lines without their indents, each in pieces; those that are addresses are links."""
        return [
            [(piece, bool(_LINK.fullmatch(piece))) for piece in _LINK.split(line.strip()) if piece]
            for line in self.text.splitlines()
        ]


def mails(folder: Path) -> Sequence[ReceivedMail]:
    """Return the mails in a folder, the newest first."""
    found = [_read(path) for path in folder.glob("*.eml") if _NAME.fullmatch(path.stem)]
    return sorted(found, key=lambda mail: (mail.at, mail.name), reverse=True)


def mail(folder: Path, name: str) -> ReceivedMail | None:
    """Return a mail; None: there is none of this name."""
    path = folder / f"{name}.eml"
    return _read(path) if _NAME.fullmatch(name) and path.is_file() else None


def _read(path: Path) -> ReceivedMail:
    message = message_from_bytes(path.read_bytes(), policy=default)
    return ReceivedMail(
        path.stem,
        message["Date"].datetime,
        str(message["To"]),
        str(message["Subject"]),
        message.get_content().replace("\r\n", "\n"),
    )
