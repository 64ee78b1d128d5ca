# SPDX-License-Identifier: Apache-2.0
"""The certificates that were issued, in sets that move together: the two of a card, or one of another key.

A change of state is one transaction: the set is read under its lock, judged by the issuer's table, written
with a higher version, and its event and the jobs that follow are added. A change that changes nothing adds
nothing.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    Select,
    Table,
    Uuid,
    insert,
    select,
    update,
)

from xca_centre import deadlines
from xca_centre.authority.repository import PARTITION_SIZE, partition_of
from xca_centre.errors import CertificateExpired, ChangeInFuture, KeyTaken, NoSuchCertificates
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.certificate import (
    ISSUED,
    CertificateEvent,
    CertificateState,
    Circumstances,
    Hold,
    Reason,
    Standing,
    deadline_begins_anew,
    next_standing,
)
from xca_centre.life.transitions import Actor
from xca_centre.store.database import Change
from xca_centre.store.events import Event, Facts, read_facts
from xca_centre.store.restored import Loss
from xca_centre.store.tables import CERTIFICATE_SETS, CERTIFICATES, SEQUENCES
from xca_common import taipei
from xca_common.utc_datetime import UtcDateTime

PUBLISH: Final = "publish_list"
"""The job that publishes a partition's revocation list anew: facts `generation` and `partition`."""
TELL_CONTACT: Final = "tell_contact"
"""The job that tells the contact of a set what happened: facts `set`, `event` and `version`."""
ISSUE: Final = "certificates.issue"
"""The kind of the event with which a set begins."""

_EVENTS: Final = "certificates."
_UNACCEPTED: Final = (CertificateState.ISSUED, CertificateState.HELD_UNACCEPTED)
_CHANGING: Final = (
    *("version", "state", "reason", "holds", "listed", "since", "accepted", "lapses_at", "compromised"),
)
"""The columns of a set that change. The event of a change has all of them, except those that are NULL."""
_ALIVE: Final = (*_UNACCEPTED, CertificateState.VALID, CertificateState.HELD)


class Use(StrEnum):
    """What a certificate's key is for."""

    SIGNING = "signing"
    """cert1, of the key SIGN."""
    ENCRYPTION = "encryption"
    """cert2, of the key KEYX."""
    BOTH = "both"
    """Of a key that is on no card."""


@dataclass(frozen=True)
class NewSet:
    """Certificates that are issued together.

    Attributes:
        card: card number; None: the key is on no card.
        organisation: OID.
        rank: `primary` (正卡) or `secondary` (附卡).
        generation: the number of the CA's.
        sequence: of the first certificate, as reserve() returned it.
        certificates: each with what its key is for.
        lapses_at: the first moment that is too late for the acceptance.
        is_published: whether others may download them.
        standing: how they begin: ISSUED or REISSUED.
    """

    card: str | None
    organisation: str
    rank: str
    generation: int
    sequence: int
    certificates: Sequence[tuple[Use, x509.Certificate]]
    lapses_at: datetime
    is_published: bool
    standing: Standing = ISSUED


@dataclass(frozen=True)
class CertificateSet:
    """A set, as it is.

    Attributes:
        id: a random number.
        card, organisation, rank, lapses_at, is_published: as of NewSet.
        standing: what its life has led to.
        since: since when lists and OCSP tell of it what they tell.
        version: rises with each change; 1 at the issue.
        issued: when.
        accepted: when; None: not yet.
        not_after: the last second of the certificates.
    """

    id: UUID
    card: str | None
    organisation: str
    rank: str
    standing: Standing
    since: datetime
    version: int
    issued: datetime
    accepted: datetime | None
    lapses_at: datetime
    not_after: datetime
    is_published: bool


@dataclass(frozen=True)
class IssuedCertificate:
    """A certificate of a set.

    Attributes:
        serial: serial number, hexadecimal in upper case.
        use: what its key is for.
        generation, partition: whose list names it.
        der: the certificate.
    """

    serial: str
    use: Use
    generation: int
    partition: int
    der: bytes


