"""Which loop plays a run, and that it makes no difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds import differences, group_of, made_up, poisson, product, scenario_of

from sim.engine.choice import COMPILE_S, EnginePath, chosen, is_worth_compiling_beside
from sim.engine.simpy_clock import SimPyClock
from sim.errors import RunFailed
from sim.policy.controllers import Backlog
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.simulation import simulate
from sim.world.world import World

ROOT = Path(__file__).resolve().parents[2]
MANY = group_of(clients=100, arrivals={"process": {"kind": "poisson", "rate_hz": 50.0}})  # a second has 5,000
SERVICE = {"kind": "affine", "base_s": 0.001}
CLOSED = {"process": {"kind": "closed_loop", "think": 0.01}}
PRICED = {"score": "plug_in", "price": {"kind": "queue_aware", "weight": 0.1}}
SCALING = {"target_utilisation": 0.5, "interval_s": 1.0, "provisioning_s": 1.0, "min": 1, "max": 2}


def busy(group: object = MANY, path: str = "auto", **server: object) -> Scenario:
    return scenario_of(fleet=(group,), server={"service": SERVICE} | server, engine={"path": path})


@pytest.fixture
def cold(tmp_path, monkeypatch) -> None:
    """No earlier run has left compiled code."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sim.engine.compiling.target.is_in_memory", lambda: False)


def test_what_the_compiled_loop_can_play_it_plays(monkeypatch):
    monkeypatch.setattr("sim.engine.compiling.target.is_kept", lambda: True)
    assert chosen(busy()).name == "compiled"


@pytest.mark.usefixtures("cold")
def test_few_requests_are_not_worth_the_compiling():
    path, longer = chosen(busy()), busy().model_copy(update={"horizon_s": 4_000.0})
    assert path.name == "simpy"
    assert path.why.startswith("about 100000 requests; to compile the loop pays from 4000000 on")
    assert [chosen(one).name for one in (longer, busy(path="compiled"))] == ["compiled", "compiled"]


@pytest.mark.usefixtures("cold")
@pytest.mark.parametrize("is_cold", [True, False])
def test_what_must_be_compiled_first_is_told(is_cold, monkeypatch):
    told: list[Any] = []
    monkeypatch.setattr("sim.engine.compiled_clock.CompiledClock.compile", lambda *_: told.append("compile"))
    if not is_cold:
        monkeypatch.setattr("sim.engine.compiling.target.is_kept", lambda: True)
    scenario, path = busy(path="compiled"), EnginePath("compiled", "", tell=lambda *word: told.append(word))
    path.clock(World(scenario).parameters)
    assert told == ([(0.0, False), "compile", (1.0, False)] if is_cold else ["compile"])


@pytest.mark.usefixtures("cold")
@pytest.mark.parametrize("is_done", [True, False])
def test_what_another_process_compiles_is_waited_for(is_done, monkeypatch):
    """Or compiled here where that gave up."""
    told: list[Any] = []
    is_there = False

    def wait(_function: Any, _types: Any, tell: Any) -> None:
        nonlocal is_there
        tell(COMPILE_S)
        is_there = is_done

    monkeypatch.setattr("sim.engine.compiling.target.is_kept", lambda: is_there)
    monkeypatch.setattr("sim.engine.compiling.kept.wait", wait)
    monkeypatch.setattr("sim.engine.compiled_clock.CompiledClock.compile", lambda *_: told.append("compile"))
    scenario, path = busy(path="compiled"), EnginePath("compiled", "", tell=lambda *word: told.append(word))
    path.clock(World(scenario).parameters)
    here = [] if is_done else [(0.0, False)]
    assert told == [(pytest.approx(0.9), True), *here, "compile", (1.0, is_done)]


