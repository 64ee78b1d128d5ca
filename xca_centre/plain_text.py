# SPDX-License-Identifier: Apache-2.0
"""What strangers write into the centre's forms and files: one line that can be shown, printed and listed."""

import re
import unicodedata
from typing import Final

from xca_centre.i18n import text
from xca_common.harmless_text import harmless
from xca_common.i18n import Text

# What spreadsheets take for a formula when they open a list that the centre wrote.
_FORMULA: Final = ("=", "+", "-", "@")
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Of addr-spec (RFC 5322, section 3.4.1) what mail systems take, in ASCII: rfc822Name has nothing else
# (RFC 5280, section 4.2.1.6).
# Domains end with a name: what ends with a number is an address of a computer (RFC 3696, section 2).
_EMAIL: Final = re.compile(
    rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*"
    rf"@(?:{_LABEL}\.)+(?=[A-Za-z]){_LABEL}"
)
_ENCODED: Final = "=?"  # begins what headers of mails read as other characters (RFC 2047, section 2)
_LONGEST_EMAIL: Final = 254  # RFC 5321, section 4.5.3.1.3
_LONGEST_LOCAL_PART: Final = 64
_PHONE: Final = re.compile(r"\+?[0-9() -]{6,24}(?:#[0-9]{1,8})?")
_LEAST_PHONE_DIGITS: Final = 6


def objection(value: str, what: Text, longest: int) -> Text | None:
    """Return what is wrong with a text that is to stand in certificates, letters and lists; None: nothing.

    Args:
        value: the text.
        what: how a person calls it.
        longest: most characters.
    """
    if not value:
        return text("{what} is missing").format(what=what)
    if len(value) > longest:
        return text("{what} has more than {most} characters").format(what=what, most=longest)
    # A certificate takes only printable characters: of the blanks, the one of ASCII.
    is_shown = value.isprintable() and harmless(value, longest=None) == value
    if not is_shown or unicodedata.normalize("NFC", value) != value:
        return text("{what} has characters that cannot be seen, or are not composed: {value}").format(
            what=what, value=value
        )
    if value.startswith(_FORMULA):
        return text("{what} begins as a formula of a spreadsheet: {value}").format(what=what, value=value)
    return None


def is_email(value: str) -> bool:
    """Tell whether a text is an e-mail address that can stand in a certificate."""
    local, _, _ = value.partition("@")
    fits = len(value) <= _LONGEST_EMAIL and len(local) <= _LONGEST_LOCAL_PART and _ENCODED not in local
    return fits and _EMAIL.fullmatch(value) is not None


def is_phone(value: str) -> bool:
    """Tell whether a text is a telephone number, such as (02)2192-7111#12."""
    return _PHONE.fullmatch(value) is not None and sum(map(str.isdecimal, value)) >= _LEAST_PHONE_DIGITS
