# SPDX-License-Identifier: Apache-2.0
"""System checks: settings with which nobody could log in, or not safely."""

from collections.abc import Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.utils.module_loading import import_string

from xca_login.http import SESSION_LIFETIME
from xca_login.integrations.django.backends import CardBackend
from xca_login.integrations.django.configured import TEMPLATE, exchange

_CUTTING: Final = frozenset({"same-origin", "noopener-allow-popups"})
"""Policies under which the local component's window cannot speak to the page that opened it (HTML, 7.1.3)."""
_MIDDLEWARE: Final = "django.middleware.security.SecurityMiddleware"
_NEEDED: Final = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


@register(Tags.security)
def check_opener_policy(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Warn of an opener policy that cuts the page from the local component's window."""
    policy = settings.SECURE_CROSS_ORIGIN_OPENER_POLICY
    if _MIDDLEWARE not in settings.MIDDLEWARE or policy not in _CUTTING:
        return []
    return [
        Warning(
            f"SECURE_CROSS_ORIGIN_OPENER_POLICY is {policy!r}: no page can speak to the local component.",
            hint="Set it to 'same-origin-allow-popups'.",
            id="xca_login.W001",
        )
    ]


@register(Tags.security)
def check_session_cookie(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Warn of a session's cookie that is sent in the clear, or that a sibling host can set."""
    try:
        is_https = exchange().site.origin.startswith("https:")
    except ImproperlyConfigured:  # check_settings() tells
        return []
    if not is_https or (
        settings.SESSION_COOKIE_SECURE and settings.SESSION_COOKIE_NAME.startswith("__Host-")
    ):
        return []
    return [
        Warning(
            "The session's cookie is not of this host and https alone.",
            hint="Set SESSION_COOKIE_SECURE = True and SESSION_COOKIE_NAME = '__Host-sessionid'.",
            id="xca_login.W002",
        )
    ]


@register(Tags.security)
def check_session_lifetime(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Warn of sessions that end with the browser, and that a copied cookie keeps for longer."""
    most = int(SESSION_LIFETIME.total_seconds())
    if not settings.SESSION_EXPIRE_AT_BROWSER_CLOSE or most >= settings.SESSION_COOKIE_AGE:
        return []
    return [
        Warning(
            "A session ends with the browser, and at last after SESSION_COOKIE_AGE: more than eight hours.",
            hint=f"Set SESSION_COOKIE_AGE = {most}, or less.",
            id="xca_login.W003",
        )
    ]


@register(Tags.security)
def check_accounts(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Warn where a restart forgets which accounts logged in with a verified origin."""
    try:
        verifier = exchange().verifier
    except ImproperlyConfigured:  # check_settings() tells
        return []
    if verifier.remembers_accounts:
        return []
    return [
        Warning(
            "Each process remembers for itself which accounts logged in with a verified origin.",
            hint="Set XCA_LOGIN = Exchange(site, Verifier(…, accounts=DjangoAccounts()), …).",
            id="xca_login.W004",
        )
    ]


@register(Tags.security)
def check_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Tell what is missing in the settings."""
    errors: list[CheckMessage] = []
    try:
        exchange()
    except ImproperlyConfigured as error:
        hint = "Set XCA_LOGIN = Exchange(site, verifier, DjangoChallenges())."
        errors.append(Error(str(error), hint=hint, id="xca_login.E001"))
    backends = [import_string(name) for name in settings.AUTHENTICATION_BACKENDS]
    if not any(isinstance(one, type) and issubclass(one, CardBackend) for one in backends):
        hint = "Add 'xca_login.integrations.django.backends.CardBackend', or a class that is made from it."
        errors.append(Error("AUTHENTICATION_BACKENDS has no CardBackend.", hint=hint, id="xca_login.E002"))
    if not settings.USE_TZ:
        hint = "Set USE_TZ = True: the times of logins have a time zone."
        errors.append(Error("USE_TZ is False.", hint=hint, id="xca_login.E003"))
    return errors


@register(Tags.security)
def check_project(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Tell what is missing around a login: middleware that keeps sessions, the template of its page."""
    errors: list[CheckMessage] = []
    there = [import_string(name) for name in settings.MIDDLEWARE]
    for name in _NEEDED:
        needed = import_string(name)
        if not any(isinstance(one, type) and issubclass(one, needed) for one in there):
            hint = f"Add {name!r}, or a class that is made from it. Sessions come before users."
            errors.append(Error(f"MIDDLEWARE has no {needed.__name__}.", hint=hint, id="xca_login.E004"))
    try:
        get_template(TEMPLATE)
    except (TemplateDoesNotExist, ImproperlyConfigured):
        hint = "Set APP_DIRS = True in TEMPLATES, or put a template of your own there."
        errors.append(Error(f"The template {TEMPLATE} is not found.", hint=hint, id="xca_login.E005"))
    return errors
