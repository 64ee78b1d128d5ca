# SPDX-License-Identifier: Apache-2.0
"""What a person is told whose request the provider does not carry out, and whom it cannot send back."""

from xca_login.errors import LoginRefused
from xca_login.i18n import text

_START_AGAIN = text("Go back to the site that you came from, and begin there again.")
_TELL_THAT_SITE = text("Tell the operator of the site that you came from.")


class OidcRefused(LoginRefused):
    """A request to the provider is not carried out."""


class ClientUnknown(OidcRefused):
    """No client, or another one, is registered with this client_id and redirect_uri."""

    code = "client_unknown"
    _message = text(
        "The site that you came from is not registered here, or not with this address to go back to."
    )
    _next_step = _TELL_THAT_SITE


class AskedMalformed(OidcRefused):
    """The parameters are none, too many, too long, or there twice."""

    code = "asked_malformed"
    _message = text("The site that you came from asked for the login in a wrong way.")
    _next_step = _TELL_THAT_SITE


class AskedTooLate(OidcRefused):
    """The request began too long ago, in another session, or is none of this provider's."""

    code = "asked_too_late"
    _message = text("This login took too long, or did not begin in this browser.")
    _next_step = _START_AGAIN


class AskedFromElsewhere(OidcRefused):
    """The request did not come from a page of the provider, or not to its own name."""

    code = "asked_from_elsewhere"
    _message = text("Another site's page sent this request.")
    _next_step = _START_AGAIN


class PageUnknown(OidcRefused):
    """There is no such page."""

    code = "page_unknown"
    _message = text("There is no such page here.")
    _next_step = _START_AGAIN


class ProviderFailed(OidcRefused):
    """Something unexpected happened; the log says where."""

    code = "provider_failed"
    _message = text("Something unexpected happened.")
    _next_step = text("Begin again. If it happens again, tell the operator of this site.")
