"""What was learned, kept beside the frozen clients under all that it depends on, so that runs share it.
An entry appears whole or not at all; of processes that want the same one, one learns and the others wait."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commands.sources import sources
from sim.messages import Learned, learned_of
from sim.results.cache_folder import cache_root
from sim.results.packages import versions
from sim.results.packing import pack, unpack
from sim.results.whole_files import in_words, sweep, write_whole
from sim.scenario import Scenario
from sim.scenario.learning_part import learning_part
from sim.scenario.text.content import content_digest

if TYPE_CHECKING:
    from agents.server.runnable import Runnable

log = logging.getLogger(__name__)
KEPT_S = 30 * 86_400.0  # wall time; what nobody has used for so long is removed


@dataclass(frozen=True)
class Learning:
    """What the learners gave before t = 0. state: of the learners, where a run trains on, else None.
    warnings: what was said meanwhile, by the names of loggers."""

    learned: Learned
    state: Mapping[str, Any] | None
    warnings: list[tuple[str, str]]


class Learnings:
    """The entry for one scenario as learning sees it, `sim.scenario.learning_part`.

    data: the files of its data set, by name, with a digest of each.
    """

    def __init__(self, part: Scenario, data: Mapping[str, str]) -> None:
        beside = versions() | {"sources": sources(), "data": dict(data)}
        self._folder = cache_root() / "learned"
        self._path = self._folder / f"{content_digest(part, beside)}.safetensors"

    def find(self) -> Learning | None:
        """What is there; None if nothing is, or what is cannot be read, which is told in a warning."""
        try:
            kept = unpack(self._path.read_bytes())
            os.utime(self._path)
            found = Learning(learned_of(kept["learned"]), kept["state"], [tuple(w) for w in kept["warnings"]])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s: what was learned cannot be used (%s); it is learned again", self._path, error)
            return None
        for name, message in found.warnings:
            logging.getLogger(name).warning("%s", message)
        return found

    def keep(self, learning: Learning) -> None:
        """Stores it. A folder that cannot be written costs a warning, not the run."""
        told = {"learned": learning.learned, "state": learning.state, "warnings": learning.warnings}
        try:
            write_whole(self._path, pack(told))
            self._tidy()
        except OSError as error:
            log.warning("%s; what was learned is not kept", in_words(error, self._folder))

    @contextmanager
    def my_turn(self, tell: Callable[[], None]) -> Iterator[None]:
        """Within it no other process learns the same, unless there are no locks. tell: hears that one does,
        and is waited for."""
        lock, handle = self._path.with_suffix(".lock"), None
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell()
                fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if handle is not None:
                lock.unlink(missing_ok=True)
                os.close(handle)

    def _tidy(self) -> None:
        sweep(self._folder)
        for other in self._folder.glob("*.safetensors"):
            with suppress(OSError):
                if time.time() - other.stat().st_mtime > KEPT_S:
                    other.unlink()


@contextmanager
def heard() -> Iterator[list[tuple[str, str]]]:
    """Within it warnings of the learners are noted, but those about the cache, which are of today alone."""
    told: list[tuple[str, str]] = []

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING and not record.name.endswith("client_cache"):
                told.append((record.name, record.getMessage()))
            if (
                logging.lastResort and not logging.getLogger().handlers
            ):  # which tells where nobody else listens
                logging.lastResort.handle(record)

    notes = Notes(logging.WARNING)
    logging.getLogger("agents").addHandler(notes)
    try:
        yield told
    finally:
        logging.getLogger("agents").removeHandler(notes)


def learned_for(plan: Scenario) -> Learned:
    """What the learners give for a scenario before t = 0, from what is kept or learned here and now."""
    from agents.brought_names import libraries_of
    from agents.data.folders import contents
    from agents.fleet import open_fleet

    part = _part_of(plan)
    learnings = Learnings(part, contents(plan.data) | libraries_of(plan))
    with learnings.my_turn(lambda: None):
        kept = learnings.find()
        if kept is None:
            with heard() as told, open_fleet(part, workers=0) as fleet:
                fleet.build()
                fleet.learn()
                kept = Learning(fleet.decide(), None, told)
            learnings.keep(kept)
    return kept.learned


def trained_server(plan: Scenario) -> Runnable:
    """The server's model of a scenario, trained here and now."""
    from agents.fleet import open_fleet

    with open_fleet(_part_of(plan), workers=0) as fleet:
        fleet.build()
        fleet.learn()
        return fleet.server_to_run()


def _part_of(plan: Scenario) -> Scenario:
    from sim.world.world import World

    observed = World(plan).availabilities[0] if plan.training.availability == "observed" else None
    return learning_part(plan, observed)
