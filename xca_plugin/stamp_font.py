# SPDX-License-Identifier: Apache-2.0
"""Fonts of visible PDF signatures that refuse text which they cannot show."""

from pathlib import Path

from pyhanko.pdf_utils.font.api import FontEngine, FontEngineFactory, ShapeResult
from pyhanko.pdf_utils.font.opentype import GlyphAccumulator
from pyhanko.pdf_utils.writer import BasePdfFileWriter

from xca_plugin.errors import PdfNotSigned
from xca_plugin.i18n import text


class CompleteFont(FontEngineFactory):
    """A font that fails on a character that it does not have, where pyHanko would draw another one.

    Args:
        font: the font.
        source: the PDF, for the message.
    """

    def __init__(self, font: FontEngineFactory, source: Path) -> None:
        self._font, self._source = font, source

    def create_font_engine(self, writer: BasePdfFileWriter, obj_stream: object = None) -> FontEngine:
        """Return the font's engine, whose shape() raises PdfNotSigned for a missing character."""
        engine = self._font.create_font_engine(writer, obj_stream)
        shape = engine.shape

        def checked(txt: str) -> ShapeResult:
            missing = "".join(dict.fromkeys(letter for letter in txt if not _has(engine, letter)))
            if missing:
                detail = text(
                    "the font of its stamp has no {characters}; choose a stamp style whose font has them"
                )
                raise PdfNotSigned(path=self._source, detail=detail.format(characters=missing))
            return shape(txt)

        engine.shape = checked  # type: ignore[method-assign]
        return engine


def _has(engine: FontEngine, letter: str) -> bool:
    if isinstance(engine, GlyphAccumulator):
        return ord(letter) in engine.tt.getBestCmap()
    # The standard fonts of PDF: the characters on which PDFDocEncoding and WinAnsiEncoding agree.
    return " " <= letter <= "~" or "\xa1" <= letter <= "\xff"
