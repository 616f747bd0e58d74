"""Small worlds for tests: learners' tables made up by a seed, arrivals written down, both loops side by side.
Nothing here is used by the product."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import numpy as np
import pandas as pd
import pyarrow as pa
from reference_loop import Reference, Request, Send

from sim.arrivals import Arrivals, ArrivalSource, PoissonArrivals, in_order
from sim.engine import chunks
from sim.messages import GroupTables, Learned, Samples, Tables
from sim.population import population
from sim.scenario import Group, Scenario

SENT = ["sent_at_s", "reached_at_s", "started_at_s", "finished_at_s", "replica", "batch_size", "server_cause"]
COMPARED = [
    "request_id",
    "sample_id",
    "arrived_at_s",
    "decided_at_s",
    "score",
    "deferred",
    "attempts",
    *SENT,
    "first_answer_at_s",
    "answered_at_s",
    "cost",
    "outcome",
    "answered_by",
]


def scenario_of(**changes: object) -> Scenario:
    """A scenario of one client and one M/D/1-like server, with the given top-level parts replaced."""
    base: dict[str, object] = {
        "name": "small",
        "horizon_s": 20.0,
        "fleet": (group_of(),),
        "server": {"service": {"kind": "affine", "base_s": 1.0}},
    }
    return Scenario.model_validate(base | changes)


def group_of(name: str = "devices", **changes: object) -> dict[str, object]:
    """A group of one client that sends everything, with the given parts replaced."""
    base: dict[str, object] = {
        "group": name,
        "clients": 1,
        "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
        "policy": {"score": "l2h", "price": {"kind": "always_remote"}},
    }
    return base | changes


def made_up(scenario: Scenario, samples: int = 40, seed: int = 0) -> Learned:
    """Tables as learners would give them, drawn from a seed; each group is sent a part of the samples."""
    draw = np.random.default_rng(seed)
    groups = tuple(
        GroupTables(
            client_label=draw.integers(0, 10, (group.model.variants, samples)).astype(np.int16),
            score=None
            if group.policy.score == "random"
            else np.round(draw.normal(size=(score_rows(group), samples)), 1).astype(np.float32),
        )
        for group in scenario.fleet
    )
    index = np.arange(samples, dtype=np.int32)
    axis = Samples(
        sample_id=index + 1000,  # a name of its own, so that a position is never taken for it
        base_id=index,
        view=np.zeros(samples, dtype=np.int32),
        label=draw.integers(0, 10, samples).astype(np.int16),
        pool=np.full(samples, 4, dtype=np.int8),
        held_out=draw.random(samples) < 0.5,
    )
    server_label = draw.integers(0, 10, samples).astype(np.int16)
    hashes = tuple(tuple(f"{g}-{v}" for v in range(x.model.variants)) for g, x in enumerate(scenario.fleet))
    traffic = tuple(np.sort(draw.permutation(index)[: samples - 7 * g]) for g, _ in enumerate(scenario.fleet))
    return Learned(axis, traffic, Tables(groups, server_label), hashes, {}, {})


def score_rows(group: Group) -> int:
    """Rows of a group's table of scores: one per client, or per variant."""
    return group.clients if group.rejector.per == "client" else group.model.variants


@dataclass(frozen=True)
class WrittenArrivals:
    """Arrivals as a list of (instant, client)."""

    pairs: tuple[tuple[float, int], ...]

    def draw(self, _index: int, start_s: float, end_s: float) -> Arrivals:
        chosen = [(at, client) for at, client in self.pairs if start_s <= at < end_s]
        at = np.array([at for at, _ in chosen], dtype=np.float64)
        return in_order(at, np.array([client for _, client in chosen], dtype=np.int32), end_s)


def poisson(scenario: Scenario, chunk_s: float) -> PoissonArrivals:
    return PoissonArrivals(scenario, population(scenario), chunk_s)


