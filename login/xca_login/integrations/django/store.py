# SPDX-License-Identifier: Apache-2.0
"""Open challenges, accounts and registered keys in the site's own database, for all its processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import Error, IntegrityError, transaction
from django.db.models import F

from xca_login.challenges import MOST_OF_A_SESSION, Challenge, Room
from xca_login.errors import StoreUnavailable
from xca_login.login import Account
from xca_login.registered_keys import RegisteredKey

if TYPE_CHECKING:
    from xca_login.integrations.django.models import EncryptionKey


class DjangoChallenges:
    """Keeps challenges in Django's default database (ChallengeStore).

    Args:
        most: challenges that are open at once.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._room = Room(most)

    def add(self, session: str, challenge: Challenge, at: datetime) -> None:
        """Keep a challenge (ChallengeStore.add)."""
        with _transaction():
            from xca_login.integrations.django.models import OpenChallenge  # after Django's start

            kept = OpenChallenge.objects
            ended, _ = kept.filter(until__lt=at).delete()
            self._room.give_back(ended)
            if kept.filter(session=session).count() < MOST_OF_A_SESSION:
                self._room.take(kept.count)
            kept.create(session=session, nonce=challenge.nonce, text=challenge.text, until=challenge.until)
            # The new one stays, also if the clock was set back and it ends first.
            earlier = kept.filter(session=session).exclude(nonce=challenge.nonce).order_by("-until")
            over = [one.pk for one in earlier[MOST_OF_A_SESSION - 1 :]]
            kept.filter(pk__in=over).delete()

    def take(self, session: str, nonce: str) -> Challenge | None:
        """Take a challenge out (ChallengeStore.take): of several that try at once, one gets it."""
        with _transaction():
            from xca_login.integrations.django.models import OpenChallenge

            chosen = OpenChallenge.objects.filter(session=session, nonce=nonce)
            # What writes first has the row alone. SQLite refuses to let one write that has read what changed.
            if not chosen.update(until=F("until")):
                return None
            found = chosen.get()
            chosen.delete()
        self._room.give_back(1)
        return Challenge(bytes(found.text), nonce, found.until)


class DjangoAccounts:
    """Keeps in Django's default database which accounts logged in as verified (AccountStore)."""

    def verified(self, account: Account, at: datetime) -> datetime | None:
        """Note a login as verified (AccountStore.verified)."""
        with reaching():
            from xca_login.integrations.django.models import VerifiedAccount  # after Django's start

            # Not in one transaction: SQLite refuses to let one write that has read what changed.
            kept = VerifiedAccount.objects
            found, _ = kept.get_or_create(**_account(account), defaults={"verified": at})
        return found.declared

    def declared(self, account: Account, at: datetime, *, is_permitted: bool) -> datetime | None:
        """Note a login as declared (AccountStore.declared)."""
        with _transaction():
            from xca_login.integrations.django.models import VerifiedAccount

            chosen = VerifiedAccount.objects.filter(**_account(account))
            if is_permitted:
                chosen.update(declared=at)
            found = chosen.first()
        return found.verified if found else None

    def told(self, account: Account, declared: datetime) -> None:
        """Note that the holder was told (AccountStore.told)."""
        with reaching():
            from xca_login.integrations.django.models import VerifiedAccount

            chosen = VerifiedAccount.objects.filter(**_account(account), declared__lte=declared)
            chosen.update(declared=None)


class DjangoKeys:
    """Keeps registered keys in Django's default database (KeyStore)."""

    def put(self, key: RegisteredKey) -> RegisteredKey | None:
        """Keep a key (KeyStore.put). What writes first has the account's row alone until it is done."""
        with _transaction():
            from xca_login.integrations.django.models import EncryptionKey  # after Django's start

            new = {
                "holder_name": key.holder_name,
                "rank": key.rank,
                "certificate": key.certificate,
                "fingerprint": key.fingerprint,
                "key": key.key,
                "valid_from": key.valid_from,
                "valid_until": key.valid_until,
                "registered": key.registered,
                "proved": None,
            }
            try:
                with transaction.atomic():
                    row = EncryptionKey.objects.create(**_account(key.account), **new)
            except IntegrityError:  # the account has a key
                row = EncryptionKey.objects.select_for_update().get(**_account(key.account))
                before = _key(row)
                if before.valid_from > key.valid_from:
                    return None
                if before.certificate == key.certificate:
                    new["registered"] = before.registered
                if before.key == key.key:
                    new["proved"] = before.proved
                for name, value in new.items():
                    setattr(row, name, value)
                row.save()
            return _key(row)

    def get(self, account: Account) -> RegisteredKey | None:
        """Return the key of an account (KeyStore.get)."""
        found = self._found(**_account(account))
        return found[0] if found else None

    def of_organisation(self, domain: str, organisation: str) -> Sequence[RegisteredKey]:
        """Return the keys of an organisation's cards (KeyStore.of_organisation)."""
        return self._found(domain=domain, organisation=organisation)

    def prove(self, key: RegisteredKey, at: datetime) -> RegisteredKey | None:
        """Note that a key is proved (KeyStore.prove)."""
        with _transaction():
            from xca_login.integrations.django.models import EncryptionKey

            chosen = EncryptionKey.objects.filter(**_account(key.account), fingerprint=key.fingerprint)
            chosen.filter(proved=None).update(proved=at)
            row = chosen.first()
        return _key(row) if row else None

    def _found(self, **chosen: str) -> list[RegisteredKey]:
        with _transaction():
            from xca_login.integrations.django.models import EncryptionKey

            return [_key(row) for row in EncryptionKey.objects.filter(**chosen).order_by("account_key")]


def _account(account: Account) -> dict[str, str]:
    return {"domain": account.domain, "organisation": account.organisation, "account_key": account.key}


def _key(row: "EncryptionKey") -> RegisteredKey:
    return RegisteredKey(
        Account(row.domain, row.organisation, row.account_key),
        row.holder_name,
        row.rank,
        bytes(row.certificate),
        row.key,
        row.valid_from,
        row.valid_until,
        row.registered,
        row.proved,
    )


@contextmanager
def reaching() -> Iterator[None]:
    """Do what is in the block with the database.

    Raises:
        StoreUnavailable: it cannot be reached.
    """
    try:
        yield
    except Error as error:
        raise StoreUnavailable from error


@contextmanager
def _transaction() -> Iterator[None]:
    with reaching(), transaction.atomic():
        yield
