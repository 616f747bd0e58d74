"""Which folders a scenario may name files and data sets in: a scenario may come from somebody else.
Part of reading one; what the user says on the command line may lie anywhere."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any

from sim.scenario.text.draft import Draft, Finding, Path, refusal

SYSTEM = pathlib.Path("/usr/share/datasets")  # where Debian puts data sets
RULE = "must lie in the scenario's folder, the working folder or $L2H_DATA; --set may name any other place"


def strays(draft: Draft, folder: pathlib.Path) -> Iterator[Finding]:
    """The files, and the root of data sets, that a scenario in `folder` names outside the folders it may use.

    Links are followed first. A file's own name is absolute by now, a root's begins in the working folder.
    """
    data = os.environ.get("L2H_DATA")
    allowed = [folder, pathlib.Path.cwd(), SYSTEM, *([pathlib.Path(data)] if data else [])]
    inside = [place.resolve() for place in allowed]
    for path, value in _named((), draft.value):
        if draft.origin(path).label.startswith("--"):
            continue
        try:
            place = pathlib.Path(value).expanduser().resolve()
        except (OSError, ValueError, RuntimeError):
            continue  # no file has that name, as whoever opens it will say
        if not any(place.is_relative_to(one) for one in inside):
            yield refusal(path, value, RULE)


def _named(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for key, entry in value.items():
            here = (*path, key)
            if isinstance(entry, str) and (key == "file" or here == ("data", "root")):
                yield here, entry
            yield from _named(here, entry)
    elif isinstance(value, tuple):
        for index, entry in enumerate(value):
            yield from _named((*path, index), entry)
