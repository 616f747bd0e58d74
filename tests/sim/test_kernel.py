"""The compiled loop against SimPy's and against the readable definition, byte for byte."""

from __future__ import annotations

import shutil
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import worlds
from test_checkpoints import told
from test_loop import SLOW_IS_FINE
from worlds import (
    MadeUpLearner,
    WrittenArrivals,
    differences,
    group_of,
    made_up,
    product,
    reference,
    scenario_of,
)

from sim.engine import loop
from sim.engine.choice import EnginePath
from sim.engine.chunk import Play, run_chunk
from sim.engine.learning import Learning
from sim.engine.run import Run
from sim.engine.state import State, at_start
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.streams import Draws
from sim.world.parameters import Rules
from sim.world.windows import EvenWindows
from sim.world.world import World

stretch = pytest.importorskip("sim.engine.kernel.stretch")
ROOT = Path(__file__).resolve().parents[2]
compiling = pytest.importorskip("sim.engine.kernel.compiling")
lookups = pytest.importorskip("sim.engine.kernel.lookups")


def simpy(laid_down: Rules) -> Play:
    return partial(loop.play, laid_down)


def compiled(laid_down: Rules) -> Play:
    return stretch.Kernel(laid_down).play


def in_turns(laid_down: Rules) -> Play:
    """One stretch by SimPy's loop, the next by the compiled one."""
    players = [simpy(laid_down), compiled(laid_down)]

    def play(*stretch: Any) -> Any:
        players.reverse()
        return players[0](*stretch)

    return play


def played(scenario: Scenario, source: WrittenArrivals, chunk_s: float, make: Any) -> tuple[list[Any], State]:
    """All that a run's chunks give and leave behind, as they are before any table is made of it."""
    learned, laid_down = made_up(scenario), World(scenario).parameters
    learning = Learning(World(scenario), learned, MadeUpLearner(scenario, learned))
    state, play = at_start(World(scenario)), make(laid_down)
    found = []
    for index in range(int(np.ceil(scenario.horizon_s / chunk_s))):
        start, end = index * chunk_s, min((index + 1) * chunk_s, scenario.horizon_s)
        arrivals, last = source.draw(index, start, end), end == scenario.horizon_s
        ended, seconds = run_chunk(laid_down, learning, state, arrivals, start, end, last, play)
        found.append([as_bytes(ended.rows), as_bytes(ended.sends), as_bytes(seconds), everything(state)])
    return found, state


def as_bytes(columns: dict[str, Any]) -> dict[str, bytes]:
    return {name: column.tobytes() for name, column in columns.items()}


def everything(state: State) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(state):
        value = getattr(state, field.name)
        if isinstance(value, dict):
            found[field.name] = as_bytes(value)
        else:
            found[field.name] = value.tobytes() if isinstance(value, np.ndarray) else repr(value)
    return found


def assert_paths_agree(world: Any, make: Any) -> None:
    ours, theirs = (played(*world, how)[0] for how in (make, simpy))
    for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine == other, f"chunk {index}"


@settings(max_examples=700, derandomize=True, **SLOW_IS_FINE)
@given(worlds(in_reach=True))
def test_it_leaves_what_simpys_loop_leaves(world):
    """Rows, sends, the time line and the whole state after every chunk; tables are made of nothing else."""
    assert_paths_agree(world, compiled)


@settings(max_examples=150, **SLOW_IS_FINE)
@given(worlds(in_reach=True))
def test_it_leaves_what_simpys_loop_leaves_on_new_worlds(world):
    """With those above and below they are more than a thousand worlds."""
    assert_paths_agree(world, compiled)


@settings(max_examples=150, derandomize=True, **SLOW_IS_FINE)
@given(worlds(in_reach=True))
def test_the_path_may_change_at_any_chunk(world):
    """And no array is too short, however little room there was to begin with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretch, "EVENTS", 0)
        patch.setattr(stretch, "ROOM", 1)
        assert_paths_agree(world, in_turns)


@settings(max_examples=30, derandomize=True, **SLOW_IS_FINE)
@given(worlds(in_reach=True), st.booleans())
def test_a_run_that_broke_off_goes_on_in_the_other_loop(world, begins_compiled):
    """What the one kept, the other restores, after every chunk, and by one kernel."""
    scenario, arrivals, chunk_s = world
    learned = made_up(scenario)

    def fresh(name: str) -> Run:
        learner = MadeUpLearner(scenario, learned)
        return Run(World(scenario), learned, arrivals, learner, EnginePath(name, ""), EvenWindows(chunk_s))

    names = ["simpy", "compiled"] if begins_compiled else ["compiled", "simpy"]
    whole, broken = fresh("simpy"), fresh(names[1])
    while not whole.is_over:
        assert told(broken.advance()) == told(whole.advance())
        kept = pack(broken.kept())
        assert kept == pack(whole.kept())
        broken = fresh(names[0])
        broken.restore(unpack(kept))
        names.reverse()
    broken.finish()
    assert len(sys.modules["sim.engine.kernel.walk"].walk.signatures) == 1


@settings(max_examples=40, derandomize=True, **SLOW_IS_FINE)
@given(worlds(in_reach=True))
def test_its_tables_equal_the_reference(world):
    scenario, arrivals, chunk_s = world
    learned = made_up(scenario)
    path = EnginePath("compiled", "")
    ours = product(scenario, learned, arrivals, chunk_s, path=path)
    for mine, other in zip(ours, reference(scenario, learned, arrivals, chunk_s), strict=True):
        assert differences(mine, other) == []


def test_one_kernel_plays_every_world():
    """Were the types of its arguments others anywhere, each would cost a compilation.

    As they once were where a stretch knew of nothing but tokens earned. (Worlds played before count as well.)
    """
    far = group_of(link={"latency": 10.0}, timeout_s=30.0, retry={"attempts": 2, "allowance": 0.5})
    for group, pairs in ((group_of(), ()), (far, ((1.0, 0),))):
        scenario = scenario_of(fleet=(group,))
        product(scenario, made_up(scenario), WrittenArrivals(pairs), 5.0, path=EnginePath("compiled", ""))
    walk = sys.modules["sim.engine.kernel.walk"].walk
    assert len(walk.signatures) == 1


@settings(**SLOW_IS_FINE)  # the first is compiled
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**62), st.integers(0, 127))
def test_its_draws_are_those_of_the_streams(seed, request, attempt):
    draws = Draws(seed, "backoff")
    assert lookups.uniform(np.uint64(draws.root), request, attempt) == draws.one(request, attempt)


def test_code_of_other_sources_is_not_taken_from_the_cache(tmp_path):
    """Numba looks at one file; what is compiled comes from many, and constants from modules around them."""
    for name in ("kernel", "scenario"):
        shutil.copytree(ROOT / "sim" / name, tmp_path / "sim" / name)
    for path in (ROOT / "sim").glob("*.py"):
        shutil.copy(path, tmp_path / "sim")
    kernel = tmp_path / "sim" / "kernel"
    same = compiling.fingerprint(kernel)
    assert same == compiling.fingerprint(ROOT / "sim" / "kernel")
    found = set()
    for name in ("kernel/queue.py", "kernel/stretch.py", "budgets.py", "scenario/values.py", "table.py"):
        path, before = tmp_path / "sim" / name, (tmp_path / "sim" / name).read_text()
        path.write_text(before + "# another one")
        found |= {name} if compiling.fingerprint(kernel) != same else set()
        path.write_text(before)
    assert found == {"kernel/queue.py", "budgets.py", "scenario/values.py"}