@pytest.mark.usefixtures("cold")
@pytest.mark.parametrize(
    ("since_s", "pays_from", "name"),
    [
        (None, 4_000_000, "simpy"),
        (4.0, 3_200_000, "simpy"),
        (18.0, 900_000, "compiled"),
        (80.0, 4_000_000, "simpy"),
    ],
)
def test_what_is_left_of_the_compiling_counts(since_s, pays_from, name, monkeypatch):
    """And who is late is expected to be later."""
    monkeypatch.setattr("sim.engine.compiling.kept.compiling_since_s", lambda *_: since_s)
    path = chosen(busy().model_copy(update={"horizon_s": 200.0}))  # a million requests
    assert path.name == name
    if name == "simpy":
        assert path.why.startswith("about 1000000 requests; ")
        assert f"pays from {pays_from} on" in path.why
        assert ("still being compiled" in path.why) is (since_s is not None)


@pytest.mark.usefixtures("cold")
def test_it_is_compiled_beside_where_that_will_be_used(monkeypatch):
    short = busy().model_copy(update={"horizon_s": 1.0})
    learns_only = busy(path="compiled").model_copy(update={"horizon_s": 0.0})
    for scenario, expected in (
        (busy(), True),
        (busy(path="compiled"), True),
        (busy(path="compiled").model_copy(update={"horizon_s": 1.0}), True),
        (short, False),
        (busy(path="simpy"), False),
        (learns_only, False),
    ):
        assert is_worth_compiling_beside(scenario) is expected
    monkeypatch.setattr("sim.engine.compiling.kept.compiling_since_s", lambda *_: 3.0)
    assert not is_worth_compiling_beside(busy())
    monkeypatch.setattr("sim.engine.compiling.target.is_kept", lambda: True)
    assert not is_worth_compiling_beside(busy())


@pytest.mark.slow
def test_without_compilation_the_handlers_are_plain_python_that_says_the_same():
    """With NUMBA_DISABLE_JIT, for a debugger; warnings are errors there."""
    one = f"tests/sim/test_paths.py::{test_files_do_not_know_which_loop_played.__name__}"
    strictly = ("-W", "error::RuntimeWarning", "-p", "no:cacheprovider", "--verbose")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", *strictly, one],
        cwd=ROOT,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    assert "1 passed" in told.stdout


def test_few_requests_are_not_worth_the_loading():
    path = chosen(scenario_of())
    assert (path.name, path.why) == ("simpy", "about 20 requests; compiled code pays from 50000 on")


@pytest.mark.parametrize(
    "scenario",
    [
        busy(MANY | {"arrivals": CLOSED}),
        busy(MANY | {"policy": PRICED}),
        busy(autoscaling=SCALING),
        busy(discipline="fair"),
    ],
)
def test_the_compiled_clock_plays_everything(scenario, monkeypatch):
    monkeypatch.setattr("sim.engine.compiling.target.is_kept", lambda: True)
    long = scenario.model_copy(update={"horizon_s": 2_000.0})
    assert chosen(long).name == "compiled"


@pytest.mark.parametrize("path", ["simpy", "compiled"])
def test_the_scenario_may_say_which(path):
    found = chosen(busy(path=path))
    assert (found.name, found.why) == (path, "as the scenario says")


def test_files_do_not_know_which_loop_played(tmp_path):
    """Every file but the wall times, byte for byte."""
    told = {
        path: simulate(World(s), made_up(s), tmp_path / path)
        for path in ("simpy", "compiled")
        for s in [small(path)]
    }
    files = sorted(path.relative_to(tmp_path / "simpy") for path in (tmp_path / "simpy").rglob("*.parquet"))
    assert len(files) == 5
    for file in files:
        assert (tmp_path / "simpy" / file).read_bytes() == (tmp_path / "compiled" / file).read_bytes()
    simpy, compiled = told["simpy"].path, told["compiled"].path
    assert (simpy["name"], compiled["name"]) == ("simpy", "compiled")
    assert simpy["ready_s"] == 0 < compiled["ready_s"]
    assert json.loads(json.dumps(compiled))["why"] == "as the scenario says"


