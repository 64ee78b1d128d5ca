# SPDX-License-Identifier: Apache-2.0
"""Fonts of visible PDF signatures: a font of this computer for a text, and fonts that refuse other text."""

import logging
from pathlib import Path
from typing import Final

from pyhanko.pdf_utils.font.api import FontEngine, FontEngineFactory, ShapeResult
from pyhanko.pdf_utils.font.opentype import GlyphAccumulator
from pyhanko.pdf_utils.writer import BasePdfFileWriter

from xca_common.fonts import CFF, NO_FONT, TRUE_TYPE, font_with
from xca_plugin.errors import PdfNotSigned
from xca_plugin.i18n import text

_UNITS: Final = 1000  # per em


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


def write_font(characters: str, target: Path, source: Path) -> None:
    """Write a font with these characters alone, in the form that pyHanko sets with right spaces.

    It takes them from a font of this computer: pyHanko reads files of one font with 1000 units per em only.

    Args:
        characters: what it has to have.
        target: the file to be written.
        source: the PDF, for the message.

    Raises:
        PdfNotSigned: no font of this computer has all of them.
    """
    from fontTools.subset import Options, Subsetter  # type: ignore[import-untyped]
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
    from fontTools.ttLib.scaleUpem import scale_upem  # type: ignore[import-untyped]

    found = font_with(characters, {TRUE_TYPE, CFF})
    if found is None:
        raise PdfNotSigned(path=source, detail=NO_FONT)
    file, number = found
    font = TTFont(file, fontNumber=number, lazy=True)
    subsetter = Subsetter(Options(layout_features=[], name_IDs=["*"], notdef_outline=True, hinting=False))
    subsetter.populate(text=characters + " ")
    # It warns of oddities in the font file, about which the person can do nothing.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    subsetter.subset(font)
    if font["head"].unitsPerEm != _UNITS:
        scale_upem(font, _UNITS)
    font.save(target)


def _has(engine: FontEngine, letter: str) -> bool:
    if isinstance(engine, GlyphAccumulator):
        return ord(letter) in engine.tt.getBestCmap()
    # The standard fonts of PDF: the characters on which PDFDocEncoding and WinAnsiEncoding agree.
    return " " <= letter <= "~" or "\xa1" <= letter <= "\xff"