def reserve(change: Change, generation: int, certificates: int) -> int:
    """Return the sequence number of the first of some certificates that are in one partition of the CRL.

    Nobody else gets it. If they are not issued, a gap stays. Until the change ends, nobody else reserves.
    """
    _begin(change, generation)
    own = SEQUENCES.c.generation == generation
    first: int = change.connection.execute(select(SEQUENCES.c.next).where(own).with_for_update()).scalar_one()
    if partition_of(first) != partition_of(first + certificates - 1):
        first = (partition_of(first) + 1) * PARTITION_SIZE
    change.connection.execute(update(SEQUENCES).where(own).values(next=first + certificates))
    return first


def add(change: Change, new: NewSet, by: Actor) -> UUID:
    """Add certificates that were issued.

    Args:
        change: the change that issues them.
        new: the certificates.
        by: who has them issued.

    Returns:
        The id of the set.
    """
    identity = uuid4()
    values: dict[str, Any] = {
        "id": identity,
        "card": new.card,
        "organisation": new.organisation,
        "rank": new.rank,
        "issued": change.now,
        "not_after": min(each.not_valid_after_utc for _, each in new.certificates),
        "is_published": new.is_published,
        "lapses_at": new.lapses_at,
        "accepted": change.now if new.standing.state is CertificateState.VALID else None,
        "since": change.now,
        "version": 1,
        **_columns(new.standing),
    }
    rows = [
        {
            "serial": serial_of(certificate),
            "set": identity,
            "use": use.value,
            "generation": new.generation,
            "sequence": new.sequence + number,
            "partition": partition_of(new.sequence + number),
            "key": key_digest(certificate.public_key()),
            "der": certificate.public_bytes(Encoding.DER),
        }
        for number, (use, certificate) in enumerate(new.certificates)
    ]
    change.connection.execute(insert(CERTIFICATE_SETS).values(values))
    change.connection.execute(insert(CERTIFICATES), rows)
    change.event(ISSUE, str(identity), by, _issue_facts(values, rows))
    _publish(change, identity)
    return identity


def change_state(
    change: Change,
    certificates: UUID,
    event: CertificateEvent,
    by: Actor,
    rules: IssuerRules,
    reason: Reason | None = None,
    arrived: datetime | None = None,
    compromised_since: datetime | None = None,
) -> Standing:
    """Let something happen to a set. It is locked until the change ends.

    Args:
        change: the change that it is a part of.
        certificates: the id of the set.
        event: what happens.
        by: who wants it.
        rules: the issuer's.
        reason: why it is to be revoked; None: it is not to be revoked.
        arrived: when the centre was asked for it: deadlines are judged by that; None: now.
        compromised_since: since when a key may be known to others, for a revocation for that reason; None:
            nobody knows.

    Returns:
        What it became; what it was, if nothing changed.

    Raises:
        NoSuchCertificates: there is no such set.
        ChangeInFuture: `compromised_since` has not come.
        Refused: nothing happens, and why.
    """
    if compromised_since is not None and compromised_since > change.now:
        raise ChangeInFuture(day=taipei.day(compromised_since))
    return _change(
        change,
        certificates,
        event,
        by,
        rules,
        reason,
        arrived=arrived,
        compromised=compromised_since if reason is Reason.KEY_COMPROMISE else None,
    )


def find(connection: Connection, certificates: UUID) -> CertificateSet:
    """Return a set.

    Raises:
        NoSuchCertificates: there is no such set.
    """
    return _one(connection.execute(_sets(_is(certificates))).one_or_none())


def lock(change: Change, certificates: UUID) -> CertificateSet:
    """Return a set, which stays as it is until the change ends.

    Raises:
        NoSuchCertificates: there is no such set.
    """
    return _one(change.connection.execute(_sets(_is(certificates)).with_for_update()).one_or_none())


def of_serial(connection: Connection, serial: str) -> CertificateSet:
    """Return the set with the certificate of a serial number, hexadecimal in any case.

    Raises:
        NoSuchCertificates: none has it.
    """
    its = select(CERTIFICATES.c.set).where(CERTIFICATES.c.serial == canonical(serial)).scalar_subquery()
    return _one(connection.execute(_sets(CERTIFICATE_SETS.c.id == its)).one_or_none())


