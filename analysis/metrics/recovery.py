"""When an outage is over for its users: the queue is normal again, and what is sent is answered as before.
Below `analysis.metrics.outages`; the queue by the seconds of the time line, the service by requests."""

from __future__ import annotations

import numpy as np

from analysis.run_folder.outages import Outage, seconds_touched
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Floats, Mask, Traffic
from analysis.statistics.percentiles import quantile

SMOOTHED_OVER_S = 5  # the queue is judged by its mean over this many seconds ...
HELD_FOR_S = 10  # ... and counts as recovered once that mean stays low for this long
LEAST_BEFORE_S = 20  # a shorter time before an outage does not tell what is normal
IN_A_ROW = 20  # sent requests that are judged together
USUALLY = 0.95  # of the time before the first outage


def service_recovery_s(traffic: Traffic, outage: Outage) -> float | None:
    """Seconds from the end of `outage` to the arrival of the last request that failed because of it.

    That is the last one before the first 20 sent requests on end of which no more get no answer of the server
    than usual: the 95th percentile of the same before the first outage, at least one. Of an outage of links
    those whose links it hits count. None if that is not seen before the next outage and the horizon.
    """
    sent = _sent(traffic, outage)
    arrived, failed = traffic.arrived_at_s[sent], ~traffic.is_answered_by("server")[sent]
    usual = _usual_failures(traffic, arrived, failed)
    if usual is None:
        return None
    later = [other.from_s for other in traffic.outages if other.from_s >= outage.to_s]
    after = (arrived >= outage.to_s) & (arrived < min(later, default=np.inf))
    arrived, failed = arrived[after], failed[after]
    calm = np.flatnonzero(_failures(failed) <= usual)
    if not calm.size:
        return None
    before = np.flatnonzero(failed[: calm[0]])
    return float(np.floor(arrived[before[-1]] - outage.to_s)) if before.size else 0.0


def is_service_judged(traffic: Traffic, outage: Outage) -> bool:
    """Whether enough was sent before the first outage to tell what is usual."""
    sent = _sent(traffic, outage)
    failed = ~traffic.is_answered_by("server")[sent]
    return _usual_failures(traffic, traffic.arrived_at_s[sent], failed) is not None


def _sent(traffic: Traffic, outage: Outage) -> Mask:
    """What the policy sent, of known outcome, by whom the outage hits."""
    sent = np.asarray(traffic.requests["deferred"], dtype=bool) & traffic.known
    return np.asarray(sent & traffic.could_touch(outage))


def _usual_failures(traffic: Traffic, arrived: Floats, failed: Mask) -> float | None:
    first_s = min((one.from_s for one in traffic.outages), default=np.inf)
    counts = _failures(failed[arrived < first_s])
    return max(1.0, quantile(counts, USUALLY)) if counts.size else None


def _failures(failed: Mask) -> Floats:
    """How many of each `IN_A_ROW` on end failed; empty where there are fewer."""
    if failed.size < IN_A_ROW:
        return np.empty(0)
    return np.convolve(failed.astype(float), np.ones(IN_A_ROW), mode="valid").round()


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
    return max(1.0, quantile(smooth[before], USUALLY))


def queue_recovery_s(
    run: Run, outages: tuple[Outage, ...], outage: Outage, normal: float | None
) -> float | None:
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
