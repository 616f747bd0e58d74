"""When outages happen: drawn time lines against their models, shares of links, and traces of them."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats
from worlds import WrittenArrivals, group_of, made_up, scenario_of

from sim.scenario import Scenario
from sim.scenario.files.rows import BadFile
from sim.scenario.rules.outages import drawn_outages_can_be_counted
from sim.simulation import simulate
from sim.world.outages.links import Links
from sim.world.outages.times import OutageTimes
from sim.world.outages.trace import read_trace
from sim.world.world import World

SERVER = {"kind": "server"}
RENEWAL = {
    "kind": "renewal",
    "up": {"kind": "exponential", "mean_s": 30.0},
    "down": {"kind": "lognormal", "mean_s": 10.0, "cv": 1.0},
}
INTERMITTENT = {"kind": "intermittent", "availability": 0.9, "mean_cycle_s": 50.0}
LINKS = {"kind": "links", "groups": ("devices",)}


def world(
    *outages: dict[str, object], seed: int = 0, horizon_s: float = 1000.0, clients: int = 40
) -> Scenario:
    server = {"service": {"kind": "affine", "base_s": 1.0}, "outages": outages}
    fleet = (group_of(clients=clients, timeout_s=5.0),)
    return scenario_of(seed=seed, horizon_s=horizon_s, fleet=fleet, server=server)


def line(when: dict[str, object], **parts: object) -> OutageTimes:
    (found,) = World(world({"when": when, "target": parts.pop("target", SERVER)}, **parts)).outage_times
    return found


@pytest.mark.parametrize(("when", "available"), [(RENEWAL, 0.75), (INTERMITTENT, 0.9)])
def test_observed_availability_is_the_models(when, available):
    """Mean up time over mean up and down time, from 400 seeds of 100 cycles each; a t-test that would fail
    a right simulator once in a thousand, and that sees a deviation of 0.01 (20 standard errors)."""
    horizon_s = 5000.0
    seen = [
        1 - line(when, seed=seed, horizon_s=horizon_s).shared.down_s(horizon_s) / horizon_s
        for seed in range(400)
    ]
    standard_error = np.std(seen, ddof=1) / 20
    bias = (
        30.0 / horizon_s if when is RENEWAL else 0.0
    )  # a renewal process begins up: at most one up time more
    assert standard_error < 0.003
    assert abs(np.mean(seen) - available) < stats.t.ppf(0.9995, 399) * standard_error + bias * (1 - available)


def test_mean_time_between_failures_means_mean_up_time():
    periods = list(line(RENEWAL, horizon_s=400_000.0).shared)
    ups = [after[0] - before[1] for before, after in itertools.pairwise(periods)]
    downs = [end - begin for begin, end in periods]
    assert np.mean(ups) == pytest.approx(30.0, abs=4 * 30.0 / np.sqrt(len(ups)))
    assert np.mean(downs) == pytest.approx(10.0, abs=4 * 10.0 / np.sqrt(len(downs)))
    assert stats.kstest(ups, stats.expon(scale=30.0).cdf).pvalue > 1e-3


def test_an_intermittent_target_may_begin_down():
    begins_down = [not line(INTERMITTENT, seed=seed).shared.is_up(0.0) for seed in range(500)]
    assert stats.binomtest(sum(begins_down), 500, 0.1).pvalue > 1e-3


def test_a_longer_horizon_only_adds():
    short, long = (list(line(RENEWAL, horizon_s=horizon_s).shared) for horizon_s in (300.0, 3000.0))
    assert long[: len(short)] == short
    assert len(long) > len(short) + 20


def test_every_outage_has_time_lines_of_its_own():
    first, second = World(world(*[{"when": RENEWAL}] * 2)).outage_times
    assert not set(first.shared.from_s) & set(second.shared.from_s)


@pytest.mark.parametrize("correlated", [True, False])
def test_links_fail_together_or_each_on_its_own(correlated):
    scenario = world({"when": RENEWAL, "target": LINKS | {"correlated": correlated}})
    links = Links(World(scenario).outage_times)
    lines = {tuple(links.downtime(client)) for client in range(40)}
    assert len(lines) == (1 if correlated else 40)
    assert all(lines)


def test_a_share_of_the_links_is_that_many_of_them_and_keyed():
    hit = line(RENEWAL, target=LINKS | {"share": 0.3}).clients.tolist()
    assert len(hit) == 12
    assert hit == line(RENEWAL, target=LINKS | {"share": 0.3}, horizon_s=7.0).clients.tolist()
    assert hit != line(RENEWAL, target=LINKS | {"share": 0.3}, seed=1).clients.tolist()


@pytest.mark.parametrize("correlated", [True, False])
def test_a_run_saves_its_time_lines_and_they_can_be_replayed(tmp_path, correlated):
    drawn = world(
        {"when": RENEWAL},
        {"when": INTERMITTENT, "target": LINKS | {"correlated": correlated}},
        {"when": RENEWAL, "effect": {"kind": "slowdown", "factor": 3.0}},
        *[{"when": RENEWAL, "target": {"kind": "replicas", "count": 1}}] * 2,
        horizon_s=200.0,
    )
    simulate(World(drawn), made_up(drawn), tmp_path, source=WrittenArrivals(()))
    trace = {"kind": "trace", "file": str(tmp_path / "outages.parquet")}
    replayed = world(
        {"when": trace},
        {"when": trace, "target": LINKS | {"correlated": correlated}},
        {"when": trace, "effect": {"kind": "slowdown", "factor": 3.0}},
        *[{"when": trace, "target": {"kind": "replicas", "count": 1}}] * 2,
        horizon_s=200.0,
    )
    assert World(replayed).intervals == World(drawn).intervals
    assert len(World(drawn).intervals) > 8


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("from,until\n1,2\n", "has no column from_s, but from, until"),
        ("from_s,until_s\n1,2\n3,x\n", 'line 3: until_s is "x": must be a number'),
        ("from_s,until_s\n1,inf\n", "line 2: until_s is inf: must be seconds from 0 on"),
        ("from_s,until_s\n1,2\n-3,4\n", "line 3: from_s is -3: must be seconds from 0 on"),
        ("from_s,until_s\n1,2\n3,\n", "line 3: until_s is nothing: must be a number"),
        ("from_s,until_s\n1,2\n4,4\n", "line 3: ends at 4, which is not after 4"),
        ("from_s,until_s\n3,4\n1,2\n", "line 3: begins at 1: must not lie before the line above it"),
        ("from_s,until_s,target\n3,4,replicas:2\n", r"has no period of server \(down\)"),
        ("from_s,until_s,effect\n3,4,dwon\n", 'line 2: effect is "dwon": must be down or slowdown'),
        ("from_s,until_s,target\n3,4,\n", "line 2: target is nothing: must say what the row is about"),
        ("from_s,until_s,client_id\n3,4,-1\n5,6,\n", "line 3: client_id is nothing: must be a number"),
        ("from_s,until_s,client_id\n3,4,1.5\n", "line 2: client_id is 1.5: must be the number of a client"),
        ("from_s,until_s,client_id\n3,4,-2\n", "line 2: client_id is -2: must be the number of a client"),
        ("from_s,until_s,client_id\n3,4,x\n", 'line 2: client_id is "x": must be a number'),
        ("from_s,until_s,client_id\n3,4,-1\n5,6,7\n", "line 3: names client 7: its target is no link"),
        ("from_s,until_s,client_id\n3,4,1e99\n", r"line 2: client_id is 1e\+99: must be the number"),
        ("", "cannot be read"),
    ],
)
def test_a_trace_that_cannot_be_is_refused_with_its_line(tmp_path, rows, complaint):
    path = tmp_path / "x.csv"
    path.write_text(rows)
    with pytest.raises(BadFile, match=complaint):
        read_trace(str(path), "server", "down", 0)


def test_a_trace_may_say_what_and_whom_it_is_about(tmp_path):
    path = tmp_path / "x.parquet"
    rows = {
        "from_s": [1.0, 2.0, 3.0],
        "until_s": [2.0, 3.0, 4.0],
        "target": ["links:a", "links:a", "server"],
        "client_id": [-1, 7, -1],
    }
    pq.write_table(pa.table(rows), path)
    shared, own = read_trace(str(path), "links:a", "down", 8)
    assert list(shared) == [(1.0, 2.0)]
    assert {client: list(when) for client, when in own.items()} == {7: [(2.0, 3.0)]}
    with pytest.raises(BadFile, match="row 2: names client 7: there are 7 clients"):
        read_trace(str(path), "links:a", "down", 7)


def test_a_trace_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadFile, match="cannot be read"):
        read_trace(str(tmp_path / "none.parquet"), "server", "down", 0)


def test_measured_up_and_down_times_are_drawn_as_they_are(tmp_path):
    """Up for 3 s or 5 s, down for exactly 2 s: nothing in between."""
    up, down = tmp_path / "up.csv", tmp_path / "down.csv"
    up.write_text("seconds\n3\n5\n")
    down.write_text("seconds\n2\n")
    when = {"kind": "renewal"} | {
        name: {"kind": "empirical", "file": str(file)} for name, file in (("up", up), ("down", down))
    }
    scenario = world({"when": when, "target": SERVER}, horizon_s=6000.0)
    assert list(drawn_outages_can_be_counted(scenario)) == []
    periods = [(one.from_s, one.until_s) for one in World(scenario).intervals]
    assert {until - begin for begin, until in periods[:-1]} == {2.0}
    ups = [begin - before for (_, before), (begin, _) in itertools.pairwise(periods)]
    assert set(ups) == {3.0, 5.0}
    assert abs(np.mean(ups) - 4.0) < 0.15  # four and a half standard errors


def test_targets_that_are_no_text_are_one_line(tmp_path):
    rows = {"from_s": [1.0], "until_s": [2.0], "target": [["server"]]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    with pytest.raises(BadFile, match=r"^target is of type list"):
        read_trace(str(tmp_path / "a.parquet"), "server", "down", 0)
