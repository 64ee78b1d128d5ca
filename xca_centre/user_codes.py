# SPDX-License-Identifier: Apache-2.0
"""User codes (用戶代碼) for what is done online: kept as argon2id hashes, and three wrong tries lock one.

A code is chosen with the application, and goes over to the card that is made for it; the card has a copy of
its own, with tries of its own. A form that takes a code with the number of a case or a card must not tell
whether there is such a one. So each try does the same: it is spent in a change that is committed, then a hash
is computed, the code's or a stand-in's, then the outcome is recorded. A code that is unknown, wrong or locked
is refused in the same words.

Until the card is made, the code also lies sealed to the card producer's key: nobody at the centre reads it.
"""

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import BoundedSemaphore
from typing import Final
from uuid import UUID, uuid4

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from sqlalchemy import Connection, case, delete, insert, select, update

from xca_centre import network_limits
from xca_centre.errors import BadUserCode, LinkUnusable, TooManyTries, UserCodeRefused
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Change, Database
from xca_centre.store.events import Event
from xca_centre.store.job_queue import Handler, Job, finish
from xca_centre.store.restored import Loss
from xca_centre.store.tables import USER_CODE_LINKS, USER_CODES
from xca_common.pki.sealed_secret import seal
from xca_common.secret import Secret

SHORTEST: Final = 6
LONGEST: Final = 10
"""Characters of a code, as cards take it: printable ASCII without blanks."""
TRIES: Final = 3
"""Wrong codes in a row that lock one, as on the card."""
NETWORK_TRIES: Final = 30
"""Wrong codes that a network may send within an hour, for whatever numbers: many offices share one."""
_TRY: Final = "user_code"
_SAVED_LIFE: Final = timedelta(days=365)
"""How long the wrong tries for a saved file count, if nobody opens it."""
LINK_LIFE: Final = timedelta(days=3)
"""How long a mailed link lifts a lock."""
LOCKED: Final = "user_code_locked"
"""The job that tells of a lock if who found it was killed before that: fact `user_code`."""
_TOLD_WITHIN: Final = timedelta(minutes=1)
REPLACED: Final = "user_code_replaced"
"""The kind of the event that says that another code took the place of one."""
_REFUSED: Final = "user_code_refused"
_LOCKED: Final = "user_code_locked"
_LIFTED: Final = "user_code_lock_lifted"
_KINDS: Final = frozenset({_REFUSED, _LOCKED, _LIFTED, REPLACED})
_NO_CODE: Final = "none"
"""The subject of an event about a code that there is not."""
# The PHC string format, as the hasher writes it. What it reads may have any characters, and any length.
_HASH: Final = re.compile(
    r"\$argon2id\$v=[0-9]{1,3}\$m=[0-9]{1,9},t=[0-9]{1,9},p=[0-9]{1,9}(?:\$[A-Za-z0-9+/]{1,90}){2}"
)
_IPV4_NETWORK: Final = 24
_IPV6_NETWORK: Final = 48
_AT_ONCE: Final = BoundedSemaphore(4)
"""Hashes that are computed at once: each takes 64 MiB."""


@dataclass(frozen=True)
class NewUserCode:
    """A code that was chosen.

    Attributes:
        hash: argon2id, as the PHC string format writes it.
        sealed: the code for the card producer (sealed_secret); None: no card is to have it.
    """

    hash: str
    sealed: bytes | None = None


def check_form(code: Secret) -> None:
    """Refuse what cannot be a user code. That tells nothing of the right one, and spends no try.

    Raises:
        BadUserCode: wrong length or characters.
    """
    value = code.reveal()
    if not SHORTEST <= len(value) <= LONGEST or not all("!" <= character <= "~" for character in value):
        raise BadUserCode(shortest=SHORTEST, longest=LONGEST)


