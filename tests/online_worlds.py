"""A client whose answers are drawn by the level of its score, and a server that is right: worlds in which the
best threshold is known, for prices that learn from answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from worlds import group_of, made_up, scenario_of

from sim.engine.choice import EnginePath
from sim.engine.run import chunks
from sim.messages import GroupTables, Learned, Tables
from sim.scenario import Scenario
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World

LEVELS = 10
WRONG = (0.02, 0.04, 0.06, 0.1, 0.15, 0.45, 0.55, 0.65, 0.75, 0.85)  # by level: how often the client errs
C_E = 0.3  # so the best threshold lies at 0.5
RATE_HZ = 100.0
COLUMNS = [
    "request_id",
    "decided_at_s",
    "score",
    "deferred",
    "outcome",
    "client_label",
    "server_label",
    "label",
]


def learner(kind: str, **keys: Any) -> dict[str, Any]:
    """A price that learns, on as many levels as the world has."""
    return {"kind": kind, "levels": LEVELS, **keys}


def scenario_for(
    price: dict[str, Any],
    requests: int,
    seed: int = 0,
    latency_s: float = 0.0,
    down: tuple[tuple[float, float], ...] = (),
    lossy: bool = False,
    c_e: float = C_E,
    **group: Any,
) -> Scenario:
    """About so many requests of one client. latency_s: each way. lossy: half of the replies come too late."""
    latency: Any = latency_s
    if lossy:
        latency = {"kind": "exponential", "mean_s": 0.3}
    fleet = group_of(
        clients=1,
        arrivals={"process": {"kind": "poisson", "rate_hz": RATE_HZ}},
        policy={"score": "l2h", "price": price},
        link={"latency": latency},
        timeout_s=0.5 + 2 * latency_s,
        **group,
    )
    service = {"kind": "per_batch", "time": 1e-4}
    outages = ({"when": {"kind": "intervals", "at": down}, "target": {"kind": "server"}},) if down else ()
    return scenario_of(
        seed=seed,
        horizon_s=requests / RATE_HZ,
        costs={"c_e": c_e},
        fleet=(fleet,),
        server={"replicas": 64, "service": service, "when_down": "refuse", "outages": outages},
    )


def learned_for(scenario: Scenario, samples: int = 40_000, wrong: Any = WRONG, seed: int = 0) -> Learned:
    """Scores uniform in (0, 1), the client's answer 0 or 1 and wrong by level, the server's the label."""
    draw = np.random.default_rng(seed)
    score = ((draw.permutation(samples) + 0.5) / samples).astype(np.float32)
    error = np.asarray(wrong)[np.minimum((score * LEVELS).astype(int), LEVELS - 1)]
    label = draw.integers(0, 2, samples).astype(np.int16)
    client = np.where(draw.random(samples) < error, 1 - label, label).astype(np.int16)
    learned = made_up(scenario, samples)
    tables = Tables((GroupTables(client_label=client[None, :], score=score[None, :]),), label)
    return replace(learned, samples=replace(learned.samples, label=label), tables=tables)


def played(scenario: Scenario, learned: Learned, path: str = "compiled") -> pd.DataFrame:
    """The requests whose outcome is known, in the order of their decisions."""
    parts = [
        chunk.requests.select(COLUMNS).to_pandas()
        for chunk in chunks(
            World(scenario), learned, ScenarioArrivals(World(scenario)), 1e9, path=EnginePath(path, "")
        )
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[rows["decided_at_s"].notna() & (rows["outcome"] != "in_flight")]
    return rows.sort_values(["decided_at_s", "request_id"], ignore_index=True)


def losses(
    rows: pd.DataFrame, down: tuple[tuple[float, float], ...] = (), c_e: float = C_E
) -> tuple[NDArray[Any], ...]:
    """What each request paid, and what keeping and sending it would have cost, float64 (n,)."""
    kept = (rows["client_label"] != rows["label"]).to_numpy(dtype=float)
    at = rows["decided_at_s"].to_numpy()
    is_down = np.zeros(len(at), dtype=bool)
    for begin, end in down:
        is_down |= (at >= begin) & (at < end)
    sent = c_e + np.where(is_down, kept, rows["server_label"] != rows["label"])
    is_remote = (rows["outcome"] == "remote").to_numpy()
    is_sent = rows["deferred"].to_numpy()
    paid = np.where(is_sent, c_e + np.where(is_remote, 0.0, kept), kept)
    return paid, kept, sent
