"""What commands print of results: tables as text, whatever names the results carry.
Between the reports of `analysis` and the terminal; a name of a foreign folder is shown and never obeyed."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment


def printable(text: str) -> str:
    """The text without what a terminal would obey or hide: ANSI codes, marks of direction; line ends stay."""
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text
    )


class Terminal(Console):
    """A console that takes no markup, emoji codes or control characters from what it shows."""

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
