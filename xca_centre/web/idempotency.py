# SPDX-License-Identifier: Apache-2.0
"""Requests of programs that are sent again: who gives an Idempotency-Key gets the answer of the first time.

The header is that of draft-ietf-httpapi-idempotency-key-header: a string of RFC 8941 that the program made up
for one request. Only its digest is kept. What was asked is kept as a digest, without the user code, of which
there is a hash as slow as that of the case. What was refused has done nothing, and is judged anew.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select, update
from starlette.requests import Request

from xca_centre.errors import IdempotencyKeyMalformed, IdempotencyKeyReused
from xca_centre.store.database import Change, Clock
from xca_centre.store.tables import REPEATABLE_REQUESTS as TABLE
from xca_common.secret import Secret

HEADER: Final = "Idempotency-Key"
LIFE: Final = timedelta(hours=24)
"""For how long the answer is kept."""
SHORTEST, LONGEST = 16, 128
"""Characters of a key: nobody guesses that of another program. A UUID has 36."""
_FORM: Final = re.compile(rf'"([ !#-\[\]-~]{{{SHORTEST},{LONGEST}}})"')
_USER_CODE: Final = "user_code"


@dataclass(frozen=True)
class RepeatableRequest:
    """A request with a key.

    Attributes:
        key: digest of the key.
        asked: digest of what is asked, without the user code.
    """

    key: str
    asked: str


def read(request: Request, asked: Mapping[str, str]) -> RepeatableRequest | None:
    """Return what is known a request by; None: it has no key.

    Raises:
        IdempotencyKeyMalformed: what it has is none.
    """
    sent = request.headers.getlist(HEADER)
    if not sent:
        return None
    found = _FORM.fullmatch(sent[0].strip())
    if found is None or len(sent) > 1:
        raise IdempotencyKeyMalformed(shortest=SHORTEST, longest=LONGEST)
    rest = json.dumps({name: value for name, value in asked.items() if name != _USER_CODE}, sort_keys=True)
    return RepeatableRequest(*(hashlib.sha256(each.encode("ascii")).hexdigest() for each in (found[1], rest)))


def answer(
    connection: Connection,
    asked: RepeatableRequest,
    code: Secret,
    is_right: Callable[[str, Secret], bool],
    clock: Clock,
) -> str | None:
    """Return the answer of the first time; None: there was none, or it is too long ago.

    Args:
        connection: for reading, or of the change.
        asked: the request.
        code: its user code.
        is_right: tells whether a code is that of a hash.
        clock: the time.

    Raises:
        IdempotencyKeyReused: something else was asked with this key.
    """
    kept: Row[Any] | None = connection.execute(
        select(TABLE).where(TABLE.c.key == asked.key, TABLE.c.until > clock())
    ).one_or_none()
    if kept is None:
        return None
    if kept.asked != asked.asked or not is_right(kept.code_hash, code):
        raise IdempotencyKeyReused(hours=LIFE // timedelta(hours=1))
    text: str = kept.answer
    return text


def begin(change: Change, asked: RepeatableRequest, code_hash: str) -> bool:
    """Take the key, in the change that does what is asked; False: it is taken, and nothing is to be done.

    Of two at once, the second waits here for the first.
    """
    change.connection.execute(delete(TABLE).where(TABLE.c.until <= change.now))
    row = {"key": asked.key, "asked": asked.asked, "code_hash": code_hash, "answer": ""}
    taken = change.insert(TABLE).values(**row, until=change.now + LIFE).on_conflict_do_nothing()
    return change.connection.execute(taken.returning(TABLE.c.key)).scalar() is not None


def end(change: Change, asked: RepeatableRequest, answer: str) -> None:
    """Keep the answer, in the same change."""
    change.connection.execute(update(TABLE).where(TABLE.c.key == asked.key).values(answer=answer))
