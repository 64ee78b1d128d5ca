# SPDX-License-Identifier: Apache-2.0
"""Paper of the centre: PDF files in a font of this computer that has every character that is said."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from fpdf import FPDF, XPos, YPos

from xca_centre.errors import LetterNotMade
from xca_centre.i18n import text
from xca_centre.issuer_rules import Said
from xca_common.fonts import NO_FONT, TRUE_TYPE, best_font
from xca_common.harmless_text import harmless

MARGIN: Final = 20.0
"""Of a page, in millimetres."""


class Paper:
    """Sheets in a font that has all sentences on them, and most of somebody's words.

    A character of these that the font lacks is written by its number: nobody's name keeps the letters of
    others from being printed.

    Args:
        said: all of it, beside digits.
        title: of the document.
        made: when it was written, with a time zone.

    Raises:
        LetterNotMade: no font on this computer has all characters of the sentences.
    """

    def __init__(self, said: Iterable[Said], title: Said, made: datetime) -> None:
        self._title = str(title)
        self._made = made
        needed, wished = set("<U+0123456789ABCDEF>"), set[str]()
        for each in said:
            (wished if isinstance(each, str) else needed).update(plain(each))
        found = best_font(needed, wished, {TRUE_TYPE})
        if found is None:
            raise LetterNotMade(detail=NO_FONT)
        self._font = found

    def sheet(self, size: float, *, landscape: bool = False, empty: bool = False) -> FPDF:
        """Return a document with one page, or with none."""
        pdf = _Document(self._font.lacks, landscape=landscape)
        pdf.set_title(self._title)
        pdf.set_lang(text("en")())
        pdf.set_creation_date(self._made)
        pdf.set_margin(MARGIN)
        pdf.add_font("letter", fname=self._font.file, collection_font_number=self._font.number)
        pdf.set_font("letter", size=size)
        if not empty:
            pdf.add_page()
        return pdf


class _Document(FPDF):
    """A document that writes the characters that its font lacks by their numbers."""

    def __init__(self, lacks: Iterable[str], *, landscape: bool) -> None:
        super().__init__(orientation="landscape" if landscape else "portrait")
        self._numbers = {ord(character): f"<U+{ord(character):04X}>" for character in lacks}

    def normalize_text(self, text: str) -> str:
        """Return a text as it is written."""
        return super().normalize_text(text).translate(self._numbers)


def plain(said: Said) -> str:
    """Return a text, in the language being spoken, that acts on nothing."""
    return harmless(str(said), lines=True)


def say(pdf: FPDF, said: Said, size: float, above: float = 0) -> None:
    """Write a paragraph below what is there.

    Args:
        pdf: the document.
        said: the text.
        size: of its type, in points.
        above: millimetres left free above it.
    """
    pdf.set_y(pdf.get_y() + above)
    pdf.set_font_size(size)
    pdf.multi_cell(0, 0.55 * size, plain(said), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def fact_table(pdf: FPDF, facts: Iterable[tuple[Said, Said]], size: float) -> None:
    """Write what is known, a line for each: how it is called, and what it is."""
    with pdf.table(
        col_widths=(2, 3),
        first_row_as_headings=False,
        borders_layout="HORIZONTAL_LINES",
        line_height=0.5 * size,
        text_align="LEFT",
        padding=0.7,
    ) as table:
        for fact in facts:
            table.row([plain(each) for each in fact])
