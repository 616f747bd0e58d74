"""Going on with a run that broke off: whether it may, what it began with, and a tidy folder.
Asked by the command line before the first stage; the states themselves are read by
`sim.results.checkpoints`."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sim.errors import BadInput
from sim.results.checkpoints import BEGUN, LINKS_PIECES, SERVERS_PIECES, TIMELINE_PIECES
from sim.results.run_folder import (
    CHECKPOINT,
    ENTRIES,
    FINISHED,
    claim,
    is_free,
    is_unfinished,
    remove,
    require_free,
    require_own,
)
from sim.results.whole_files import in_words
from sim.scenario import Scenario
from sim.scenario.text.content import by_content

SHOWN = 5  # differences in one line
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}  # as on some network file systems


def begun_with(scenario: Scenario, versions: Mapping[str, str]) -> dict[str, Any]:
    """All that the bytes of a run follow from, as JSON: the scenario, files by their content, the versions.

    Not where files lie, which may be moved. Nor which loop plays it: that changes no byte, and where compiled
    code cannot be had, SimPy's goes on.
    """
    asked = by_content(scenario.model_dump(mode="json", exclude={"engine"}))
    return {"scenario": asked, "versions": dict(versions)}


def is_broken_off(folder: Path) -> bool:
    """Whether a run began in `folder` and has not finished."""
    return (folder / CHECKPOINT / BEGUN).exists() and not (folder / FINISHED).exists()


def require_resumable(folder: Path, begun: Mapping[str, Any]) -> None:
    """Raises BadInput unless `folder` is free, or its run began with the same and has not finished."""
    if is_free(folder):
        return
    require_own(folder)
    _require_unfinished(folder)
    try:
        known = json.loads((folder / CHECKPOINT / BEGUN).read_text())
    except FileNotFoundError:
        return  # it broke off before it had begun
    except (OSError, ValueError) as error:
        raise BadInput(f"--resume: {folder / CHECKPOINT / BEGUN} cannot be read ({error})") from None
    changed = differences(known, begun)
    if changed:
        more = f"; and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise BadInput(
            f"--resume: the run in {folder} began otherwise: {'; '.join(changed[:SHOWN])}{more}; "
            "give what it began with, or --force to start over"
        )


def _require_unfinished(folder: Path) -> None:
    if (folder / FINISHED).exists():
        clear(folder)
        raise BadInput(f"--resume: the run in {folder} is finished; give another folder or --force")


def differences(old: Any, new: Any) -> list[str]:
    """Where two pieces of JSON differ, as `path: old → new`, in the order of the old one."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [
        f"{name.partition('.')[2] or name}: {_shown(before, name)} → {_shown(after, name)}"
        for name in [*before, *(name for name in after if name not in before)]
        if before.get(name, ...) != after.get(name, ...)
    ]


@contextmanager
def claimed(folder: Path, force: bool, resume: bool) -> Iterator[None]:
    """Within it the run folder is this process's alone; empty, unless a run goes on in it.

    Raises BadInput if another run is at work in it, or as `claim` does.
    """
    if not resume:
        require_free(folder, force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise BadInput(f"--out {in_words(error, folder)}") from error
    try:
        _lock(handle, folder)
        if resume:
            _require_unfinished(folder)  # who held it until now may have finished it
        else:
            claim(folder, force)
        yield
    finally:
        os.close(handle)


def clear(folder: Path) -> None:
    """Removes what a process that was killed at its very end left in the folder of a finished run."""
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    for entry in folder.glob(".*"):
        if is_unfinished(entry.name):
            remove(entry)


def tidy(folder: Path, chunks: int) -> None:
    """Removes what a run that broke off left after its first `chunks` chunks, and unfinished files."""
    for table in ("requests", "attempts", TIMELINE_PIECES, SERVERS_PIECES, LINKS_PIECES):
        for path in (folder / table).glob("part-*.parquet"):
            if int(path.stem.removeprefix("part-")) >= chunks:
                path.unlink()
    below = [folder / name for name in ENTRIES if (folder / name).is_dir()]
    unfinished = [entry for place in below for entry in place.rglob(".*")]
    unfinished += [entry for entry in folder.glob(".*") if is_unfinished(entry.name)]
    for entry in [*unfinished, *folder.glob("failure.txt")]:
        remove(entry)


def _lock(handle: int, folder: Path) -> None:
    """Held until the handle is closed, or the process dies. It leaves no file."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadInput(f"--out {folder}: another run is at work in it") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a piece of JSON that is no mapping or list, by its path; empty ones count."""
    below = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(below, dict) or not below:
        yield path, value
        return
    for name, item in below.items():
        yield from _leaves(item, f"{path}.{name}" if path else str(name))


def _shown(known: Mapping[str, Any], name: str) -> str:
    return json.dumps(known[name]) if name in known else "nothing"
