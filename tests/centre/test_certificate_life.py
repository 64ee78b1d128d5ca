# SPDX-License-Identifier: Apache-2.0
"""Every state of a certificate with every event by every role, against an expectation written by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations, product
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xca_centre.errors import AcceptanceLapsed, HeldByOthers, Refused
from xca_centre.life.certificate import (
    ISSUED,
    REISSUED,
    TABLE,
    CertificateEvent,
    CertificateState,
    Circumstances,
    Hold,
    Lapse,
    Reason,
    Standing,
    deadline_begins_anew,
    next_standing,
)
from xca_centre.life.transitions import Role

ISSUE: Final = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
LAPSES_AT: Final = datetime(2026, 5, 30, 16, 0, tzinfo=UTC)
NOT_AFTER: Final = datetime(2032, 3, 1, 2, 0, tzinfo=UTC)
EARLY: Final = ISSUE + timedelta(days=1)
OVERDUE: Final = LAPSES_AT
PAST: Final = NOT_AFTER + timedelta(seconds=1)

HOLDS: Final = [frozenset(some) for n in range(1, 6) for some in combinations(Hold, n)]
ENDS: Final = (
    Reason.UNSPECIFIED,
    Reason.KEY_COMPROMISE,
    Reason.CA_COMPROMISE,
    Reason.AFFILIATION_CHANGED,
    Reason.SUPERSEDED,
    Reason.CESSATION_OF_OPERATION,
)
STANDINGS: Final = [
    ISSUED,
    REISSUED,
    Standing(CertificateState.VALID, Reason.REMOVE_FROM_CRL),
    *(Standing(CertificateState.HELD_UNACCEPTED, Reason.CERTIFICATE_HOLD, holds) for holds in HOLDS),
    *(
        Standing(CertificateState.HELD, Reason.CERTIFICATE_HOLD, holds)
        for holds in HOLDS
        if Hold.LAPSE not in holds
    ),
    *(Standing(CertificateState.REVOKED, reason) for reason in ENDS),
    Standing(CertificateState.SUPERSEDED, Reason.SUPERSEDED),
    Standing(CertificateState.EXPIRED),
    Standing(CertificateState.EXPIRED, Reason.CERTIFICATE_HOLD),
]


def shown(standing: Standing) -> str:
    """Return a standing in words that are the same in every process: sets have no order."""
    return " ".join(
        (standing.state, standing.reason.name if standing.reason else "-", *sorted(standing.holds))
    )


OWN_HOLD: Final = {
    "holder": "holder",
    "first_reviewer": "officer",
    "second_reviewer": "officer",
    "operator": "authority",
    "court": "court",
}
LIFTS: Final = {
    "holder": {"holder", "officer"},
    "first_reviewer": {"holder", "officer"},
    "second_reviewer": {"holder", "officer"},
    "operator": {"holder", "officer", "authority", "lapse"},
    "court": {"court"},
}
REVOKERS: Final = {"holder", "first_reviewer", "second_reviewer", "operator", "court", "centre"}

Told = tuple[str, str | None, set[str]] | str
"""A state, a reason and holds; or the code of a refusal."""


def expected(event: str, at: Circumstances) -> Told:
    """What reference/centre.md, chapter 1.3, says, in a form of its own: by event, not by state."""
    state, role, holds = at.standing.state.value, at.role.value, {hold.value for hold in at.standing.holds}
    held, unaccepted = state.startswith("held"), state in ("issued", "held_unaccepted")
    if state in ("revoked", "superseded", "expired"):
        return f"certificate_{state}"
    match event:
        case "accept" | "refuse":
            if not unaccepted:
                return "already_accepted"
            if held:
                return "certificate_suspended"
            if role != "holder":
                return "not_yours"
            if at.now >= LAPSES_AT:
                return "acceptance_lapsed"
            if at.now > NOT_AFTER:
                return "certificate_expired"
            return (
                ("valid", None, set()) if event == "accept" else ("revoked", "cessation_of_operation", set())
            )
        case "reissue":
            if held:
                return "certificate_suspended"
            if unaccepted:
                return "not_accepted"
            if role != "holder":
                return "not_yours"
            return "certificate_expired" if at.now > NOT_AFTER else ("superseded", "superseded", set())
        case "suspend":
            if role not in OWN_HOLD:
                return "not_yours"
            if at.now > NOT_AFTER:
                return "certificate_expired"
            return (
                "held_unaccepted" if unaccepted else "held",
                "certificate_hold",
                holds | {OWN_HOLD[role]},
            )
        case "resume":
            if not held:
                return "not_suspended"
            if role not in OWN_HOLD:
                return "not_yours"
            if at.now > NOT_AFTER:
                return "certificate_expired"
            left = holds - LIFTS[role]
            if left == holds:
                return "held_by_others"
            if left:
                return state, "certificate_hold", left
            return ("issued", None, set()) if unaccepted else ("valid", "remove_from_crl", set())
        case "revoke":
            if role not in REVOKERS:
                return "not_yours"
            if at.now > NOT_AFTER:
                return "certificate_expired"
            if at.reason in (None, "certificate_hold", "remove_from_crl"):
                return "reason_not_yours"
            if at.reason == "ca_compromise" and role not in ("operator", "centre"):
                return "reason_not_yours"
            return "revoked", at.reason, set()
        case "lapse":
            if role != "centre":
                return "not_yours"
            if not unaccepted:
                return state, at.standing.reason, holds
            if at.now < LAPSES_AT:
                return "deadline_not_reached"
            if at.lapse == "revoke":
                return "revoked", "cessation_of_operation", set()
            return "held_unaccepted", "certificate_hold", holds | {"lapse"}
        case "expire":
            if role != "centre":
                return "not_yours"
            if at.now <= NOT_AFTER:
                return "deadline_not_reached"
            return "expired", "certificate_hold" if held or unaccepted else None, set()
    raise AssertionError(event)


def told(event: CertificateEvent, at: Circumstances) -> Told:
    try:
        after = next_standing(event, at)
    except Refused as refused:
        return refused.code
    return after.state.value, after.reason and after.reason.value, {hold.value for hold in after.holds}


def circumstances() -> Iterator[Circumstances]:
    for standing, role, now, lapse in product(STANDINGS, Role, (EARLY, OVERDUE, NOT_AFTER, PAST), Lapse):
        yield Circumstances(standing, role, now, LAPSES_AT, NOT_AFTER, lapse)


@pytest.mark.parametrize(
    "event", [one for one in CertificateEvent if one is not CertificateEvent.REVOKE], ids=str
)
def test_certificate_in_every_state_with_an_event_by_every_role_does_as_expected(
    event: CertificateEvent,
) -> None:
    each = list(circumstances())
    assert len(each) > 3000
    wrong = [(at, found) for at in each if (found := told(event, at)) != expected(event, at)]
    assert wrong == []


@pytest.mark.parametrize("reason", [None, *Reason], ids=str)
def test_certificate_in_every_state_revoked_by_every_role_has_the_reason(reason: Reason | None) -> None:
    for standing, role, now in product(STANDINGS, Role, (EARLY, OVERDUE, PAST)):
        at = Circumstances(standing, role, now, LAPSES_AT, NOT_AFTER, Lapse.REVOKE, reason)
        assert told(CertificateEvent.REVOKE, at) == expected("revoke", at), at


def test_certificate_with_one_row_less_does_nothing_that_it_did_not_before() -> None:
    transitions = sorted({f"{row.state} {row.event} {role}" for row in TABLE.rows for role in row.who})
    assert len(transitions) > 60
    for gone in transitions:
        lesser = TABLE.without([gone])
        state, event, role = gone.split(" ")
        for standing, now, lapse in product(STANDINGS, (EARLY, OVERDUE, PAST), Lapse):
            if standing.state != state:
                continue
            at = Circumstances(standing, Role(role), now, LAPSES_AT, NOT_AFTER, lapse, Reason.SUPERSEDED)
            with pytest.raises(Refused):
                next_standing(CertificateEvent(event), at, lesser)


def test_certificate_in_any_circumstances_has_one_row_that_counts() -> None:
    for at, event in product(circumstances(), CertificateEvent):
        rows = [
            row
            for row in TABLE.rows
            if (row.state, row.event) == (at.standing.state, event)
            and at.role in row.who
            and all(condition.holds(at) for condition in row.when)
        ]
        assert len(rows) < 2, at


@pytest.mark.parametrize(
    ("now", "is_in_time"),
    [(LAPSES_AT - timedelta(microseconds=1), True), (LAPSES_AT, False)],
)
def test_acceptance_by_the_end_of_the_last_day_is_in_time(now: datetime, is_in_time: bool) -> None:
    at = Circumstances(ISSUED, Role.HOLDER, now, LAPSES_AT, NOT_AFTER, Lapse.REVOKE)
    if is_in_time:
        assert next_standing(CertificateEvent.ACCEPT, at).state is CertificateState.VALID
        return
    with pytest.raises(AcceptanceLapsed) as refused:
        next_standing(CertificateEvent.ACCEPT, at)
    assert refused.value.message("zh_TW") == "憑證的接受期限為2026年5月30日，已逾期。"


def test_certificate_that_expires_before_it_could_lapse_expires() -> None:
    early = NOT_AFTER - timedelta(days=4000)
    at = Circumstances(ISSUED, Role.CENTRE, OVERDUE, LAPSES_AT, early, Lapse.REVOKE)
    assert told(CertificateEvent.LAPSE, at) == "deadline_not_reached"
    assert told(CertificateEvent.EXPIRE, at) == ("expired", "certificate_hold", set())


def test_suspension_of_a_court_outlives_that_of_the_holder() -> None:
    def then(standing: Standing, event: CertificateEvent, role: Role) -> Standing:
        return next_standing(event, Circumstances(standing, role, EARLY, LAPSES_AT, NOT_AFTER, Lapse.REVOKE))

    held = then(REISSUED, CertificateEvent.SUSPEND, Role.HOLDER)
    held = then(held, CertificateEvent.SUSPEND, Role.COURT)
    resumed = then(held, CertificateEvent.RESUME, Role.HOLDER)
    assert resumed == Standing(CertificateState.HELD, Reason.CERTIFICATE_HOLD, frozenset({Hold.COURT}))
    with pytest.raises(HeldByOthers) as refused:
        then(resumed, CertificateEvent.RESUME, Role.HOLDER)
    assert refused.value.message("zh_TW") == "憑證仍然停用。停用者：法院。"
    assert then(resumed, CertificateEvent.RESUME, Role.COURT).state is CertificateState.VALID
    # The court lifts its own, and the holder's stays.
    after_court = then(held, CertificateEvent.RESUME, Role.COURT)
    assert after_court.holds == {Hold.HOLDER}


@pytest.mark.parametrize("standing", STANDINGS, ids=shown)
def test_standing_is_listed_unless_it_is_good(standing: Standing) -> None:
    good = standing.state in ("valid",) or standing == Standing(CertificateState.EXPIRED)
    assert (standing.listed_reason is None) is good
    if standing.state in ("issued", "held", "held_unaccepted"):
        assert standing.listed_reason is Reason.CERTIFICATE_HOLD


@pytest.mark.parametrize(
    "odd",
    [
        (CertificateState.HELD, Reason.CERTIFICATE_HOLD, frozenset()),
        (CertificateState.VALID, None, frozenset({Hold.COURT})),
        (CertificateState.HELD, None, frozenset({Hold.COURT})),
        (CertificateState.REVOKED, None, frozenset()),
        (CertificateState.REVOKED, Reason.CERTIFICATE_HOLD, frozenset()),
        (CertificateState.ISSUED, Reason.REMOVE_FROM_CRL, frozenset()),
    ],
    ids=str,
)
def test_standing_that_no_life_leads_to_cannot_be_made(
    odd: tuple[CertificateState, Reason | None, frozenset[Hold]],
) -> None:
    with pytest.raises(ValueError, match=r"holds|reason"):
        Standing(*odd)


def test_deadline_begins_anew_when_a_lapse_is_lifted_alone() -> None:
    lapsed = Standing(CertificateState.HELD_UNACCEPTED, Reason.CERTIFICATE_HOLD, frozenset({Hold.LAPSE}))
    held = Standing(CertificateState.HELD_UNACCEPTED, Reason.CERTIFICATE_HOLD, frozenset({Hold.HOLDER}))
    assert deadline_begins_anew(lapsed, ISSUED)
    assert not deadline_begins_anew(held, ISSUED)
    assert not deadline_begins_anew(lapsed, Standing(CertificateState.REVOKED, Reason.UNSPECIFIED))


def test_reasons_have_the_numbers_of_rfc_5280() -> None:
    assert {reason.value: reason.code for reason in Reason} == {
        "unspecified": 0,
        "key_compromise": 1,
        "ca_compromise": 2,
        "affiliation_changed": 3,
        "superseded": 4,
        "cessation_of_operation": 5,
        "certificate_hold": 6,
        "remove_from_crl": 8,
    }


class Life(RuleBasedStateMachine):
    """A certificate's whole life beside a model that remembers what happened, not which state it is in."""

    now = ISSUE

    @initialize(lapse=st.sampled_from(Lapse))
    def issue(self, lapse: Lapse) -> None:
        self.lapse = lapse
        self.standing = ISSUED
        self.deadline = LAPSES_AT
        self.accepted = self.over = False
        self.holders: set[Hold] = set()

    @rule(days=st.integers(0, 100) | st.just(2500))
    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    @precondition(lambda self: not self.over)
    @rule(event=st.sampled_from(CertificateEvent), role=st.sampled_from(Role), reason=st.sampled_from(ENDS))
    def happen(self, event: CertificateEvent, role: Role, reason: Reason) -> None:
        at = Circumstances(self.standing, role, self.now, self.deadline, NOT_AFTER, self.lapse, reason)
        try:
            after = next_standing(event, at)
        except Refused:
            return
        if deadline_begins_anew(self.standing, after):
            self.deadline = self.now + timedelta(days=90)
        self.standing = after
        match event:
            case CertificateEvent.ACCEPT:
                assert self.now < self.deadline
                assert not self.holders
                self.accepted = True
            case CertificateEvent.SUSPEND:
                self.holders.add(Hold(OWN_HOLD[role]))
            case CertificateEvent.RESUME:
                assert {hold.value for hold in self.holders} & LIFTS[role]
                self.holders = {hold for hold in self.holders if hold.value not in LIFTS[role]}
            case CertificateEvent.LAPSE if not self.accepted:
                assert self.now >= self.deadline
                if self.lapse is Lapse.HOLD:
                    self.holders.add(Hold.LAPSE)
                else:
                    self.over = True
            case CertificateEvent.LAPSE:
                pass
            case _:
                self.over = True

    @precondition(lambda self: self.over)
    @rule(event=st.sampled_from(CertificateEvent), role=st.sampled_from(Role))
    def happen_after_the_end(self, event: CertificateEvent, role: Role) -> None:
        at = Circumstances(
            self.standing, role, self.now, self.deadline, NOT_AFTER, self.lapse, Reason.UNSPECIFIED
        )
        with pytest.raises(Refused):
            next_standing(event, at)

    @invariant()
    def is_what_happened_to_it(self) -> None:
        assert self.standing.is_over is self.over
        if not self.over:
            assert self.standing.holds == self.holders
            is_good = self.standing.listed_reason is None
            assert is_good is (self.accepted and not self.holders)
            assert (self.standing.state in ("valid", "held")) is self.accepted


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=80, stateful_step_count=40)


def test_life_of_words_is_whole() -> None:
    """Every word of the tables is said in both languages."""
    for word in chain(CertificateState, CertificateEvent, Reason, Hold, Role):
        assert word.said("en") != word.said("zh_TW") != ""
