# SPDX-License-Identifier: Apache-2.0
"""What a login was verified with, in a form that can be kept and verified again years later."""

import base64
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from xca_common import atomic_file
from xca_common.errors import os_reason
from xca_login.errors import EvidenceUnusable
from xca_login.i18n import text

_FORM: Final = "xca-login-evidence/1"
_MOST_BYTES: Final = 128 << 20
_MOST_LIST_BYTES: Final = 64 << 20
_MOST_PARTS: Final = 16  # issuers, lists and responses, of each
_LISTS: Final = "lists"
_UNWAITING: Final = getattr(os, "O_NONBLOCK", 0)  # Windows has neither that nor files that are pipes
_SHA256: Final = re.compile("[0-9a-f]{64}")


class MalformedEvidence(ValueError):
    """A file is no evidence of a login."""


@dataclass(frozen=True)
class Evidence:
    """What a login was verified with.

    Attributes:
        at: when, by the site's clock, with a time zone.
        challenge: the text that was to be signed.
        token: the signature over it (CMS).
        issuers: the certificates above the holder's, in DER, the nearest first.
        lists: the CRLs that said how the holder's certificate stands, in DER.
        responses: the OCSP responses likewise.
    """

    at: datetime
    challenge: bytes
    token: bytes
    issuers: tuple[bytes, ...]
    lists: tuple[bytes, ...]
    responses: tuple[bytes, ...]

    def dump(self) -> bytes:
        """Return it as JSON, everything in DER as base64."""
        document = {
            "form": _FORM,
            "at": self.at.isoformat(),
            "challenge": _base64(self.challenge),
            "token": _base64(self.token),
            "issuers": [_base64(one) for one in self.issuers],
            "lists": [_base64(one) for one in self.lists],
            "responses": [_base64(one) for one in self.responses],
        }
        return json.dumps(document, indent=1).encode("ascii")

    @classmethod
    def load(cls, data: bytes, find: Callable[[str], bytes] | None = None) -> Self:
        """Read what dump() returned.

        Args:
            data: the JSON.
            find: returns a CRL that the JSON has not, but names by its SHA-256 (EvidenceFolder).

        Raises:
            MalformedEvidence: it is something else, or a CRL that find() returned is another.
            OSError: as find().
        """
        try:
            if len(data) > _MOST_BYTES:
                raise ValueError
            document = json.loads(data)
            at = datetime.fromisoformat(document["at"])
            at.astimezone(UTC)  # it is within what a time can be
            if document["form"] != _FORM or at.tzinfo is None:
                raise ValueError
            parts = (_bytes(document["challenge"]), _bytes(document["token"]))
            if any(len(document[name]) > _MOST_PARTS for name in ("issuers", _LISTS, "responses")):
                raise ValueError
            issuers, responses = (tuple(map(_bytes, document[name])) for name in ("issuers", "responses"))
            lists = tuple(_list(one, find) for one in document[_LISTS])
            return cls(at, *parts, issuers, lists, responses)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            raise MalformedEvidence from error


class EvidenceFolder:
    """Keeps the evidence of logins: a file for each, and each CRL once, however many logins stand on it.

    Args:
        folder: the folder. Its files are made for years: a program never changes one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, evidence: Evidence) -> Path:
        """Keep evidence, and return the path of its file.

        Raises:
            OSError: it cannot be written.
        """
        lists = self._folder / _LISTS
        lists.mkdir(parents=True, exist_ok=True)
        names = []
        for der in evidence.lists:
            names.append({"sha256": hashlib.sha256(der).hexdigest()})
            if not (path := lists / f"{names[-1]['sha256']}.crl").exists():
                atomic_file.write(path, der)
        document = json.loads(replace(evidence, lists=()).dump()) | {_LISTS: names}
        moment = evidence.at.astimezone(UTC)
        path = (
            self._folder / f"{moment:%Y%m%dT%H%M%SZ}-{hashlib.sha256(evidence.token).hexdigest()[:32]}.json"
        )
        atomic_file.write(path, json.dumps(document, indent=1).encode("ascii"))
        return path


def read(path: Path) -> Evidence:
    """Read evidence from a file: what Evidence.dump() returned, or one of an EvidenceFolder.

    Raises:
        EvidenceUnusable: it cannot be read, is something else, or a CRL that it stands on is missing.
    """
    try:
        data = _content(path, _MOST_BYTES)
        lists = path.parent / _LISTS
        return Evidence.load(data, lambda name: _content(lists / f"{name}.crl", _MOST_LIST_BYTES))
    except OSError as error:
        missing = path if error.filename is None else Path(error.filename)
        raise EvidenceUnusable(path=missing, detail=os_reason(error)) from error
    except MalformedEvidence as error:
        detail = text("it holds something else") if path.stat().st_size else text("it is empty")
        raise EvidenceUnusable(path=path, detail=detail) from error


def _content(path: Path, most: int) -> bytes:
    """Return what a file holds, and wait for no pipe.

    Raises:
        MalformedEvidence: it is no file, or a longer one.
        OSError: it cannot be read.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _UNWAITING)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise MalformedEvidence
        data = file.read(most + 1)
    if len(data) > most:
        raise MalformedEvidence
    return data


def _list(value: object, find: Callable[[str], bytes] | None) -> bytes:
    if not isinstance(value, dict):
        return _bytes(value)
    name = value["sha256"]
    if find is None or not isinstance(name, str) or not _SHA256.fullmatch(name):
        raise ValueError
    der = find(name)
    if hashlib.sha256(der).hexdigest() != name:
        raise ValueError
    return der


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    return base64.b64decode(text, validate=True)
