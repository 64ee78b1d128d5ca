# SPDX-License-Identifier: Apache-2.0
"""A table for a terminal, imported only when one is shown, because importing rich is slow."""

from rich.console import RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from xca_common.harmless_text import harmless


class HarmlessTable(Table):
    """A table of rich that makes the text of its cells harmless."""

    def add_row(
        self,
        *cells: RenderableType | None,
        style: StyleType | None = None,
        end_section: bool = False,
    ) -> None:
        """Add a row; a cell is a string, or a Text with one style."""
        super().add_row(*map(_cell, cells), style=style, end_section=end_section)


def _cell(cell: RenderableType | None) -> RenderableType | None:
    if isinstance(cell, Text):
        return Text(harmless(cell.plain), style=cell.style)
    return harmless(cell) if isinstance(cell, str) else cell
