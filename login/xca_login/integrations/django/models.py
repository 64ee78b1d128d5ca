# SPDX-License-Identifier: Apache-2.0
"""What is kept in the site's database: keys of cards, verified accounts, keys for encryption, challenges."""

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


class VerifiedAccount(models.Model):
    """An account that logged in with a verified origin (xca_login.AccountStore).

    Attributes:
        domain, organisation, account_key: the account.
        verified: when it first did.
        declared: its last login with a declared origin since, of which the holder was not told.
    """

    domain: "models.CharField[str, str]" = models.CharField(max_length=64)
    organisation: "models.CharField[str, str]" = models.CharField(max_length=255)
    account_key: "models.CharField[str, str]" = models.CharField(max_length=64)
    verified: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    declared: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)

    class Meta:
        """One row for each account."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["domain", "organisation", "account_key"], name="xca_login_verified_account"
            )
        ]

    def __str__(self) -> str:
        return "/".join((self.domain, self.organisation, self.account_key))


class EncryptionKey(models.Model):
    """The key for encryption that a card registered (xca_login.RegisteredKey).

    Attributes:
        domain, organisation, account_key: the account.
        holder_name, rank, certificate, key, valid_from, valid_until, registered, proved: as there.
        fingerprint: SHA-256 of the certificate, hexadecimal.
    """

    domain: "models.CharField[str, str]" = models.CharField(max_length=64)
    organisation: "models.CharField[str, str]" = models.CharField(max_length=255)
    account_key: "models.CharField[str, str]" = models.CharField(max_length=64)
    holder_name: "models.TextField[str, str]" = models.TextField()
    rank: "models.CharField[str, str]" = models.CharField(max_length=16)
    certificate: "models.BinaryField[bytes, bytes]" = models.BinaryField()
    fingerprint: "models.CharField[str, str]" = models.CharField(max_length=64)
    key: "models.CharField[str, str]" = models.CharField(max_length=64)
    valid_from: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    valid_until: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    registered: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    proved: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)

    class Meta:
        """One row for each account."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["domain", "organisation", "account_key"], name="xca_login_encryption_account"
            )
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
