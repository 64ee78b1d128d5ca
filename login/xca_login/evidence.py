# SPDX-License-Identifier: Apache-2.0
"""What a login was verified with, in a form that can be kept and verified again years later."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

_FORM: Final = "xca-login-evidence/1"
_MOST_BYTES: Final = 64 << 20


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
    def load(cls, data: bytes) -> Self:
        """Read what dump() returned.

        Raises:
            MalformedEvidence: it is something else.
        """
        try:
            if len(data) > _MOST_BYTES:
                raise ValueError
            document = json.loads(data)
            at = datetime.fromisoformat(document["at"])
            if document["form"] != _FORM or at.tzinfo is None:
                raise ValueError
            parts = (_bytes(document["challenge"]), _bytes(document["token"]))
            several = (tuple(map(_bytes, document[name])) for name in ("issuers", "lists", "responses"))
            return cls(at, *parts, *several)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise MalformedEvidence from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    return base64.b64decode(text, validate=True)
