"""HTML pages that load nothing: one style, templates that refuse unknown names, pictures inside the page.
Used by every page that is written; the templates lie in `analysis/reports/pages`."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from analysis.figures.style import to_png
from sim.errors import BadInput
from sim.results.whole_files import sweep, write_whole


def render(template: str, **content: Any) -> str:
    """The page of `template` with `content`; text is escaped, and a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)


def require_own(out: Path, files: set[str], what: str) -> None:
    """Raises BadInput for a folder of results that holds anything but `files`.

    Nothing is deleted but what a process that was killed as it wrote one of these left half written.
    """
    begun = tuple(f".{file}." for file in files)
    if out.exists() and not (
        out.is_dir() and all(entry.name in files or entry.name.startswith(begun) for entry in out.iterdir())
    ):
        raise BadInput(f"--out {out}: exists and holds other things than {what}")
    sweep(out)


def write_figure(path: Path, svg: bytes, figure: Figure, png: bool) -> None:
    """Writes a figure's `path` as .svg, and as .png if asked; else a PNG of another time goes, since it might
    tell something else."""
    write_whole(path.with_suffix(".svg"), svg)
    if png:
        write_whole(path.with_suffix(".png"), to_png(figure))
    else:
        path.with_suffix(".png").unlink(missing_ok=True)


def as_source(svg: bytes) -> str:
    """An SVG as the source of a picture: as elements, the ids of several on one page would clash."""
    return "data:image/svg+xml;base64," + b64encode(svg).decode()
