# SPDX-License-Identifier: Apache-2.0
"""Open challenges in the site's own database, for all its processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import DatabaseError, transaction

from xca_login.challenges import MOST_OF_A_SESSION, Challenge
from xca_login.errors import StoreUnavailable, TooManyChallenges


class DjangoChallenges:
    """Keeps challenges in Django's default database (ChallengeStore).

    Args:
        most: challenges that are open at once.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most

    def add(self, session: str, challenge: Challenge, at: datetime) -> None:
        """Keep a challenge (ChallengeStore.add)."""
        with _transaction():
            from xca_login.integrations.django.models import OpenChallenge  # after Django's start

            kept = OpenChallenge.objects
            kept.filter(until__lt=at).delete()
            if kept.exclude(session=session).count() >= self._most:
                raise TooManyChallenges
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
            found = chosen.first()
            deleted, _ = chosen.delete()
        return Challenge(bytes(found.text), nonce, found.until) if found and deleted else None


@contextmanager
def _transaction() -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
    except DatabaseError as error:
        raise StoreUnavailable from error
