"""What follows from a scenario is derived once in a run, and once only."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

from test_engine import busy
from worlds import MadeUpLearner, made_up, scenario_of

from commands import one_run
from commands.progress import Quiet
from sim.results.learned_files import write_learned
from sim.scenario import Scenario, read
from sim.simulation import simulate
from sim.world.arrivals.think_times import think_times
from sim.world.budgets import accounts
from sim.world.outages.capacity import capacity, intervals, mean_availability, slowness
from sim.world.outages.links import Links
from sim.world.outages.times import outage_times
from sim.world.parameters import parameters_of
from sim.world.population import population
from sim.world.release_schedule import rounds, schedule, training_spans
from sim.world.world import World

ROOT = Path(__file__).resolve().parents[2]
DERIVATIONS: tuple[Callable[..., Any], ...] = (
    population,
    outage_times,
    intervals,
    capacity,
    mean_availability,
    Links.__init__,
    slowness,
    rounds,
    training_spans,
    schedule,
    accounts,
    parameters_of,
)
ONLINE = {"every_s": 40.0, "steps": 2, "step_s": 4.0, "rejector_steps": 1, "rejector_step_s": 0.5}


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """How often each thing is derived meanwhile, in this thread; think times are derived group by group."""
    names: dict[CodeType, str] = {one.__code__: one.__qualname__ for one in (*DERIVATIONS, think_times)}
    found: Counter[str] = Counter()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in names:
            found[names[frame.f_code]] += 1

    sys.setprofile(watch)
    try:
        yield found
    finally:
        sys.setprofile(None)


def learning() -> Scenario:
    return busy().model_copy(update={"training": scenario_of(training={"online": ONLINE}).training})


def test_a_simulation_derives_everything_once(tmp_path):
    asked = learning()
    learned = made_up(asked)
    with counted() as found:
        world = World(asked)
        simulate(world, learned, tmp_path, learner=MadeUpLearner(asked, learned))
        write_learned(world, learned, learned.client_hashes, tmp_path)
    once = {one.__qualname__: 1 for one in (*DERIVATIONS, think_times)}
    assert found == {name: n for name, n in once.items() if name != "mean_availability"}


def test_a_whole_run_with_its_learners_derives_everything_once(tmp_path):
    words = "{every_s: 40, steps: 3, step_s: 0.5, rejector_steps: 2, rejector_step_s: 0.5, source: mix}"
    changes = ("horizon_s=100", f"training.online={words}", "training.availability=observed")
    asked = read("smoke", changes)
    with counted() as found:
        one_run.execute(asked, "?", tmp_path / "run", False, 0, None, Quiet(), pictures=False)
    assert found.pop("think_times") == len(asked.fleet)
    assert found == {one.__qualname__: 1 for one in DERIVATIONS}


def test_nobody_but_a_world_derives_what_it_holds():
    names = {one.__name__ for one in DERIVATIONS if isinstance(one, FunctionType)} - {"__init__"}
    for path in [
        file for room in ("sim", "live", "agents", "commands") for file in (ROOT / room).rglob("*.py")
    ]:
        taken = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sim.world.")
            for alias in node.names
        }
        derives = taken & names if path != ROOT / "sim/world/world.py" else set()
        assert not derives, f"{path.relative_to(ROOT)} derives {', '.join(sorted(derives))}"
