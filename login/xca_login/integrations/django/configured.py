# SPDX-License-Identifier: Apache-2.0
"""The Exchange of the site's settings, and the name of the template that a site may replace."""

from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from xca_login.http import Exchange

TEMPLATE: Final = "xca_login/login.html"
"""The page with the button."""


def exchange() -> Exchange:
    """Return the setting XCA_LOGIN.

    Raises:
        ImproperlyConfigured: it is no Exchange.
    """
    found = getattr(settings, "XCA_LOGIN", None)
    if not isinstance(found, Exchange):
        raise ImproperlyConfigured("XCA_LOGIN is no xca_login.http.Exchange.")
    return found
