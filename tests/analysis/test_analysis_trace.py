"""The trace: by the rules of the format, true to the tables, small however long the run."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import write_folder, write_table, write_tiny

import analysis
from analysis.reports import trace as traces
from analysis.reports.trace import CLIENTS, EVENTS, LINKS, SERVER, to_trace_file, trace_of
from analysis.run_folder.attempts import lanes
from analysis.run_folder.traffic import traffic_of
from sim.results import columns

Finished = tuple[Path, dict[str, Any]]
Event = dict[str, Any]

REQUIRED = {  # by phase, as the description of the format has it
    "X": {"name", "cat", "ts", "dur", "pid", "tid"},
    "C": {"name", "ts", "pid", "args"},
    "i": {"name", "ts", "pid", "tid", "s"},
    "M": {"name", "pid", "args"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"},
    "t": {"name", "cat", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
}


@pytest.fixture(scope="module")
def trace(simulated: Path) -> dict[str, Any]:
    return json.loads(gzip.decompress((simulated / "trace.json.gz").read_bytes()))


@pytest.fixture(scope="module")
def events(trace: dict[str, Any]) -> list[Event]:
    return trace["traceEvents"]


def slices(events: list[Event]) -> dict[tuple[int, int], list[tuple[int, int, Event]]]:
    """The slices of each track as start, end and event."""
    found = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            found[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"], event))
    return found


@pytest.mark.slow
def test_every_event_has_what_its_phase_needs(events: list[Event]) -> None:
    assert {event["ph"] for event in events} == set(REQUIRED)
    for event in events:
        assert set(event) >= REQUIRED[event["ph"]], event
        for name in ("ts", "dur", "pid", "tid"):
            assert isinstance(event.get(name, 0), int)
            assert event.get(name, 0) >= 0


def test_nothing_else_is_in_an_event(events: list[Event]) -> None:
    """Keys, types and values as the format has them: viewers drop what they do not understand."""
    may_have = {"X": {"args"}, "C": {"cat", "tid"}, "i": {"cat", "args"}, "M": {"tid"}}
    metadata = {"process_name", "thread_name", "process_sort_index", "thread_sort_index"}
    for event in events:
        phase = event["ph"]
        assert set(event) - {"ph"} <= REQUIRED[phase] | may_have.get(phase, {"args"}), event
        assert all(isinstance(event[name], str) and event[name] for name in ("name", "cat") if name in event)
        if phase == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values()), event
        if phase == "i":
            assert event["s"] in {"g", "p", "t"}
        if phase == "f":
            assert event["bp"] == "e", "binds to the slice around it, not to the next one"
        if phase == "M":
            assert event["name"] in metadata
            assert set(event["args"]) == {"sort_index" if event["name"].endswith("index") else "name"}


def test_the_file_is_one_object_of_strict_json(simulated: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    text = gzip.decompress((simulated / "trace.json.gz").read_bytes()).decode("utf-8")
    whole = json.loads(text, parse_constant=refuse)
    assert {"traceEvents"} <= set(whole) <= {"traceEvents", "displayTimeUnit", "metadata"}
    assert whole.get("displayTimeUnit", "ms") in {"ms", "ns"}


def test_a_flow_goes_forward_under_one_name(events: list[Event]) -> None:
    """A viewer joins steps by category, name and id, in order of time, and each flow has an id of its own."""
    flows = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            flows[event["cat"], event["name"], event["id"]].append(event)
    assert len({number for _, _, number in flows}) == len(flows)
    for steps in flows.values():
        at = [step["ts"] for step in steps]
        assert at == sorted(at)
        assert [step["ph"] for step in steps] == ["s", *"t" * (len(steps) - 2), "f"]


def test_instants_are_in_order_and_within_the_run(events: list[Event], simulated: Path) -> None:
    at = [event["ts"] for event in events if event["ph"] != "M"]
    assert at == sorted(at)
    horizon = analysis.load_run(simulated).horizon_s * 1e6
    assert max(event["ts"] + event.get("dur", 0) for event in events if event["ph"] in "XC") <= horizon


def test_slices_of_a_track_do_not_overlap(events: list[Event]) -> None:
    for track, spans in slices(events).items():
        ends = [end for _, end, _ in spans]
        starts = [start for start, _, _ in spans]
        assert all(start >= end for start, end in zip(starts[1:], ends, strict=False)), track


def test_arrows_lead_to_slices_that_start_later(events: list[Event]) -> None:
    """Perfetto turns an arrow around whose second slice starts before its first."""
    spans = slices(events)
    reached: dict[int, int] = {}
    for event in events:
        if event["ph"] in "stf":
            here = [span for span in spans[event["pid"], event["tid"]] if span[0] <= event["ts"] <= span[1]]
            starts = max(start for start, _, _ in here)
            assert reached.setdefault(event["id"], starts) <= starts, event
            reached[event["id"]] = starts


def test_flows_start_once_end_once_and_lie_in_slices(events: list[Event]) -> None:
    flows = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            flows[event["id"]].append(event)
    assert flows
    spans = slices(events)
    for steps in flows.values():
        phases = "".join(step["ph"] for step in steps)
        assert phases in {"sf", "stf", "sttf"}
        for step in steps:
            here = spans[step["pid"], step["tid"]]
            assert any(start <= step["ts"] <= end for start, end, _ in here), step
        if phases == "sttf":
            assert [step["pid"] for step in steps] == [CLIENTS, LINKS, SERVER, LINKS]
    assert {"sttf", "stf"} <= {"".join(step["ph"] for step in steps) for steps in flows.values()}


def test_every_process_and_replica_has_a_name(events: list[Event]) -> None:
    named = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert named[SERVER, 1] == "replica 0"
    assert {e["tid"] for e in events if e["ph"] == "X" and e["pid"] == SERVER} <= {
        tid for pid, tid in named if pid == SERVER
    }
    processes = {e["pid"] for e in events if e["name"] == "process_name"}
    assert {event["pid"] for event in events} == processes


def test_outages_are_slices_and_the_queue_is_a_counter(finished: Finished) -> None:
    run = analysis.load_run(finished[0])
    events = trace_of(traffic_of(run))["traceEvents"]
    (outage,) = [event for event in events if event["ph"] == "X" and event["name"] == "outage"]
    assert (outage["ts"], outage["dur"]) == (100_000_000, 40_000_000)
    waiting = [e["args"]["requests"] for e in events if e["ph"] == "C" and e["name"] == "waiting"]
    assert waiting == pytest.approx(run.timeline["waiting_mean"].tolist(), abs=5e-4)


def test_requests_are_sampled_as_the_metadata_says(finished: Finished) -> None:
    traffic = traffic_of(analysis.load_run(finished[0]))
    trace = trace_of(traffic)
    spans = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    shown = [e["args"]["request_id"] for e in spans if e["pid"] == CLIENTS]
    assert len(traffic.everything) == 14_400
    assert sorted(shown) == sorted(traffic.everything["request_id"].iloc[::8])
    assert trace["metadata"]["sampled_requests"].startswith("every request that is number 1, 9, 17, ...")


def test_all_is_there_where_there_is_little(tmp_path: Path) -> None:
    sent = {
        "deferred": True, "outcome": "remote", "answered_by": "server", "cost": 0.1,
        "replica": 1, "batch_size": 1,
    }  # fmt: skip
    first = {"sent_at_s": 1.0, "reached_at_s": 1.1, "started_at_s": np.nan, "finished_at_s": np.nan}
    again = {"sent_at_s": 2.0, "reached_at_s": 2.1, "started_at_s": 2.5, "finished_at_s": 3.0}
    lost = {"replica": -1, "batch_size": 0}
    attempts = [
        {"request_id": 0, "attempt": 1, **first, **lost},
        {"request_id": 0, "attempt": 2, **again, "replica": 1, "batch_size": 1},
    ]
    request = {"arrived_at_s": 1.0, "attempts": 2, "answered_at_s": 3.5, **sent, **again}
    run = analysis.load_run(write_tiny(tmp_path, [request, {"arrived_at_s": 2.0}], attempts=attempts))
    reported = trace_of(traffic_of(run))
    spans = {(e["pid"], e["name"]): (e["ts"], e["dur"]) for e in reported["traceEvents"] if e["ph"] == "X"}
    assert spans == {
        (CLIENTS, "sensors 0, request 0: remote"): (1_000_000, 2_500_000),
        (CLIENTS, "sensors 0, request 1: local"): (2_000_000, 0),
        (LINKS, "uplink"): (2_000_000, 100_000),
        (LINKS, "waiting"): (2_100_000, 400_000),
        (SERVER, "batch of 1"): (2_500_000, 500_000),
        (LINKS, "downlink"): (3_000_000, 500_000),
    }
    flows = [(e["ph"], e["id"], e["pid"]) for e in reported["traceEvents"] if e["ph"] in "stf"]
    assert flows == [
        ("s", 1, CLIENTS), ("f", 1, LINKS),
        ("s", 2, CLIENTS), ("t", 2, LINKS), ("t", 2, SERVER), ("f", 2, LINKS),
    ]  # fmt: skip
    assert reported["metadata"]["sampled_requests"] == "every request"
    assert reported["metadata"]["sampled_batches"] == "every batch"


def test_size_is_bounded_and_sampled_requests_keep_their_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MOST_REQUESTS", 100)
    monkeypatch.setattr(traces, "MOST_BATCHES", 50)
    traffic = traffic_of(analysis.load_run(write_folder(tmp_path, clients=10, horizon_s=120, outages=())))
    reported = trace_of(traffic)
    kinds = [(e["ph"], e["pid"]) for e in reported["traceEvents"]]
    assert 50 <= kinds.count(("X", CLIENTS)) <= 100
    assert kinds.count(("X", SERVER)) <= 50 + 3 * 100
    starts = {(e["tid"], e["ts"]) for e in reported["traceEvents"] if e["ph"] == "X" and e["pid"] == SERVER}
    reached = {(e["tid"], e["ts"]) for e in reported["traceEvents"] if e["ph"] in "tf" and e["pid"] == SERVER}
    assert reached
    assert reached <= starts
    assert "every" in reported["metadata"]["sampled_batches"]


def test_same_run_gives_the_same_bytes(finished: Finished) -> None:
    traffic = traffic_of(analysis.load_run(finished[0]))
    assert to_trace_file(trace_of(traffic)) == (finished[0] / "trace.json.gz").read_bytes()


def test_lanes_are_few_and_never_overlap() -> None:
    rng = np.random.default_rng(1)
    starts = np.sort(rng.uniform(0, 50, 300))
    ends = starts + rng.exponential(1.0, 300)
    lane = lanes(starts, ends)
    for number in range(lane.max() + 1):
        mine = np.flatnonzero(lane == number)
        assert (starts[mine[1:]] >= ends[mine[:-1]]).all()
    at_once = max(int(((starts <= at) & (ends > at)).sum()) for at in starts)
    assert lane.max() + 1 == at_once


def test_training_and_copies_are_slices(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, [{}])
    rows = [
        (0.0, "model_in_force", "model", 0.0),
        (10.0, "round_start", "model", 1.0),
        (11.0, "model_in_force", "model", 1.0),
        (11.5, "first_copy", "sensors", 1.0),
        (20.0, "round_start", "model", 2.0),
        (20.5, "round_lost", "model", 2.0),
        (21.5, "first_copy", "sensors", 2.0),
        (22.0, "last_copy", "sensors", 1.0),
        (30.0, "last_copy", "sensors", 2.0),
        (90.0, "slowdown_start", "server", 3.0),
    ]
    names = ("at_s", "kind", "target", "value")
    table = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    write_table(folder / "events.parquet", table, columns.EVENTS)
    events = trace_of(traffic_of(analysis.load_run(folder)))["traceEvents"]
    spans = [(e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X" and e["pid"] == EVENTS]
    assert spans == [
        ("round", 10_000_000, 1_000_000),
        ("copy of version 1", 11_500_000, 10_500_000),
        ("round", 20_000_000, 500_000),
        ("copy of version 2", 21_500_000, 8_500_000),
        ("slowdown", 90_000_000, 10_000_000),
    ]
    copies = [e["tid"] for e in events if e["name"].startswith("copy of")]
    assert len(set(copies)) == 2, "they overlap in time"
    instants = [(e["name"], e["args"]["value"]) for e in events if e["ph"] == "i"]
    assert instants == [("model_in_force", 0.0), ("model_in_force", 1.0), ("round_lost", 2.0)]
