# SPDX-License-Identifier: Apache-2.0
"""Results of actions with a card, kept for the page to which a form redirects the browser."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from xca_common.errors import XcaError
from xca_plugin.agent.pages.pin_actions import CardAction
from xca_plugin.model import Card

_KEPT: Final = 100


@dataclass(frozen=True)
class ActionResult:
    """How an action ended. It holds no secret.

    Attributes:
        action: the action.
        card_number: the card; empty: the action did not come to one.
        at: when it ended.
        card: the card afterwards; None: the action failed.
        error: why it failed; None: it succeeded.
    """

    action: CardAction
    card_number: str
    at: datetime
    card: Card | None = None
    error: XcaError | None = None


class ActionResults:
    """The latest results. Each has a random id, which only its own page knows.

    A browser keeps what a form sent in its history if the answer is a page. So the answer is a redirection to
    another page (303, RFC 9110, section 15.4.4), and that page shows the result.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, ActionResult] = {}
        self._count = 0

    @property
    def count(self) -> int:
        """How many results there have been."""
        return self._count

    def add(self, result: ActionResult) -> str:
        """Keep a result, drop the oldest ones, and return the new one's id."""
        if result.error:  # its traceback refers to what was typed
            result.error.__traceback__ = result.error.__cause__ = result.error.__context__ = None
        while len(self._by_id) >= _KEPT:
            del self._by_id[next(iter(self._by_id))]
        self._count += 1
        result_id = secrets.token_urlsafe(16)
        self._by_id[result_id] = result
        return result_id

    def get(self, result_id: str | None) -> ActionResult | None:
        """Return the result of that id, if it is still kept."""
        return self._by_id.get(result_id or "")

    def done_since(self, count: int, action: CardAction, card_number: str | None) -> Card | None:
        """Return the card with which an action succeeded after so many results; None: it did not.

        Args:
            count: how many results there had been.
            action: the action.
            card_number: the card; None: any.
        """
        later = list(self._by_id.values())[max(len(self._by_id) - (self._count - count), 0) :]
        done = (each for each in later if each.action is action and card_number in (None, each.card_number))
        return next((each.card for each in done if each.card is not None), None)
