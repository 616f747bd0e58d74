"""Writes synthetic run folders: believable enough to look at, small enough to check by hand.
Load and queue come from a fluid model, so that an outage leaves the traces that a real one leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from study_folders import write_study

from sim.results import columns
from sim.results.columns import OWN_KEY, VERSION

SCENARIO = """\
# What does a total outage cost a fleet that learned to lean on its server?
# Theory: nothing beyond what the clients get alone, while the outage lasts.
name: synthetic
seed: 7
horizon_s: {horizon_s}
warm_up_s: {warm_up_s}
costs: {{c_e: 0.1, c_1: 1.0, charge_on: send}}
fleet:
  - group: sensors
    clients: {clients}
    traffic: {{mix: all, drift: []}}
    arrivals: {{process: {{kind: poisson, rate_hz: 1.2}}, shape: {{kind: constant}}}}
    device: {{inference_s: 0.02}}
    link: {{latency: 0.03, bandwidth_bps: 2.0e+6, payload_bytes: 3072}}
    policy: {{score: l2h, price: {{kind: threshold, at: 0.0}}}}
    deadline_s: 1.0
    timeout_s: 0.5
    retry: {{attempts: 3, backoff_s: 0.2, factor: 1.0, cap_s: null, jitter: full, allowance: null}}
    breaker: null
    budget: null
    fallback: client
  - group: cameras
    clients: {clients}
    traffic: {{mix: all, drift: []}}
    arrivals: {{process: {{kind: poisson, rate_hz: 1.2}}, shape: {{kind: constant}}}}
    device: {{inference_s: 0.02}}
    link: {{latency: 0.03, bandwidth_bps: 2.0e+6, payload_bytes: 6144}}
    policy: {{score: l2h, price: {{kind: threshold, at: 0.0}}}}
    deadline_s: 2.0
    timeout_s: 0.5
    retry: {{attempts: 3, backoff_s: 0.2, factor: 1.0, cap_s: null, jitter: full, allowance: null}}
    breaker: null
    budget: null
    fallback: client
server:
  replicas: 2
  max_batch: 8
  batch_wait_s: 0.0
  queue_limit: 256
  discipline: fifo
  service: {{kind: affine, base_s: 0.05, per_item_s: 0.02, cv: 0.0}}
  admission: {{kind: none}}
  drop_expired: false
  autoscaling: null
  when_down: queue
  in_flight: lose
  queue_survives: true
  outages: []
study: {{c_e: [0.1, 0.4]}}
training:
  form: nonnegative
  exploration: 0.0
  pretrain: {{sync_every: 1}}
"""
ONLINE = """\
  online:
    {every_s: 30, steps: 40, step_s: 0.05, source: mix, label_delay_s: 0.0, copy_bytes: 500000,
     rejector_steps: 30, rejector_step_s: 0.1, capacity_share: 0.0}
"""
BASES = 361
ATTEMPTS = 3


def write_table(path: Path, rows: dict[str, Any], schema: pa.Schema) -> None:
    """One Parquet file with the columns of `schema`; columns not in `rows` get a neutral value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(next(iter(rows.values())))
    arrays = []
    for field in schema:
        values = rows.get(field.name)
        if values is None:
            values = [_neutral(field.type)] * count
        if pa.types.is_dictionary(field.type):
            arrays.append(pa.array(list(values), pa.string()).dictionary_encode().cast(field.type))
        else:
            arrays.append(pa.array(values, from_pandas=False).cast(field.type))
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)


def _neutral(of: pa.DataType) -> Any:
    if pa.types.is_floating(of):
        return float("nan")
    if pa.types.is_boolean(of):
        return False
    return "" if pa.types.is_string(of) or pa.types.is_dictionary(of) else 0


def write_outages(path: Path, outages: tuple[tuple[str, float, float], ...], **columns_of: list[Any]) -> None:
    """The periods (target, from_s, until_s) that hit all of their target, each an outage of its own;
    `columns_of` may say more of each."""
    rows = {
        "target": [target for target, _, _ in outages],
        "effect": ["down"] * len(outages),
        "factor": [1.0] * len(outages),
        "client_id": [-1] * len(outages),
        "from_s": [begin for _, begin, _ in outages],
        "until_s": [end for _, _, end in outages],
        "outage": list(range(len(outages))),
    }
    write_table(path / "outages.parquet", rows | columns_of, columns.OUTAGES)


