# SPDX-License-Identifier: Apache-2.0
"""Logins for Django: an app with a backend, views, a page, a list of keys for the admin, and system checks.

The site's settings name it, its backend and its Exchange; the site's URLs include its own::

    INSTALLED_APPS = [..., "xca_login.integrations.django"]
    AUTHENTICATION_BACKENDS = [..., "xca_login.integrations.django.backends.CardBackend"]
    verifier = Verifier(site, TrustFolder(...), Revocation(...), accounts=DjangoAccounts())
    XCA_LOGIN = Exchange(site, verifier, DjangoChallenges())
    SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"
    urlpatterns = [..., path("login/", include("xca_login.integrations.django.urls"))]
"""
