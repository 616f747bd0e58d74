"""HTML pages that load nothing: one style, templates that refuse unknown names, pictures inside the page.
Used by every page that is written; the templates lie in `analysis/reports/pages`."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sim.errors import BadInput
from sim.results.whole_files import sweep


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


def as_source(svg: bytes) -> str:
    """An SVG as the source of a picture: as elements, the ids of several on one page would clash."""
    return "data:image/svg+xml;base64," + b64encode(svg).decode()
