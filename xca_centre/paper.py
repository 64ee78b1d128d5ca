# SPDX-License-Identifier: Apache-2.0
"""Paper of the centre: PDF files in a font of this computer that has every character that is said."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from fpdf import FPDF, XPos, YPos

from xca_centre.errors import LetterNotMade
from xca_centre.i18n import text
from xca_centre.issuer_rules import Said
from xca_common.fonts import NO_FONT, TRUE_TYPE, font_with
from xca_common.harmless_text import harmless

MARGIN: Final = 20.0
"""Of a page, in millimetres."""


class Paper:
    """Sheets in a font that has all that is said on them.

    Args:
        said: all of it, beside digits.
        title: of the document.
        made: when it was written, with a time zone.

    Raises:
        LetterNotMade: no font on this computer has all of its characters.
    """

    def __init__(self, said: Iterable[Said], title: Said, made: datetime) -> None:
        self._title = str(title)
        self._made = made
        characters = {character for each in said for character in plain(each)}
        found = font_with(characters | set("0123456789"), {TRUE_TYPE})
        if found is None:
            raise LetterNotMade(detail=NO_FONT)
        self._file, self._number = found

    def sheet(self, size: float, *, landscape: bool = False, empty: bool = False) -> FPDF:
        """Return a document with one page, or with none."""
        pdf = FPDF(orientation="landscape" if landscape else "portrait")
        pdf.set_title(self._title)
        pdf.set_lang(text("en")())
        pdf.set_creation_date(self._made)
        pdf.set_margin(MARGIN)
        pdf.add_font("letter", fname=self._file, collection_font_number=self._number)
        pdf.set_font("letter", size=size)
        if not empty:
            pdf.add_page()
        return pdf


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
