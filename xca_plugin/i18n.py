# SPDX-License-Identifier: Apache-2.0
"""Words for people, in English and Traditional Chinese, through gettext.

English is the message id; locale/zh_TW holds the Chinese. Without a language named, the one being spoken
decides (speaking()), else the environment as gettext does: LANGUAGE, LC_ALL, LC_MESSAGES, LANG.
"""

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from xca_common.harmless_text import harmless

DOMAIN: Final = "messages"
"""The catalogue's name: gettext's own default, so that click's strings can be translated in it as well."""
LOCALES: Final = Path(__file__).with_name("locale")
"""Where the catalogues are."""
ENGLISH: Final = "en"
CHINESE: Final = "zh_TW"
LANGUAGES: Final = (CHINESE, ENGLISH)
"""The languages that every text can be had in."""

_spoken: Final = ContextVar[str | None]("language", default=None)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak a language (zh_TW, en) wherever none is named, in this thread or task."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def _catalogue(language: str | None = None) -> gettext.NullTranslations:
    language = language or _spoken.get()
    return gettext.translation(DOMAIN, LOCALES, [language] if language else None, fallback=True)


class Text:
    """A sentence that can be said in any of the languages at any time.

    Calling it gives the string: ``text()`` in the language of the environment, ``text("zh_TW")`` in Chinese.
    Facts fill the braces of the sentence, made harmless (xca_common.harmless_text): they are mostly somebody
    else's words. A fact that is a Text itself is said in the same language.
    """

    def __init__(self, singular: str, many: str | None = None, count: str | None = None) -> None:
        self._singular = singular
        self._many = many
        self._count = count
        self._facts: dict[str, object] = {}

    def having(self, **facts: object) -> "Text":
        """Return this sentence with these facts in it."""
        filled = Text(self._singular, self._many, self._count)
        filled._facts = {**self._facts, **facts}
        return filled

    def __call__(self, language: str | None = None) -> str:
        """Say it in a language, by default the one being spoken, else the environment's."""
        catalogue = _catalogue(language)
        if self._many is not None and self._count is not None:
            number = self._facts[self._count]
            sentence = catalogue.ngettext(self._singular, self._many, int(str(number)))
        else:
            sentence = catalogue.gettext(self._singular)
        return sentence.format_map({name: _said(fact, language) for name, fact in self._facts.items()})


def _said(fact: object, language: str | None) -> object:
    if isinstance(fact, Text):
        return fact(language)
    return fact if isinstance(fact, (int, float)) else harmless(str(fact))


def text(sentence: str) -> Text:
    """Return a sentence; its braces are filled by Text.having()."""
    return Text(sentence)


def plural(singular: str, many: str, count: str) -> Text:
    """Return a sentence that depends on a number: the fact named by count."""
    return Text(singular, many, count)


def _(sentence: str) -> str:
    """Say a sentence now, in the language being spoken, else the environment's."""
    return _catalogue().gettext(sentence)
