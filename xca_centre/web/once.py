# SPDX-License-Identifier: Apache-2.0
"""Forms that do their act once: each carries a token, which is spent in the change that does the act.

A browser that sends a form twice does nothing the second time. That other sites send none is what the
request guard sees to, so a token needs no signature: who makes one up fools himself alone.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete

from xca_centre.errors import PageStale
from xca_centre.store.database import Change
from xca_centre.store.tables import SPENT_FORMS

FIELD: Final = "token"
"""The field that carries it."""
LIFE: Final = timedelta(hours=4)
"""How long a form may be open."""
_EARLY: Final = timedelta(minutes=5)
"""How far the clocks of two workers may differ."""
_TOKEN: Final = re.compile(r"([0-9]{1,12})\.[A-Za-z0-9_-]{32}")


def new_token(now: datetime) -> str:
    """Return a token for a form."""
    return f"{int(now.timestamp())}.{secrets.token_urlsafe(24)}"


def spend(change: Change, fields: Mapping[str, str]) -> None:
    """Spend the token of a form, in the change that does its act.

    Raises:
        PageStale: it was spent, or the form was open for too long, or has none.
    """
    token = fields.get(FIELD, "")
    found = _TOKEN.fullmatch(token)
    if not found or not -_EARLY.total_seconds() <= _age(change, int(found[1])) <= LIFE.total_seconds():
        raise PageStale
    change.connection.execute(delete(SPENT_FORMS).where(SPENT_FORMS.c.at < change.now - 2 * LIFE))
    digest = hashlib.sha256(token.encode("ascii")).hexdigest()
    spent = change.insert(SPENT_FORMS).values(token=digest, at=change.now).on_conflict_do_nothing()
    if change.connection.execute(spent.returning(SPENT_FORMS.c.token)).scalar() is None:
        raise PageStale


def _age(change: Change, seconds: int) -> float:
    return change.now.timestamp() - seconds
