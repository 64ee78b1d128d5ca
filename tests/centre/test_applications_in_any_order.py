# SPDX-License-Identifier: Apache-2.0
"""Any order of acts on one application, against a model of what people are told about it."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from support.centre.cases import (
    APPLICANT,
    FIRST,
    NEW_CODE,
    RULES,
    SCHOOL,
    SECOND,
    form,
    with_organisations,
)
from support.moved_clock import MovedClock
from xca_centre import applications, payments, user_codes
from xca_centre.applications import Application, Officer
from xca_centre.errors import CentreError
from xca_centre.life.application import ApplicationEvent, ApplicationState, Reviewer
from xca_centre.life.payment import PaymentState
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Change, Database
from xca_centre.store.tables import EVENTS, JOBS

pytestmark = pytest.mark.slow

PROVIDER = Actor(Role.PAYMENT_PROVIDER, "bank")
MAKERS = {
    "make": Actor(Role.PRODUCER, "producer"),
    "issue": Actor(Role.PRODUCER, "producer"),
    "mail": Actor(Role.PRODUCER, "producer"),
    "close": Actor(Role.CENTRE, "centre"),
}
BEFORE_MAKING = (
    "submitted",
    "paid",
    "letter_arrived",
    "first_review",
    "second_review",
    "approved",
    "returned",
)
# What each act makes of an application; what is not here is refused.
MODEL = {
    "pay": {"submitted": "paid", "letter_arrived": "first_review"},
    "receive": {
        "submitted": "letter_arrived",
        "paid": "first_review",
        "letter_arrived": "letter_arrived",
        "first_review": "first_review",
        "returned": "first_review",
    },
    "pass": {"first_review": "second_review"},
    "approve": {"second_review": "approved"},
    "return": {"first_review": "returned", "second_review": "returned"},
    "correct": {
        "submitted": "submitted",
        "letter_arrived": "submitted",
        **dict.fromkeys(("paid", "first_review", "second_review", "approved", "returned"), "paid"),
    },
    "withdraw": {**dict.fromkeys(BEFORE_MAKING, "withdrawn"), "withdrawn": "withdrawn"},
    "make": {"approved": "making", "making": "making"},
    "issue": {"making": "issued", "issued": "issued"},
    "mail": {"issued": "mailed", "mailed": "mailed", "closed": "closed"},
    "close": {"issued": "closed", "mailed": "closed", "closed": "closed"},
}
MADE = {"issued", "mailed", "closed"}
REVIEWED = {"second_review", "approved", "making"} | MADE
OTHERS = {
    "same person": Reviewer(FIRST.reviewer.person, "another card"),
    "same card": Reviewer("another person", FIRST.reviewer.card),
}


class OneApplication(RuleBasedStateMachine):
    """An application, what people do with it, and what it should be then."""

    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="centre"))
        self.clock = MovedClock()
        file = shutil.copy(self.template, self.folder / "centre.db")
        self.database = with_organisations(Database(f"sqlite:///{file}", self.clock))
        with self.database.change() as change:
            self.case = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE)
        self.state = "submitted"
        self.revision = 1
        self.changes = 0
        self.orders = 0
        self.slips: list[str] = []

    def teardown(self) -> None:
        """Take the database away."""
        self.database.close()
        shutil.rmtree(self.folder)

    def act(self, name: str, do: Callable[[Change], object]) -> bool:
        """Do something, see that it is done or refused as in the model, and return whether it was."""
        after = MODEL[name].get(self.state)
        try:
            with self.database.change() as change:
                do(change)
        except CentreError:
            assert after is None, f"{name} was refused in {self.state}"
            return False
        assert after is not None, f"{name} was done in {self.state}"
        self.changes += after != self.state or name == "correct"
        self.state = after
        return True

    @rule(days=st.integers(1, 20))
    def move(self, days: int) -> None:
        self.clock.move(timedelta(days=days))

    @rule()
    def fetch_slip(self) -> None:
        waits = self.state in MODEL["pay"]
        try:
            with self.database.change() as change:
                slip = applications.fetch_slip(change, RULES, self.case.id, APPLICANT)
        except CentreError:
            assert not waits
            return
        assert waits
        if slip.number not in self.slips:
            self.slips.append(slip.number)

    @rule(data=st.data(), is_late=st.booleans(), wrong=st.booleans())
    def pay(self, data: st.DataObject, is_late: bool, wrong: bool) -> None:
        if not self.slips:
            return
        number = data.draw(st.sampled_from(self.slips))
        with self.database.read() as connection:
            slip = payments.read(connection, number)
        paid_at = slip.lapses_at if is_late else slip.lapses_at - timedelta(seconds=1)
        before = self.state
        try:
            with self.database.change() as change:
                applications.pay(change, RULES, number, slip.due - wrong, paid_at, PROVIDER)
        except CentreError:
            assert wrong
            return
        assert not wrong
        unpaid = slip.state in (PaymentState.OPEN, PaymentState.LAPSED, PaymentState.CANCELLED)
        if unpaid and not is_late and before in MODEL["pay"]:
            self.state = MODEL["pay"][before]
            self.changes += 1

    @rule()
    def receive(self) -> None:
        self.act("receive", lambda change: applications.receive(change, RULES, self.case.id, FIRST))

    @rule()
    def pass_first(self) -> None:
        self.act("pass", lambda change: applications.pass_first(change, RULES, self.case.id, FIRST))

    @rule()
    def approve(self) -> None:
        self.orders += self.act(
            "approve", lambda change: applications.approve(change, RULES, self.case.id, SECOND)
        )

    @rule(who=st.sampled_from([*OTHERS]))
    def approve_as_the_first_reviewer(self, who: str) -> None:
        officer = Officer(OTHERS[who], Role.SECOND_REVIEWER)
        with pytest.raises(CentreError), self.database.change() as change:
            applications.approve(change, RULES, self.case.id, officer)

    @rule(is_second=st.booleans())
    def send_back(self, is_second: bool) -> None:
        officer = SECOND if is_second else FIRST
        is_his = self.state == ("second_review" if is_second else "first_review")
        try:
            with self.database.change() as change:
                applications.send_back(change, RULES, self.case.id, officer, "印信不清楚")
        except CentreError:
            assert not is_his
            return
        assert is_his
        self.state = "returned"
        self.changes += 1

    @rule(name=st.sampled_from(["王小明", "林美麗"]))
    def correct(self, name: str) -> None:
        filled = form(contact_name=name)
        done = self.act(
            "correct",
            lambda change: applications.correct(change, RULES, self.case.id, filled, APPLICANT),
        )
        self.revision += done

    @rule(role=st.sampled_from([Role.HOLDER, Role.PRODUCER, Role.COURT, Role.PAYMENT_PROVIDER]))
    def correct_as_somebody_else(self, role: Role) -> None:
        with pytest.raises(CentreError), self.database.change() as change:
            applications.correct(change, RULES, self.case.id, form(), Actor(role, "somebody"))

    @rule()
    def withdraw(self) -> None:
        self.act("withdraw", lambda change: applications.withdraw(change, RULES, self.case.id, APPLICANT))

    @rule(name=st.sampled_from([*MAKERS]))
    def advance(self, name: str) -> None:
        event = ApplicationEvent(name)
        self.act(name, lambda change: applications.advance(change, RULES, self.case.id, event, MAKERS[name]))

    @rule(steps=st.integers(1, 8))
    def go_on(self, steps: int) -> None:
        """Do what leads to a card, so that every state is reached often."""
        for _ in range(steps):
            self._go_on()
            self.application_is_as_people_are_told()

    def _go_on(self) -> None:
        match self.state:
            case "submitted":
                self.fetch_slip()
                with self.database.change() as change:
                    slip = applications.fetch_slip(change, RULES, self.case.id, APPLICANT)
                    applications.pay(change, RULES, slip.number, slip.due, change.now, PROVIDER)
                self.state = "paid"
                self.changes += 1
            case "paid" | "letter_arrived" | "returned":
                self.receive()
            case "first_review":
                self.pass_first()
            case "second_review":
                self.approve()
            case "approved":
                self.advance("make")
            case "making":
                self.advance("issue")
            case "issued":
                self.advance("mail")
            case "mailed":
                self.advance("close")

    @invariant()
    def application_is_as_people_are_told(self) -> None:
        with self.database.read() as connection:
            now: Application = applications.read(connection, self.case.id)
            sealed = user_codes.sealed(connection, now.code)
            slips = [one.state for one in payments.of_application(connection, now.id)]
            kinds = [
                *connection.execute(select(EVENTS.c.kind).where(EVENTS.c.subject == str(now.id))).scalars()
            ]
            jobs = connection.execute(select(JOBS.c.kind, JOBS.c.facts)).all()
        assert (now.state, now.revision) == (ApplicationState(self.state), self.revision)
        if self.state != "withdrawn":  # then they stay as they were
            assert (now.first_reviewer is not None) is (self.state in REVIEWED)
            assert (now.reason is not None) is (self.state == "returned")
        assert (sealed is not None) is (self.state not in MADE | {"withdrawn"})
        # An application waits for its fee, or has one paid slip; what is withdrawn has none.
        waits = self.state in ("submitted", "letter_arrived", "withdrawn")
        assert slips.count(PaymentState.PAID) == (0 if waits else 1)
        assert slips.count(PaymentState.OPEN) <= (self.state != "withdrawn")
        acts = [kind for kind in kinds if kind.startswith("application_")]
        assert len(acts) == 1 + self.changes
        ordered = [json.loads(job.facts) for job in jobs if job.kind == "make_card"]
        assert ordered == [{"application": str(now.id)}] * self.orders


def test_acts_on_an_application_in_any_order_are_done_or_refused_as_told(sqlite_template: Path) -> None:
    OneApplication.template = sqlite_template
    run_state_machine_as_test(
        OneApplication,
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