def network_of(address: str) -> str:
    """Return the network whose tries are counted together: of IPv4 the /24, of IPv6 the /48."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    ip = getattr(ip, "ipv4_mapped", None) or ip
    bits = _IPV4_NETWORK if ip.version == 4 else _IPV6_NETWORK
    return str(ipaddress.ip_network((ip.packed, bits), strict=False))


class UserCodes:
    """Keeps and judges codes.

    Args:
        database: where they are kept; also an attribute.
        tell_locked: tells the contact person that a code is locked, in the change in which it is recorded.
        hasher: computes the hashes.
    """

    def __init__(
        self,
        database: Database,
        tell_locked: Callable[[Change, UUID], None],
        hasher: PasswordHasher | None = None,
    ) -> None:
        self.database = database
        self._tell_locked = tell_locked
        self._hasher = hasher or PasswordHasher()
        # What is computed where there is no code: nobody knows what it is the hash of.
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())

    def choose(self, code: Secret, producer: RSAPublicKey | None = None) -> NewUserCode:
        """Prepare a code that somebody chose. It takes long: it is done before a change begins.

        Args:
            code: the code.
            producer: the key of the producer that makes the card; None: no card is made.

        Raises:
            BadUserCode: it cannot be one.
        """
        check_form(code)
        with _AT_ONCE:
            digest = self._hasher.hash(code.reveal())
        return NewUserCode(digest, seal(code, producer) if producer else None)

    def is_affordable(self, digest: str) -> bool:
        """Tell whether a hash that a stranger may have written takes no more work than our own."""
        if not _HASH.fullmatch(digest):
            return False
        try:
            found, own = extract_parameters(digest), extract_parameters(self._nobodys)
        except (InvalidHashError, ValueError):
            return False
        return found.type is own.type and all(
            getattr(found, name) <= getattr(own, name)
            for name in ("hash_len", "salt_len", "time_cost", "memory_cost", "parallelism")
        )

    def prove(self, find: Callable[[Change], UUID | None], code: Secret, network: str, role: Role) -> UUID:
        """Spend a try for a code, and return which one it is.

        Args:
            find: returns the id of the code that is meant, in the change that spends the try; None: there is
                none. It takes all that the person has to know, such as card number and serial number.
            code: what was entered.
            network: as network_of().
            role: in which role the person acts.

        Raises:
            BadUserCode: it cannot be one. No try was spent.
            TooManyTries: too many wrong ones came from this network. No try was spent.
            UserCodeRefused: there is none, or it is wrong, or locked.
            StoreUnavailable: the database did not answer; a try may have been spent.
        """
        check_form(code)
        with self.database.read() as connection:
            _require_tries(network_limits.number(connection, _TRY, network, self.database.clock()) + 1)
        with self.database.change() as change:
            _require_tries(network_limits.count(change, _TRY, network))
            wanted = find(change)
            spent = change.connection.execute(
                update(USER_CODES)
                .where(USER_CODES.c.id == (wanted or uuid4()), USER_CODES.c.spent < TRIES)
                .values(spent=USER_CODES.c.spent + 1)
                .returning(USER_CODES.c.hash, USER_CODES.c.epoch, USER_CODES.c.spent)
            ).one_or_none()
            if spent is not None and spent.spent == TRIES:
                change.enqueue(LOCKED, {"user_code": str(wanted)}, change.now + _TOLD_WITHIN)
        is_right = self._is_right(spent.hash if spent else self._nobodys, code) and spent is not None
        with self.database.change() as change:
            if spent is not None and wanted is not None and is_right:
                is_right = _settle(change, wanted, spent.hash, spent.epoch, network)
            if not is_right:
                refused = Actor(role, "unknown")
                change.event(_REFUSED, str(wanted or _NO_CODE), refused, {"network": network})
                if spent is not None and wanted is not None and spent.spent == TRIES:
                    _tell_once(change, wanted, self._tell_locked)
        if wanted is None or not is_right:
            raise UserCodeRefused
        return wanted

    def _is_right(self, digest: str, code: Secret) -> bool:
        try:
            with _AT_ONCE:
                return self._hasher.verify(digest, code.reveal())
        except (Argon2Error, InvalidHashError, UnicodeEncodeError):
            return False


def handler(tell_locked: Callable[[Change, UUID], None]) -> Handler:
    """Return what does the job LOCKED.

    Args:
        tell_locked: as of UserCodes.
    """

    def work(database: Database, job: Job) -> None:
        with database.change() as change:
            finish(change, job)
            _tell_once(change, UUID(str(job.facts["user_code"])), tell_locked)

    return work


def add(change: Change, new: NewUserCode, identity: UUID | None = None) -> UUID:
    """Keep a code, and return its id: a random one, or one that nothing has yet."""
    identity = identity or uuid4()
    _add(change, identity, new, None)
    return identity


def add_for_a_year(change: Change, identity: UUID, new: NewUserCode) -> None:
    """Keep the code of a saved file, whose id somebody else chose; one that is kept stays as it is."""
    _add(change, identity, new, change.now + _SAVED_LIFE)


def opened(change: Change, identity: UUID) -> None:
    """Let the code of a saved file that was opened be forgotten soon, unless it is tried again."""
    its = (USER_CODES.c.id == identity) & USER_CODES.c.until.is_not(None)
    change.connection.execute(update(USER_CODES).where(its).values(until=change.now))


def forget_saved(change: Change) -> None:
    """Forget the codes of saved files that were opened, or that nobody has tried for a year."""
    change.connection.execute(delete(USER_CODES).where(USER_CODES.c.until <= change.now))


def replace(change: Change, code: UUID, new: NewUserCode, by: Actor, reset: str) -> None:
    """Put a new code in the place of another one. It has all its tries.

    Args:
        change: the change.
        code: whose place it takes.
        new: the new one.
        by: who wants it.
        reset: number of the request that led to it.
    """
    _renew(change, code, hash=new.hash, sealed=new.sealed)
    change.event(REPLACED, str(code), by, {"reset": reset})


def redo(change: Change, events: Sequence[Event]) -> Sequence[Loss]:
    """Spend again what was spent, and lock what was locked (restored.merge). All links in mails are over.

    A right code gives tries back without an event: they may be fewer now than they were. In the place of a
    code that was replaced there is none: no event has a hash, and the old one is not to count again.
    """
    change.connection.execute(delete(USER_CODE_LINKS))
    fewer = case((USER_CODES.c.spent < TRIES, USER_CODES.c.spent + 1), else_=TRIES)
    for event in events:
        if event.kind not in _KINDS or event.subject == _NO_CODE:
            continue
        code = UUID(event.subject)
        own = update(USER_CODES).where(USER_CODES.c.id == code)
        if event.kind == _REFUSED:
            change.connection.execute(own.values(spent=fewer))
        elif event.kind == _LOCKED:
            if not change.connection.execute(own.values(spent=TRIES, is_told=True)).rowcount:
                _lock_saved(change, code)
        elif event.kind == _LIFTED:
            _renew(change, code)
        else:
            _renew(change, code, hash=_nobodys_hash(), sealed=None)
    return ()


def sealed(connection: Connection, code: UUID) -> bytes | None:
    """Return the code, sealed to the card producer's key; None: it is not kept, or not any more."""
    found: bytes | None = connection.execute(
        select(USER_CODES.c.sealed).where(USER_CODES.c.id == code)
    ).scalar()
    return found


