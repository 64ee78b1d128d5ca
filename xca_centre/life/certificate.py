# SPDX-License-Identifier: Apache-2.0
"""The life of a certificate: from its issue over acceptance (憑證接受), suspension and resumption to its end.

Both certificates of a card move together. What relying parties are told follows from the standing alone:
Standing.listed_reason. A table of an issuer may have fewer rows (transitions.Table.without).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from xca_centre.errors import (
    AcceptanceLapsed,
    AlreadyAccepted,
    CertificateExpired,
    CertificateRevoked,
    CertificateSuperseded,
    CertificateSuspended,
    DeadlineNotReached,
    HeldByOthers,
    NotAccepted,
    NotOffered,
    NotSuspended,
    ReasonNotYours,
)
from xca_centre.i18n import text
from xca_centre.life.transitions import OFFICERS, Condition, Role, Row, Table, Word
from xca_common import taipei


class CertificateState(Word):
    """Where a certificate is in its life."""

    ISSUED = "issued", text("issued, not accepted")
    """Relying parties are told that it is suspended."""
    VALID = "valid", text("valid")
    HELD_UNACCEPTED = "held_unaccepted", text("suspended before acceptance")
    """A resumption leads back to ISSUED."""
    HELD = "held", text("suspended")
    """A resumption leads back to VALID."""
    REVOKED = "revoked", text("revoked")
    SUPERSEDED = "superseded", text("superseded")
    """A new certificate for the same key took its place."""
    EXPIRED = "expired", text("expired")


class CertificateEvent(Word):
    """What happens to a certificate."""

    ACCEPT = "accept", text("Acceptance of the certificate")
    REFUSE = "refuse", text("Refusal of the certificate")
    """The holder says that the content of a certificate not yet accepted is wrong."""
    SUSPEND = "suspend", text("Suspension")
    RESUME = "resume", text("Resumption")
    REVOKE = "revoke", text("Revocation")
    LAPSE = "lapse", text("Lapse without acceptance")
    """The days for the acceptance are over."""
    REISSUE = "reissue", text("Writing of the secure e-mail address")
    """A new certificate for the same key replaces it."""
    EXPIRE = "expire", text("Expiry")
    """notAfter is past."""


class Reason(Word):
    """Why a certificate is on a revocation list (RFC 5280, section 5.3.1), by the names of its codes."""

    UNSPECIFIED = "unspecified", text("no reason given")
    KEY_COMPROMISE = "key_compromise", text("the holder's key is lost or known to others")
    CA_COMPROMISE = "ca_compromise", text("the key of the certification authority is known to others")
    AFFILIATION_CHANGED = "affiliation_changed", text("what the certificate says of the holder has changed")
    SUPERSEDED = "superseded", text("another certificate took its place")
    CESSATION_OF_OPERATION = "cessation_of_operation", text("it is not needed any more")
    CERTIFICATE_HOLD = "certificate_hold", text("suspended")
    REMOVE_FROM_CRL = "remove_from_crl", text("resumed")

    @property
    def code(self) -> int:
        """The number of RFC 5280."""
        return _CODES[self]


_CODES: Final = dict(zip(Reason, (0, 1, 2, 3, 4, 5, 6, 8), strict=True))


class Hold(Word):
    """Who has suspended a certificate. Several may have at the same time."""

    HOLDER = "holder", text("the holder")
    OFFICER = "officer", text("a registration officer")
    AUTHORITY = "authority", text("the certification authority")
    COURT = "court", text("a court")
    LAPSE = "lapse", text("the end of the days for the acceptance")


_HOLD_OF: Final = {
    Role.HOLDER: Hold.HOLDER,
    Role.FIRST_REVIEWER: Hold.OFFICER,
    Role.SECOND_REVIEWER: Hold.OFFICER,
    Role.OPERATOR: Hold.AUTHORITY,
    Role.COURT: Hold.COURT,
}
"""The hold that a role sets."""
_LIFTED_BY: Final = {
    Role.HOLDER: frozenset({Hold.HOLDER, Hold.OFFICER}),
    Role.FIRST_REVIEWER: frozenset({Hold.HOLDER, Hold.OFFICER}),
    Role.SECOND_REVIEWER: frozenset({Hold.HOLDER, Hold.OFFICER}),
    Role.OPERATOR: frozenset({Hold.HOLDER, Hold.OFFICER, Hold.AUTHORITY, Hold.LAPSE}),
    Role.COURT: frozenset({Hold.COURT}),
}
"""The holds that a role lifts. A user code lifts none of a court, of the authority or of a lapse."""

_ANYBODYS: Final = frozenset(
    {
        Reason.UNSPECIFIED,
        Reason.KEY_COMPROMISE,
        Reason.AFFILIATION_CHANGED,
        Reason.SUPERSEDED,
        Reason.CESSATION_OF_OPERATION,
    }
)
_AUTHORITIES: Final = _ANYBODYS | {Reason.CA_COMPROMISE}


class Lapse(StrEnum):
    """What an issuer does with a certificate that was not accepted in time."""

    REVOKE = "revoke"
    HOLD = "hold"


@dataclass(frozen=True)
class Standing:
    """All that a certificate's life has led to.

    Attributes:
        state: where it is.
        reason: why, as relying parties are told: of what is revoked, superseded or suspended.
            REMOVE_FROM_CRL: it is valid again after a suspension.
        holds: who has suspended it.
    """

    state: CertificateState
    reason: Reason | None = None
    holds: frozenset[Hold] = frozenset()

    def __post_init__(self) -> None:
        if (self.state in _SUSPENDED) is not bool(self.holds):
            raise ValueError("holds: of what is suspended, and of nothing else")
        if self.reason not in _REASONS_OF[self.state]:
            raise ValueError(f"{self.state} for the reason {self.reason}")

    @property
    def listed_reason(self) -> Reason | None:
        """The reason with which revocation lists and OCSP answer; None: the certificate is good.

        What is not accepted yet is on hold: of the answers that may change again, it is the one with which
        nobody relies on it. What expires on hold stays so, for whoever verifies an old signature.
        """
        if self.state is CertificateState.ISSUED:
            return Reason.CERTIFICATE_HOLD
        return None if self.reason is Reason.REMOVE_FROM_CRL else self.reason

    @property
    def is_over(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.state in _OVER


_UNACCEPTED: Final = frozenset({CertificateState.ISSUED, CertificateState.HELD_UNACCEPTED})
_SUSPENDED: Final = frozenset({CertificateState.HELD_UNACCEPTED, CertificateState.HELD})
_OVER: Final = frozenset({CertificateState.REVOKED, CertificateState.SUPERSEDED, CertificateState.EXPIRED})
_REASONS_OF: Final[dict[CertificateState, frozenset[Reason | None]]] = {
    CertificateState.ISSUED: frozenset({None}),
    CertificateState.VALID: frozenset({None, Reason.REMOVE_FROM_CRL}),
    CertificateState.HELD_UNACCEPTED: frozenset({Reason.CERTIFICATE_HOLD}),
    CertificateState.HELD: frozenset({Reason.CERTIFICATE_HOLD}),
    CertificateState.REVOKED: frozenset(_AUTHORITIES),
    CertificateState.SUPERSEDED: frozenset({Reason.SUPERSEDED}),
    CertificateState.EXPIRED: frozenset({None, Reason.CERTIFICATE_HOLD}),
}

ISSUED: Final = Standing(CertificateState.ISSUED)
"""How a certificate begins."""
REISSUED: Final = Standing(CertificateState.VALID)
"""How one begins that takes the place of a valid one."""


@dataclass(frozen=True)
class Circumstances:
    """What decides whether something happens to a certificate.

    Attributes:
        standing: where it is.
        role: of who wants it.
        now: when; with a time zone.
        lapses_at: the first moment that is too late for the acceptance.
        not_after: the last second of the certificate's validity (RFC 5280, section 4.1.2.5).
        lapse: what the issuer does when it was not accepted in time.
        reason: why it is to be revoked; None: it is not to be revoked.
    """

    standing: Standing
    role: Role
    now: datetime
    lapses_at: datetime
    not_after: datetime
    lapse: Lapse
    reason: Reason | None = None

    @property
    def last_day(self) -> date:
        """The last day for the acceptance, in Taipei."""
        return taipei.day(self.lapses_at - timedelta(microseconds=1))

    @property
    def lifted(self) -> frozenset[Hold]:
        """The holds that this role lifts here."""
        return self.standing.holds & _LIFTED_BY.get(self.role, frozenset())

    @property
    def left(self) -> frozenset[Hold]:
        """The holds that stay."""
        return self.standing.holds - self.lifted


_Row = Row[CertificateState, CertificateEvent, Circumstances]
_Condition = Condition[Circumstances]
CertificateTable = Table[CertificateState, CertificateEvent, Circumstances]

UNEXPIRED: Final = _Condition("unexpired", lambda at: at.now <= at.not_after, lambda _: CertificateExpired())
PAST_NOT_AFTER: Final = _Condition(
    "past notAfter",
    lambda at: at.now > at.not_after,
    lambda at: DeadlineNotReached(day=taipei.day(at.not_after)),
)
IN_TIME: Final = _Condition(
    "in time", lambda at: at.now < at.lapses_at, lambda at: AcceptanceLapsed(last_day=at.last_day)
)
OVERDUE: Final = _Condition(
    # A certificate that expires earlier does not lapse.
    "overdue",
    lambda at: at.lapses_at <= min(at.now, at.not_after),
    lambda at: DeadlineNotReached(day=at.last_day),
)
LAPSE_REVOKES: Final = _Condition(
    "lapse revokes",
    lambda at: at.lapse is Lapse.REVOKE,
    lambda _: NotOffered(event=CertificateEvent.LAPSE.said),
)
LAPSE_HOLDS: Final = _Condition(
    "lapse holds", lambda at: at.lapse is Lapse.HOLD, lambda _: NotOffered(event=CertificateEvent.LAPSE.said)
)
LIFTS_ALL: Final = _Condition(
    "lifts all holds", lambda at: bool(at.lifted) and not at.left, lambda at: _held(at)
)
LIFTS_SOME: Final = _Condition(
    "lifts some holds", lambda at: bool(at.lifted and at.left), lambda at: _held(at)
)
REASON_IS_ANYBODYS: Final = _Condition(
    "reason is anybody's", lambda at: at.reason in _ANYBODYS, lambda at: _reason_not_yours(at)
)
REASON_IS_THE_AUTHORITYS: Final = _Condition(
    "reason is the authority's", lambda at: at.reason in _AUTHORITIES, lambda at: _reason_not_yours(at)
)


def _held(at: Circumstances) -> HeldByOthers:
    return HeldByOthers(by=[hold.said for hold in Hold if hold in at.left])


def _reason_not_yours(at: Circumstances) -> ReasonNotYours:
    return ReasonNotYours(reason=(at.reason or Reason.UNSPECIFIED).said)


def _rows() -> Iterable[_Row]:
    state, event = CertificateState, CertificateEvent
    holder, centre = frozenset({Role.HOLDER}), frozenset({Role.CENTRE})
    suspenders = frozenset(_HOLD_OF)
    outside = OFFICERS | {Role.HOLDER, Role.COURT}
    inside = frozenset({Role.OPERATOR, Role.CENTRE})
    back = {state.HELD_UNACCEPTED: state.ISSUED, state.HELD: state.VALID}

    yield _Row(state.ISSUED, event.ACCEPT, state.VALID, holder, (IN_TIME, UNEXPIRED))
    yield _Row(
        state.ISSUED, event.REFUSE, state.REVOKED, holder, (IN_TIME, UNEXPIRED), Reason.CESSATION_OF_OPERATION
    )
    yield _Row(state.VALID, event.REISSUE, state.SUPERSEDED, holder, (UNEXPIRED,), Reason.SUPERSEDED)

    for held, free in back.items():
        yield _Row(free, event.SUSPEND, held, suspenders, (UNEXPIRED,), Reason.CERTIFICATE_HOLD)
        # Whose hold it has already changes nothing; another's is added to it.
        yield _Row(held, event.SUSPEND, held, suspenders, (UNEXPIRED,), Reason.CERTIFICATE_HOLD)
        again = Reason.REMOVE_FROM_CRL if free is state.VALID else None
        yield _Row(held, event.RESUME, free, suspenders, (UNEXPIRED, LIFTS_ALL), again)
        yield _Row(held, event.RESUME, held, suspenders, (UNEXPIRED, LIFTS_SOME), Reason.CERTIFICATE_HOLD)

    for each in (*back, *back.values()):
        yield _Row(each, event.REVOKE, state.REVOKED, outside, (UNEXPIRED, REASON_IS_ANYBODYS))
        yield _Row(each, event.REVOKE, state.REVOKED, inside, (UNEXPIRED, REASON_IS_THE_AUTHORITYS))
        yield _Row(each, event.EXPIRE, state.EXPIRED, centre, (PAST_NOT_AFTER,))

    for each in (state.ISSUED, state.HELD_UNACCEPTED):
        yield _Row(
            each, event.LAPSE, state.REVOKED, centre, (OVERDUE, LAPSE_REVOKES), Reason.CESSATION_OF_OPERATION
        )
        yield _Row(
            each, event.LAPSE, state.HELD_UNACCEPTED, centre, (OVERDUE, LAPSE_HOLDS), Reason.CERTIFICATE_HOLD
        )
    # Who accepted in time has nothing to do with the deadline any more.
    for each in (state.VALID, state.HELD):
        yield _Row(each, event.LAPSE, each, centre)


def _refusals() -> Iterable[tuple[tuple[CertificateState, CertificateEvent], type]]:
    state, event = CertificateState, CertificateEvent
    for each in event:
        yield (state.REVOKED, each), CertificateRevoked
        yield (state.SUPERSEDED, each), CertificateSuperseded
        yield (state.EXPIRED, each), CertificateExpired
    for each in (event.ACCEPT, event.REFUSE):
        yield (state.VALID, each), AlreadyAccepted
        yield (state.HELD, each), AlreadyAccepted
    for each in (event.ACCEPT, event.REFUSE, event.REISSUE):
        yield (state.HELD_UNACCEPTED, each), CertificateSuspended
    yield (state.HELD, event.REISSUE), CertificateSuspended
    yield (state.ISSUED, event.REISSUE), NotAccepted
    yield (state.ISSUED, event.RESUME), NotSuspended
    yield (state.VALID, event.RESUME), NotSuspended


TABLE: Final = CertificateTable(_rows(), dict(_refusals()))
"""Every transition of a certificate."""


def next_standing(event: CertificateEvent, at: Circumstances, table: CertificateTable = TABLE) -> Standing:
    """Return what an event makes of a certificate; an equal standing: nothing changes.

    Args:
        event: what happens.
        at: what decides it, read under the lock that the change is made under.
        table: the issuer's.

    Raises:
        Refused: nothing happens, and why.
    """
    before = at.standing
    row = table.row(before.state, event, at.role, at)
    if (
        row.event is CertificateEvent.LAPSE
        and row.becomes is before.state
        and before.state not in _UNACCEPTED
    ):
        return before
    holds: frozenset[Hold] = frozenset()
    if row.becomes in _SUSPENDED:
        holds = at.left if event is CertificateEvent.RESUME else before.holds | _held_by(event, at.role)
    reason = Reason(row.reason) if row.reason else None
    if event is CertificateEvent.REVOKE:
        reason = at.reason
    elif event is CertificateEvent.EXPIRE:
        reason = before.listed_reason
    return Standing(row.becomes, reason, holds)


def deadline_begins_anew(before: Standing, after: Standing) -> bool:
    """Tell whether the days for the acceptance are counted again, from now: a lapse was lifted."""
    return Hold.LAPSE in before.holds - after.holds and after.state in _UNACCEPTED


def _held_by(event: CertificateEvent, role: Role) -> frozenset[Hold]:
    return frozenset({Hold.LAPSE if event is CertificateEvent.LAPSE else _HOLD_OF[role]})
