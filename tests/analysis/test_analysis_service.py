"""Latency, load, work, retries, bytes and cost on tables small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from run_folders import write_table, write_tiny

from analysis import load_run, summarise
from analysis.metrics.mean_work import mean_work
from analysis.metrics.replica_time import ends_at_s, replica_seconds
from analysis.metrics.service import seconds_per_request, spread, staleness
from analysis.reports.tables import facts
from analysis.run_folder.traffic import traffic_of
from analysis.statistics.percentiles import Latencies
from sim.results import columns


def sent(at_s: float, **changes: object) -> dict[str, object]:
    """A request sent once at `at_s`, answered by the server 0.4 s later out of a batch of two of 0.2 s."""
    return {
        "arrived_at_s": at_s,
        "deferred": True,
        "outcome": "remote",
        "answered_by": "server",
        "attempts": 1,
        "cost": 0.1,
        "sent_at_s": at_s,
        "started_at_s": at_s + 0.1,
        "finished_at_s": at_s + 0.3,
        "answered_at_s": at_s + 0.4,
        "replica": 0,
        "batch_size": 2,
    } | changes


def summary_of(tmp_path: Path, requests: list, **options: object) -> dict:
    return summarise(load_run(write_tiny(tmp_path, requests, **options)))


def test_latency_is_from_arrival_to_first_and_final_answer(tmp_path: Path) -> None:
    hedged = sent(10.0, first_answer_at_s=10.1, answered_at_s=10.9)
    latency = summary_of(tmp_path, [hedged, {"answered_at_s": 1.5}, {"answered_by": "none"}])["latency_s"]
    assert latency["first"]["n"] == latency["final"]["n"] == 2
    assert latency["first"]["mean"] == pytest.approx((0.1 + 0.5) / 2)
    assert latency["final"]["mean"] == pytest.approx((0.9 + 0.5) / 2)
    assert latency["by_outcome"]["remote"]["p95"] == pytest.approx(0.9)
    assert latency["by_outcome"]["remote"]["p99"] is None
    assert latency["by_outcome"]["refused"] == {"n": 0, "mean": None, "p50": None, "p95": None, "p99": None}


def times(taken_s: list[float], end_s: float = 100.0) -> Latencies:
    """Requests that all arrived at 0: NaN is open at the end, inf ended without an answer."""
    return Latencies(np.zeros(len(taken_s)), np.array(taken_s), end_s)


def test_a_percentile_is_a_time_that_was_measured() -> None:
    """Ten requests, nine of 1 s and one of 2 s: within 1 s only 90% were answered."""
    assert spread(times([1.0] * 9 + [2.0]))["p95"] == 2.0
    assert spread(times([1.0] * 9 + [2.0]))["p50"] == 1.0


def test_who_gets_no_answer_takes_for_ever_in_every_percentile() -> None:
    found = spread(times([1.0] * 18 + [np.inf] * 2))
    assert (found["n"], found["p50"], found["p95"]) == (18, 1.0, None)


def test_p99_needs_a_hundred_independent_requests() -> None:
    assert spread(times([1.0] * 99))["p99"] is None
    assert spread(times([1.0] * 100))["p99"] == 1.0
    assert spread(times([1.0] * 100), relaxations=50)["p99"] is None


def test_goodput_counts_right_answers_by_the_deadline_of_the_group(tmp_path: Path) -> None:
    requests = [
        {"arrived_at_s": 1.0, "answered_at_s": 2.0},  # exactly at the deadline of 1 s: in time
        {"arrived_at_s": 1.0, "answered_at_s": 2.5},
        {"arrived_at_s": 1.0, "answered_at_s": 2.5, "group": "cameras"},  # deadline of 2 s
        {"arrived_at_s": 1.0, "answered_at_s": 1.0, "client_label": 9},
        {"arrived_at_s": 1.0, "answered_by": "none"},
    ]
    goodput = summary_of(tmp_path, requests, horizon_s=50)["goodput"]
    assert goodput["correct_in_time_hz"] == 2 / 50
    assert goodput["answered_in_time_share"] == 3 / 5
    assert goodput["arrivals_hz"] == 5 / 50


def test_offered_load_is_of_full_batches_outside_outages(tmp_path: Path) -> None:
    seconds = {"first_sends": np.where(np.arange(100) < 50, 40, 7)}
    load = summary_of(tmp_path, [{}], timeline=seconds, outages=(("server", 50, 100),))["load"]
    assert load["first_sends_outside_outages_hz"] == 40.0
    assert load["offered"] == pytest.approx(40 * (0.05 / 8 + 0.02) / 2)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({"kind": "per_batch", "time": 0.4}, 0.1),
        ({"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.2}}, 0.05),
        ({"kind": "per_batch", "time": {"kind": "empirical", "file": "times.csv"}}, None),
    ],
)
def test_time_per_request_of_any_service(service: dict, expected: float | None) -> None:
    assert seconds_per_request({"service": service, "max_batch": 4}) == expected


def test_utilisation_is_busy_over_usable_time(tmp_path: Path) -> None:
    seconds = {"busy_replicas_mean": np.full(100, 0.5), "waiting_mean": np.arange(100) / 10}
    seconds["waiting_max"] = np.arange(100)
    summary = summary_of(tmp_path, [{}], timeline=seconds, outages=(("replicas:1", 0, 50),))
    assert summary["load"]["utilisation"] == pytest.approx(0.5 * 100 / (50 * 1 + 50 * 2))
    assert summary["queue"] == {"mean": pytest.approx(4.95), "max": 99}


def test_work_whose_answer_is_not_used_is_wasted(tmp_path: Path) -> None:
    late = sent(20.0, outcome="timed_out", answered_by="client")
    work = summary_of(tmp_path, [sent(10.0), late, {}])["work"]
    assert work["service_s"] == pytest.approx(0.1 + 0.1)
    assert work["wasted_s"] == pytest.approx(0.1)
    assert work["wasted_share"] == pytest.approx(0.5)


def test_first_attempt_is_wasted_when_the_retry_is_answered(tmp_path: Path) -> None:
    request = sent(12.0, arrived_at_s=11.0, attempts=2, cost=0.2)
    first = {"sent_at_s": 11.0, "started_at_s": 11.5, "finished_at_s": 12.5, "batch_size": 1, "replica": 1}
    second = {name: request[name] for name in first}
    attempts = [{"request_id": 0, "attempt": n} | row for n, row in ((1, first), (2, second))]
    summary = summary_of(tmp_path, [request, sent(30.0)], attempts=attempts)
    assert summary["work"]["service_s"] == pytest.approx(1.0 + 0.1 + 0.1)
    assert summary["work"]["wasted_s"] == pytest.approx(1.0)
    assert summary["retries"]["amplification"] == pytest.approx(3 / 2)


def test_work_for_a_request_in_flight_at_the_horizon_is_not_wasted_yet(tmp_path: Path) -> None:
    open_batch = {"started_at_s": 99.5, "finished_at_s": np.nan, "batch_size": 1, "answered_by": "none"}
    waiting = sent(99.0, outcome="in_flight", **open_batch)
    given_up = sent(98.0, outcome="timed_out", **open_batch)
    work = summary_of(tmp_path, [given_up, waiting])["work"]
    assert work == {"service_s": 1.0, "wasted_s": 0.5, "wasted_share": 0.5}


def test_work_that_an_outage_puts_back_is_wasted(tmp_path: Path) -> None:
    """What was stopped and put back is told by the time line: 0.3 s, in the warm-up half a second more."""
    stopped = {"requeued_s": np.where(np.arange(100) == 40, 0.3, np.where(np.arange(100) == 5, 0.5, 0.0))}
    work = summary_of(tmp_path, [sent(30.0)], timeline=stopped, warm_up_s=20)["work"]
    assert work["service_s"] == pytest.approx(0.1 + 0.3)
    assert work["wasted_s"] == pytest.approx(0.3)
    assert work["wasted_share"] == pytest.approx(0.75)


def test_latency_is_one_row_while_first_equals_final(tmp_path: Path) -> None:
    def rows(requests: list) -> list[str]:
        labels = [label for label, _ in facts(summary_of(tmp_path, requests))["service"]]
        return [label for label in labels if "p50" in label]

    assert rows([sent(10.0)]) == ["final answers p50 / p95 / p99"]
    assert len(rows([sent(10.0, first_answer_at_s=10.1)])) == 2


def told(events: pd.DataFrame, periods: pd.DataFrame) -> Callable[[str], dict[str, np.ndarray]]:
    """What a run says of its events and outages."""
    tables = {"events": events, "outages": periods}
    return lambda table: {name: tables[table][name].to_numpy(dtype=None) for name in tables[table]}


@pytest.mark.parametrize(
    ("in_flight", "ends"),
    [("lose", [2.5, 3.0, 6.0, 100.0]), ("finish", [100.0] * 4)],
)
def test_a_replica_that_was_scaled_in_works_until_an_outage_leaves_nothing(in_flight, ends):
    """The highest of three is scaled in, back, and taken by an outage at 2.5; the second is scaled in at
    2.75, before all are down at 3.0; it is back at 4.0, down at 6.0, and scaled in for good at 9.0."""
    rows = [
        (0.0, "usable_replicas", "server", 3.0),
        (2.0, "usable_replicas", "server", 2.0),
        (2.25, "usable_replicas", "server", 3.0),
        (2.5, "usable_replicas", "server", 2.0),
        (2.75, "usable_replicas", "server", 1.0),
        (3.0, "usable_replicas", "server", 0.0),
        (4.0, "usable_replicas", "server", 2.0),
        (6.0, "usable_replicas", "server", 0.0),
        (7.0, "usable_replicas", "server", 3.0),
        (9.0, "usable_replicas", "server", 1.0),
    ]
    events = pd.DataFrame(rows, columns=["at_s", "kind", "target", "value"])
    periods = pd.DataFrame(
        [("replicas:1", 2.5, 7.0), ("links:devices", 2.8, 9.0), ("server", 3.0, 4.0), ("server", 6.0, 7.0)],
        columns=["target", "from_s", "until_s"],
    ).assign(client_id=-1, effect="down", factor=1.0, outage=0)
    servers = {"server": {"replicas": 3, "in_flight": in_flight}}
    run = SimpleNamespace(columns_of=told(events, periods), servers=servers, horizon_s=100.0)
    started, replica = np.array([1.0, 1.5, 5.0, 8.0]), np.array([2, 1, 1, 1])
    lost = {"started_at_s": started, "finished_at_s": np.full(4, np.nan), "replica": replica}
    assert ends_at_s(run, lost).tolist() == ends


@pytest.mark.parametrize(("in_flight", "worked"), [("resume", [3.0, 4.0]), ("restart", [2.0, 4.0])])
def test_a_batch_that_stood_still_took_no_time_of_its_replica(in_flight, worked):
    """The higher of two replicas is down in [3, 5): a batch of [2, 7] there worked for three seconds, of
    which two count where it began anew; the lower one worked throughout."""
    rows = [(3.0, "usable_replicas", "server", 1.0), (5.0, "usable_replicas", "server", 2.0)]
    events = pd.DataFrame(rows, columns=["at_s", "kind", "target", "value"])
    periods = pd.DataFrame([("replicas:1", 3.0, 5.0)], columns=["target", "from_s", "until_s"])
    periods = periods.assign(client_id=-1, effect="down", factor=1.0, outage=0)
    servers = {"server": {"replicas": 2, "in_flight": in_flight, "autoscaling": None}}
    run = SimpleNamespace(columns_of=told(events, periods), servers=servers, horizon_s=100.0)
    batches = {
        "started_at_s": [2.0, 2.0],
        "finished_at_s": [7.0, 6.0],
        "replica": [1, 0],
        "batch_size": [1, 1],
    }
    found = replica_seconds(run, {name: np.array(values) for name, values in batches.items()})
    assert found.tolist() == worked


def test_batch_cut_short_by_an_outage_worked_until_then(tmp_path: Path) -> None:
    lost = sent(39.9, outcome="timed_out", answered_by="client", finished_at_s=np.nan, batch_size=1)
    on_first = lost | {"replica": 0, "started_at_s": 38.0}
    on_second = lost | {"replica": 1, "started_at_s": 29.0}
    work = summary_of(tmp_path, [on_first, on_second], outages=(("replicas:1", 30, 50), ("server", 40, 50)))[
        "work"
    ]
    assert work["service_s"] == pytest.approx((40 - 38) + (30 - 29))
    assert work["wasted_share"] == 1.0


def test_amplification_during_outages_is_of_requests_that_arrived_in_one(tmp_path: Path) -> None:
    times = {
        "sent_at_s": 20.5,
        "started_at_s": np.nan,
        "finished_at_s": np.nan,
        "replica": -1,
        "batch_size": 0,
    }
    attempts = [{"request_id": 1, "attempt": n} | times for n in (1, 2, 3)]
    tried = sent(20.0, attempts=3, outcome="timed_out", answered_by="client", **times)
    summary = summary_of(
        tmp_path,
        [sent(10.0), tried, {"arrived_at_s": 21.0}],
        attempts=attempts,
        outages=(("server", 20, 30),),
    )
    assert summary["retries"]["amplification"] == 2.0
    assert summary["retries"]["amplification_during_outages"] == 3.0


def test_payload_is_counted_per_attempt_and_by_group(tmp_path: Path) -> None:
    wire = summary_of(tmp_path, [sent(1.0), sent(2.0, group="cameras"), {}, {}])["wire"]
    assert wire == {"bytes_up": 3072 + 6144, "bytes_up_per_request": (3072 + 6144) / 4}


def test_cost_is_exact_although_stored_in_single_precision(tmp_path: Path) -> None:
    cost = summary_of(tmp_path, [sent(1.0), sent(2.0, group="cameras"), {}, {}])["cost"]
    assert cost["charged_attempts"] == 2
    assert cost["total"] == 0.2
    assert cost["per_request"] == 0.05


def test_free_sends_are_counted_and_cost_nothing(tmp_path: Path) -> None:
    free = ("c_e: 0.1", "c_e: 0.0")
    requests = [sent(1.0, cost=0.0), {}]
    cost = summary_of(tmp_path, requests, costs=free)["cost"]
    assert cost == {"charged_attempts": 1, "total": 0.0, "per_request": 0.0, "spend": None}


def test_availability_is_exact_in_time(tmp_path: Path) -> None:
    outages = (("server", 10, 30), ("replicas:1", 20, 60))
    availability = summary_of(tmp_path, [{}], outages=outages, warm_up_s=20)["availability"]
    assert availability == {
        "usable_share": 70 / 80,
        "replica_share": (30 * 1 + 40 * 2) / (80 * 2),
        "answered_in_time_if_sent": None,
        "outage_share": 40 / 80,
        "outages": 2,
        "targets": [],
    }


def test_availability_of_each_target_beside_what_the_scenario_expects(tmp_path: Path) -> None:
    """From 20 s to 100 s. The server is out in [10, 30) and [90, 110), slow in [40, 60); of two links one is
    cut in [20, 40) and [30, 60), the other never. Replicas fail by two outages, one of them written down.
    """
    drawn = "{kind: renewal, up: {kind: exponential, mean_s: 60}, down: 20}"
    equilibrium = "{kind: intermittent, availability: 0.9, mean_cycle_s: 10}"
    measured = "{kind: renewal, up: 60, down: {kind: empirical, file: x.csv}}"
    one = "target: {kind: replicas, count: 1}, effect: {kind: down}"
    links = "target: {kind: links, groups: [sensors, cameras], share: 1.0, correlated: false}"
    scenario = f"""outages:
    - {{when: {drawn}, target: {{kind: server}}, effect: {{kind: down}}}}
    - {{when: {equilibrium}, target: {{kind: server}}, effect: {{kind: down}}}}
    - {{when: {measured}, target: {{kind: server}}, effect: {{kind: slowdown, factor: 2.0}}}}
    - {{when: {drawn}, {one}}}
    - {{when: {{kind: intervals, at: [[30, 40]]}}, {one}}}
    - {{when: {equilibrium}, {links}, effect: {{kind: down}}}}"""
    path = write_tiny(tmp_path, [{}], warm_up_s=20, server=("outages: []", scenario))
    periods = [
        ("server", "down", -1, 10.0, 30.0),
        ("server", "down", -1, 90.0, 110.0),
        ("server", "slowdown", -1, 40.0, 60.0),
        ("replicas:1", "down", -1, 30.0, 40.0),
        ("links:sensors+cameras", "down", 1, 20.0, 40.0),
        ("links:sensors+cameras", "down", 1, 30.0, 60.0),
    ]
    names = ("target", "effect", "client_id", "from_s", "until_s")
    rows = dict(zip(names, map(list, zip(*periods, strict=True)), strict=True))
    rows |= {"factor": [1.0] * 6, "outage": [0, 1, 2, 3, 5, 5]}
    write_table(path / "outages.parquet", rows, columns.OUTAGES)
    found = summarise(load_run(path))["availability"]["targets"]
    assert [(one["target"], one["effect"]) for one in found] == [
        ("server", "down"),
        ("server", "slowdown"),
        ("replicas:1", "down"),
        ("links:sensors+cameras", "down"),
    ]
    assert [one["observed"] for one in found] == [1 - 20 / 80, 1 - 20 / 80, 1 - 10 / 80, 1 - 40 / 160]
    assert [one["expected"] for one in found] == [pytest.approx(0.75 * 0.9), None, None, 0.9]


def test_observed_availability_is_of_what_was_sent(tmp_path: Path) -> None:
    late = sent(20.0, answered_at_s=21.1)  # answered by the server, after the deadline of 1 s
    lost = sent(30.0, outcome="timed_out", answered_by="client")
    open_still = sent(99.9, outcome="in_flight", answered_by="none")
    summary = summary_of(tmp_path, [sent(10.0), late, lost, open_still, {}])
    assert summary["availability"]["answered_in_time_if_sent"] == pytest.approx(1 / 3)


def test_money_is_spent_by_the_groups_that_have_a_budget_of_it(tmp_path: Path) -> None:
    purse = ("    budget: null\n    fallback: client\nserver", BUDGET)
    requests = [sent(1.0), sent(2.0, group="cameras", cost=0.2), sent(3.0, group="cameras"), {}]
    assert summary_of(tmp_path / "a", requests, purse=purse)["cost"]["spend"] == pytest.approx(3 * 0.25)
    assert summary_of(tmp_path / "b", requests)["cost"]["spend"] is None


BUDGET = "    budget: {kind: money, per_s: 60, limit: 5, price: 0.25}\n    fallback: client\nserver"


def test_staleness_is_that_of_the_time_line_where_the_run_trains(tmp_path: Path) -> None:
    traffic = traffic_of(load_run(write_tiny(tmp_path, [{}], warm_up_s=50)))
    assert set(staleness(traffic).values()) == {None}
    traffic.run.scenario["training"] = {"online": {"every_s": 60}}
    behind = np.where(np.arange(50) < 10, 2.0, 0.5)
    seconds = dict(traffic.seconds) | {"copy_staleness": behind, "rejector_staleness": 3 * behind}
    assert staleness(replace(traffic, seconds=seconds)) == {
        "copy_mean": pytest.approx((10 * 2 + 40 * 0.5) / 50),
        "copy_max": 2.0,
        "rejector_mean": pytest.approx(3 * (10 * 2 + 40 * 0.5) / 50),
        "rejector_max": 6.0,
    }


def test_the_offered_load_counts_the_work_of_groups_and_traces() -> None:
    """Two of a trace, of 50 and 150 where 100 is one, twice as long in this group; one of another; one
    kept."""
    fleet = [
        {"group": "a", "service_factor": 2.0, "arrivals": {"process": {"work_of_one": 100.0}}},
        {"group": "b", "service_factor": 3.0, "arrivals": {"process": {}}},
    ]
    requests = pd.DataFrame(
        {"group": ["a", "a", "b", "b"], "work": [50, 150, np.nan, np.nan], "attempts": [1, 2, 1, 0]}
    )
    run = SimpleNamespace(scenario={"fleet": fleet}, has_work_of_samples=False)
    run.options, run.has_options = {name: [{"work": 1.0}] for name in "ab"}, False
    traffic = SimpleNamespace(requests=requests, run=run)
    assert mean_work(traffic, np.array([True, True, True, False])) == pytest.approx((1.0 + 3.0 + 3.0) / 3)