def of_card(connection: Connection, card: str) -> Sequence[CertificateSet]:
    """Return the sets of a card, the newest first: a second one is there after a reissue."""
    return _all(connection, _sets(CERTIFICATE_SETS.c.card == card))


def of_organisation(connection: Connection, organisation: str) -> Sequence[CertificateSet]:
    """Return the sets of an organisation, the newest first."""
    return _all(connection, _sets(CERTIFICATE_SETS.c.organisation == organisation))


def certificates_of(connection: Connection, certificates: UUID) -> Sequence[IssuedCertificate]:
    """Return the certificates of a set: that of the key SIGN, then that of the key KEYX."""
    return _issued(connection, CERTIFICATES.c.set == certificates)


def certificate(connection: Connection, serial: str) -> IssuedCertificate:
    """Return the certificate of a serial number, hexadecimal in any case.

    Raises:
        NoSuchCertificates: there is none.
    """
    found = _issued(connection, CERTIFICATES.c.serial == canonical(serial))
    if not found:
        raise NoSuchCertificates
    return found[0]


def canonical(serial: str) -> str:
    """Return a serial number, as somebody typed it, as it is kept."""
    return "".join(serial.replace(":", " ").split()).upper().lstrip("0")


def require_new_keys(connection: Connection, *keys: PublicKey) -> None:
    """See that keys are not certified yet, whatever became of their certificates since.

    Raises:
        KeyTaken: one is.
    """
    found = select(CERTIFICATES.c.serial).where(CERTIFICATES.c.key.in_([key_digest(key) for key in keys]))
    if connection.execute(found.limit(1)).first() is not None:
        raise KeyTaken


def is_over() -> ColumnElement[bool]:
    """Return the condition that nothing happens to a set any more."""
    return ~_in(_ALIVE)


def overdue(connection: Connection, now: datetime, most: int, skipped: int = 0) -> Sequence[UUID]:
    """Return sets that were not accepted in time, and that had no consequence of it yet, the oldest first.

    Args:
        connection: for reading.
        now: the time.
        most: so many at once.
        skipped: so many of the first are left out.
    """
    was_held_for_it = CERTIFICATE_SETS.c.holds.contains(Hold.LAPSE.value)
    late = (CERTIFICATE_SETS.c.lapses_at <= now) & (
        CERTIFICATE_SETS.c.lapses_at <= CERTIFICATE_SETS.c.not_after
    )
    found = _due(CERTIFICATE_SETS.c.lapses_at, _in(_UNACCEPTED) & late & ~was_held_for_it)
    return connection.execute(found.limit(most).offset(skipped)).scalars().all()


def past_not_after(connection: Connection, now: datetime, most: int, skipped: int = 0) -> Sequence[UUID]:
    """Return sets whose certificates are not valid any more, and for which that had no consequence yet.

    Args:
        connection: for reading.
        now: the time.
        most: so many at once, the oldest first.
        skipped: so many of the first are left out.
    """
    found = _due(CERTIFICATE_SETS.c.not_after, _in(_ALIVE) & (CERTIFICATE_SETS.c.not_after < now))
    return connection.execute(found.limit(most).offset(skipped)).scalars().all()


def redo(change: Change, events: Sequence[Event]) -> Sequence[Loss]:
    """Write again what a restored database lost (restored.merge): what was issued, and every newer state.

    All lists that name what was written are published anew.
    """
    touched = set()
    for event in events:
        if event.kind == ISSUE and _issue_again(change, read_facts(event.facts)):
            touched.add(UUID(event.subject))
    for event in events:
        if event.kind.startswith(_EVENTS) and event.kind != ISSUE:
            facts = read_facts(event.facts)
            is_older = _is(UUID(event.subject)) & (CERTIFICATE_SETS.c.version < facts["version"])
            values = {**dict.fromkeys(_CHANGING), **_values(CERTIFICATE_SETS, facts)}
            if change.connection.execute(update(CERTIFICATE_SETS).where(is_older).values(values)).rowcount:
                touched.add(UUID(event.subject))
    for certificates in sorted(touched):
        _publish(change, certificates)
    return ()


