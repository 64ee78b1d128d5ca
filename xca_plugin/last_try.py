# SPDX-License-Identifier: Apache-2.0
"""Whether a card's last try may be spent: what a person types for it, and the variable XCA_LAST_TRY.

The module reads the variable under the lock under which it counts the tries and spends one.
"""

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from xca_common.i18n import LANGUAGES
from xca_plugin.i18n import text

WORDS: Final = text("last try")
"""The words that a person types to spend the last try."""
_VARIABLE: Final = "XCA_LAST_TRY"


def confirms(typed: str) -> bool:
    """Tell whether a person typed the words, in either language; capitals, widths and blanks do not count."""
    return _plain(typed) in [_plain(WORDS(language)) for language in LANGUAGES]


def pattern() -> str:
    """Return the pattern of an HTML field that takes the words of the language that is spoken."""
    letters = (f"[{each.lower()}{each.upper()}]" if each.isascii() else each for each in _plain(WORDS()))
    return r"\s*".join(["", *letters, ""])


def _plain(words: str) -> str:
    return "".join(unicodedata.normalize("NFKC", words).casefold().split())


def allow() -> None:
    """Let the module spend the last try until this process ends."""
    os.environ[_VARIABLE] = "allow"


@contextmanager
def allowed() -> Iterator[None]:
    """Let the module spend the last try in this block. Use it after the person agreed."""
    with _saying("allow"):
        yield


@contextmanager
def kept() -> Iterator[None]:
    """Have the module refuse the last try in this block with CKR_FUNCTION_REJECTED.

    Use it where nobody was told that this may be the last one.
    """
    with _saying("keep"):
        yield


@contextmanager
def _saying(word: str) -> Iterator[None]:
    # Set to empty afterwards, not removed: another thread may be reading the environment.
    before = os.environ.get(_VARIABLE, "")
    os.environ[_VARIABLE] = word
    try:
        yield
    finally:
        os.environ[_VARIABLE] = before
