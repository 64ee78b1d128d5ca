# SPDX-License-Identifier: Apache-2.0
"""An event: what happened, as it is stored, hashed and kept in the journal."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, select

from xca_centre.life.transitions import Actor
from xca_centre.store.tables import EVENTS

Facts: TypeAlias = Mapping[str, str | int]
"""What an event or a job has to say. Never a secret: events are kept for ever."""

GENESIS: Final = "0" * 64
"""What stands in the place of the hash before the first."""


def write_facts(facts: Facts) -> str:
    """Return facts as the one JSON that stands for them."""
    return json.dumps(dict(facts), sort_keys=True, separators=(",", ":"))


def read_facts(document: str) -> dict[str, str | int]:
    """Return the facts that write_facts() wrote."""
    found: dict[str, str | int] = json.loads(document)
    return found


@dataclass(frozen=True)
class Event:
    """An event.

    Attributes:
        id: a random number of 122 bits: also after a restore no two have the same.
        at: when, in UTC.
        kind: what happened, a word of the domain.
        subject: to what: the id of a card, a case, an order.
        role, name: who did it (Actor).
        facts: JSON, as write_facts() returns it.
        number: its place in the chain, from 1; None: not chained yet.
        hash: SHA-256 over it and the hash before it, hexadecimal; None: not chained yet.
    """

    id: UUID
    at: datetime
    kind: str
    subject: str
    role: str
    name: str
    facts: str
    number: int | None = None
    hash: str | None = None

    @classmethod
    def new(cls, at: datetime, kind: str, subject: str, by: Actor, facts: Facts) -> Self:
        """Return an event that happens."""
        return cls(uuid4(), at.astimezone(UTC), kind, subject, by.role.value, by.name, write_facts(facts))

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Return the event in a row of select_events()."""
        return cls(**row._mapping)

    @classmethod
    def parse(cls, document: bytes) -> Self:
        """Return the event that document() wrote.

        Raises:
            ValueError: it is none.
        """
        match json.loads(document):
            case [
                str(id_),
                str(at),
                str(kind),
                str(subject),
                str(role),
                str(name),
                str(facts),
                number,
                hash_,
            ]:
                if isinstance(number, int | None) and isinstance(hash_, str | None):
                    moment = datetime.fromisoformat(at)
                    return cls(UUID(id_), moment, kind, subject, role, name, facts, number, hash_)
        raise ValueError("no event")

    def row(self) -> dict[str, Any]:
        """Return the values of its columns."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def document(self) -> bytes:
        """Return it as one line of JSON, in ASCII, without the end of the line."""
        return _json(*self._content(), self.number, self.hash)

    def hash_after(self, before: str, number: int) -> str:
        """Return its hash as the event of a number, behind an event with a hash."""
        return hashlib.sha256(_json(before, number, *self._content())).hexdigest()

    def _content(self) -> tuple[str, ...]:
        return (
            str(self.id), self.at.isoformat(), self.kind, self.subject, self.role, self.name, self.facts
        )  # fmt: skip


def select_events() -> Select[Any]:
    """Return a query for all events."""
    return select(*(EVENTS.c[field.name] for field in fields(Event)))


def _json(*values: object) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode("ascii")
