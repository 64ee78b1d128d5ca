# SPDX-License-Identifier: Apache-2.0
"""The list of cards' keys in Django's admin. Keys come from logins alone; they may be deleted there."""

from django.contrib import admin
from django.http import HttpRequest

from xca_login.integrations.django.models import CardKey


@admin.register(CardKey)
class CardKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic class when it runs
    """Which keys log in whom, and when they did."""

    list_display = ("holder_name", "organisation", "rank", "user", "first_used", "last_used")
    search_fields = ("holder_name", "organisation", "key")
    list_filter = ("domain", "rank")
    date_hierarchy = "last_used"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds keys: a key is proved by a login."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: CardKey | None = None) -> bool:
        """Nobody changes what a login said."""
        return False
