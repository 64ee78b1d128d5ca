# SPDX-License-Identifier: Apache-2.0
"""What a card signs as a text or a file, and what it does not."""

from xca_common.i18n import Text
from xca_common.pki.attribute_set import AttributeSetFile, is_attribute_set
from xca_common.pki.cms_types import cms
from xca_common.statement import ORIGIN_ATTRIBUTE, Beginning, begins_as_statement
from xca_plugin import errors
from xca_plugin.i18n import text

_STATEMENT = text(
    "it is a statement (xca-statement), which is signed only for the web site that it names, in the agent's "
    "window"
)
_ATTRIBUTES = text(
    "it is the part of a CMS file that a signature is made over; signed as a file, it would pass for a "
    "signature of another file"
)
_ORIGIN = text("it names the web site that asked, which only the agent may")


class SignableFile:
    """Looks at a file in chunks while it is read to be signed."""

    def __init__(self) -> None:
        self._beginning, self._set = Beginning(), AttributeSetFile()

    def add(self, chunk: bytes) -> None:
        """Take the next chunk."""
        self._beginning.add(chunk)
        self._set.add(chunk)

    def check(self) -> None:
        """Make sure that the whole file may be signed.

        Raises:
            NotToBeSigned: it is a statement or a SET OF Attribute.
        """
        _check(is_statement=self._beginning.is_statement, is_set=self._set.is_attribute_set)


def check_text(data: bytes) -> None:
    """Make sure that data may be signed as a text.

    Raises:
        NotToBeSigned: it is a statement or a SET OF Attribute.
    """
    _check(is_statement=begins_as_statement(data), is_set=is_attribute_set(data))


def check_input(data: bytes) -> None:
    """Make sure that a program may have the input of a signature signed: data, or the attributes of CMS.

    Raises:
        NotToBeSigned: it is a statement, or has the attribute with which the agent names a web site.
    """
    _check(is_statement=begins_as_statement(data), is_set=False)
    if is_attribute_set(data) and _names_an_origin(data):
        raise errors.NotToBeSigned(reason=_ORIGIN)


def _check(*, is_statement: bool, is_set: bool) -> None:
    reason: Text | None = _STATEMENT if is_statement else _ATTRIBUTES if is_set else None
    if reason is not None:
        raise errors.NotToBeSigned(reason=reason)


def _names_an_origin(attributes: bytes) -> bool:
    try:
        return any(
            attribute["type"].dotted == ORIGIN_ATTRIBUTE for attribute in cms.CMSAttributes.load(attributes)
        )
    except (ValueError, TypeError):
        return True  # in doubt it is not signed
