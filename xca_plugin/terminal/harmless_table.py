# SPDX-License-Identifier: Apache-2.0
"""A table for a terminal; loaded when one is shown, because rich takes its time."""

from rich.console import RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from xca_common.harmless_text import harmless


class HarmlessTable(Table):
    """Shows in its cells what a person may see, whatever stands in them."""

    def add_row(
        self,
        *cells: RenderableType | None,
        style: StyleType | None = None,
        end_section: bool = False,
    ) -> None:
        """Add a row; cells are strings, or Texts of one style."""
        super().add_row(*map(_cell, cells), style=style, end_section=end_section)


def _cell(cell: RenderableType | None) -> RenderableType | None:
    if isinstance(cell, Text):
        return Text(harmless(cell.plain), style=cell.style)
    return harmless(cell) if isinstance(cell, str) else cell