def forget_sealed(change: Change, code: UUID) -> None:
    """Delete what was sealed: the card is made, or never will be."""
    change.connection.execute(update(USER_CODES).where(USER_CODES.c.id == code).values(sealed=None))


def is_locked(connection: Connection, code: UUID) -> bool:
    """Tell whether a code is locked, for those who may know that it is there."""
    spent = connection.execute(select(USER_CODES.c.spent).where(USER_CODES.c.id == code)).scalar_one()
    return bool(spent >= TRIES)


def lift(change: Change, code: UUID, by: Actor) -> None:
    """Lift the lock of a code: for an officer, or a holder who signed with the PIN."""
    _renew(change, code)
    change.event(_LIFTED, str(code), by, {})


def new_link(change: Change, code: UUID) -> str:
    """Return a secret that lifts the lock once, for a link in a mail. Only its hash is kept."""
    secret = secrets.token_urlsafe(32)
    change.connection.execute(delete(USER_CODE_LINKS).where(USER_CODE_LINKS.c.until < change.now))
    row = {"hash": _digest(secret), "code": code, "until": change.now + LINK_LIFE}
    change.connection.execute(insert(USER_CODE_LINKS).values(row))
    return secret


def lift_by_link(change: Change, secret: str, by: Actor) -> UUID:
    """Lift the lock that a mailed link is for, and return the code's id.

    Raises:
        LinkUnusable: it was used, is too old, or never was one.
    """
    is_it = (USER_CODE_LINKS.c.hash == _digest(secret)) & (USER_CODE_LINKS.c.until >= change.now)
    taken = delete(USER_CODE_LINKS).where(is_it).returning(USER_CODE_LINKS.c.code)
    code: UUID | None = change.connection.execute(taken).scalar()
    if code is None:
        raise LinkUnusable
    lift(change, code, by)
    return code


