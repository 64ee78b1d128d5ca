# SPDX-License-Identifier: Apache-2.0
"""Accounts that logged in with a verified origin: none of them falls back to a declared one unseen.

A site that imitates another one can log in there as its own visitor, if that visitor's program does not
compare origins. Who logged in with a program that does is protected from that: a later login without it is
refused, unless the site permits it to the account by name (Policy.declared_accounts). Then the holder is
told.
"""

from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Protocol

from xca_login.login import Account


class AccountStore(Protocol):
    """Keeps which accounts logged in as verified. Many threads and processes may use it at once."""

    def verified(self, account: Account, at: datetime) -> datetime | None:
        """Note a login as verified, and return the declared login of which the holder was not told.

        Args:
            account: who logs in.
            at: when.

        Returns:
            When the account last logged in as declared, after it had logged in as verified; the same each
            time, until told() is called. None: there is none.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing was noted.
        """

    def declared(self, account: Account, at: datetime, *, is_permitted: bool) -> datetime | None:
        """Note a login as declared, and return when the account first logged in as verified; None: never.

        Args:
            account: who logs in.
            at: when.
            is_permitted: the site lets it in all the same. Else an account that logged in as verified is
                refused, and its login is not noted.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing was noted.
        """

    def told(self, account: Account, declared: datetime) -> None:
        """Note that the holder was told of a declared login, by a verified one that was let in.

        Args:
            account: whose.
            declared: when that was. Of a later one the holder was not told.

        Raises:
            StoreUnavailable: the store cannot be reached; the holder is told again.
        """


@dataclass
class _Kept:
    verified: datetime
    declared: datetime | None = None


class MemoryAccounts:
    """Keeps them in this process: for tests, and for sites that let in verified logins alone.

    What it knows is gone when the process ends: then an account may fall back. It keeps half a kilobyte of
    each card that logged in as verified, and drops none for another: that one could fall back then.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[Account, _Kept] = {}

    def verified(self, account: Account, at: datetime) -> datetime | None:
        """Note a login as verified (AccountStore.verified)."""
        with self._lock:
            return self._kept.setdefault(account, _Kept(at)).declared

    def declared(self, account: Account, at: datetime, *, is_permitted: bool) -> datetime | None:
        """Note a login as declared (AccountStore.declared)."""
        with self._lock:
            kept = self._kept.get(account)
            if kept is None:
                return None
            if is_permitted:
                kept.declared = at
            return kept.verified

    def told(self, account: Account, declared: datetime) -> None:
        """Note that the holder was told (AccountStore.told)."""
        with self._lock:
            kept = self._kept.get(account)
            if kept is not None and kept.declared is not None and kept.declared <= declared:
                kept.declared = None
