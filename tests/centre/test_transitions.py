# SPDX-License-Identifier: Apache-2.0
"""Any table of transitions: what it refuses, and what a site can take away."""

import pytest

from xca_centre.errors import NotOffered, NotYours, Refused, WrongState
from xca_centre.i18n import text
from xca_centre.life.transitions import Condition, Role, Row, Table, Word


class State(Word):
    DAY = "day", text("valid")
    NIGHT = "night", text("suspended")


class Event(Word):
    SET = "set", text("Suspension")
    RISE = "rise", text("Resumption")


class Cloudy(Refused):
    code = "cloudy"
    _message = text("The certificate is suspended.")
    _next_step = text("Nothing is left to do.")


CLEAR = Condition[bool]("clear", lambda is_clear: is_clear, lambda _: Cloudy())
BOTH = frozenset({Role.HOLDER, Role.OPERATOR})
TABLE = Table[State, Event, bool](
    (
        Row(State.DAY, Event.SET, State.NIGHT, BOTH, (CLEAR,)),
        Row(State.NIGHT, Event.RISE, State.DAY, frozenset({Role.CENTRE})),
    )
)


def test_row_of_an_event_whose_conditions_hold_is_found() -> None:
    assert TABLE.row(State.DAY, Event.SET, Role.HOLDER, True).becomes is State.NIGHT


def test_row_of_an_event_whose_condition_does_not_hold_is_refused_in_its_words() -> None:
    with pytest.raises(Cloudy):
        TABLE.row(State.DAY, Event.SET, Role.HOLDER, False)


def test_row_for_another_role_is_refused_and_names_both() -> None:
    with pytest.raises(NotYours) as refused:
        TABLE.row(State.DAY, Event.SET, Role.COURT, True)
    assert refused.value.message("zh_TW") == "停用：法院不得辦理。"


def test_row_that_no_state_has_is_refused_and_names_the_state() -> None:
    with pytest.raises(WrongState) as refused:
        TABLE.row(State.NIGHT, Event.SET, Role.HOLDER, True)
    assert refused.value.message("en") == "Suspension: not possible, for the state is “suspended”."
    assert refused.value.message("zh_TW") == "停用：目前狀態為「停用」，不能辦理。"


def test_row_without_its_last_role_is_not_offered() -> None:
    lesser = TABLE.without(["day set holder", "day set operator"])
    with pytest.raises(NotOffered):
        lesser.row(State.DAY, Event.SET, Role.HOLDER, True)
    # It stays known, however often something else is taken away.
    with pytest.raises(NotOffered):
        lesser.without(["night rise centre"]).row(State.DAY, Event.SET, Role.HOLDER, True)


def test_row_without_one_role_stays_for_the_others() -> None:
    lesser = TABLE.without(["day set holder"])
    assert lesser.roles(State.DAY, Event.SET) == {Role.OPERATOR}
    with pytest.raises(NotYours):
        lesser.row(State.DAY, Event.SET, Role.HOLDER, True)
    assert TABLE.roles(State.DAY, Event.SET) == BOTH


@pytest.mark.parametrize("unknown", ["day set court", "night set holder", "day set", "day set  holder"])
def test_transition_that_a_table_has_not_cannot_be_taken_away(unknown: str) -> None:
    with pytest.raises(KeyError, match=unknown):
        TABLE.without([unknown])
