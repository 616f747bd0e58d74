"""A table for a terminal of any width: what does not fit beside the rest stands below it.
Used by what sweeps and studies print; numbers are never cut, since a cut number would be a wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 1  # columns between two columns


@dataclass(frozen=True)
class FittingTable:
    """Rows of text under names of columns. The first `names` columns say what a row is: they head each block
    of the others, and there are as few blocks as the width allows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, block in enumerate(self._blocks(options.max_width)):
            if number:
                yield Text()
            table = Table(box=None, padding=(0, 0, 0, GAP), pad_edge=False, header_style="bold")
            spare = options.max_width - sum(self._width(index) + GAP for index in block) + GAP
            for index in block:
                wider = max(0, min(spare, len(self.columns[index]) - self._width(index)))
                spare -= wider
                table.add_column(
                    self.columns[index],
                    justify="right" if index else "left",
                    width=self._width(index) + wider,
                )
            for row in self.rows:
                table.add_row(*(row[index] for index in block))
            yield table

    def _width(self, index: int) -> int:
        """The least of a column: its name may be broken between words, numbers may not."""
        return max(map(len, (*self.columns[index].split(), *(row[index] for row in self.rows))))

    def _blocks(self, width: int) -> Iterator[list[int]]:
        heads = list(range(self.names))
        taken = sum(self._width(index) + GAP for index in heads)
        block, left = heads, width - taken
        for index in range(self.names, len(self.columns)):
            if self._width(index) > left and len(block) > self.names:
                yield block
                block, left = heads, width - taken
            block, left = [*block, index], left - self._width(index) - GAP
        yield block
