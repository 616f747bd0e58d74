"""How long a run must be to tell of a system that goes on: how fast it forgets, and where its start ends.
Numbers in, numbers out; `analysis.metrics.run_length` applies it to a run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MSER_BATCH = 5


def relaxation_s(
    load: float,
    per_request_s: float,
    batch_s: float,
    cv: float,
    largest: int,
    dispersion: float = 1.0,
    limit: int | None = None,
) -> float:
    """The time in which a server forgets its state, inf where it never does.

    That of M/M/1, s/(1 - √load)² (Cohen 1982), scaled by the variability (c_a² + B·cv²)/2 of heavy traffic
    (Kingman 1962) for arrivals of index of dispersion c_a² and batches of B = `largest` that take `batch_s`
    with coefficient of variation `cv`; per_request_s: what a request takes of all replicas where batches are
    full. With at most `limit` waiting, no longer than it takes to wander from an empty to a full queue; at
    least the time of one batch.
    """
    variability = (max(1.0, dispersion) + largest * cv**2) / 2
    gap = (1 - np.sqrt(load)) ** 2
    time_s = variability * per_request_s / gap if gap > 0 else np.inf
    if limit is not None:
        time_s = min(time_s, per_request_s * (limit + largest) ** 2 / (np.pi**2 * variability))
    elif load >= 1:
        time_s = np.inf
    return float(max(batch_s, time_s))


def dispersion_of(counts: Floats) -> float:
    """The variance of counts in equal stretches over their mean: 1 for Poisson arrivals; 1 without any."""
    mean = float(counts.mean()) if counts.size > 1 else 0.0
    return float(counts.var(ddof=1)) / mean if mean > 0 else 1.0


def mser5(values: Floats) -> int | None:
    """How many of the values (n,) belong to the start, by MSER-5 (White, Cobb and Spratt 2000).

    What to leave out so that the standard error of the mean of the rest, over means of 5, is least. None
    where that is more than half of them: then the run is too short to tell, or has no steady state.
    """
    batches = values.size // MSER_BATCH
    if batches < 4:
        return None
    means = values[: batches * MSER_BATCH].reshape(batches, MSER_BATCH).mean(axis=1)
    kept = np.arange(batches, 0, -1.0)
    total, squares = (np.cumsum(part[::-1])[::-1] for part in (means, means**2))
    errors = (squares / kept - (total / kept) ** 2)[:-3] / kept[:-3]
    place = int(np.argmin(np.round(errors, 12)))
    return place * MSER_BATCH if place <= batches // 2 else None


def effective_size(values: Floats, blocks: int) -> float:
    """As how many independent values (n,) tell as much of their mean, by the means of so many stretches."""
    if values.size < 2 * blocks or float(values.var()) == 0:
        return float(values.size)
    means = np.array([part.mean() for part in np.array_split(values, blocks)])
    variance = float(means.var(ddof=1)) / blocks
    return float(min(values.size, values.var() / variance)) if variance > 0 else float(values.size)
