"""The scenarios that come with L2H Fleet: where they lie, what they are called, which question each asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from sim.errors import BadInput
from sim.scenario.text.wording import nearest, quote

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"
STUDIES = FOLDER / "studies"
# Beside each folder the other one, what lies there and which command takes it.
_OTHER = {FOLDER: (STUDIES, "study of policies", "study"), STUDIES: (FOLDER, "scenario", "run")}


class Shipped(NamedTuple):
    name: str
    path: Path
    question: str


def shipped(folder: Path | None = None) -> list[Shipped]:
    """Every shipped scenario (or what else lies in `folder`), by name, with its question."""
    found = sorted((folder or FOLDER).glob("*.yaml"))
    return [Shipped(path.stem, path, question_of(path)) for path in found]


def question_of(path: str | Path) -> str:
    """The question at the top of a scenario: its first comment up to the question mark, or nothing."""
    words: list[str] = []
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            text = line.lstrip("#").strip()
            if not line.startswith("#") or not text:
                break
            words.append(text)
            if text.endswith("?"):
                break
    return " ".join(words)


def locate(source: str | Path, folder: Path | None = None) -> Path:
    """The file that `source` means: a path, or else the name of a shipped scenario (of a study: STUDIES)."""
    path, folder = Path(source), folder or FOLDER
    if is_file(path):
        return path
    named = folder / f"{source}.yaml"
    if isinstance(source, str) and re.fullmatch(r"[\w-]+", source) and is_file(named):
        return _from_here(named)
    if _exists(path):
        return path  # a folder, a pipe: opening it says what is wrong
    other, named_as, command = _OTHER.get(folder, (folder, "", ""))
    if other != folder and isinstance(source, str) and source in (one.name for one in shipped(other)):
        raise BadInput(f"{source}: is a {named_as}: give it to the command {command}")
    names = [found.name for found in shipped(folder)]
    label = str(source) if str(source).isprintable() else quote(str(source))
    hint = f": {nearest(path.stem, names)}" if names else ""
    what = "study" if folder == STUDIES else "scenario"
    raise BadInput(f"{label}: there is no such file or shipped {what}{hint}")


def is_file(path: Path) -> bool:
    """Whether it is one; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _from_here(path: Path) -> Path:
    """The path as short as it can be written from the working folder."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
