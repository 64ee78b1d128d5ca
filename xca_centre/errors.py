# SPDX-License-Identifier: Apache-2.0
"""Why the centre refuses, or cannot do, what somebody asked for: one class for each situation."""

from collections.abc import Sequence

from xca_centre.i18n import plural, text
from xca_common.errors import XcaError
from xca_common.i18n import Text


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


class BadCaseNumber(CentreError):
    """What was typed is no case number; nothing was looked up."""

    _message = text(
        "That is no case number: it has 25 digits in five groups, and one of them is wrong or missing."
    )
    _next_step = text("Copy it from the printed application, or read its QR code. No try was spent.")


class OrganisationFileError(CentreError):
    """A file of organisations cannot be imported; nothing of it was."""


class OrganisationFileTooBig(OrganisationFileError):
    """The file has more bytes or lines than are read."""

    bytes: int
    lines: int
    _message = text(
        "The file of organisations has more than {bytes} MiB or {lines} lines. Nothing was imported."
    )
    _next_step = text("Divide it into smaller files.")


class OrganisationFileInOtherEncoding(OrganisationFileError):
    """The file is not in UTF-8."""

    encoding: Text | str
    _message = text(
        "The file of organisations is not in UTF-8; its encoding looks like {encoding}. Nothing was imported."
    )
    _next_step = text("Save it as CSV UTF-8; a spreadsheet offers that under Save As. Then import it again.")


class OrganisationFileWithoutHeader(OrganisationFileError):
    """The first line does not name the columns."""

    columns: str
    _message = text(
        "The first line of the file of organisations does not name its columns. Nothing was imported."
    )
    _next_step = text("Write as its first line: {columns}")


class BadOrganisationLines(OrganisationFileError):
    """Lines of the file cannot be imported."""

    count: int
    lines: Sequence[Text]
    _message = plural(
        "{count} line cannot be imported, so nothing was: {lines}",
        "{count} lines cannot be imported, so nothing was: {lines}",
        "count",
    )
    _next_step = text("Correct them in the file. Then import it again.")
