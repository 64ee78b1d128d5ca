# SPDX-License-Identifier: Apache-2.0
"""Sentences in English and Traditional Chinese, through gettext.

English is the message id. Each package has a catalogue of its own (Catalogue) for the Chinese. Where no
language is named, the one being spoken decides (speaking), else the environment as gettext reads it:
LANGUAGE, LC_ALL, LC_MESSAGES, LANG.
"""

import gettext
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from xca_common import taipei
from xca_common.harmless_text import harmless

DOMAIN: Final = "messages"
"""File name of every catalogue: gettext's default, so that one can translate click's own strings as well."""
ENGLISH: Final = "en"
CHINESE: Final = "zh_TW"
LANGUAGES: Final = (CHINESE, ENGLISH)
"""The languages that every sentence is available in."""
LANGUAGE_TAGS: Final = {"zh-TW": CHINESE, "en": ENGLISH}
"""The same, by what web pages call them (RFC 5646)."""

_SIMPLIFIED: Final = {"cn", "sg", "hans"}
"""Parts of the names of locales that write Simplified Chinese."""

_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""What gettext reads the language from."""

_spoken: Final = ContextVar[str | None]("language", default=None)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Use a language (zh_TW, en) in this thread or task wherever none is named."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def language_named(name: str) -> str | None:
    """Return the language (zh_TW, en) of a locale or of a web page's name for it; None: another language.

    Args:
        name: such as zh_TW, zh-TW, zh_TW.UTF-8, zh-Hant, en or en_US.
    """
    language, *more = re.split("[-_]", re.split("[.@]", name.strip().lower())[0])
    if language == "zh" and not _SIMPLIFIED & set(more):
        return CHINESE
    return ENGLISH if language == "en" else None


class Catalogue:
    """The sentences of one package.

    Args:
        locales: folder of the translations: LANGUAGE/LC_MESSAGES/messages.mo.
    """

    def __init__(self, locales: Path) -> None:
        self.locales: Final = locales

    def text(self, sentence: str) -> "Text":
        """Return a sentence; Text.format() fills its braces."""
        return Text(self, sentence)

    def plural(self, singular: str, many: str, count: str) -> "Text":
        """Return a sentence that depends on a number: the fact named by count."""
        return Text(self, singular, many, count)

    def say(self, sentence: str) -> str:
        """Return a sentence as a string, in the language being spoken, else the environment's."""
        return self.translations(None).gettext(sentence)

    def translations(self, language: str | None) -> gettext.NullTranslations:
        """Return the translations into a language, by default the spoken one, else the environment's."""
        language = language or _spoken.get()
        return _translations(self.locales, language or tuple(map(os.environ.get, _VARIABLES)))


@lru_cache(maxsize=64)  # a search of the folder for each sentence takes longer than the sentence
def _translations(locales: Path, language: str | tuple[str | None, ...]) -> gettext.NullTranslations:
    """Return translations into a language, or into that of the environment, whose variables are given."""
    languages = [language] if isinstance(language, str) else None
    return gettext.translation(DOMAIN, locales, languages, fallback=True)


class Text:
    """A sentence of a catalogue that can become a string in any language at any time.

    Calling it returns the string: `text()` in the language of the environment, `text("zh_TW")` in Chinese.
    Facts fill the braces of the sentence. They are mostly somebody else's words and are made harmless
    (harmless_text); a fact that is itself a Text is put in the same language. A list or tuple is shown with
    the commas of the language. A date is shown as the language writes it, a datetime as taipei.moment() does.
    """

    def __init__(
        self, catalogue: Catalogue, singular: str, many: str | None = None, count: str | None = None
    ) -> None:
        self._catalogue = catalogue
        self._singular = singular
        self._many = many
        self._count = count
        self._facts: dict[str, object] = {}

    def format(self, **facts: object) -> "Text":
        """Return this sentence with these facts in it."""
        filled = Text(self._catalogue, self._singular, self._many, self._count)
        filled._facts = {**self._facts, **facts}
        return filled

    def __call__(self, language: str | None = None) -> str:
        """Return the string in a language, by default the one being spoken, else the environment's."""
        translations = self._catalogue.translations(language)
        if self._many is not None and self._count is not None:
            number = self._facts[self._count]
            sentence = translations.ngettext(self._singular, self._many, int(str(number)))
        else:
            sentence = translations.gettext(self._singular)
        return sentence.format_map({name: _shown(fact, language) for name, fact in self._facts.items()})

    def __str__(self) -> str:
        """Return the string in the language being spoken, else the environment's."""
        return self()


class TranslatedText(Text):
    """A sentence of another program, which came with its translations. It is made harmless.

    Args:
        words: the sentence by the names of all languages (LANGUAGES).
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = {language: words[language] for language in LANGUAGES}
        super().__init__(CATALOGUE, "")

    def format(self, **facts: object) -> "Text":
        """Return this sentence: it has no braces."""
        return self

    def __call__(self, language: str | None = None) -> str:
        """Return it in a language, by default the one being spoken, else the environment's."""
        known = language or CATALOGUE.translations(None).info().get("language")
        return harmless(self._words.get(known or ENGLISH, self._words[ENGLISH]))


def _shown(fact: object, language: str | None) -> object:
    if isinstance(fact, Text):
        return fact(language)
    if isinstance(fact, (list, tuple)):
        return _COMMA(language).join(str(_shown(one, language)) for one in fact)
    if isinstance(fact, datetime):
        return taipei.moment(fact)
    if isinstance(fact, date):
        return day(fact)(language)
    return fact if isinstance(fact, (int, float)) else harmless(str(fact))


def day(when: date) -> Text:
    """Return a date as people write it."""
    return _DAY.format(year=when.year, month=when.month, day=when.day)


CATALOGUE: Final = Catalogue(Path(__file__).with_name("locale"))
"""The sentences of xca_common, and click's own."""
text = CATALOGUE.text
"""Return a sentence of this package."""
_COMMA: Final = text(", ")
_DAY: Final = text("{year}-{month:02}-{day:02}")
plural = CATALOGUE.plural
"""Return a sentence of this package that depends on a number."""
say = CATALOGUE.say
"""Return a sentence of this package as a string, in the language being spoken."""
