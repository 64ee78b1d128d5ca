# SPDX-License-Identifier: Apache-2.0
"""Words of the site's search, in the index and in what a reader types.

Chinese is written without blanks: its words are any two characters that stand side by side. Sphinx leaves out
numbers, which are what a reader with an error code searches for: here they begin with an underscore.
"""

import re
from itertools import pairwise
from typing import Final

from sphinx.search.en import SearchEnglish

_RUN: Final = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")


class EnglishAndChinese(SearchEnglish):
    """The search of an English site with Chinese pages; Sphinx calls it by the name of its language."""

    js_splitter_code = r"""
var splitQuery = (query) =>
  (query.match(/[\u3400-\u9fff]+|(?:(?![\u3400-\u9fff])[\p{Letter}\p{Number}_])+/gu) || []).flatMap((run) => {
    if (/^\d+$/.test(run)) return ["_" + run];
    if (!/^[\u3400-\u9fff]{2}/.test(run)) return [run];
    return Array.from({length: run.length - 1}, (_, start) => run.slice(start, start + 2));
  });
"""

    def split(self, text: str) -> list[str]:
        """Return the words of a text. The script above does the same in the browser."""
        return [word for run in _RUN.findall(text) for word in _words(run)]


def _words(run: str) -> list[str]:
    if run.isdecimal():
        return [f"_{run}"]
    if len(run) > 1 and "\u3400" <= run[0] <= "\u9fff":
        return [first + second for first, second in pairwise(run)]
    return [run]
