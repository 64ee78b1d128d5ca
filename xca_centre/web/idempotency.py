# SPDX-License-Identifier: Apache-2.0
"""Requests of programs that are sent again: who gives an Idempotency-Key gets the answer of the first time.

The header is that of draft-ietf-httpapi-idempotency-key-header: a string of RFC 8941 that the program made up
for one request. Only its digest is kept. What was asked is kept as a digest, without the user code: who sends
it again proves the code of the application, and a wrong one costs a try of it. What was refused has done
nothing, and is judged anew.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, delete, select, update
from starlette.requests import Request

from xca_centre.errors import IdempotencyKeyMalformed, IdempotencyKeyReused
from xca_centre.store.database import Change, Clock
from xca_centre.store.tables import REPEATABLE_REQUESTS as TABLE

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


@dataclass(frozen=True)
class Kept:
    """What is known of a request that was answered.

    Attributes:
        code: id of the user code; only who proves it is given the answer.
        answer: the answer.
    """

    code: UUID
    answer: str


def find(connection: Connection, asked: RepeatableRequest, clock: Clock) -> Kept | None:
    """Return what was answered the first time; None: there was none, or it is too long ago.

    Raises:
        IdempotencyKeyReused: something else was asked with this key.
    """
    row: Row[Any] | None = connection.execute(
        select(TABLE).where(TABLE.c.key == asked.key, TABLE.c.until > clock())
    ).one_or_none()
    if row is None:
        return None
    if row.asked != asked.asked:
        raise reused()
    return Kept(row.code, row.answer)


def reused() -> IdempotencyKeyReused:
    """Return what who asks for something else with a key is told, and who does not know the user code."""
    return IdempotencyKeyReused(hours=LIFE // timedelta(hours=1))


def begin(change: Change, asked: RepeatableRequest) -> bool:
    """Take the key, in the change that does what is asked; False: it is taken, and nothing is to be done.

    Of two at once, the second waits here for the first.
    """
    change.connection.execute(delete(TABLE).where(TABLE.c.until <= change.now))
    row = {"key": asked.key, "asked": asked.asked, "answer": ""}
    taken = change.insert(TABLE).values(**row, until=change.now + LIFE).on_conflict_do_nothing()
    return change.connection.execute(taken.returning(TABLE.c.key)).scalar() is not None


def end(change: Change, asked: RepeatableRequest, kept: Kept) -> None:
    """Keep the answer, in the same change."""
    own = update(TABLE).where(TABLE.c.key == asked.key)
    change.connection.execute(own.values(code=kept.code, answer=kept.answer))