def merge_list(
    change: Change, entries: Iterable[tuple[str, Reason, datetime]], by: Actor, rules: IssuerRules
) -> Sequence[str]:
    """See that all that a published list names is revoked or suspended, too, in a restored database.

    What the list calls suspended is suspended by the authority, which alone lifts that: why it was is lost.

    Args:
        change: the change that does it.
        entries: of the list: serial number, reason, and since when.
        by: the operator who restores.
        rules: the issuer's.

    Returns:
        The serial numbers that the database does not know. Their certificates were issued after the backup.
    """
    unknown = []
    for serial, reason, since in entries:
        try:
            found = of_serial(change.connection, serial)
        except NoSuchCertificates:
            unknown.append(serial)
            continue
        is_hold = reason is Reason.CERTIFICATE_HOLD
        if found.standing.is_over or (is_hold and found.standing.listed_reason is reason):
            continue
        event = CertificateEvent.SUSPEND if is_hold else CertificateEvent.REVOKE
        with suppress(CertificateExpired):  # nothing that is over is relied on
            _change(change, found.id, event, by, rules, None if is_hold else reason, since)
    return unknown


def serial_of(certificate: x509.Certificate) -> str:
    """Return a serial number as it is kept and shown (憑證序號): hexadecimal, in upper case."""
    return f"{certificate.serial_number:X}"


def _change(
    change: Change,
    certificates: UUID,
    event: CertificateEvent,
    by: Actor,
    rules: IssuerRules,
    reason: Reason | None,
    since: datetime | None = None,
    arrived: datetime | None = None,
    compromised: datetime | None = None,
) -> Standing:
    before = lock(change, certificates)
    circumstances = Circumstances(
        standing=before.standing,
        role=by.role,
        now=arrived or change.now,
        lapses_at=before.lapses_at,
        not_after=before.not_after,
        lapse=rules.deadlines.lapse,
        reason=reason,
    )
    after = next_standing(event, circumstances, rules.certificates)
    if after == before.standing:
        return after
    is_told_otherwise = after.listed_reason is not before.standing.listed_reason
    begins_anew = deadline_begins_anew(before.standing, after)
    values = {
        **_columns(after),
        "version": before.version + 1,
        "since": (since or change.now) if is_told_otherwise else before.since,
        "accepted": (arrived or change.now) if event is CertificateEvent.ACCEPT else before.accepted,
        "lapses_at": deadlines.lapses_at(change.now, rules) if begins_anew else before.lapses_at,
        "compromised": compromised,
    }
    change.connection.execute(update(CERTIFICATE_SETS).where(_is(certificates)).values(values))
    change.event(f"{_EVENTS}{event.value}", str(certificates), by, _facts(values))
    told: dict[str, str | int] = {
        "set": str(certificates),
        "event": event.value,
        "version": before.version + 1,
    }
    change.enqueue(TELL_CONTACT, told)
    if is_told_otherwise:
        _publish(change, certificates)
    return after


def _issued(connection: Connection, condition: ColumnElement[bool]) -> Sequence[IssuedCertificate]:
    names = ("serial", "use", "generation", "partition", "der")
    found = select(*(CERTIFICATES.c[name] for name in names)).where(condition)
    return [
        IssuedCertificate(row.serial, Use(row.use), row.generation, row.partition, row.der)
        for row in connection.execute(found.order_by(CERTIFICATES.c.sequence))
    ]


