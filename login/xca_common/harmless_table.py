# SPDX-License-Identifier: Apache-2.0
"""A table for a terminal, imported only when one is shown: importing rich is slow. xca-plugin brings rich."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xca_common.folding import folded
from xca_common.harmless_text import harmless

_GAP: Final = 2
"""Columns of the terminal between two columns of the table."""
_READABLE: Final = 12
"""Columns of the terminal that a text which may be folded takes at least, if it is as long as that."""


class HarmlessTable:
    """A table without lines, which makes the text of its cells harmless; rich prints it.

    In a terminal that is too narrow for it, each row becomes a paragraph with a line for each cell.

    Args:
        folding: for each column, whether its text may be folded.
        heads: the headings of the columns, of one line or two; none: the columns have no headings.
    """

    def __init__(self, folding: Sequence[bool], heads: Sequence[str] = ()) -> None:
        self._folding = tuple(folding)
        self._heads = tuple(Text(harmless(head, lines=True), style="dim") for head in heads)
        self._rows: list[tuple[Text, ...]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Add a row; a cell is a string, or a Text with one style."""
        self._rows.append(tuple(map(_cell, cells)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Return what rich prints."""
        if self._least_width() <= options.max_width:
            yield self._table()
            return
        for number, row in enumerate(self._rows):
            if self._heads:
                if number:
                    yield ""
                paragraph = HarmlessTable((False, True))
                for head, cell in zip(self._heads, row, strict=True):
                    if cell:
                        paragraph.add_row(Text(head.plain.replace("\n", " "), style=head.style), cell)
                yield paragraph
            else:
                first, *others = row
                yield first
                yield from (Padding(_Folded(cell), (0, 0, 0, _GAP)) for cell in others if cell)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, _GAP, 0, 0))
        for folds in self._folding:
            table.add_column(no_wrap=not folds, overflow="fold")
        for row in self._lines():
            table.add_row(
                *(_Folded(cell) if folds else cell for folds, cell in zip(self._folding, row, strict=True))
            )
        return table

    def _lines(self) -> list[tuple[Text, ...]]:
        return [self._heads, *self._rows] if self._heads else self._rows

    def _least_width(self) -> int:
        """Return the width in which every column can be read."""
        columns = zip(*self._lines(), strict=True)
        widths = [
            max(_width(cell, folds) for cell in cells)
            for folds, cells in zip(self._folding, columns, strict=True)
        ]
        return sum(widths) + _GAP * (len(widths) - 1)


class _Folded:
    """A text that is folded between words, and between Chinese characters: rich folds at blanks alone."""

    def __init__(self, cell: Text) -> None:
        self._cell = cell

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [line for part in self._cell.plain.split("\n") for line in folded(part, options.max_width)]
        yield Text("\n".join(lines), style=self._cell.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._cell)


def _cell(cell: str | Text) -> Text:
    return Text(harmless(cell.plain), style=cell.style) if isinstance(cell, Text) else Text(harmless(cell))


def _width(cell: Text, folds: bool) -> int:
    width = max(cell_len(line) for line in cell.plain.split("\n"))
    return min(width, _READABLE) if folds else width
