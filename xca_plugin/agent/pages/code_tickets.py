# SPDX-License-Identifier: Apache-2.0
"""Tickets for a new user code (授權票) on their way to a card."""

from hashlib import sha256
from typing import Final

_KEPT: Final = 20


class CodeTickets:
    """The latest tickets that sites handed over and that the person chose. None of them is judged yet."""

    def __init__(self) -> None:
        self._by_id: dict[str, bytes] = {}

    def add(self, ticket: bytes) -> str:
        """Keep a ticket, drop the oldest ones, and return its id, which is the same each time."""
        ticket_id = sha256(ticket).hexdigest()
        self._by_id.pop(ticket_id, None)
        while len(self._by_id) >= _KEPT:
            del self._by_id[next(iter(self._by_id))]
        self._by_id[ticket_id] = ticket
        return ticket_id

    def get(self, ticket_id: str) -> bytes | None:
        """Return the ticket of that id, if it is still kept."""
        return self._by_id.get(ticket_id)
