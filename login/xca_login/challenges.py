# SPDX-License-Identifier: Apache-2.0
"""Challenges: what a holder signs to log in. Each is made for one session of a browser, and used once."""

import hashlib
import heapq
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final, Protocol

from xca_common.statement import MalformedStatement, Statement, StatementKind
from xca_login.errors import ChallengeExpired, ChallengeUnknown, ContentWrong, TooManyChallenges
from xca_login.site import Site
from xca_login.token import Token

LIFETIME: Final = timedelta(seconds=300)
_COUNT_SECONDS: Final = 1.0
_MOST_TAKEN: Final = 100  # challenges whose end is still noted, beside twice those that are open
MOST_OF_A_SESSION: Final = 8
"""Open challenges of one session: one for each of its tabs. The ninth takes the place of the oldest."""


def now() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Challenge:
    """A challenge.

    Attributes:
        text: the statement to be signed.
        nonce: names it; it is part of the text.
        until: when it ends.
    """

    text: bytes
    nonce: str
    until: datetime


class ChallengeStore(Protocol):
    """Keeps open challenges under sessions. Many threads and processes may use it at once."""

    def add(self, session: str, challenge: Challenge, at: datetime) -> None:
        """Keep a challenge; it takes the place of the session's oldest if there are MOST_OF_A_SESSION.

        Args:
            session: digest of the session's id.
            challenge: the challenge.
            at: the time; what ended before it may be dropped.

        Raises:
            TooManyChallenges: those of other sessions fill the store.
            StoreUnavailable: the store cannot be reached; nothing was kept.
        """

    def take(self, session: str, nonce: str) -> Challenge | None:
        """Take a challenge out, so that nobody else gets it; None: the session has none with this nonce.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing was taken.
        """


class MemoryStore:
    """Keeps challenges in this process: for sites with one process, and for tests.

    Args:
        most: challenges that are open at once. Those that have ended go when another one begins.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._lock = Lock()
        self._open: dict[tuple[str, str], Challenge] = {}
        self._of: dict[str, list[str]] = {}
        self._ends: list[tuple[datetime, str, str]] = []  # a heap; it also has some that were taken

    def add(self, session: str, challenge: Challenge, at: datetime) -> None:
        """Keep a challenge (ChallengeStore.add)."""
        with self._lock:
            self._drop_ended(at)
            own = self._of.get(session, [])
            if len(own) >= MOST_OF_A_SESSION:
                self._drop(session, own[0])
            elif len(self._open) >= self._most:
                raise TooManyChallenges
            self._open[session, challenge.nonce] = challenge
            self._of.setdefault(session, []).append(challenge.nonce)
            heapq.heappush(self._ends, (challenge.until, session, challenge.nonce))

    def take(self, session: str, nonce: str) -> Challenge | None:
        """Take a challenge out (ChallengeStore.take)."""
        with self._lock:
            return self._drop(session, nonce)

    def _drop(self, session: str, nonce: str) -> Challenge | None:
        challenge = self._open.pop((session, nonce), None)
        if challenge is not None:
            own = self._of[session]
            own.remove(nonce)
            if not own:
                del self._of[session]
        return challenge

    def _drop_ended(self, at: datetime) -> None:
        if len(self._ends) > 2 * len(self._open) + _MOST_TAKEN:
            self._ends = [(one.until, *key) for key, one in self._open.items()]
            heapq.heapify(self._ends)
        while self._ends and self._ends[0][0] < at:
            _, session, nonce = heapq.heappop(self._ends)
            self._drop(session, nonce)


class Room:
    """How many more challenges a shared store takes: its rows are counted once a second.

    Args:
        most: challenges that are open at once; several processes may exceed it by what they add in a second.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._left = 0
        self._until = 0.0

    def take(self, count: Callable[[], int]) -> None:
        """Take the place of one challenge.

        Args:
            count: counts those that are open.

        Raises:
            TooManyChallenges: there is none.
        """
        with self._lock:
            if time.monotonic() >= self._until:
                self._left = self._most - count()
                self._until = time.monotonic() + _COUNT_SECONDS
            if self._left <= 0:
                raise TooManyChallenges
            self._left -= 1

    def give_back(self, count: int) -> None:
        """Give the places of challenges back that are gone."""
        with self._lock:
            self._left += count


class Challenges:
    """Makes challenges for a site, and finds the one that a token answers.

    Args:
        site: who asks.
        store: keeps the open ones.
        clock: tells the time, with a time zone.
    """

    def __init__(self, site: Site, store: ChallengeStore, *, clock: Callable[[], datetime] = now) -> None:
        self._site = site
        self._store = store
        self._clock = clock

    def new(self, session: str) -> Challenge:
        """Make a challenge for a session. A site does that by POST alone.

        Args:
            session: the id of the browser's session. It is not kept, only its digest.

        Raises:
            TooManyChallenges, StoreUnavailable: as ChallengeStore.add.
        """
        at = self._clock()
        nonce = secrets.token_hex(32)
        statement = Statement(StatementKind.LOGIN, self._site.origin, at, nonce, ())
        challenge = Challenge(statement.encode(), nonce, at + LIFETIME)
        self._store.add(_digest(session), challenge, at)
        return challenge

    def take(self, session: str, token: Token) -> Challenge:
        """Return the session's challenge that a token answers; it cannot be used again.

        Args:
            session: the id of the browser's session.
            token: what came back.

        Raises:
            ContentWrong: the token holds another text than a challenge.
            ChallengeUnknown: the session has no such challenge.
            ChallengeExpired: it ended.
            StoreUnavailable: as ChallengeStore.take.
        """
        try:
            nonce = Statement.parse(token.content).nonce
        except MalformedStatement:
            raise ContentWrong from None
        challenge = self._store.take(_digest(session), nonce)
        if challenge is None:
            raise ChallengeUnknown
        if not self._clock() <= challenge.until:
            raise ChallengeExpired
        return challenge

    def put_back(self, session: str, challenge: Challenge) -> None:
        """Let a challenge count again that was taken: what should have followed could not be kept.

        Raises:
            TooManyChallenges, StoreUnavailable: as ChallengeStore.add.
        """
        self._store.add(_digest(session), challenge, self._clock())


def _digest(session: str) -> str:
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()
