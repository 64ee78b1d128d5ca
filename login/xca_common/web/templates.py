# SPDX-License-Identifier: Apache-2.0
"""HTML from templates, in a language. Every text that a template shows is made harmless."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from xca_common.harmless_text import harmless
from xca_common.i18n import Text, day, speaking

_LANGUAGE_TAGS: Final = {"zh_TW": "zh-Hant-TW", "en": "en"}  # RFC 5646


class Templates:
    """The templates of a package. Each text that they show is escaped and made harmless.

    In a template, `_("…", name=value)` and `plural(…)` say a sentence of the program's catalogue.

    Args:
        package: the package with the folder `templates`.
        text: the catalogue's text().
        plural: the catalogue's plural().
        names: what else templates may use.
    """

    def __init__(
        self,
        package: str,
        text: Callable[[str], Text],
        plural: Callable[[str, str, str], Text],
        names: Mapping[str, object],
    ) -> None:
        def say(sentence: str, **facts: object) -> str:
            return text(sentence).format(**facts)()

        self._environment = Environment(
            loader=PackageLoader(package),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"_": say, "plural": plural, "language_tags": _LANGUAGE_TAGS, **names}

    def render(self, template: str, language: str, **context: object) -> str:
        """Return a template's HTML in a language (zh_TW, en)."""
        with speaking(language):
            return self._environment.get_template(template).render(context, language=language)


def _shown(value: object) -> object:
    """Make a text harmless, but not markup that a template has made itself; put a date in the language."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return day(value)()
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value