def write_folder(
    path: Path,
    *,
    clients: int = 20,
    rate_hz: float = 1.2,
    horizon_s: int = 300,
    warm_up_s: int = 20,
    outages: tuple[tuple[str, int, int], ...] = (("server", 100, 140), ("replicas:1", 200, 230)),
    seed: int = 1,
) -> Path:
    """A finished run of two groups of `clients` clients each; returns its folder."""
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True, exist_ok=True)
    (path / "scenario.yaml").write_text(
        SCENARIO.format(clients=clients, horizon_s=horizon_s, warm_up_s=warm_up_s) + ONLINE,
        encoding="utf-8",
    )
    samples = _samples(rng)
    usable = _usable(outages, horizon_s)
    requests = _decided(rng, 2 * clients, rate_hz, horizon_s, samples)
    requests, attempts, timeline = _served(rng, requests, usable, horizon_s)
    _write_requests(path, requests, attempts)
    made, rounds = _rounds(usable, horizon_s)
    write_table(path / "timeline.parquet", timeline | _followed(made, horizon_s), columns.TIMELINE)
    write_table(path / "events.parquet", _events(outages, usable, rounds), columns.EVENTS)
    write_outages(path, outages)
    write_table(
        path / "samples.parquet",
        {
            "sample_id": np.arange(BASES),
            "base_id": np.arange(BASES),
            "label": samples["label"],
            "pool": ["traffic"] * BASES,
            "held_out": samples["held_out"],
        },
        columns.SAMPLES,
    )
    write_table(path / "clients.parquet", _clients(clients), columns.CLIENTS)
    write_table(path / "learning.parquet", _learning(), columns.LEARNING)
    write_table(path / "deferral.parquet", _deferral(), columns.DEFERRAL)
    write_table(path / "partitions.parquet", _partitions(), columns.PARTITIONS)
    write_table(path / "reliability.parquet", _reliability(samples), columns.RELIABILITY)
    write_study(path)
    timing = {
        "stages_s": {"build": 2.1, "decide": 0.1, "learn": 8.4, "run": 3.3},
        "requests_per_s": 212_000.0,
        "path": {"name": "simpy", "why": "the compiled loop cannot play it: " + "closed_loop arrivals, " * 6},
    }
    (path / "timing.json").write_text(json.dumps(timing))
    (path / "versions.json").write_text(json.dumps({OWN_KEY: VERSION, "python": "3.11", "numpy": "2.4"}))
    return path


def _samples(rng: np.random.Generator) -> dict[str, np.ndarray]:
    hard = rng.beta(1.2, 2.0, BASES)
    label = rng.integers(0, 10, BASES)
    return {
        "label": label,
        "held_out": np.arange(BASES) % 2 == 0,
        "hard": hard,
        "server_label": np.where(rng.random(BASES) < 0.97 - 0.2 * hard, label, (label + 1) % 10),
    }


def _usable(outages: tuple[tuple[str, int, int], ...], horizon_s: int) -> np.ndarray:
    usable = np.full(horizon_s, 2)
    for target, start, end in outages:
        kind, _, count = target.partition(":")
        left = 0 if kind == "server" else 2 - int(count) if kind == "replicas" else 2
        usable[start:end] = np.minimum(usable[start:end], left)
    return usable


