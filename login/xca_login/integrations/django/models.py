# SPDX-License-Identifier: Apache-2.0
"""What is kept in the site's database: keys of cards, and open challenges."""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models


class CardKey(models.Model):
    """The key of a card that logged in, and the user whom it logs in.

    Attributes:
        user: the user. A user may have several cards.
        domain, organisation, key: the account (xca_login.Account).
        holder_name, rank: as at the last login.
        first_used, last_used: times of the first and of the last login.
    """

    user: "models.ForeignKey[Any, Any]" = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="card_keys"
    )
    domain: "models.CharField[str, str]" = models.CharField(max_length=64)
    organisation: "models.CharField[str, str]" = models.CharField(max_length=255)
    key: "models.CharField[str, str]" = models.CharField(max_length=64)
    holder_name: "models.TextField[str, str]" = models.TextField()
    rank: "models.CharField[str, str]" = models.CharField(max_length=16)
    first_used: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    last_used: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()

    class Meta:
        """One row for each account."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["domain", "organisation", "key"], name="xca_login_account")
        ]

    def __str__(self) -> str:
        return f"{self.holder_name} ({self.organisation})"


class OpenChallenge(models.Model):
    """A challenge that was not answered yet (xca_login.Challenge).

    Attributes:
        session: digest of the browser's id.
        nonce, text, until: as in Challenge.
    """

    session: "models.CharField[str, str]" = models.CharField(max_length=64)
    nonce: "models.CharField[str, str]" = models.CharField(max_length=64)
    text: "models.BinaryField[bytes, bytes]" = models.BinaryField()
    until: "models.DateTimeField[datetime, datetime]" = models.DateTimeField(db_index=True)

    class Meta:
        """One row for each challenge."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["session", "nonce"], name="xca_login_challenge")
        ]
