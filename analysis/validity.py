"""Whether the numbers of a run may be believed: each rule gives a reason in plain words, or none.
A section of the summary; a run that breaks a rule still has all its numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.traffic import Traffic

LEAST_REQUESTS = 200
LEAST_SAMPLES = 30
MOST_IN_FLIGHT = 0.05
LEAST_TREND_S = 20  # a shorter stretch without outage shows no trend
BATCHES = 10
T_OF_TREND = 5.04  # one-sided 0.9995 quantile of Student's t with BATCHES - 2 degrees of freedom


def reasons_against(traffic: Traffic) -> list[str]:
    """Why the run does not show what it was made to show; empty for a sound run."""
    return [reason for rule in RULES if (reason := rule(traffic)) is not None]


def queue_still_growing(traffic: Traffic) -> str | None:
    """In the last quarter, outages excluded, the queue rises steadily, by over one round of full batches.

    A straight line is fitted to ten batch means of the waiting requests, as successive seconds are far
    from independent (method of batch means; Law, Simulation Modeling and Analysis, chapter 9).
    """
    run, server = traffic.run, traffic.run.scenario["server"]
    start_s = max([run.horizon_s - run.observed_s / 4, *(o.to_s for o in traffic.outages)])
    at_s = traffic.timeline["at_s"].to_numpy(dtype=float)
    waiting = traffic.timeline["waiting_mean"].to_numpy(dtype=float)[at_s >= start_s]
    if waiting.size < LEAST_TREND_S:
        return None
    means = np.array([part.mean() for part in np.array_split(waiting, BATCHES)])
    x = np.arange(BATCHES) - (BATCHES - 1) / 2
    slope = float((x * means).sum() / (x**2).sum())
    residual = means - means.mean() - slope * x
    error = float(np.sqrt((residual**2).sum() / (BATCHES - 2) / (x**2).sum()))
    rise = slope * (BATCHES - 1)
    if slope <= T_OF_TREND * error or rise <= server["replicas"] * server["max_batch"]:
        return None
    return f"the queue is still growing: by {rise:.0f} requests over the last {waiting.size} s"


def too_little_traffic(traffic: Traffic) -> str | None:
    count = len(traffic.requests)
    if count >= LEAST_REQUESTS:
        return None
    return f"too little traffic: {count} requests after the warm-up, {LEAST_REQUESTS} needed"


def too_few_samples(traffic: Traffic) -> str | None:
    count = int(traffic.requests.loc[traffic.held_out, "base_id"].nunique())
    if count >= LEAST_SAMPLES:
        return None
    return f"too few samples: {count} distinct held-out ones were asked, {LEAST_SAMPLES} needed"


def too_many_in_flight(traffic: Traffic) -> str | None:
    share = float(traffic.is_outcome("in_flight").mean()) if len(traffic.requests) else 0.0
    if share <= MOST_IN_FLIGHT:
        return None
    return f"too many requests without an outcome: {share:.1%} are in flight at the horizon"


RULES: tuple[Callable[[Traffic], str | None], ...] = (
    too_little_traffic,
    too_few_samples,
    too_many_in_flight,
    queue_still_growing,
)
