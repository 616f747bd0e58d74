"""Where windows end: after so many requests, whatever the traffic; and that nothing else depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arrival_kinds import EVERY, group, scenario
from hypothesis import given
from hypothesis import strategies as st
from stories import devices, server
from strategies import several, worlds
from test_checkpoints import Cut, content, cut_at, kept_in
from tried import tried
from worlds import (
    MadeUpLearner,
    WrittenArrivals,
    differences,
    frame,
    group_of,
    made_up,
    product,
    scenario_of,
)

from sim.engine.choice import EnginePath
from sim.engine.run import Run, chunks
from sim.scenario import Scenario
from sim.scenario.rules.rates import requests_before
from sim.simulation import simulate
from sim.world import windows
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import MOST_REQUESTS, MOST_S, EvenWindows, WindowsByWork
from sim.world.world import World

DAY_S = 86_400.0
ONE_FAILS = {
    "when": {"kind": "renewal", "up": 110.0, "down": 25.0},
    "target": {"kind": "replicas", "count": 1},
}


def asking(clients: int, rate_hz: float, horizon_s: float, **changes: Any) -> Scenario:
    process = {"kind": "poisson", "rate_hz": rate_hz}
    fleet = (group_of(clients=clients, arrivals={"process": process}),)
    return scenario_of(horizon_s=horizon_s, fleet=fleet, **changes)


def ends(asked: Scenario) -> list[float]:
    """Where the windows of a run end."""
    found, made = [0.0], WindowsByWork(World(asked))
    while found[-1] < asked.horizon_s:
        found.append(min(made.end(found[-1]), asked.horizon_s))
    return found[1:]


@pytest.mark.parametrize(
    ("clients", "rate_hz", "days", "number"),
    [
        (50, 126 / 50 / DAY_S, 1, 1),
        (50, 2_000 / 50 / DAY_S / 14, 14, 2),
        (1_000, 12.4 * MOST_REQUESTS / 1_000 / DAY_S / 30, 30, 13),
        (1_000, 100.0, 600 / DAY_S, 10),  # a minute is the shortest
    ],
)
def test_windows_follow_requests(clients, rate_hz, days, number):
    assert len(ends(asking(clients, rate_hz, days * DAY_S))) == number


@pytest.mark.parametrize(("process", "shape"), EVERY)
def test_they_are_whole_minutes_and_hold_about_as_many_requests(process, shape, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "MOST_REQUESTS", 500)
    asked = scenario(group(process, shape, clients=5, folder=tmp_path), horizon_s=3_000.0)
    edges = np.array([0.0, *ends(asked)])
    assert np.all(edges[:-1] % 60.0 == 0)
    assert edges[-1] == asked.horizon_s
    expected = np.diff([requests_before(asked, 0, at_s) for at_s in edges])
    is_long = np.diff(edges) > 60.0
    assert np.all(expected[is_long] <= 500)
    drawn = ScenarioArrivals(World(asked)).draw(0, 0.0, asked.horizon_s).at_s
    assert len(drawn) == pytest.approx(expected.sum(), abs=6 * np.sqrt(expected.sum()) + 300)


def test_what_is_open_is_carried_few_times(monkeypatch):
    """At a server without a limit that gets five times what it can serve, most of all requests wait: to carry
    them from minute to minute would take the square of them."""
    monkeypatch.setattr(windows, "MOST_REQUESTS", 200)
    asked = asking(10, 1.0, 3_000.0, server={"service": {"kind": "affine", "base_s": 0.5}})
    world, learned, path = World(asked), made_up(asked), EnginePath("simpy", "")

    def played(made: Any = None) -> tuple[int, pd.DataFrame]:
        run, carried, rows = Run(world, learned, ScenarioArrivals(world), path=path, windows=made), 0, []
        while not run.is_over:
            carried += run._state.rows["arrived"].size
            rows.append(run.advance().requests)
        return carried, frame(pa.concat_tables(rows)).sort_values("request_id", ignore_index=True)

    (carried, rows), (in_minutes, expected) = played(), played(EvenWindows(60.0))
    is_open = int((rows["outcome"] == "in_flight").sum())
    assert is_open > len(rows) / 2
    assert carried < 3 * is_open
    assert in_minutes > 10 * is_open
    assert differences(rows, expected) == []


def test_a_burst_in_a_trace_has_windows_of_its_own(tmp_path):
    """An hour of nothing, ten minutes of 90,000 requests each, and nothing again."""
    file = tmp_path / "burst.parquet"
    at = np.concatenate([[0.0], np.linspace(3_600.0, 4_200.0, 900_000, endpoint=False), [DAY_S - 1]])
    pq.write_table(pa.table({"time": at}), file)
    fleet = (group_of(arrivals={"process": {"kind": "trace", "file": str(file)}}),)
    assert ends(scenario_of(horizon_s=DAY_S, fleet=fleet)) == [
        *(3_660.0 + 60.0 * minute for minute in range(9)),
        DAY_S,
    ]


def test_what_takes_long_besides_requests_shortens_them():
    """Rounds of training, stays in states, the autoscaler's ticks, changes of capacity."""
    quiet, week_s = asking(1, 1e-6, 2 * MOST_S), MOST_S
    assert ends(quiet) == [week_s, 2 * week_s]
    online = {"every_s": 7_000.0, "steps": 1, "step_s": 1.0, "rejector_steps": 1, "rejector_step_s": 0.1}
    assert ends(asking(1, 1e-6, 3 * 7_000.0, training={"online": online}))[0] == 6_960.0
    made = WindowsByWork(World(asking(1, 1e-6, 3 * 7_000.0, training={"online": online})))
    assert made.end(0.0, 10**8) == made.end(0.0)  # rounds do not come faster where many requests are open
    scaling = {"target_utilisation": 0.5, "interval_s": 1.0, "min": 1, "max": 2, "provisioning_s": 1.0}
    server = {"service": {"kind": "affine", "base_s": 1.0}}
    scaled = ends(asking(1, 1e-6, week_s, server=server | {"autoscaling": scaling}))
    assert scaled[0] == (MOST_REQUESTS - 1) // 60 * 60
    flapping = {"when": {"kind": "renewal", "up": 2.0, "down": 2.0}}
    first, *_ = ends(asking(1, 1e-6, week_s, server=server | {"outages": (flapping,)}))
    assert 1.8 * MOST_REQUESTS < first < 2.2 * MOST_REQUESTS
    process = {"kind": "mmpp", "rates_hz": (0.0, 1e-6), "mean_stay_s": 1.0}
    fleet = (group_of(clients=10, arrivals={"process": process}),)
    assert ends(scenario_of(horizon_s=week_s, fleet=fleet))[0] == (MOST_REQUESTS - 1) // 10 // 60 * 60


