"""The run as a trace in Chrome's format, which Perfetto opens: replicas, queue, outages, some requests.
Written beside the report; what is left out of it to keep it small is said in its metadata."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.style import bin_width_s
from analysis.run_folder.attempts import BATCH, batches_and_sends, lanes
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.statistics.room import thinned

MOST_REQUESTS = 2000
MOST_BATCHES = 20_000
MOST_COUNTS = 3600
SERVER, EVENTS, CLIENTS, LINKS = 1, 2, 3, 4  # the processes of the trace
Event = dict[str, Any]


def trace_of(traffic: Traffic) -> dict[str, Any]:
    """The trace as an object of JSON; instants are whole microseconds of virtual time.

    Format: "Trace Event Format" of the Chromium project. Requests are sampled systematically: every n-th in
    order of arrival, the first included, with the smallest n that leaves at most MOST_REQUESTS. Of the
    batches, those that served a sampled request are all there; of the others every m-th, with the smallest
    m that leaves at most MOST_BATCHES.
    """
    run = traffic.run
    every = max(1, -(-len(traffic.everything) // MOST_REQUESTS))
    sample = thinned(traffic.everything, every)
    batches, sends = batches_and_sends(run, np.sort(sample["request_id"].to_numpy()))
    each = max(1, -(-len(batches) // MOST_BATCHES))
    events = [
        *_names(run, batches),
        *_batches(run, batches, sends, each),
        *_counters(run),
        *_happenings(run),
        *_requests(run, sample, sends, _tracks(run, batches)),
    ]
    events.sort(key=lambda event: (event["ph"] != "M", event.get("ts", 0)))  # stable: parents before children
    rule = f"every request that is number 1, {every + 1}, {2 * every + 1}, ... in order of arrival"
    about = {
        "tool": "L2H Fleet",
        "scenario": run.scenario["name"],
        "seed": str(run.scenario["seed"]),
        "sampled_requests": rule if every > 1 else "every request",
        "sampled_batches": f"those of sampled requests, and every {each}th" if each > 1 else "every batch",
    }
    return {"traceEvents": events, "displayTimeUnit": "ms", "metadata": about}


def to_trace_file(trace: dict[str, Any]) -> bytes:
    """The content of trace.json.gz; the same trace gives the same bytes."""
    text = json.dumps(trace, allow_nan=False, separators=(",", ":"))
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


def microseconds(at_s: float) -> int:
    return round(at_s * 1e6)


def _slice(pid: int, tid: int, name: str, from_s: float, to_s: float, **args: Any) -> Event:
    start = microseconds(from_s)
    event = {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": start}
    return event | {"dur": max(0, microseconds(to_s) - start), "cat": "l2h", "args": args}


def _flow(phase: str, number: int, pid: int, tid: int, at_s: float) -> Event:
    event = {"ph": phase, "id": number, "pid": pid, "tid": tid, "name": "send", "cat": "flow"}
    return event | {"ts": microseconds(at_s)} | ({"bp": "e"} if phase == "f" else {})


def _names(run: Run, batches: pd.DataFrame) -> list[Event]:
    """What the processes and the replicas' tracks are called."""
    names = {SERVER: "server", EVENTS: "outages and models", CLIENTS: "clients", LINKS: "links and queue"}
    events: list[Event] = []
    for pid, name in names.items():
        events.append({"ph": "M", "pid": pid, "tid": 0, "name": "process_name", "args": {"name": name}})
        events.append(
            {"ph": "M", "pid": pid, "tid": 0, "name": "process_sort_index", "args": {"sort_index": pid}}
        )
    for (server, replica), tid in _tracks(run, batches).items():
        whose = f"{list(run.servers)[server]} " if len(run.servers) > 1 else ""
        args = {"name": f"{whose}replica {replica}"}
        events.append({"ph": "M", "pid": SERVER, "tid": tid, "name": "thread_name", "args": args})
    return events


def _tracks(run: Run, batches: pd.DataFrame) -> dict[tuple[int, int], int]:
    """The track of each server's place and replica, from 1: of as many replicas as there were at most."""
    seen = {} if batches.empty else batches.groupby("server")["replica"].max().to_dict()
    pairs = [
        (place, replica)
        for place, server in enumerate(run.servers.values())
        for replica in range(max(int(seen.get(place, -1)) + 1, int(server["replicas"])))
    ]
    return {pair: number for number, pair in enumerate(pairs, start=1)}


