"""Queues written as scenarios, and their runs: tables in, and every run's own books balanced.
Used by the tests of this folder alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from worlds import made_up, poisson

from sim.engine.run import chunks
from sim.scenario import Scenario, read
from sim.scenario.schema.values import CHUNK_S
from sim.world.arrivals.source import ArrivalSource
from sim.world.world import World

CLIENTS = 10  # in queue.yaml
MEAN_S = 0.1  # the service time that counts as one
WARM_UP_S, COOL_DOWN_S = 60.0, 30.0  # 600 service times to forget the empty start, 300 to end what began
EXPONENTIAL = {"kind": "exponential", "mean_s": MEAN_S}


def queue(load: float, *changes: str, servers: int = 1, time: object = EXPONENTIAL) -> Scenario:
    """`queue.yaml` at an offered load of `load` per server, with further changes written `path=value`."""
    rate_hz = load * servers / MEAN_S / CLIENTS
    parts = {
        "fleet.devices.arrivals.process.rate_hz": rate_hz,
        "server.replicas": servers,
        "server.service.time": time,
    }
    written = [f"{path}={json.dumps(value)}" for path, value in parts.items()]
    return read(Path(__file__).with_name("queue.yaml"), [*written, *changes])


@dataclass(frozen=True)
class Run:
    """What a run left: `requests` sorted by arrival, `seconds` (the time line), everything as recorded."""

    scenario: Scenario
    requests: pd.DataFrame
    attempts: pd.DataFrame
    seconds: pd.DataFrame

    @property
    def settled(self) -> pd.DataFrame:
        """The requests between warm-up and cool-down."""
        at = self.requests["arrived_at_s"]
        return self.requests[(at >= WARM_UP_S) & (at < self.scenario.horizon_s - COOL_DOWN_S)]

    @property
    def settled_seconds(self) -> pd.DataFrame:
        """The seconds between warm-up and cool-down."""
        at = self.seconds["at_s"]
        return self.seconds[(at >= WARM_UP_S) & (at < self.scenario.horizon_s - COOL_DOWN_S)]

    def chance(self) -> dict[str, float]:
        """What the draws of the settled requests came to: arrivals per service time, moments of services."""
        settled = self.settled
        services = (settled["finished_at_s"] - settled["started_at_s"]).to_numpy() / MEAN_S
        until = self.scenario.horizon_s - COOL_DOWN_S
        rate = len(settled) / (until - WARM_UP_S) * MEAN_S
        return {"rate": rate, "E[S]": float(services.mean()), "E[S²]": float((services**2).mean())}

    def waits(self) -> np.ndarray:
        """Of those who were let in: from reaching the server to the start of service, in service times."""
        served = self.settled[self.settled["server_cause"] == "none"]
        waits = (served["started_at_s"] - served["reached_at_s"]).to_numpy() / MEAN_S
        assert not np.isnan(waits).any(), "the cool-down is too short"
        return waits


def run(scenario: Scenario, source: ArrivalSource | None = None) -> Run:
    """Runs a scenario, all laws of the product checked, and balances its books."""
    parts = list(chunks(World(scenario), made_up(scenario), source or poisson(scenario, CHUNK_S), CHUNK_S))
    requests = pa.concat_tables([part.requests for part in parts]).to_pandas()
    attempts = pa.concat_tables([part.attempts for part in parts]).to_pandas()
    seconds = pd.concat([pd.DataFrame(part.seconds) for part in parts], ignore_index=True)
    done = Run(
        scenario, requests.sort_values(["arrived_at_s", "request_id"], ignore_index=True), attempts, seconds
    )
    if scenario.server.in_flight not in ("requeue", "resume", "restart") and not scenario.server.drop_expired:
        assert_books_balance(done)
    return done


def assert_books_balance(run: Run) -> None:
    """The integrals of the time line are the sums of the stays that the tables tell, to 1e-9 of them.

    (The tables do not tell when a service that began again began first, how long one stood still, nor when
    the expired were thrown out;
    there the loop's own count, checked in every run against its own instants, is all there is.)
    """
    for integral, stays in (in_queue(run), in_service(run)):
        assert abs(integral - stays) <= 1e-9 * max(1.0, stays), (integral, stays)


def in_queue(run: Run) -> tuple[float, float]:
    """The integral of the number waiting, and the sum of the waits, both up to the horizon."""
    sends = all_sends(run)
    entered = sends[sends["reached_at_s"].notna() & ~sends["server_cause"].isin(["down", "queue_full"])]
    left = entered["started_at_s"].fillna(run.scenario.horizon_s)
    return _integral(run, "waiting_mean"), float((left - entered["reached_at_s"]).sum())


def in_service(run: Run) -> tuple[float, float]:
    """The integral of the number of busy replicas, and the sum of the batches' times, up to the horizon."""
    batches = all_sends(run).dropna(subset="started_at_s").drop_duplicates(["replica", "started_at_s"])
    usable, seconds = World(run.scenario).capacities[0], 0.0
    for replica, mine in batches.groupby("replica"):
        started, ended = mine["started_at_s"].to_numpy(), mine["finished_at_s"].to_numpy()
        stops = np.append(usable.at_s[usable.usable <= replica], run.scenario.horizon_s)
        ended = np.where(np.isnan(ended), stops[np.searchsorted(stops, started, side="right")], ended)
        seconds += float((ended - started).sum())
    return _integral(run, "busy_replicas_mean"), seconds


def all_sends(run: Run) -> pd.DataFrame:
    """Every attempt once: those of requests with several stand in a table of their own."""
    single = run.requests[run.requests["attempts"] == 1]
    return pd.concat([single[run.attempts.columns.intersection(single.columns)], run.attempts])


def _integral(run: Run, column: str) -> float:
    widths = np.diff(np.append(run.seconds["at_s"], run.scenario.horizon_s))
    return float((run.seconds[column].to_numpy() * widths).sum())
