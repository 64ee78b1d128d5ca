# SPDX-License-Identifier: Apache-2.0
"""What the centre does by itself at its deadlines: lapses, expiries, reminders, the two-week rule.

A sweep soon after each of Taipei's midnights asks the indexes what has come due, and adds a job for each. So
one that fails is tried again, waits for an operator at last, and holds up no other. Any number of workers may
take them. Each does what the tables of life/ say at that moment, in one change with the end of its job.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Column, Connection, select

from xca_centre import certificate_sets, name_changes, reissue_blocks, user_codes
from xca_centre.deadlines import last_day
from xca_centre.errors import Refused
from xca_centre.issuer_rules import DaysBefore, IssuerRules
from xca_centre.life.certificate import CertificateEvent, CertificateState, Hold
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Change, Database
from xca_centre.store.job_queue import Handler, Job, finish
from xca_centre.store.tables import CERTIFICATE_SETS, JOBS
from xca_common import taipei

SWEEP: Final = "sweep"
"""The job that finds what has come due. Fact `since`: when it last did."""
LAPSE: Final = "lapse"
"""The job for certificates that were not accepted in time. Fact `set`."""
EXPIRE: Final = "expire"
"""The job for certificates past their notAfter. Fact `set`."""
NAME_CHANGE: Final = "name_change"
"""The job for a change of name or level whose two weeks are over. Fact `change`."""
REMIND_CONTACT: Final = "remind_contact"
"""The job that reminds the contact of a set. Facts `set`, `deadline` (ACCEPTANCE, EXPIRY) and `last_day`."""
ACCEPTANCE: Final = "acceptance"
EXPIRY: Final = "expiry"

_MOST: Final = 10_000
"""After so many of a kind a sweep leaves the rest to the next."""
_PAUSE: Final = timedelta(minutes=1)
_GRACE: Final = timedelta(minutes=5)
"""After midnight: an acceptance that came before it, and had to wait for the database, is through by then."""
_DAY: Final = timedelta(days=1)
_BY: Final = Actor(Role.CENTRE, "sweep")
_UNACCEPTED: Final = (CertificateState.ISSUED, CertificateState.HELD_UNACCEPTED)
_ACCEPTED: Final = (CertificateState.VALID, CertificateState.HELD)


def begin(change: Change) -> None:
    """Have the deadlines watched from now on. Where they are already, nothing changes.

    A sweep that a clock planned which was put back since, does not keep others from it.
    """
    begun = select(JOBS.c.id).where(JOBS.c.key == SWEEP, JOBS.c.due <= _tomorrow(change.now)).limit(1)
    if change.connection.execute(begun).first() is None:
        _plan(change, _tomorrow(change.now))


def handlers(rules: IssuerRules) -> dict[str, Handler]:
    """Return how these jobs are done, but for REMIND_CONTACT, which is a mail.

    Args:
        rules: the issuer's.
    """
    return {
        SWEEP: lambda database, job: _sweep(database, job, rules),
        LAPSE: lambda database, job: _lapse(database, job, rules),
        EXPIRE: lambda database, job: _expire(database, job, rules),
        NAME_CHANGE: lambda database, job: _settle(database, job, rules),
    }


def _sweep(database: Database, job: Job, rules: IssuerRules) -> None:
    with database.change() as change:
        is_all = [
            _enqueue(change, LAPSE, "set", certificate_sets.overdue),
            _enqueue(change, EXPIRE, "set", certificate_sets.past_not_after),
            _enqueue(change, NAME_CHANGE, "change", name_changes.overdue),
        ]
        user_codes.forget_saved(change)
        _remind(change, datetime.fromisoformat(str(job.facts["since"])), rules)
        finish(change, job)
        _plan(change, _tomorrow(change.now) if all(is_all) else change.now + _PAUSE)


def _plan(change: Change, when: datetime) -> None:
    change.enqueue(SWEEP, {"since": change.now.isoformat()}, when, SWEEP)


def _tomorrow(now: datetime) -> datetime:
    return taipei.midnight(taipei.day(now) + _DAY) + _GRACE


def _enqueue(
    change: Change,
    kind: str,
    fact: str,
    due: Callable[[Connection, datetime, int, int], Sequence[UUID]],
) -> bool:
    """Add a job for each that has come due, and return whether those are all for sure.

    Those that have one already, waiting for an operator perhaps, are passed over: many of them hide no other.
    """
    added = looked = 0
    while added < _MOST:
        identities = due(change.connection, change.now, _MOST, looked)
        added += _add_missing(change, kind, fact, identities)
        if len(identities) < _MOST:
            # What others do meanwhile may move some into pages that were looked at: then it looks again.
            return not (added and looked)
        looked += _MOST
    return False


def _add_missing(change: Change, kind: str, fact: str, identities: Iterable[UUID]) -> int:
    """Add a job for each that has none, and return how many."""
    keys = {f"{kind} {identity}": identity for identity in identities}
    names = list(keys)
    for start in range(0, len(names), 500):  # SQLite takes no statement with all of them
        there = select(JOBS.c.key).where(JOBS.c.key.in_(names[start : start + 500]))
        for key in change.connection.execute(there).scalars():
            keys.pop(key, None)
    for key, identity in keys.items():
        change.enqueue(kind, {fact: str(identity)}, key=key)
    return len(keys)


def _lapse(database: Database, job: Job, rules: IssuerRules) -> None:
    with database.change() as change:
        finish(change, job)
        identity = UUID(str(job.facts["set"]))
        try:
            after = certificate_sets.change_state(change, identity, CertificateEvent.LAPSE, _BY, rules)
        except Refused:
            return  # something else happened to it before
        if after.is_over or Hold.LAPSE in after.holds:
            lapsed = certificate_sets.find(change.connection, identity)
            # Counted from the deadline: who waits does not wait longer because the centre was late.
            reissue_blocks.block(change, lapsed.organisation, lapsed.lapses_at, rules, _BY)


def _expire(database: Database, job: Job, rules: IssuerRules) -> None:
    with database.change() as change:
        finish(change, job)
        try:
            certificate_sets.change_state(
                change, UUID(str(job.facts["set"])), CertificateEvent.EXPIRE, _BY, rules
            )
        except Refused:
            return  # something else happened to it before


def _settle(database: Database, job: Job, rules: IssuerRules) -> None:
    with database.change() as change:
        finish(change, job)
        name_changes.settle(change, UUID(str(job.facts["change"])), _BY, rules)


def _remind(change: Change, since: datetime, rules: IssuerRules) -> None:
    """Add a mail for each set of which a reminder has come due since the last sweep."""
    columns = CERTIFICATE_SETS.c
    kinds = (
        (ACCEPTANCE, _UNACCEPTED, columns.lapses_at, rules.deadlines.acceptance_reminders),
        (EXPIRY, _ACCEPTED, columns.not_after, rules.deadlines.expiry_reminders),
    )
    for deadline, states, column, before in kinds:
        for identity, last in _due_reminders(change, since, states, column, before).items():
            facts = {"set": str(identity), "deadline": deadline, "last_day": last.isoformat()}
            change.enqueue(REMIND_CONTACT, facts)


def _due_reminders(
    change: Change,
    since: datetime,
    states: Sequence[CertificateState],
    column: Column[datetime],
    before: DaysBefore,
) -> dict[UUID, date]:
    """Return the last day of each set of which a reminder came due; of several, it is one mail."""
    found: dict[UUID, date] = {}
    for days in before.days_before:
        first, last = (taipei.day(moment) + days * _DAY for moment in (since + _DAY, change.now))
        in_days = (column > taipei.midnight(first)) & (column <= taipei.midnight(last + _DAY))
        rows = select(CERTIFICATE_SETS.c.id, column).where(
            CERTIFICATE_SETS.c.state.in_([state.value for state in states]), in_days
        )
        for identity, moment in change.connection.execute(rows):
            found[identity] = last_day(moment)
    return found