def _batches(run: Run, batches: pd.DataFrame, sends: pd.DataFrame, each: int) -> list[Event]:
    """A slice per batch on its replica's track."""
    tracks = _tracks(run, batches)
    served = set(zip(sends["server"], sends["replica"], sends["started_at_s"], strict=True))
    is_regular = np.arange(len(batches)) % each == 0
    maybe = is_regular | np.isin(batches["started_at_s"].to_numpy(), sends["started_at_s"].to_numpy())
    some = batches[maybe]
    rows = zip(is_regular[maybe], *(some[name] for name in BATCH), strict=True)
    return [
        _slice(SERVER, tracks[server, replica], f"batch of {int(size)}", start, end, size=int(size))
        for is_shown, server, replica, start, end, size in rows
        if is_shown or (server, replica, start) in served
    ]


def _counters(run: Run) -> list[Event]:
    """Waiting requests and usable replicas of each server, in bins of a second or more."""
    width = bin_width_s(run.horizon_s, 1, MOST_COUNTS)
    lines = {"": run.timeline}
    if len(run.servers) > 1:
        every = run.seconds_of_servers
        lines = {f"{name} ": every[every["server"] == name] for name in run.servers}
    told = []
    for whose, seconds in lines.items():
        rows = seconds.groupby((seconds["at_s"] // width).astype("int64"))
        told.append((rows["waiting_mean"].mean(), f"{whose}waiting", "requests"))
        told.append((rows["usable_replicas_mean"].mean(), f"{whose}usable", "replicas"))
    events: list[Event] = []
    for series, name, key in told:
        for start, value in series.items():
            at = {"ts": microseconds(float(str(start)) * width), "args": {key: round(float(value), 3)}}
            events.append({"ph": "C", "pid": SERVER, "tid": 0, "name": name} | at)
    return events


def _happenings(run: Run) -> list[Event]:
    """What has a start and an end as slices, on tracks of its target; the rest as instants."""
    events: list[Event] = []
    tid = 0
    for target, rows in run.events.groupby("target", sort=True):
        spans, instants = _spans(rows, run.horizon_s)
        lane = lanes(np.array([span[1] for span in spans]), np.array([span[2] for span in spans]))
        first, tid = tid + 1, tid + 1 + int(lane.max(initial=0))
        for number in range(first, tid + 1):
            args = {"name": str(target)}
            events.append({"ph": "M", "pid": EVENTS, "tid": number, "name": "thread_name", "args": args})
        events += [_slice(EVENTS, first + int(at), *span) for span, at in zip(spans, lane, strict=True)]
        for kind, at_s, value in instants:
            at = {"ts": microseconds(at_s), "s": "t", "args": {"value": None if np.isnan(value) else value}}
            events.append({"ph": "i", "pid": EVENTS, "tid": first, "name": kind, "cat": "l2h"} | at)
    return events


def _spans(
    rows: pd.DataFrame, horizon_s: float
) -> tuple[list[tuple[str, float, float]], list[tuple[str, float, float]]]:
    """The events of one target as spans (what, from, to) by start, and what has no extent (kind, at, value).

    X_start is ended by X_end, first_X by the last_X of the same value, a round of training by the model
    that it puts into force or by its loss; what nothing ends lasts to the horizon.
    """
    spans: list[tuple[str, float, float]] = []
    instants: list[tuple[str, float, float]] = []
    open_since: dict[str, float] = {}
    for at_s, kind, value in zip(rows["at_s"], rows["kind"], rows["value"], strict=True):
        opens, closes = _edges(str(kind), float(value))
        if closes in open_since:
            spans.append((closes, open_since.pop(closes), float(at_s)))
        if opens:
            open_since[opens] = float(at_s)
        elif (not closes or closes == "round") and kind != "usable_replicas":  # which is a counter
            instants.append((str(kind), float(at_s), float(value)))
    spans += [(what, since, horizon_s) for what, since in open_since.items()]
    return sorted(spans, key=lambda span: span[1:]), instants


def _edges(kind: str, value: float) -> tuple[str, str]:
    """What an event begins and what it ends, by name; "" for nothing."""
    if kind.endswith("_start"):
        return kind.removesuffix("_start"), ""
    if kind.endswith("_end"):
        return "", kind.removesuffix("_end")
    if kind.startswith("first_"):
        return f"{kind.removeprefix('first_')} of version {value:g}", ""
    if kind.startswith("last_"):
        return "", f"{kind.removeprefix('last_')} of version {value:g}"
    return "", "round" if kind in ("model_in_force", "round_lost") else ""


def _requests(
    run: Run, sample: pd.DataFrame, sends: pd.DataFrame, tracks: dict[tuple[int, int], int]
) -> list[Event]:
    """Slices of the sampled requests, of their sends, and the flows that lead from one to the next."""
    sample = sample.assign(ended_at_s=_ends(run, sample, sends))
    lane = lanes(sample["arrived_at_s"].to_numpy(), sample["ended_at_s"].to_numpy())
    requests = {row["request_id"]: row for row in _rows(sample.assign(tid=lane + 1))}
    events = []
    for number, row in requests.items():
        name = f"{row['group']} {row['client_id']}, request {number % 2**32}: {row['outcome']}"
        kept = ("outcome", "server_cause", "answered_by", "correct", "attempts", "sample_id")
        args = {"request_id": number} | {key: row[key] for key in kept}
        events.append(_slice(CLIENTS, row["tid"], name, row["arrived_at_s"], row["ended_at_s"], **args))
    return events + _sends_of(requests, sends, tracks)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _ends(run: Run, sample: pd.DataFrame, sends: pd.DataFrame) -> np.ndarray:
    """When the client was done with each request: its answer, else its last send, at most the horizon."""
    arrived = sample["arrived_at_s"].to_numpy()
    answered = arrived + sample["final_s"].to_numpy(dtype=float)
    last = sends.groupby("request_id")["sent_at_s"].max().reindex(sample["request_id"]).to_numpy(dtype=float)
    is_open = np.asarray(sample["outcome"] == "in_flight")
    ends = np.where(is_open, run.horizon_s, np.fmax(answered, last))
    return np.asarray(np.fmin(np.fmax(ends, arrived), run.horizon_s))


def _sends_of(
    requests: dict[int, dict[str, Any]], sends: pd.DataFrame, tracks: dict[tuple[int, int], int]
) -> list[Event]:
    """Link and queue slices of each send, and its flow: client, uplink, replica, downlink if it was used.

    Arrows lead from slices to slices that start later, as Perfetto draws them; so the answer's way back is a
    slice too, and ends with the request's.
    """
    sends = sends.sort_values("sent_at_s", kind="stable", ignore_index=True)
    mine = [requests[number] for number in sends["request_id"]]
    is_remote = np.array([request["outcome"] == "remote" for request in mine], dtype=bool)
    is_used = is_remote & ~sends["request_id"].duplicated(keep="last").to_numpy()
    reached = np.fmax(sends["reached_at_s"].to_numpy(), sends["sent_at_s"].to_numpy())
    ends = np.fmax(reached, np.where(is_used, [r["ended_at_s"] for r in mine], sends["started_at_s"]))
    sends = sends.assign(
        reached_at_s=reached,
        tid=lanes(sends["sent_at_s"].to_numpy(), ends) + 1,
        is_used=is_used,
    )
    events: list[Event] = []
    for number, row in enumerate(_rows(sends), start=1):
        request, tid, sent_at_s = requests[row["request_id"]], row["tid"], row["sent_at_s"]
        args = {"request_id": row["request_id"]}
        events.append(_slice(LINKS, tid, "uplink", sent_at_s, row["reached_at_s"], **args))
        events.append(_flow("s", number, CLIENTS, request["tid"], sent_at_s))
        if np.isnan(row["started_at_s"]):
            events.append(_flow("f", number, LINKS, tid, sent_at_s))
            continue
        events.append(_slice(LINKS, tid, "waiting", row["reached_at_s"], row["started_at_s"], **args))
        events.append(_flow("t", number, LINKS, tid, sent_at_s))
        last = "t" if row["is_used"] else "f"
        events.append(_flow(last, number, SERVER, tracks[row["server"], row["replica"]], row["started_at_s"]))
        if row["is_used"]:
            events.append(_slice(LINKS, tid, "downlink", row["finished_at_s"], request["ended_at_s"], **args))
            events.append(_flow("f", number, LINKS, tid, row["finished_at_s"]))
    return events