def _decided(
    rng: np.random.Generator, clients: int, rate_hz: float, horizon_s: int, samples: dict[str, np.ndarray]
) -> pd.DataFrame:
    count = int(clients * rate_hz * horizon_s)
    client = np.sort(rng.integers(0, clients, count))
    arrived = rng.uniform(0, horizon_s, count)
    order = np.lexsort((arrived, client))
    client, arrived = client[order], arrived[order]
    k = np.arange(count) - np.searchsorted(client, client)
    sample = rng.integers(0, BASES, count)
    weak = np.where(client < clients // 2, 0.9, 0.6)
    luck = rng.random((clients, BASES))
    wrong = luck[client, sample] < weak * samples["hard"][sample]
    label = samples["label"][sample]
    score = samples["hard"][sample] - 0.33 + rng.normal(0, 0.12, count)
    return pd.DataFrame(
        {
            "request_id": client.astype(np.int64) * 2**32 + k,
            "client_id": client,
            "group": np.where(client < clients // 2, "sensors", "cameras"),
            "sample_id": sample,
            "held_out": samples["held_out"][sample],
            "label": label,
            "arrived_at_s": arrived,
            "decided_at_s": arrived + 0.02,
            "score": score,
            "propensity": (score > 0) * 1.0,
            "deferred": score > 0,
            "client_label": np.where(wrong, (label + 3) % 10, label),
            "server_label": samples["server_label"][sample],
        }
    )


def _served(
    rng: np.random.Generator, requests: pd.DataFrame, usable: np.ndarray, horizon_s: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Up to three attempts each through a fluid queue; an attempt unanswered after 0.5 s is given up."""
    sent = requests[requests["deferred"]]
    arriving = np.bincount(sent["decided_at_s"].astype(int).clip(0, horizon_s - 1), minlength=horizon_s)
    capacity = usable / (0.05 / 8 + 0.02)
    retries = np.zeros(horizon_s)
    for _ in range(3):  # a fixed point between the retries and the queue they cause
        waiting = np.zeros(horizon_s + 1)
        for second in range(horizon_s):
            backlog = waiting[second] + arriving[second] + retries[second] - capacity[second]
            waiting[second + 1] = np.clip(backlog, 0, 256)
        attempts = _attempts(rng, sent, waiting, capacity)
        again = attempts.loc[attempts["attempt"] > 1, "sent_at_s"].astype(int).clip(0, horizon_s - 1)
        retries = np.bincount(again, minlength=horizon_s)
    busy = np.minimum(usable, (arriving + retries) * 0.02625)
    timeline = {
        "at_s": np.arange(horizon_s, dtype=float),
        "waiting": waiting[:-1].astype(int),
        "in_service": np.round(busy * 5).astype(int),
        "waiting_mean": (waiting[:-1] + waiting[1:]) / 2 + rng.exponential(0.4, horizon_s),
        "waiting_max": (np.maximum(waiting[:-1], waiting[1:]) + rng.integers(0, 6, horizon_s)).astype(int),
        "busy_replicas_mean": busy,
        "usable_replicas_mean": usable.astype(float),
        "requeued_s": np.zeros(horizon_s),
        "arrivals": np.bincount(requests["arrived_at_s"].astype(int), minlength=horizon_s),
        "first_sends": arriving,
        "retries": retries,
    }
    return _ended(requests, attempts, horizon_s), attempts, timeline


def _attempts(
    rng: np.random.Generator, sent: pd.DataFrame, waiting: np.ndarray, capacity: np.ndarray
) -> pd.DataFrame:
    horizon_s, count = capacity.size, len(sent)
    done, grid = np.append(0.0, np.cumsum(capacity)), np.arange(horizon_s + 1)
    at, alive, rows = sent["decided_at_s"].to_numpy() + 0.0, np.ones(count, dtype=bool), []
    for attempt in range(1, ATTEMPTS + 1):
        reached = at + 0.042 + rng.gamma(4, 0.002, count)
        ahead = np.interp(reached, grid, done) + np.interp(reached, grid, waiting)
        started = np.interp(ahead + rng.exponential(1.0, count), done + grid * 1e-9, grid, right=np.inf)
        started = np.maximum(started, reached)
        finished = started + 0.09 + 0.02 * rng.integers(1, 9, count)
        replies = finished + 0.03 + rng.gamma(4, 0.003, count)
        finished[finished >= horizon_s] = np.nan
        started[~(started < horizon_s)] = np.nan
        in_time = (replies <= at + 0.5) & ~np.isnan(finished)
        columns_now = {
            "request_id": sent["request_id"],
            "sent_at_s": at,
            "reached_at_s": reached,
            "started_at_s": started,
            "finished_at_s": finished,
            "reply_at_s": replies,
            "in_time": in_time,
        }
        rows.append(pd.DataFrame(columns_now).assign(attempt=attempt)[alive])
        alive = alive & ~in_time & (at + 0.7 < sent["arrived_at_s"].to_numpy() + 1.9)
        at = at + 0.5 + rng.uniform(0, 0.2, count)
    attempts = pd.concat(rows).sort_values(["request_id", "attempt"], ignore_index=True)
    idle = attempts["started_at_s"].isna()
    return attempts.assign(
        replica=np.where(idle, -1, rng.integers(0, 2, len(attempts))),
        batch_size=np.where(idle, 0, rng.integers(1, 9, len(attempts))),
        charged=True,
        server_cause="none",
    )


def _ended(requests: pd.DataFrame, attempts: pd.DataFrame, horizon_s: int) -> pd.DataFrame:
    last = attempts.groupby("request_id").last()
    rows = requests.merge(last, left_on="request_id", right_index=True, how="left")
    answered = (rows["in_time"] == True).to_numpy()  # noqa: E712  (NaN where nothing was sent)
    deferred = rows["deferred"].to_numpy(dtype=bool)
    late = np.minimum(rows["sent_at_s"] + 0.5, rows["arrived_at_s"] + 2.0)
    at_s = np.where(deferred, np.where(answered, rows["reply_at_s"], late), rows["decided_at_s"])
    cut = at_s > horizon_s
    at_s = np.where(cut, np.nan, at_s)
    outcome = np.select([cut, ~deferred, answered], ["in_flight", "local", "remote"], default="timed_out")
    label = np.select([cut, answered], [-1, rows["server_label"]], default=rows["client_label"])
    attempts_made = rows["attempt"].fillna(0).astype(int)
    return rows.assign(
        outcome=outcome,
        answered_by=np.select([cut, answered], ["none", "server"], default="client"),
        first_answer_at_s=at_s,
        answered_at_s=at_s,
        server_cause="none",
        attempts=attempts_made,
        cost=0.1 * attempts_made,
        replica=rows["replica"].fillna(-1).astype(int),
        batch_size=rows["batch_size"].fillna(0).astype(int),
        answer_label=label,
        correct=label == rows["label"],
    )


def _write_requests(path: Path, requests: pd.DataFrame, attempts: pd.DataFrame) -> None:
    part = (requests["arrived_at_s"] // 60).astype(int)
    several = attempts.groupby("request_id")["attempt"].transform("size") > 1
    attempts = attempts[several]
    chunk = (attempts["sent_at_s"] // 60).astype(int).clip(0, int(part.max()))
    for number in range(int(part.max()) + 1):
        name = f"part-{number:07d}.parquet"
        rows = requests[part == number]
        write_table(path / "requests" / name, {n: rows[n].to_numpy() for n in rows}, columns.REQUESTS)
        rows = attempts[chunk == number]
        write_table(path / "attempts" / name, {n: rows[n].to_numpy() for n in rows}, columns.ATTEMPTS)


def _rounds(usable: np.ndarray, horizon_s: int) -> tuple[np.ndarray, list[tuple[float, str, str, float]]]:
    """When versions came into force, and the events of a round every 30 s that takes 2 s."""
    made: list[float] = []
    rows: list[tuple[float, str, str, float]] = [(0.0, "model_in_force", "model", 0.0)]
    for number, due in enumerate(range(30, horizon_s - 2, 30), start=1):
        if not usable[due]:
            rows.append((float(due), "round_skipped", "model", float(number)))
            continue
        rows.append((float(due), "round_start", "model", float(number)))
        if not usable[due : due + 3].all():
            rows.append((float(due + 1), "round_lost", "model", float(number)))
            continue
        made.append(due + 2.0)
        rows.append((due + 2.0, "model_in_force", "model", float(len(made))))
    return np.array(made), rows


def _followed(made: np.ndarray, horizon_s: int) -> dict[str, Any]:
    """Copies arrive 2 s after a version, rejectors have learned against it 5 s after."""
    at_s = np.arange(horizon_s, dtype=float)
    version = np.searchsorted(made, at_s, side="left")
    return {
        "server_version": version,
        "copy_staleness": (version - np.searchsorted(made + 2, at_s, side="left")).astype(float),
        "rejector_staleness": (version - np.searchsorted(made + 5, at_s, side="left")).astype(float),
    }


def _events(
    outages: tuple[tuple[str, int, int], ...],
    usable: np.ndarray,
    rounds: list[tuple[float, str, str, float]],
) -> dict[str, Any]:
    rows = [(0.0, "usable_replicas", "server", 2.0), *rounds]
    for target, start, end in outages:
        rows += [(start, "outage_start", target, np.nan), (end, "outage_end", target, np.nan)]
    changes = np.flatnonzero(np.diff(usable)) + 1
    rows += [(at, "usable_replicas", "server", float(usable[at])) for at in changes]
    rows.sort(key=lambda row: row[0])
    names = ("at_s", "kind", "target", "value")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _clients(clients: int) -> dict[str, Any]:
    return {
        "client_id": np.arange(2 * clients),
        "group": ["sensors"] * clients + ["cameras"] * clients,
        "hash_before": ["a0"] * (2 * clients),
        "hash_after": ["a0"] * (2 * clients),
    }


def _learning() -> dict[str, Any]:
    steps = np.arange(0, 61, 5)
    owners = [("server", ""), ("rejector", "sensors"), ("rejector", "cameras"), ("client", "sensors")]
    return {
        "stage": [stage for stage, _ in owners for _ in steps],
        "group": [group for _, group in owners for _ in steps],
        "step": np.tile(steps, len(owners)),
        "loss": np.concatenate([2.3 * np.exp(-steps / pace) for pace in (20, 30, 40, 10)]),
    }


def _deferral() -> dict[str, list[Any]]:
    rate = np.linspace(0, 1, 21)
    low, high = 0.72, 0.9
    bend = {"random": 0.0, "confidence": 0.12, "l2h": 0.18, "oracle": 0.3}
    table: dict[str, list[Any]] = {"score": [], "group": [], "deferral_rate": [], "accuracy": [], "risk": []}
    for group, shift in (("all", 0.0), ("sensors", -0.06), ("cameras", 0.05)):
        for score, height in bend.items():
            accuracy = low + shift + (high - low - shift) * rate + height * 4 * rate * (1 - rate) ** 1.5
            table["score"] += [score] * rate.size
            table["group"] += [group] * rate.size
            table["deferral_rate"] += list(rate)
            table["accuracy"] += list(np.minimum(accuracy, 0.97))
            table["risk"] += list(1 - accuracy + 0.1 * rate)
    return table


def _partitions() -> dict[str, Any]:
    """Models of both groups that never saw three of the ten classes."""
    classes = np.tile(np.arange(10), 2)
    return {
        "group": np.repeat(["sensors", "cameras"], 10),
        "variant": np.zeros(20, int),
        "class": classes,
        "samples": np.where(classes < 7, 20 + classes, 0),
    }


def _reliability(samples: dict[str, np.ndarray]) -> dict[str, Any]:
    """A server that is as sure as it may be, and rejectors that are too sure of it."""
    asked = np.flatnonzero(samples["held_out"])
    right = (samples["server_label"] == samples["label"])[asked] * 1.0
    sure = {"softmax": 0.97 - 0.2 * samples["hard"][asked], "plug_in": np.full(asked.size, 0.99)}
    parts = [
        pd.DataFrame(
            {"group": group, "source": source, "model": "server", "sample_id": asked, "weight": 1.0}
            | {"estimated": said, "right": right}
        )
        for group in ("sensors", "cameras")
        for source, said in sure.items()
    ]
    table = pd.concat(parts)
    return {name: table[name].to_numpy() for name in columns.RELIABILITY.names}


TINY_REQUEST = {
    "client_id": 0,
    "group": "sensors",
    "sample_id": 0,
    "held_out": True,
    "label": 1,
    "outcome": "local",
    "server_cause": "none",
    "answered_by": "client",
    "client_label": 1,
    "server_label": 1,
    "replica": -1,
    "deferred": False,
}


REQUESTS_KEPT = ("request_id",)  # of a table without rows


def write_tiny(
    path: Path,
    requests: list[dict[str, Any]],
    *,
    attempts: list[dict[str, Any]] | None = None,
    timeline: dict[str, Any] | None = None,
    outages: tuple[tuple[str, int, int], ...] = (),
    horizon_s: int = 100,
    warm_up_s: int = 0,
    **changes: tuple[str, str],
) -> Path:
    """A folder with exactly these requests, over five samples, for numbers that are worked out by hand.

    A request is TINY_REQUEST with what it says itself; it is decided on arrival, and it is answered
    (`answered_at_s`) and right unless it says otherwise. `changes` are replacements in the scenario's text.
    """
    path.mkdir(parents=True, exist_ok=True)
    text = SCENARIO.format(clients=1, horizon_s=horizon_s, warm_up_s=warm_up_s)
    for old, new in changes.values():
        assert old in text, old
        text = text.replace(old, new)
    (path / "scenario.yaml").write_text(text, encoding="utf-8")
    rows = [_tiny_request(k, row) for k, row in enumerate(requests)]
    counted: dict[int, int] = {}
    for row in rows:  # each client numbers its own requests
        client = row["client_id"]
        counted[client] = counted.get(client, -1) + 1
        row["request_id"] = client * 2**32 + counted[client]
    names = rows[0].keys() if rows else REQUESTS_KEPT
    write_table(
        path / "requests/part-0000000.parquet", {n: [r[n] for r in rows] for n in names}, columns.REQUESTS
    )
    if attempts:
        attempts = [{"server_cause": "none"} | row for row in attempts]
        write_table(
            path / "attempts/part-0000000.parquet",
            {name: [row[name] for row in attempts] for name in attempts[0]},
            columns.ATTEMPTS,
        )
    usable = _usable(outages, horizon_s)
    idle = {"at_s": np.arange(horizon_s) * 1.0} | {
        name: np.zeros(horizon_s) for name in ("waiting_mean", "busy_replicas_mean", "requeued_s")
    }
    whole = dict.fromkeys(("waiting_max", "first_sends", "retries"), np.zeros(horizon_s, dtype=int))
    seconds = np.array([int(row["arrived_at_s"]) for row in rows], dtype=int)
    arrivals = {"arrivals": np.bincount(seconds, minlength=horizon_s)[:horizon_s]}
    rows_of_time = idle | whole | arrivals | {"usable_replicas_mean": usable * 1.0} | (timeline or {})
    write_table(path / "timeline.parquet", rows_of_time, columns.TIMELINE)
    write_table(path / "events.parquet", _events(outages, usable, []), columns.EVENTS)
    write_outages(path, outages)
    sample = {"sample_id": range(5), "base_id": range(5), "pool": ["traffic"] * 5, "held_out": [True] * 5}
    write_table(path / "samples.parquet", sample, columns.SAMPLES)
    write_table(path / "clients.parquet", _clients(1), columns.CLIENTS)
    write_table(path / "learning.parquet", _learning(), columns.LEARNING)
    write_table(path / "deferral.parquet", _deferral(), columns.DEFERRAL)
    return path


def _tiny_request(k: int, row: dict[str, Any]) -> dict[str, Any]:
    nan = float("nan")
    filled = TINY_REQUEST | {"arrived_at_s": float(k), "attempts": 0, "cost": 0.0} | row
    filled.setdefault("decided_at_s", filled["arrived_at_s"])
    answered = nan if filled["answered_by"] == "none" else filled["arrived_at_s"]
    filled.setdefault("answered_at_s", answered)
    filled.setdefault("first_answer_at_s", filled["answered_at_s"])
    answers = {"client": filled["client_label"], "server": filled["server_label"], "none": -1}
    filled.setdefault("answer_label", answers[filled["answered_by"]])
    filled.setdefault("correct", filled["answer_label"] == filled["label"])
    for name in ("sent_at_s", "reached_at_s", "started_at_s", "finished_at_s"):
        filled.setdefault(name, nan)
    filled.setdefault("batch_size", 0)
    return filled
