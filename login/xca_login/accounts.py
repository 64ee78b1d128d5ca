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
            When the account last logged in as declared, after it had logged in as verified. Each such login
            is returned once. None: there is none.

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


@dataclass
class _Kept:
    verified: datetime
    declared: datetime | None = None


class MemoryAccounts:
    """Keeps them in this process: for tests, and for sites that let in verified logins alone.

    What it knows is gone when the process ends: then an account may fall back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[Account, _Kept] = {}

    def verified(self, account: Account, at: datetime) -> datetime | None:
        """Note a login as verified (AccountStore.verified)."""
        with self._lock:
            kept = self._kept.setdefault(account, _Kept(at))
            declared, kept.declared = kept.declared, None
            return declared

    def declared(self, account: Account, at: datetime, *, is_permitted: bool) -> datetime | None:
        """Note a login as declared (AccountStore.declared)."""
        with self._lock:
            kept = self._kept.get(account)
            if kept is None:
                return None
            if is_permitted:
                kept.declared = at
            return kept.verified
