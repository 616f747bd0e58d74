"""When the system was not whole: outages as intervals, usable replicas as a step function, recovery.
Built from the events and the time line of a run; used by the metrics and by the figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.run_folder.run import Run

Floats = NDArray[np.float64]
SMOOTHED_OVER_S = 5  # the queue is judged by its mean over this many seconds ...
HELD_FOR_S = 10  # ... and counts as recovered once that mean stays low for this long
LEAST_BEFORE_S = 20  # a shorter time before an outage does not tell what is normal


@dataclass(frozen=True)
class Outage:
    """One outage, half-open [from_s, to_s); `target` as in the events ("server", "replicas:1", ...).

    slower: the factor of service or transfer times; None where the target is down.
    """

    target: str
    from_s: float
    to_s: float
    slower: float | None = None

    @property
    def label(self) -> str:
        """The target in words."""
        kind, _, detail = self.target.partition(":")
        name = f"{kind} {detail}".strip()
        if kind == "replicas":
            name = f"{detail} replica{'' if detail == '1' else 's'}"
        return name if self.slower is None else f"{name} {self.slower:g} times slower"


def find_outages(events: pd.DataFrame, horizon_s: float) -> tuple[Outage, ...]:
    """The outages and slowdowns in order of start; one that outlives the run ends at the horizon.

    Starts and ends of one target and effect are matched first to first: written for one target they never
    overlap.
    """
    results = []
    for effect in ("outage", "slowdown"):
        of_effect = events[events["kind"].isin([f"{effect}_start", f"{effect}_end"])]
        for target, rows in of_effect.sort_values("at_s", kind="stable").groupby("target"):
            starts, ends = (rows[rows["kind"] == f"{effect}_{edge}"] for edge in ("start", "end"))
            until = [*ends["at_s"].astype(float), *[horizon_s] * (len(starts) - len(ends))]
            slower = [None] * len(starts) if effect == "outage" else starts["value"].astype(float).tolist()
            periods = zip(starts["at_s"].astype(float), until, slower, strict=False)
            results += [Outage(str(target), *period) for period in periods]
    in_run = [outage for outage in results if outage.from_s < horizon_s]
    return tuple(sorted(in_run, key=lambda outage: (outage.from_s, outage.to_s, outage.target)))


def in_any(outages: tuple[Outage, ...], at_s: Floats) -> NDArray[np.bool_]:
    """Which instants lie in an outage; shape of `at_s`."""
    inside = np.zeros(at_s.shape, dtype=bool)
    for outage in outages:
        inside |= (at_s >= outage.from_s) & (at_s < outage.to_s)
    return inside


def seconds_touched(outages: tuple[Outage, ...], at_s: Floats) -> NDArray[np.bool_]:
    """Which seconds [at, at + 1) of the time line share time with an outage; shape of `at_s`."""
    touched = np.zeros(at_s.shape, dtype=bool)
    for outage in outages:
        touched |= (at_s < outage.to_s) & (at_s + 1 > outage.from_s)
    return touched


def usable_steps(run: Run) -> tuple[Floats, Floats]:
    """Usable replicas as a step function: instants (k,), the first 0, and the numbers from then on (k,)."""
    rows = run.events[run.events["kind"] == "usable_replicas"].sort_values("at_s", kind="stable")
    at_s = np.append(0.0, rows["at_s"].to_numpy(dtype=float))
    values = np.append(float(run.scenario["server"]["replicas"]), rows["value"].to_numpy(dtype=float))
    last_of_instant = np.append(at_s[1:] != at_s[:-1], True)
    return at_s[last_of_instant], values[last_of_instant]


def availability_of(run: Run) -> float | None:
    """The share of [warm-up, horizon) in which at least one replica was usable; None without such a time."""
    if run.observed_s <= 0:
        return None
    at_s, values = usable_steps(run)
    edges = np.clip(np.append(at_s, run.horizon_s), run.warm_up_s, run.horizon_s)
    return float(np.diff(edges)[values > 0].sum() / run.observed_s)


def normal_waiting(run: Run, outages: tuple[Outage, ...]) -> float | None:
    """What counts as a normal queue: the 95th percentile of its 5-s means between the warm-up and the first
    outage, at least 1. None where that is too short a time to tell, or where there is no outage.

    Later times would take the aftermath of an outage for normal; below one waiting request there is no
    queue to recover from.
    """
    start, smooth = _smoothed_waiting(run)
    first_s = min((outage.from_s for outage in outages), default=-np.inf)
    before = (start >= run.warm_up_s) & (start + SMOOTHED_OVER_S <= first_s)
    if before.sum() < LEAST_BEFORE_S:
        return None
    return max(1.0, float(np.quantile(smooth[before], 0.95, method="inverted_cdf")))


def recovery_s(run: Run, outages: tuple[Outage, ...], outage: Outage, normal: float | None) -> float | None:
    """Seconds from the end of `outage` until the queue is back to `normal`; None if that is not seen.

    Back: the first whole second from which the 5-s mean of waiting requests is at most `normal` for 10 s
    on end, all of it before the next outage and the horizon.
    """
    start, smooth = _smoothed_waiting(run)
    if normal is None or start.size < HELD_FOR_S:
        return None
    at_s = run.timeline["at_s"].to_numpy(dtype=float)
    clear = ~np.convolve(seconds_touched(outages, at_s), np.ones(SMOOTHED_OVER_S), mode="valid").astype(bool)
    is_low = clear & (smooth <= normal + 1e-9) & (start >= outage.to_s)
    held = np.convolve(is_low, np.ones(HELD_FOR_S), mode="valid") == HELD_FOR_S
    later = [other.from_s for other in outages if other.from_s >= outage.to_s]
    held &= start[: held.size] < min(later, default=np.inf)
    return float(start[np.argmax(held)] - outage.to_s) if held.any() else None


def _smoothed_waiting(run: Run) -> tuple[Floats, Floats]:
    """Instants t, and the mean of the waiting requests over [t, t + 5): one that begins at the end of an
    outage holds nothing of it. Both are empty for a run shorter than that."""
    at_s, values = (run.timeline[name].to_numpy(dtype=float) for name in ("at_s", "waiting_mean"))
    if at_s.size < SMOOTHED_OVER_S:
        return at_s[:0], values[:0]
    smooth = np.convolve(values, np.full(SMOOTHED_OVER_S, 1 / SMOOTHED_OVER_S), mode="valid")
    return at_s[: smooth.size], smooth
