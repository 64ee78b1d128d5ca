# SPDX-License-Identifier: Apache-2.0
"""A site with Django that lets in holders of cards: a project's settings, URLs and views."""

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.cache import never_cache

from xca_login import Revocation, Site, TrustFolder, Verifier
from xca_login.http import Exchange
from xca_login.integrations.django.store import DjangoAccounts, DjangoChallenges


def settings_of(origin: str, folder: Path, hosts: tuple[str, ...] = ()) -> dict[str, object]:
    """Return the settings that a login needs; the certificates of the CAs are in folder/ca."""
    site, lists = Site(origin, "投標網"), Revocation(folder / "lists", hosts)
    verifier = Verifier(site, TrustFolder(folder / "ca"), lists, accounts=DjangoAccounts())
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
    return {"SESSION_COOKIE_NAME": "__Host-sessionid", "SESSION_COOKIE_SECURE": True} | {
        "ALLOWED_HOSTS": [urlsplit(origin).hostname],
        "AUTHENTICATION_BACKENDS": ["xca_login.integrations.django.backends.CardBackend"],
        "DATABASES": {"default": {**sqlite, "NAME": folder / "site.db"}},
        "SECRET_KEY": secrets.token_urlsafe(),
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "same-origin-allow-popups",
        "XCA_LOGIN": Exchange(site, verifier, DjangoChallenges()),
    }


@never_cache
@login_required(login_url="/login/")
def bids(request: HttpRequest) -> HttpResponse:
    """Show what only holders of cards see."""
    return HttpResponse(f"bids of {request.user.card_keys.get().organisation}")  # type: ignore[union-attr]  # a user


urlpatterns = [path("bids", bids), path("login/", include("xca_login.integrations.django.urls"))]
