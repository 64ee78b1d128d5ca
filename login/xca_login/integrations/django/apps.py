# SPDX-License-Identifier: Apache-2.0
"""The Django app."""

from django.apps import AppConfig


class LoginConfig(AppConfig):
    """The app of card logins."""

    name = "xca_login.integrations.django"
    label = "xca_login"
    verbose_name = "xca-login"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from xca_login.integrations.django import checks  # noqa: F401  # only after the settings are read