def small(path: str) -> Scenario:
    retries = {"timeout_s": 0.1, "retry": {"attempts": 3}, "device": {"inference_s": 0.01}}
    group = MANY | retries | {"arrivals": {"process": {"kind": "poisson", "rate_hz": 0.5}}}
    server = {"service": {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.03}}}
    return scenario_of(horizon_s=90.0, fleet=(group,), server=server, engine={"path": path})


def test_without_numba_everything_is_played_by_simpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert chosen(busy()).why == "Numba is not installed"
    assert "Numba is not installed" in "".join(map(str, findings(busy(path="compiled"))))


def test_without_numba_a_run_goes_through(tmp_path):
    code = (
        "import sys; sys.modules['numba'] = None; sys.path[:0] = ['tests', 'tests/sim']\n"
        "from pathlib import Path; from worlds import made_up; from test_paths import small\n"
        "from sim.simulation import simulate; from sim.world.world import World; s = small('auto')\n"
        f"print(simulate(World(s), made_up(s), Path({str(tmp_path)!r})).path['name'])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "simpy"


def worded(_p: Any, _m: Any, _now: float, _request: Any) -> float:
    return float(format(0.1, ".1f"))


@pytest.fixture
def not_for_numba(monkeypatch) -> None:
    """The price `queue_aware` has a function that Numba cannot compile."""
    monkeypatch.setattr("sim.engine.compiled_functions._COMPILED", {})
    monkeypatch.setattr(Backlog, "threshold", staticmethod(worded))


def nine_kinds(scenario: Scenario) -> Any:
    """Parameters of nine groups, each with a price of a kind of its own."""
    made = World(scenario).parameters
    return replace(made, prices=tuple(type(f"Kind{n}", (Backlog,), {})(0.1, 0.1, 1.0) for n in range(9)))


@pytest.mark.usefixtures("not_for_numba")
def test_a_price_that_numba_cannot_compile_goes_to_simpys_clock_with_one_line():
    scenario, path = few_priced(1), EnginePath("compiled", "")
    run = product(scenario, made_up(scenario), poisson(scenario, 10.0), 10.0, path=path)
    assert path.name == "simpy"
    assert path.why.startswith("the compiled clock cannot play it: the price Backlog cannot be compiled: ")
    assert "\n" not in path.why
    again = product(scenario, made_up(scenario), poisson(scenario, 10.0), 10.0, path=EnginePath("simpy", ""))
    assert [differences(mine, other) for mine, other in zip(run, again, strict=True)] == [[], []]


def test_a_ninth_kind_of_price_goes_to_simpys_clock_with_one_line():
    path = EnginePath("compiled", "")
    assert isinstance(path.clock(nine_kinds(few_priced(9))), SimPyClock)
    assert path.told()["why"] == (
        "the compiled clock cannot play it: the scenario has 9 kinds of prices that move, more than 8"
    )


def few_priced(groups: int) -> Scenario:
    fleet = tuple(group_of(f"g{n}", policy=PRICED, timeout_s=2.0) for n in range(groups))
    return scenario_of(fleet=fleet)


@pytest.mark.usefixtures("not_for_numba")
@pytest.mark.parametrize("groups", [1, 9])
def test_where_the_compiled_clock_is_demanded_such_a_fleet_is_refused(groups):
    scenario = few_priced(groups)
    made = World(scenario).parameters if groups == 1 else nine_kinds(scenario)
    with pytest.raises(RunFailed, match=r"engine\.path is compiled, but the (price|scenario)"):
        EnginePath("compiled", "", is_demanded=True).clock(made)


@pytest.mark.parametrize("is_demanded", [True, False])
def test_a_numba_that_cannot_be_loaded_is_like_none_unless_it_is_demanded(monkeypatch, is_demanded):
    rooms = ("sim.engine.compiled_clock", "sim.engine.compiling")
    for name in [name for name in sys.modules if name.startswith(rooms)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    scenario, path = busy(), EnginePath("compiled", "", is_demanded)
    made = World(scenario).parameters
    if is_demanded:
        with pytest.raises(RunFailed, match="Numba cannot be loaded"):
            path.clock(made)
    else:
        path.clock(made)
        assert path.name == "simpy"
