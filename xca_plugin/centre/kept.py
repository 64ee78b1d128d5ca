# SPDX-License-Identifier: Apache-2.0
"""Acceptances that cards signed on this computer: kept until the centre answers, and what it answered.

There are two files for each, named after the SHA-256 of the certificate for signatures. `.signed` is there
while the centre has not answered, `.answer` afterwards. Each appears whole or not at all, so that a process
may end anywhere: at worst an acceptance is sent again, which the centre answers alike.
"""

import base64
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from xca_common import atomic_file
from xca_common.base_directories import own_data
from xca_common.errors import FileProblem, os_reason
from xca_common.folders import make_private
from xca_common.i18n import LANGUAGE_TAGS, Text, TranslatedText
from xca_plugin.model import Acceptance, AcceptanceOutcome

_SIGNED: Final = ".signed"
_ANSWER: Final = ".answer"
_MOST_BYTES: Final = 256 << 10
_SHA256: Final = re.compile("[0-9a-f]{64}")

Said = str | Mapping[str, str]
"""A sentence of the centre: by the tags of its languages, or in one that is not known."""


@dataclass(frozen=True)
class KeptAcceptance:
    """An acceptance.

    Attributes:
        number: card number.
        certificate: SHA-256 of the certificate for signatures.
        origin: of the centre that it is for.
        signed_at: when it was signed, or its certificate was first seen to be valid.
        statement: the CMS SignedData; empty: it is answered.
        outcome: what became of it.
        said: what the centre said last; None: nothing.
        try_after: it is not sent again by itself before this; None: it may be.
    """

    number: str
    certificate: str
    origin: str
    signed_at: datetime
    statement: bytes = field(repr=False)
    outcome: AcceptanceOutcome = AcceptanceOutcome.KEPT
    said: Said | None = None
    try_after: datetime | None = None

    def as_acceptance(self) -> Acceptance:
        """Return it as programs are shown it."""
        return Acceptance(self.number, self.outcome, self.signed_at, _shown(self.said), self.statement)

    def encode(self) -> bytes:
        """Return the content of its file. decode() reads it."""
        document = {
            "card": self.number,
            "certificate": self.certificate,
            "centre": self.origin,
            "signed_at": self.signed_at.isoformat(),
            "statement": base64.b64encode(self.statement).decode("ascii"),
            "outcome": self.outcome.value,
            "said": self.said,
            "try_after": self.try_after.isoformat() if self.try_after else None,
        }
        return json.dumps(document, indent=2).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a file.

        Raises:
            ValueError: it holds something else.
        """
        try:
            document: dict[str, Any] = json.loads(data)
            after = document["try_after"]
            said = document["said"]
            made = cls(
                str(document["card"]),
                str(document["certificate"]),
                str(document["centre"]),
                _moment(document["signed_at"]),
                base64.b64decode(document["statement"], validate=True),
                AcceptanceOutcome(document["outcome"]),
                said if isinstance(said, str | dict) else None,
                None if after is None else _moment(after),
            )
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError from error
        if not _SHA256.fullmatch(made.certificate):
            raise ValueError
        return made


class KeptAcceptances:
    """The folder of acceptances.

    Args:
        folder: it need not be there; None: the user's.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or own_data() / "acceptances"

    def find(self, certificate: str) -> KeptAcceptance | None:
        """Return the acceptance of a certificate, by its SHA-256; None: there is none that can be read."""
        return self._read(certificate, _SIGNED) or self._read(certificate, _ANSWER)

    def waiting(self) -> list[KeptAcceptance]:
        """Return those that the centre did not answer yet, in no order."""
        found = (self._read(each.stem, _SIGNED) for each in self._folder.glob(f"*{_SIGNED}"))
        return [each for each in found if each is not None]

    def add(self, made: KeptAcceptance) -> None:
        """Keep one, in place of an earlier one of the same certificate with the same outcome.

        Raises:
            FileProblem: it cannot be written.
        """
        with self._changing():
            atomic_file.write(self._path(made.certificate, _suffix(made)), made.encode())

    def settle(self, before: KeptAcceptance, after: KeptAcceptance) -> None:
        """Keep what the centre said of one, unless another took its place meanwhile.

        Raises:
            FileProblem: it cannot be written.
        """
        with self._changing():
            if self._read(before.certificate, _SIGNED) != before:
                return
            atomic_file.write(self._path(before.certificate, _suffix(after)), after.encode())
            if after.outcome is not AcceptanceOutcome.KEPT:
                self._path(before.certificate, _SIGNED).unlink()
                atomic_file.sync_names(self._folder)

    def _path(self, certificate: str, suffix: str) -> Path:
        return self._folder / f"{certificate}{suffix}"

    def _read(self, certificate: str, suffix: str) -> KeptAcceptance | None:
        with suppress(OSError, ValueError), self._path(certificate, suffix).open("rb") as file:
            found = KeptAcceptance.decode(file.read(_MOST_BYTES))
            return found if found.certificate == certificate else None
        return None

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the folder's lock; others hold it for some milliseconds.

        Raises:
            FileProblem: something cannot be written.
        """
        try:
            make_private(self._folder)
            held = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX)
                yield
            finally:
                os.close(held)
        except OSError as error:
            raise FileProblem(path=self._folder, detail=os_reason(error)) from error


def _suffix(kept: KeptAcceptance) -> str:
    return _SIGNED if kept.outcome is AcceptanceOutcome.KEPT else _ANSWER


def _moment(value: str) -> datetime:
    made = datetime.fromisoformat(value)
    if made.tzinfo is None:
        raise ValueError
    return made


def _shown(said: Said | None) -> Text | str | None:
    if said is None or isinstance(said, str):
        return said
    words = {language: said.get(tag) for tag, language in LANGUAGE_TAGS.items()}
    known = {language: each for language, each in words.items() if isinstance(each, str)}
    return TranslatedText(known) if len(known) == len(words) else None
