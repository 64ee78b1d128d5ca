# SPDX-License-Identifier: Apache-2.0
"""Tables of transitions: which event leads from which state to which, who may bring it about, and when.

A table is the only place where such a rule stands. Each pair of a state and an event has rows, or is refused
in words. Where an event may come a second time, a row changes nothing, and the answer is the same.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Generic, Self, TypeVar

from xca_centre.errors import NotOffered, NotYours, Refused, WrongState
from xca_centre.i18n import text
from xca_common.i18n import Text


class Word(StrEnum):
    """A word of a table. Its value is what is stored; people read what is said."""

    said: Text

    def __new__(cls, value: str, said: Text | None = None) -> Self:
        """Return a new word. Only to find one, Word(value), is `said` left out: that does not come here."""
        assert said is not None  # noqa: S101  # as above
        word = str.__new__(cls, value)
        word._value_ = value
        word.said = said
        return word


class Role(Word):
    """In what role somebody acts."""

    APPLICANT = "applicant", text("the applicant")
    """Has a case number and its user code."""
    HOLDER = "holder", text("the holder")
    """Has a card or a certificate, and its user code or PIN."""
    FIRST_REVIEWER = "first_reviewer", text("an officer of the first review")
    """A registration officer at the counter of the competent authority."""
    SECOND_REVIEWER = "second_reviewer", text("an officer of the second review")
    """A registration officer of the authority above all counters."""
    OPERATOR = "operator", text("the centre's operator")
    """Acts for the certification authority."""
    COURT = "court", text("a court")
    """Orders by letter. Its name is the letter's number."""
    CENTRE = "centre", text("the centre")
    """The centre's own jobs."""
    PRODUCER = "producer", text("the card producer")
    PAYMENT_PROVIDER = "payment_provider", text("the payment provider")


OFFICERS: Final = frozenset({Role.FIRST_REVIEWER, Role.SECOND_REVIEWER})
"""The registration officers (註冊窗口審驗人員)."""


@dataclass(frozen=True)
class Actor:
    """Who does something.

    Attributes:
        role: in what role.
        name: who of them: a card number, a case number, the id of an officer. Never a secret.
    """

    role: Role
    name: str


StateT = TypeVar("StateT", bound=Word)
EventT = TypeVar("EventT", bound=Word)
FactsT = TypeVar("FactsT")


@dataclass(frozen=True)
class Condition(Generic[FactsT]):
    """What has to be so that a row counts.

    Attributes:
        name: what it is called in lists.
        holds: tells whether it is so.
        refusal: makes the refusal for the case that it is not.
    """

    name: str
    holds: Callable[[FactsT], bool]
    refusal: Callable[[FactsT], Refused]


@dataclass(frozen=True)
class Row(Generic[StateT, EventT, FactsT]):
    """A transition.

    Attributes:
        state: where it begins.
        event: what happens.
        becomes: where it leads. The state itself: nothing changes, and the answer is the same.
        who: the roles that may bring it about.
        when: the conditions, all of which have to hold.
        reason: what the change is recorded with, if the event alone does not say it.
    """

    state: StateT
    event: EventT
    becomes: StateT
    who: frozenset[Role]
    when: tuple[Condition[FactsT], ...] = ()
    reason: Word | None = None


class Table(Generic[StateT, EventT, FactsT]):
    """All transitions of one kind of thing.

    Of rows with the same state, event and role one at most counts at a time. So their order does not matter,
    and where one is taken away, no other lets through what it refused.

    Args:
        rows: the transitions.
        refusals: how a pair of state and event without a row is refused. By default with WrongState.
    """

    def __init__(
        self,
        rows: Iterable[Row[StateT, EventT, FactsT]],
        refusals: Mapping[tuple[StateT, EventT], Callable[[], Refused]] = {},
    ) -> None:
        self.rows: Final = tuple(rows)
        self._refusals: Final = refusals
        self._pairs = frozenset((row.state, row.event) for row in self.rows)

    def row(self, state: StateT, event: EventT, role: Role, facts: FactsT) -> Row[StateT, EventT, FactsT]:
        """Return the row that counts.

        Raises:
            Refused: nothing happens, and why.
        """
        rows = [row for row in self.rows if (row.state, row.event) == (state, event)]
        if not rows:
            raise self._refusal(state, event)
        rows = [row for row in rows if role in row.who]
        if not rows:
            raise NotYours(event=event.said, role=role.said)
        refusal: Refused | None = None
        for row in rows:
            unmet = next((each for each in row.when if not each.holds(facts)), None)
            if unmet is None:
                return row
            refusal = refusal or unmet.refusal(facts)
        assert refusal is not None  # noqa: S101  # each row was refused
        raise refusal

    def roles(self, state: StateT, event: EventT) -> frozenset[Role]:
        """Return who may bring an event about in a state, if all conditions hold."""
        return frozenset(
            role for row in self.rows if (row.state, row.event) == (state, event) for role in row.who
        )

    def without(self, transitions: Iterable[str]) -> Self:
        """Return this table without some transitions. A site may take away, and never add.

        Args:
            transitions: each "STATE EVENT ROLE", such as "valid suspend holder".

        Raises:
            KeyError: the table has no such transition.
        """
        rows = self.rows
        for transition in transitions:
            kept = tuple(_without(row, transition) for row in rows)
            if kept == rows:
                raise KeyError(transition)
            rows = kept
        lesser = type(self)((row for row in rows if row.who), self._refusals)
        lesser._pairs = self._pairs
        return lesser

    def _refusal(self, state: StateT, event: EventT) -> Refused:
        if (state, event) in self._pairs:
            return NotOffered(event=event.said)
        make = self._refusals.get((state, event))
        return make() if make else WrongState(state=state.said, event=event.said)


def _without(row: Row[StateT, EventT, FactsT], transition: str) -> Row[StateT, EventT, FactsT]:
    gone = {role for role in row.who if f"{row.state} {row.event} {role}" == transition}
    return replace(row, who=row.who - gone)
