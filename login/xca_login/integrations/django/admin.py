# SPDX-License-Identifier: Apache-2.0
"""The lists of cards' keys in Django's admin. What is in them comes from cards; it may be deleted there."""

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from xca_login.integrations.django.models import CardKey, EncryptionKey, VerifiedAccount


class _OfCards(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic class when it runs
    """A list that only cards add to."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds keys: a login or a registration does."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Nobody changes what a card said."""
        return False


@admin.register(CardKey)
class CardKeyAdmin(_OfCards):
    """Which keys log in whom, and when they did."""

    list_display = ("holder_name", "organisation", "rank", "user", "first_used", "last_used")
    search_fields = ("holder_name", "organisation", "key")
    list_filter = ("domain", "rank")
    date_hierarchy = "last_used"


@admin.register(VerifiedAccount)
class VerifiedAccountAdmin(_OfCards):
    """Which accounts may not log in with a declared origin any more. One that is deleted may again."""

    list_display = ("organisation", "account_key", "verified", "declared")
    search_fields = ("organisation", "account_key")
    list_filter = ("domain",)
    date_hierarchy = "verified"


@admin.register(EncryptionKey)
class EncryptionKeyAdmin(_OfCards):
    """Which keys things are encrypted to, until when, and whether their cards were seen to open anything."""

    list_display = ("holder_name", "organisation", "rank", "registered", "valid_until", "proved")
    search_fields = ("holder_name", "organisation", "fingerprint")
    list_filter = ("domain", "rank", ("proved", admin.EmptyFieldListFilter))
    date_hierarchy = "registered"
    exclude = ("certificate",)