def test_a_quiet_fortnight_is_a_handful_of_files(tmp_path):
    asked = asking(50, 2_000 / 50 / DAY_S / 14, 14 * DAY_S)
    done = simulate(World(asked), made_up(asked), tmp_path)
    assert 1_700 < done.requests < 2_300
    assert len(list(tmp_path.rglob("*.parquet"))) == 2 * 2 + 3
    timeline = pq.read_table(tmp_path / "timeline.parquet")
    assert len(timeline) == 14 * DAY_S
    assert sum(timeline["arrivals"].to_pylist()) == done.requests


def eventful() -> Scenario:
    """Batches of three, retries, outages, training: minutes that leave much to those after them."""
    devices = group_of(
        clients=12,
        arrivals={"process": {"kind": "poisson", "rate_hz": 0.3}},
        link={"latency": {"kind": "lognormal", "mean_s": 0.4, "cv": 0.5}},
        timeout_s=15.0,
        retry={"attempts": 3, "backoff_s": 2.0},
    )
    server = {
        "replicas": 2,
        "max_batch": 3,
        "service": {"kind": "affine", "base_s": 0.3, "per_item_s": 0.11},
        "outages": (ONE_FAILS, {"when": {"kind": "intervals", "at": ((100.0, 130.0), (410.0, 433.3))}}),
    }
    online = {"every_s": 150.0, "steps": 2, "step_s": 4.0, "rejector_steps": 1, "rejector_step_s": 0.5}
    return scenario_of(horizon_s=725.5, fleet=(devices,), server=server, training={"online": online})


def tables(folder: Path, made: Any) -> dict[str, pd.DataFrame]:
    asked, learned = eventful(), made_up(eventful())
    simulate(World(asked), learned, folder, learner=MadeUpLearner(asked, learned), windows=made)
    found = {}
    for name, keys in (("requests", ["request_id"]), ("attempts", ["request_id", "attempt"])):
        whole = pa.concat_tables([pq.read_table(path) for path in sorted((folder / name).iterdir())])
        found[name] = frame(whole).sort_values(keys, ignore_index=True)
    return found | {"timeline": frame(pq.read_table(folder / "timeline.parquet"))}