def key_digest(key: PublicKey) -> str:
    """Return SHA-256 of a key (SubjectPublicKeyInfo), hexadecimal."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _is(certificates: UUID) -> ColumnElement[bool]:
    return CERTIFICATE_SETS.c.id == certificates


def _in(states: Sequence[CertificateState]) -> ColumnElement[bool]:
    return CERTIFICATE_SETS.c.state.in_([state.value for state in states])


def _sets(condition: ColumnElement[bool]) -> Select[Any]:
    return select(CERTIFICATE_SETS).where(condition)


def _due(deadline: Column[datetime], condition: ColumnElement[bool]) -> Select[Any]:
    return select(CERTIFICATE_SETS.c.id).where(condition).order_by(deadline, CERTIFICATE_SETS.c.id)


def _all(connection: Connection, query: Select[Any]) -> Sequence[CertificateSet]:
    ordered = query.order_by(CERTIFICATE_SETS.c.issued.desc(), CERTIFICATE_SETS.c.id)
    return [_one(row) for row in connection.execute(ordered)]


def _one(row: Row[Any] | None) -> CertificateSet:
    if row is None:
        raise NoSuchCertificates
    reason = Reason(row.reason) if row.reason else None
    holds = frozenset(Hold(name) for name in row.holds.split())
    return CertificateSet(
        row.id,
        row.card,
        row.organisation,
        row.rank,
        Standing(CertificateState(row.state), reason, holds),
        row.since,
        row.version,
        row.issued,
        row.accepted,
        row.lapses_at,
        row.not_after,
        row.is_published,
    )


def _columns(standing: Standing) -> dict[str, str | None]:
    listed = standing.listed_reason
    return {
        "state": standing.state.value,
        "reason": standing.reason.value if standing.reason else None,
        "holds": " ".join(sorted(hold.value for hold in standing.holds)),
        "listed": listed.value if listed else None,
    }


def _publish(change: Change, certificates: UUID) -> None:
    """Enqueue the lists that name the certificates of a set."""
    names = (CERTIFICATES.c.generation, CERTIFICATES.c.partition)
    found = select(*names).where(CERTIFICATES.c.set == certificates).distinct()
    for generation, partition in change.connection.execute(found).all():
        facts = {"generation": generation, "partition": partition}
        change.enqueue(PUBLISH, facts, key=f"{PUBLISH} {generation} {partition}")


def _facts(values: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the values of columns as facts of an event. What is NULL is left out."""
    return {name: _fact(value) for name, value in values.items() if value is not None}


def _fact(value: Any) -> str | int:
    match value:
        case datetime():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case bool() | UUID():
            return str(value)
        case _:
            assert isinstance(value, str | int)  # noqa: S101  # the columns have no other types
            return value


def _values(table: Table, facts: Facts, suffix: str = "") -> dict[str, Any]:
    """Return the values of columns that _fact() made facts of."""
    return {
        column.name: _value(column, facts[column.name + suffix])
        for column in table.c
        if column.name + suffix in facts
    }


def _value(column: Column[Any], fact: str | int) -> Any:
    match column.type:
        case UtcDateTime():
            return datetime.fromisoformat(str(fact))
        case LargeBinary():
            return base64.b64decode(str(fact))
        case Boolean():
            return fact == str(True)
        case Uuid():
            return UUID(str(fact))
        case _:
            return fact


def _issue_again(change: Change, facts: Facts) -> bool:
    """Write a set that was issued, unless it is there; returns whether it was not."""
    values = _values(CERTIFICATE_SETS, facts)
    if change.connection.execute(_sets(_is(values["id"]))).one_or_none():
        return False
    change.connection.execute(insert(CERTIFICATE_SETS).values(values))
    for number in count(1):
        row = _values(CERTIFICATES, facts, f" {number}")
        if not row:
            return True
        change.connection.execute(insert(CERTIFICATES).values({**row, "set": values["id"]}))
        _begin(change, row["generation"])
        used = (SEQUENCES.c.generation == row["generation"]) & (SEQUENCES.c.next <= row["sequence"])
        change.connection.execute(update(SEQUENCES).where(used).values(next=row["sequence"] + 1))
    raise AssertionError  # it counts for ever


def _begin(change: Change, generation: int) -> None:
    """Begin to count the certificates of a generation, if nobody has."""
    begun = change.insert(SEQUENCES).values(generation=generation, next=0).on_conflict_do_nothing()
    change.connection.execute(begun)


def _issue_facts(values: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, str | int]:
    """Return all that it takes to write a set again."""
    facts = _facts(values)
    for number, row in enumerate(rows, 1):
        facts.update({f"{name} {number}": fact for name, fact in _facts(row).items() if name != "set"})
    return facts
