"""Whether a run folder is as this version would have left it, and what to say where it is not.
Below `analysis.run_folder.run`; who sums up a run asks here before an error is taken for one of the
program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from analysis.run_folder.files import read_json, refuse_change
from sim.errors import BadInput
from sim.results.columns import OWN_KEY, VERSION


def provenance_warnings(versions: Path, scenario: Path) -> tuple[str, ...]:
    """A line for each reason to question what a folder's numbers mean; none for one of this very version."""
    return tuple(filter(None, (_other_version(versions), _changed(scenario))))


def _other_version(file: Path) -> str:
    try:
        own = read_json(file).get(OWN_KEY)
    except BadInput as error:
        return str(error)
    if own is None:
        return f"{file}: does not say which version of {OWN_KEY} wrote the folder" if file.is_file() else (
            f"{file}: is missing, so nobody knows which version wrote the folder"
        )  # fmt: skip
    if own == VERSION:
        return ""
    return f"{file.parent}: written by {OWN_KEY} {own}, read by {VERSION}: the meaning of numbers may differ"


def _changed(scenario: Path) -> str:
    try:
        refuse_change(scenario)
    except BadInput:
        return f"{scenario}: has changed since the run, so what it says may not be what was run"
    return ""


def made_by(folder: Path, plays: bool = True) -> str:
    """The version, the commit where it is known and, of a run that `plays` requests, the clock that did."""
    versions = read_json(folder / "versions.json")
    known = [f"{OWN_KEY} {versions[OWN_KEY]}"] if OWN_KEY in versions else []
    known += [f"commit {str(versions['commit'])[:12]}"] if versions.get("commit") else []
    path = read_json(folder / "timing.json").get("path") if plays else None
    known += [f"clock: {path['name']}"] if isinstance(path, dict) and "name" in path else []
    return ", ".join(known) or "an unknown version"


@contextmanager
def in_one_line(warnings: Sequence[str]) -> Iterator[None]:
    """Within it an error becomes BadInput where there are `warnings` about the folder that is read.

    A key that another version named otherwise fails wherever it is asked for. Without warnings such an error
    is the program's own, and is left as it is.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if not warnings:
            raise
        what = " ".join(str(error).split())[:200]
        raise BadInput(
            f"{'; '.join(warnings)}; it cannot be summed up ({type(error).__name__}: {what})"
        ) from error
