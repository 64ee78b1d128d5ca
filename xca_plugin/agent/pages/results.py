# SPDX-License-Identifier: Apache-2.0
"""How jobs ended, kept for the page that a browser is sent to after a form."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from xca_common.errors import XcaError
from xca_plugin.agent.pages.pin_actions import Job
from xca_plugin.model import Card

_KEPT: Final = 100


@dataclass(frozen=True)
class Outcome:
    """How a job ended. No secret is part of it.

    Attributes:
        job: what was asked for.
        number: card number.
        at: when.
        card: the card afterwards; None: it failed.
        error: why it failed; None: it did not.
    """

    job: Job
    number: str
    at: datetime
    card: Card | None = None
    error: XcaError | None = None


class Outcomes:
    """The latest outcomes, by a name that only their page knows.

    The browser's history keeps what a form sent if its answer is shown in its place. So the answer to a form
    is a redirection to another page (303, RFC 9110, section 15.4.4), and this is what that page shows.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Outcome] = {}

    def keep(self, outcome: Outcome) -> str:
        """Keep an outcome; the oldest gives way. Returns its name."""
        if outcome.error:  # a traceback holds on to what was typed
            outcome.error.__traceback__ = outcome.error.__cause__ = outcome.error.__context__ = None
        while len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        name = secrets.token_urlsafe(16)
        self._kept[name] = outcome
        return name

    def get(self, name: str | None) -> Outcome | None:
        """Return the outcome of that name, if it is still kept."""
        return self._kept.get(name or "")