def product(
    scenario: Scenario, learned: Learned, source: ArrivalSource, chunk_s: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Requests and attempts of the product's loop, sorted by request."""
    run = list(chunks(scenario, learned, source, chunk_s))
    requests = frame(pa.concat_tables([chunk.requests for chunk in run]))
    attempts = frame(pa.concat_tables([chunk.attempts for chunk in run]))
    return (
        requests.sort_values("request_id", ignore_index=True),
        attempts.sort_values(["request_id", "attempt"], ignore_index=True),
    )


def reference(
    scenario: Scenario, learned: Learned, source: ArrivalSource, chunk_s: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same from the reference loop."""
    told = Reference(scenario, learned, source, chunk_s).run()
    horizon, group = scenario.horizon_s, population(scenario).group
    requests = pd.DataFrame(
        [_row(request, scenario, scenario.fleet[group[request.client]]) for request in told], columns=COMPARED
    )
    requests["sample_id"] = learned.samples.sample_id[requests["sample_id"].to_numpy(dtype=np.int64)]
    attempts = pd.DataFrame(
        [
            {"request_id": request.request_id, "attempt": send.attempt}
            | _sent(send, horizon)
            | {"charged": _is_charged(send, scenario)}
            for request in told
            for send in request.sends
            if len(request.sends) > 1
        ],
        columns=["request_id", "attempt", *SENT, "charged"],
    )
    return requests, attempts


def differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """Where two tables differ by a byte: nothing, or a line per column and request."""
    if len(ours) != len(theirs):
        return [f"{len(ours)} rows against {len(theirs)}"]
    found = []
    for name in theirs.columns:
        a, b = (frame[name].astype(ours[name].dtype).to_numpy() for frame in (ours, theirs))
        differ = ~((a == b) | (pd.isna(a) & pd.isna(b)))
        for row in np.flatnonzero(differ)[:3]:
            found.append(f"request {ours['request_id'][row]}: {name} is {a[row]!r}, should be {b[row]!r}")
    return found


def frame(table: pa.Table) -> pd.DataFrame:
    """A table as a data frame, words in place of dictionary codes."""
    found = table.to_pandas()
    for name in found.columns[found.dtypes == "category"]:
        found[name] = found[name].astype(object)
    return found


def _row(request: Request, scenario: Scenario, group: Group) -> dict[str, object]:
    by = {"local": "client", "remote": "server", "in_flight": "none"}.get(request.outcome, group.fallback)
    answered = nan if by == "none" else request.resolved
    shown = inf if group.hedge_after_s is None else request.decided + group.hedge_after_s
    first = min((at for at in (shown, answered) if at < scenario.horizon_s), default=nan)
    charged = sum(_is_charged(send, scenario) for send in request.sends)
    return {
        "request_id": request.request_id,
        "sample_id": request.sample,
        "arrived_at_s": request.arrived,
        "decided_at_s": request.decided,
        "score": request.score,
        "deferred": request.deferred,
        "attempts": len(request.sends),
        "first_answer_at_s": first,
        "answered_at_s": answered,
        "cost": scenario.costs.c_e * charged,
        "outcome": request.outcome,
        "answered_by": by,
    } | _sent(request.sends[-1] if request.sends else None, scenario.horizon_s)


def _is_charged(send: Send, scenario: Scenario) -> bool:
    is_answer = send.request.outcome == "remote" and send is send.request.sends[-1]
    return {"send": True, "accept": send.accepted, "answer": is_answer}[scenario.costs.charge_on]


def _sent(send: Send | None, horizon: float) -> dict[str, object]:
    if send is None:
        return dict(zip(SENT, (nan, nan, nan, nan, -1, 0, "none"), strict=True))
    reached = send.reached if send.reached < horizon else nan
    times = (send.sent, reached, send.started, send.finished)
    return dict(zip(SENT, (*times, send.replica, send.batch_size, send.cause), strict=True))
