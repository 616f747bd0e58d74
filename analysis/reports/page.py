"""HTML pages that load nothing: one style, templates that refuse unknown names, pictures inside the page.
Used by every page that is written; the templates lie in `analysis/reports/pages`."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from analysis.figures.dark import DARK, for_dark
from analysis.figures.for_print import PRINT, for_print
from analysis.figures.once import found_once
from analysis.figures.style import to_png, to_svg
from sim.errors import BadInput
from sim.results.whole_files import require_writable, sweep, write_whole

PHONE_IN = 3.7  # at 96 px an inch what a phone of 390 px has


def render(template: str, **content: Any) -> str:
    """The page of `template` with `content`; text is escaped, and a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["dark"] = DARK
    return environment.get_template(template).render(**content)


def require_own(out: Path, files: set[str], what: str) -> None:
    """Raises BadInput for a folder of results that holds anything but `files`, or that cannot be written.

    Nothing is deleted but what a process that was killed as it wrote one of these left half written.
    """
    begun = tuple(f".{file}." for file in files)
    if out.exists() and not (
        out.is_dir() and all(entry.name in files or entry.name.startswith(begun) for entry in out.iterdir())
    ):
        raise BadInput(f"--out {out}: exists and holds other things than {what}")
    require_writable(out, "--out")
    sweep(out)


class Saved(NamedTuple):
    """A figure as files and pages hold it: as SVG, as PNG if that was asked for, and as SVG for a phone."""

    svg: bytes
    png: bytes | None
    narrow: bytes

    def sources(self) -> dict[str, str]:
        """What a page needs of it."""
        return {"source": as_source(self.svg), "narrow": as_source(self.narrow)}


def saved(figure: Figure, png: bool = False, narrow: Figure | None = None) -> Saved:
    """The figure in every form; afterwards it is the one for a phone. narrow: the one for a phone, PHONE_IN
    wide, of a figure that has places of its own, which no other width would keep."""
    with found_once():
        return _saved(figure, png, narrow)


def _saved(figure: Figure, png: bool, narrow: Figure | None) -> Saved:
    is_laid_out = figure.get_layout_engine() is not None
    svg, dots = to_svg(figure), to_png(figure) if png else None
    if narrow is not None or not is_laid_out:
        return Saved(svg, dots, svg if narrow is None else to_svg(narrow, PRINT))
    with mpl.rc_context(PRINT):
        figure.set_layout_engine("constrained")
        for_print(figure, PHONE_IN, marked=False)
    return Saved(svg, dots, to_svg(figure, PRINT))


def write_figure(path: Path, figure: Saved) -> None:
    """Writes a figure's `path` as .svg, and as .png if there is one; else one of another time goes, which may
    tell something else."""
    write_whole(path.with_suffix(".svg"), figure.svg)
    if figure.png is not None:
        write_whole(path.with_suffix(".png"), figure.png)
    else:
        path.with_suffix(".png").unlink(missing_ok=True)


def as_source(svg: bytes) -> str:
    """An SVG as the source of a picture, light or dark as the page is; as elements, ids would clash."""
    return "data:image/svg+xml;base64," + b64encode(for_dark(svg)).decode()