def _nobodys_hash() -> str:
    """Return the hash of a code that nobody knows."""
    return PasswordHasher().hash(secrets.token_urlsafe())


def _lock_saved(change: Change, identity: UUID) -> None:
    """Lock the code of a saved file that is not kept any more: the file itself says what it is."""
    _add(change, identity, NewUserCode(_nobodys_hash()), change.now + _SAVED_LIFE)
    locked = update(USER_CODES).where(USER_CODES.c.id == identity)
    change.connection.execute(locked.values(spent=TRIES, is_told=True))


def _add(change: Change, identity: UUID, new: NewUserCode, until: datetime | None) -> None:
    row = {"id": identity, "hash": new.hash, "sealed": new.sealed, "until": until}
    fresh = {"spent": 0, "epoch": 0, "is_told": False}
    kept = change.insert(USER_CODES).values(row | fresh)
    change.connection.execute(
        kept.on_conflict_do_update(
            index_elements=[USER_CODES.c.id], set_={"until": until}, where=USER_CODES.c.until.is_not(None)
        )
    )


def _tell_once(change: Change, code: UUID, tell_locked: Callable[[Change, UUID], None]) -> None:
    """Tell that a code is locked, unless it is not, or somebody was told."""
    untold = (USER_CODES.c.id == code) & (USER_CODES.c.spent >= TRIES) & ~USER_CODES.c.is_told
    if change.connection.execute(update(USER_CODES).where(untold).values(is_told=True)).rowcount == 1:
        change.event(_LOCKED, str(code), Actor(Role.CENTRE, "centre"), {})
        tell_locked(change, code)


def _renew(change: Change, code: UUID, **values: object) -> None:
    """Give a code all its tries. What was asked before this, settles nothing after it."""
    fresh = {"spent": 0, "epoch": USER_CODES.c.epoch + 1, "is_told": False, **values}
    change.connection.execute(update(USER_CODES).where(USER_CODES.c.id == code).values(fresh))
    change.connection.execute(delete(USER_CODE_LINKS).where(USER_CODE_LINKS.c.code == code))


def _require_tries(number: int) -> None:
    """See that a try of a network is one of those of this hour. It counts before it is known to be right.

    Raises:
        TooManyTries: it has had all of them.
    """
    if number > NETWORK_TRIES:
        raise TooManyTries(minutes=network_limits.WINDOW // timedelta(minutes=1))


def _settle(change: Change, code: UUID, digest: str, epoch: int, network: str) -> bool:
    """Give the tries back after a right code; return whether it still is the code.

    Only the tries of its own epoch: a lock that came after another right code, or a lifted one, stays.
    """
    network_limits.give_back(change, _TRY, network)  # locked before the code, as when the try was spent
    ours = USER_CODES.c.epoch == epoch
    settled = (
        update(USER_CODES)
        .where(USER_CODES.c.id == code, USER_CODES.c.hash == digest)
        .values(
            spent=case((ours, 0), else_=USER_CODES.c.spent),
            is_told=case((ours, False), else_=USER_CODES.c.is_told),
            epoch=USER_CODES.c.epoch + case((ours, 1), else_=0),
        )
    )
    return change.connection.execute(settled).rowcount == 1


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