@pytest.fixture(scope="module")
def by_minutes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    return tables(tmp_path_factory.mktemp("runs"), EvenWindows(60.0))


@pytest.mark.parametrize("made", [EvenWindows(120.0), EvenWindows(300.0), EvenWindows(780.0), None])
def test_where_windows_end_changes_no_row_and_no_second(made, by_minutes, tmp_path):
    found = tables(tmp_path, made)
    for name, expected in by_minutes.items():
        assert len(expected) > 100
        assert list(found[name]) == list(expected)
        if name != "timeline":
            assert differences(found[name], expected) == []
            continue
        for column in expected:
            np.testing.assert_array_equal(found[name][column], expected[column], err_msg=column)


@tried(30)
@given(worlds() | several(), st.sampled_from([1.0, 3.0, 4.0]))
def test_where_windows_end_changes_nothing_in_random_worlds(world, window_s):
    """Closed loops, prices that hear, training and outages included; against the run as one window."""
    scenario, arrivals, _ = world
    cut, whole = (in_windows(scenario, arrivals, length_s) for length_s in (window_s, 60.0))
    for name in ("requests", "attempts"):
        assert differences(cut[name], whole[name]) == []
    assert list(cut["seconds"]) == list(whole["seconds"])
    for name, column in whole["seconds"].items():
        np.testing.assert_array_equal(cut["seconds"][name], column, err_msg=name)


def in_windows(scenario: Scenario, arrivals: Any, window_s: float) -> dict[str, Any]:
    learned = made_up(scenario)
    learner, path = MadeUpLearner(scenario, learned), EnginePath("simpy", "")
    told = list(chunks(World(scenario), learned, arrivals, window_s, learner, path))
    found: dict[str, Any] = {}
    for name, keys in (("requests", ["request_id"]), ("attempts", ["request_id", "attempt"])):
        rows = frame(pa.concat_tables([getattr(chunk, name) for chunk in told]))
        found[name] = rows.sort_values(keys, ignore_index=True)
    columns = {name: np.concatenate([chunk.seconds[name] for chunk in told]) for name in told[0].seconds}
    return found | {"seconds": columns}


def test_a_run_goes_on_in_the_windows_that_it_had(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "MOST_REQUESTS", 400)
    shape = {"kind": "diurnal", "amplitude": 0.9, "period_s": 1_000.0}
    arrivals = {"process": {"kind": "poisson", "rate_hz": 0.2}, "shape": shape}
    asked = scenario_of(horizon_s=2_000.0, fleet=(group_of(clients=12, arrivals=arrivals),))
    told: list[float] = []
    simulate(World(asked), made_up(asked), tmp_path / "whole", lambda at, _: told.append(at))
    assert len(set(np.diff(told))) > 2
    left = tmp_path / "left"
    with pytest.raises(Cut):
        simulate(World(asked), made_up(asked), left, cut_at(4), checkpoints=kept_in(left))
    kept, then = kept_in(left), list[float]()
    simulate(
        World(asked),
        made_up(asked),
        left,
        lambda at, _: then.append(at),
        checkpoints=kept,
        since=kept.newest(),
    )
    assert then == told[3:]
    assert content(left) == content(tmp_path / "whole")


def test_a_run_without_a_length_has_no_window():
    asked = scenario_of(horizon_s=0.0)
    assert Run(World(asked), made_up(asked), ScenarioArrivals(World(asked))).is_over


@pytest.mark.parametrize(
    ("rules", "asked", "started"),
    [
        (server(max_batch=2, batch_wait_s=3.0), [1.0], [4.0]),
        (server(((0.5, 5),), when_down="queue"), [1.0, 1.0, 1.5], [5.0, 6.0, 7.0]),
        (server(((1.5, 5),), replicas=2, in_flight="requeue"), [1.0] * 4, [5.0, 5.0, 6.0, 6.0]),
    ],
    ids=["for a batch", "in the queue", "put back"],
)
def test_who_waits_at_the_end_of_a_window_waits_on(rules, asked, started):
    """A second each. The first of all attempts waits, too."""
    scenario = scenario_of(fleet=(devices(),), server=rules)
    arrivals = WrittenArrivals(tuple((at, 0) for at in asked))
    requests, _ = product(scenario, made_up(scenario), arrivals, 2.0)
    assert requests["started_at_s"].tolist() == started
