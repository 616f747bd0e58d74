"""Figures on a dark screen: each colour of `style` has one that stands for it there, of the same hue.
Pages put the rules into the SVG that they hold; the files of figures stay as they are, for paper."""

from __future__ import annotations

from analysis.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    GRID,
    INK,
    ORANGE,
    PAPER,
    PARTLY,
    PURPLE,
    SKY,
    STRIP,
    TOTALLY,
    VERMILION,
    YELLOW,
)

DARK = {
    PAPER: "#16181A",
    INK: "#E6E8EA",
    BLACK: "#E6E8EA",
    FAINT: "#A3A9AF",
    GREY: "#8C8C8C",
    GRID: "#2C3034",
    PARTLY: "#2A2E32",
    TOTALLY: "#3B4045",
    STRIP: "#565C62",
    BLUE: "#3A8FD9",
    SKY: "#A6D8F7",
    GREEN: "#2BBD90",
    ORANGE: "#E69F00",
    VERMILION: "#F0743A",
    PURPLE: "#D896BA",
    YELLOW: "#F0E442",
}


def for_dark(svg: bytes) -> bytes:
    """The SVG with rules beside it that give each colour its place in DARK where a dark scheme is preferred.

    A browser that asks no scheme of a picture shows it as it was.
    """
    rules = [f"svg{{fill:{DARK[BLACK]}}}"]  # matplotlib leaves out that black is black
    for light, dark in DARK.items():
        hue = light.lower()
        rules.append(f'[style*="fill: {hue}"],[fill="{hue}"]{{fill:{dark}!important}}')
        rules.append(f'[style*="stroke: {hue}"]{{stroke:{dark}!important}}')
    style = f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    begin, end, rest = svg.partition(b"</defs>")
    return begin + style.encode() + end + rest
