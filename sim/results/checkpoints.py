"""The folder `checkpoint/` of a run: states that a killed run goes on from, each whole or not there at all.
Written at chunk ends and once before t = 0; nothing in it can run anything when it is read."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from sim.errors import RunFailed
from sim.results.packing import pack, unpack
from sim.results.run_folder import CHECKPOINT
from sim.results.whole_files import digest, in_words, sync_folder, write_synced, write_whole

log = logging.getLogger(__name__)

BEGUN = "run.json"  # what the run began with
MANIFEST = "manifest.json"
TIMELINE_PIECES = f"{CHECKPOINT}/timeline"
SERVERS_PIECES = f"{CHECKPOINT}/servers"
LINKS_PIECES = f"{CHECKPOINT}/links"
LEARNED = "learned"  # the state before t = 0
FORMAT = 17  # raise it when what a checkpoint holds, or means, changes
KEPT = 2  # states of the run: the newest, and the one before in case that is damaged
MOST_SHARE = 1 / 30  # of the wall time, if chunks are short beside a checkpoint


class Damaged(Exception):
    """What is wrong with a checkpoint, as the end of a sentence that begins with its name."""


@dataclass
class Cost:
    """What checkpoints have cost so far: how many, wall seconds, and the bytes of the last one."""

    written: int = 0
    seconds: float = 0.0
    last_bytes: int = 0


class Checkpoints:
    """The checkpoints of the run in `folder`.

    every_s: wall seconds between two states of the run, more if writing one takes more than `MOST_SHARE` of
    that; 0: one at the end of each chunk. When they are written changes no result. written: the SHA-256 of
    each part of the run so far, kept with its states.
    """

    def __init__(self, folder: Path, every_s: float) -> None:
        self.folder = folder / CHECKPOINT
        self.cost = Cost()
        self.written: dict[Path, str] = {}
        self._every_s, self._pause_s, self._last_at = every_s, every_s, perf_counter()
        self._run = ""

    def begin(self, begun: Mapping[str, Any]) -> None:
        """Says what the run began with, JSON; whoever goes on must begin with the same."""
        self._run = _digest(json.dumps(begun, sort_keys=True).encode())
        if not (self.folder / BEGUN).exists():
            write_whole(self.folder / BEGUN, (json.dumps(begun, indent=1) + "\n").encode())

    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return perf_counter() - self._last_at >= self._pause_s

    def save(self, name: str, parts: Mapping[str, Any]) -> None:
        """Writes a checkpoint of packed values, by the names of their files, in place of one of this name.

        Raises RunFailed if the disk does not take it; then those before it are as they were.
        """
        began = perf_counter()
        place, hidden = self.folder / name, self.folder / f".{name}.partial"
        try:
            shutil.rmtree(hidden, ignore_errors=True)
            hidden.mkdir(parents=True)
            files: dict[str, dict[str, Any]] = {}
            for file, value in parts.items():
                content = pack(value)
                write_synced(hidden / file, content)
                files[file] = {"bytes": len(content), "sha256": _digest(content)}
            written = {str(path.relative_to(self.folder.parent)): of for path, of in self.written.items()}
            manifest = {"format": FORMAT, "run": self._run, "files": files, "written": written}
            write_synced(hidden / MANIFEST, json.dumps(manifest, indent=1).encode())
            sync_folder(hidden)
            shutil.rmtree(place, ignore_errors=True)  # left by a run that went on from an earlier one
            hidden.rename(place)
            sync_folder(self.folder)
        except OSError as error:
            raise RunFailed("run", in_words(error, place)) from error
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
        self._forget_old()
        self._last_at = perf_counter()
        took_s = self._last_at - began
        self.cost.written += 1
        self.cost.seconds += took_s
        self.cost.last_bytes = sum(facts["bytes"] for facts in files.values())
        self._pause_s = max(self._every_s, took_s / MOST_SHARE if self._every_s else 0.0)

    def save_run(self, chunks: int, parts: Mapping[str, Any]) -> None:
        """Writes the state of the run after so many chunks."""
        self.save(f"at-{chunks:07d}", parts)

    def learned(self) -> dict[str, Any] | None:
        """The state before t = 0; None if there is none that can be used, which is told in a warning."""
        return self._load(self.folder / LEARNED) if (self.folder / LEARNED).exists() else None

    def newest(self) -> dict[str, Any] | None:
        """The last state of the run that can be used; None without one.

        One that cannot be used, or before which a part was written that is not there as it was, is told in a
        warning and removed.
        """
        for place in reversed(self._states()):
            if (parts := self._load(place)) is not None:
                return parts
            shutil.rmtree(place)
        self.written.clear()
        return None

    def discard(self) -> None:
        """The run is finished: nobody will go on from here."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self, place: Path) -> dict[str, Any] | None:
        try:
            return self._sound(place)
        except Damaged as error:
            _warn(place, str(error))
            return None

    def _sound(self, place: Path) -> dict[str, Any]:
        """The parts of a checkpoint. Raises Damaged unless it is this run's and just as it was written."""
        try:
            manifest = json.loads((place / MANIFEST).read_bytes())
            known, written = (manifest["format"], manifest["run"]), dict(manifest.get("written", {}))
            files = {
                Path(file).name: (facts["bytes"], facts["sha256"])
                for file, facts in manifest["files"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"its {MANIFEST} cannot be read ({error})") from None
        if known[0] != FORMAT:
            raise Damaged(f"was written in format {known[0]}, not {FORMAT}")
        if known[1] != self._run:
            raise Damaged("belongs to another run")
        parts = {file: _read(place / file, *facts) for file, facts in files.items()}
        self._require_unchanged(written)
        return parts

    def _require_unchanged(self, written: dict[str, str]) -> None:
        """Takes up these sums of parts. Raises Damaged unless they are still right."""
        self.written.clear()
        for name, known in written.items():
            path = self.folder.parent / name
            if not path.is_file():
                raise Damaged(f"{name} is missing")
            if digest(path) != known:
                raise Damaged(f"{name} is not as it was written")
            self.written[path] = known

    def _states(self) -> list[Path]:
        """The states of the run, the oldest first."""
        return sorted(place for place in self.folder.glob("at-*") if place.name[3:].isdigit())

    def _forget_old(self) -> None:
        for place in self._states()[:-KEPT]:
            shutil.rmtree(place, ignore_errors=True)


def _read(path: Path, size: int, digest: str) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Damaged(f"its {path.name} cannot be read ({error.strerror})") from None
    if len(content) != size:
        raise Damaged(f"its {path.name} has {len(content)} bytes, not {size}")
    if _digest(content) != digest:
        raise Damaged(f"its {path.name} does not have the recorded checksum")
    try:
        return unpack(content)
    except ValueError as error:
        raise Damaged(f"its {path.name} {error}") from None


def _warn(place: Path, why: str) -> None:
    log.warning("%s: %s; it is not used", place, why)


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()
