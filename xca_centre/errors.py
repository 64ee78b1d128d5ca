# SPDX-License-Identifier: Apache-2.0
"""Why the centre refuses, or cannot do, what somebody asked for: one class for each situation."""

from xca_centre.i18n import text
from xca_common.errors import XcaError


class CentreError(XcaError):
    """Something that an applicant, a holder, an officer or an operator of the centre has to know."""


class KeyTokenError(CentreError):
    """A token with keys of the centre cannot do its part.

    Attributes:
        label: the token's label.
    """

    label: str


class TokenUnavailable(KeyTokenError):
    """The token is not there, or does not work."""

    detail: str
    _message = text("The token {label}, which holds keys of the centre, cannot be used: {detail}.")
    _next_step = text("See that the token is connected and its PKCS#11 module set up. Then do it again.")


class TokenPinRefused(KeyTokenError):
    """The token refused its PIN, which is not tried again."""

    detail: str
    _message = text("The token {label}, which holds keys of the centre, refused its PIN ({detail}).")
    _next_step = text("Set the right PIN, and start the program again. Too many wrong ones lock the token.")


class NoTokenKey(KeyTokenError):
    """The token has no key of a name, or several."""

    name: str
    _message = text("The token {label} does not have exactly one key named {name}.")
    _next_step = text("Connect the token on which the centre was begun.")


class KeyStaysInToken(KeyTokenError):
    """Somebody asked for the private numbers of a key in a token."""

    name: str
    _message = text("The key {name} does not leave the token {label}.")
    _next_step = text("Have the token sign or decrypt.")
