"""SimPy's clock and the compiled one: the same bytes on every world, and those of the readable definition."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numba
import numpy as np
import pytest
import simpy as simpy_package
from hypothesis import given
from hypothesis import strategies as st
from strategies import several, worlds
from test_checkpoints import told
from tried import tried
from worlds import (
    MadeUpLearner,
    WrittenArrivals,
    differences,
    group_of,
    made_up,
    poisson,
    product,
    reference,
    scenario_of,
)

from sim.engine.arrays import context
from sim.engine.choice import EnginePath
from sim.engine.clock import Clock
from sim.engine.handlers import MODULES, primitives
from sim.engine.learning import Learning
from sim.engine.linking import link
from sim.engine.run import Run
from sim.engine.simpy_clock import Environment, SimPyClock
from sim.engine.state import State, at_start
from sim.engine.window import run_window
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.streams import Draws
from sim.world.parameters import Parameters
from sim.world.windows import EvenWindows
from sim.world.world import World

compiled_clock = pytest.importorskip("sim.engine.compiled_clock")


def simpy(laid_down: Parameters) -> Clock:
    return SimPyClock(laid_down)


def compiled(laid_down: Parameters) -> Clock:
    return compiled_clock.CompiledClock(laid_down)


class InTurns:
    """One stretch by SimPy's clock, the next by the compiled one."""

    def __init__(self, laid_down: Parameters) -> None:
        self._clocks = [simpy(laid_down), compiled(laid_down)]

    def play(self, *given: Any) -> Any:
        self._clocks.reverse()
        return self._clocks[0].play(*given)


def played(scenario: Scenario, source: WrittenArrivals, chunk_s: float, make: Any) -> tuple[list[Any], State]:
    """All that a run's chunks give and leave behind, as they are before any table is made of it."""
    learned, laid_down = made_up(scenario), World(scenario).parameters
    learning = Learning(World(scenario), learned, MadeUpLearner(scenario, learned))
    state, clock = at_start(World(scenario)), make(laid_down)
    found = []
    for index in range(int(np.ceil(scenario.horizon_s / chunk_s))):
        start, end = index * chunk_s, min((index + 1) * chunk_s, scenario.horizon_s)
        arrivals, last = source.draw(index, start, end), end == scenario.horizon_s
        ended, seconds, _ = run_window(laid_down, learning, state, arrivals, start, end, last, clock)
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


@tried(250)
@given(worlds())
def test_it_leaves_what_simpys_loop_leaves(world):
    """Rows, sends, the time line and the whole state after every chunk; tables are made of nothing else."""
    assert_paths_agree(world, compiled)


@pytest.mark.slow
@tried(50)
@given(worlds())
def test_it_leaves_what_simpys_loop_leaves_on_new_worlds(world):
    """With those above and below they are more than a thousand worlds."""
    assert_paths_agree(world, compiled)


@tried(150)
@given(several())
def test_it_leaves_what_simpys_loop_leaves_of_several_servers(world):
    assert_paths_agree(world, compiled)


@tried(60)
@given(worlds() | several())
def test_the_path_may_change_at_any_chunk(world):
    """And no array is too short, however little room there was to begin with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "EVENTS", 0)
        patch.setattr(context, "ROOM", 1)
        assert_paths_agree(world, InTurns)


@tried(30)
@given(worlds(), st.booleans())
def test_a_run_that_broke_off_goes_on_in_the_other_loop(world, begins_compiled):
    """What the one kept, the other restores, after every chunk, and by code compiled once."""
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
    assert len(compiled_clock.walk.signatures) == 1


@tried(40)
@given(worlds())
def test_its_tables_equal_the_reference(world):
    scenario, arrivals, chunk_s = world
    learned = made_up(scenario)
    path = EnginePath("compiled", "")
    ours = product(scenario, learned, arrivals, chunk_s, path=path)
    for mine, other in zip(ours, reference(scenario, learned, arrivals, chunk_s), strict=True):
        assert differences(mine, other) == []


def test_what_is_compiled_once_plays_every_world():
    """Were the types of its arguments others anywhere, each would cost a compilation.

    As they once were where a stretch knew of nothing but tokens earned. (Worlds played before count as well.)
    """
    far = group_of(link={"latency": 10.0}, timeout_s=30.0, retry={"attempts": 2, "allowance": 0.5})
    for group, pairs in ((group_of(), ()), (far, ((1.0, 0),))):
        scenario = scenario_of(fleet=(group,))
        product(scenario, made_up(scenario), WrittenArrivals(pairs), 5.0, path=EnginePath("compiled", ""))
    walk = compiled_clock.walk
    assert len(walk.signatures) == 1


compiled_uniform = link(MODULES, {}, lambda function, _mark: numba.njit(function))[primitives.uniform]


@tried()  # the first is compiled
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**62), st.integers(0, 127))
def test_its_draws_are_those_of_the_streams(seed, request, attempt):
    draws = Draws(seed, "backoff")
    found = compiled_uniform(np.uint64(draws.root), request, attempt)
    assert found == draws.one(request, attempt)


def stepped(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[Any]]:
    """How often SimPy itself stepped, and the chunks of the run."""
    steps = []
    step = Environment.step
    monkeypatch.setattr(Environment, "step", lambda env: steps.append(env.peek()) or step(env))
    source, path = poisson(scenario, 10.0), EnginePath("simpy", "")
    run = Run(World(scenario), made_up(scenario), source, path=path, windows=EvenWindows(10.0))
    chunks = []
    while not run.is_over:
        chunks.append(run.advance())
    assert steps == sorted(steps)
    return len(steps), chunks


def test_simpy_moves_the_time(monkeypatch):
    """Each event of the model is a step of SimPy's: arrivals at the server, and the ends of batches; besides
    a step as each of the two stretches begins and ends, and one as its process is over."""
    scenario = scenario_of(horizon_s=20.0, server={"service": {"kind": "affine", "base_s": 0.5}})
    steps, chunks = stepped(scenario, monkeypatch)
    reached = sum(np.count_nonzero(~np.isnan(chunk.requests["reached_at_s"])) for chunk in chunks)
    finished = sum(np.count_nonzero(~np.isnan(chunk.requests["finished_at_s"])) for chunk in chunks)
    assert reached > 10
    assert reached + finished <= steps <= reached + finished + 6


OUTAGE = {"outages": ({"when": {"kind": "intervals", "at": ((3.0, 5.0),)}},)}
SCALING = {"target_utilisation": 0.5, "interval_s": 2.0, "provisioning_s": 1.0, "min": 1, "max": 2}


@pytest.mark.parametrize(
    ("parts", "lives"),
    [({}, 0), (OUTAGE, 1), ({"autoscaling": SCALING}, 1), (OUTAGE | {"autoscaling": SCALING}, 2)],
)
def test_outages_and_ticks_are_processes_of_simpy(parts, lives, monkeypatch):
    """Each lives in SimPy from its first event to its last; one more ends the window."""
    made: list[simpy_package.Process] = []
    process = Environment.process

    def noted(env: Any, generator: Any) -> Any:
        made.append(process(env, generator))
        return made[-1]

    monkeypatch.setattr(Environment, "process", noted)
    server = {"service": {"kind": "affine", "base_s": 0.5}} | parts
    stepped(scenario_of(horizon_s=10.0, server=server), monkeypatch)
    assert len(made) == lives + 1
    assert not any(one.is_alive for one in made)
