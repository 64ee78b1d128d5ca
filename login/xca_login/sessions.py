# SPDX-License-Identifier: Apache-2.0
"""Sessions: who is logged in, in which browser. Each begins with a login, and has an id of its own."""

from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Final, Protocol

from xca_login.login import Account, Binding

MOST_OF_AN_ACCOUNT: Final = 16
"""Open sessions of one account. The next one takes the place of the oldest."""


@dataclass(frozen=True)
class Session:
    """Who is logged in. The attributes of the login are explained at Login.

    Attributes:
        account, holder_name, holder_kind, organisation_oid, tax_id, rank, binding: as at the login.
        at: when the login was verified.
        until: when the session ends.
    """

    account: Account
    holder_name: str
    holder_kind: str
    organisation_oid: str | None
    tax_id: str | None
    rank: str
    binding: Binding
    at: datetime
    until: datetime


class SessionStore(Protocol):
    """Keeps sessions under digests of their ids. Many threads and processes may use it at once."""

    def add(self, key: str, session: Session) -> None:
        """Keep a session; it takes the place of the account's oldest if there are MOST_OF_AN_ACCOUNT.

        Args:
            key: digest of the session's id.
            session: the session. What ended before it began may be dropped.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing was kept.
        """

    def get(self, key: str) -> Session | None:
        """Return a session, also one that ended; None: there is none.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """

    def remove(self, key: str) -> None:
        """Forget a session, if it is there.

        Raises:
            StoreUnavailable: the store cannot be reached; the session may still be there.
        """


class MemorySessions:
    """Keeps sessions in this process: for sites with one process, and for tests.

    Of each account it keeps MOST_OF_AN_ACCOUNT at most. Those that have ended go when another one begins.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, Session] = {}  # the oldest first
        self._of: dict[Account, list[str]] = {}

    def add(self, key: str, session: Session) -> None:
        """Keep a session (SessionStore.add)."""
        with self._lock:
            while self._kept:
                oldest, kept = next(iter(self._kept.items()))
                if kept.until >= session.at:
                    break
                self._drop(oldest)
            own = self._of.get(session.account, [])
            if len(own) >= MOST_OF_AN_ACCOUNT:
                self._drop(own[0])
            self._kept[key] = session
            self._of.setdefault(session.account, []).append(key)

    def get(self, key: str) -> Session | None:
        """Return a session (SessionStore.get)."""
        with self._lock:
            return self._kept.get(key)

    def remove(self, key: str) -> None:
        """Forget a session (SessionStore.remove)."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        session = self._kept.pop(key, None)
        if session is not None:
            own = self._of[session.account]
            own.remove(key)
            if not own:
                del self._of[session.account]
