# SPDX-License-Identifier: Apache-2.0
"""The Exchange of the site's settings."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from xca_login.http import Exchange


def exchange() -> Exchange:
    """Return the setting XCA_LOGIN.

    Raises:
        ImproperlyConfigured: it is no Exchange.
    """
    found = getattr(settings, "XCA_LOGIN", None)
    if not isinstance(found, Exchange):
        raise ImproperlyConfigured("XCA_LOGIN is no xca_login.http.Exchange.")
    return found
