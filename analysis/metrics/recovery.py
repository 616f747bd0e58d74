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


def recoveries(traffic: Traffic, normal: float | None) -> list[dict[str, float | None]]:
    """Of each outage when all is as before: queue and service both, as far as each can be judged.

    normal: what `normal_waiting` says. In time that grows by requests and seconds, and by outages apart.
    """
    queue, found = _queue_recoveries(traffic, normal), []
    services = {number: _Service(traffic, outages[0]) for number, outages in traffic.alike.items()}
    for outage, queue_s in zip(traffic.outages, queue, strict=True):
        service = services[traffic.reach(outage)]
        service_s = service.recovery_s(outage)
        both = queue_s
        if queue_s is not None and service.usual is not None:
            both = None if service_s is None else max(queue_s, service_s)
        found.append({"recovery_s": both, "queue_recovery_s": queue_s, "service_recovery_s": service_s})
    return found


class _Service:
    """What the policy sent, of known outcome, by whom an outage could touch, and what of it came to nothing.

    usual: how many of `IN_A_ROW` on end do: the 95th percentile of that before the first outage, at least
    one; None where too little was sent before it to tell.
    """

    def __init__(self, traffic: Traffic, outage: Outage) -> None:
        sent = traffic.column("deferred") & traffic.known
        sent &= traffic.could_touch(outage)
        self._traffic, self._arrived = traffic, traffic.arrived_at_s[sent]
        failed = ~traffic.is_answered_by("server")[sent]
        first_s = min((one.from_s for one in traffic.outages), default=np.inf)
        before = _failures(failed[self._arrived < first_s])
        self.usual = max(1.0, quantile(before, USUALLY)) if before.size else None
        self._failed = np.flatnonzero(failed)
        self._calm = np.flatnonzero(_failures(failed) <= (self.usual or 0.0))

    def recovery_s(self, outage: Outage) -> float | None:
        """Seconds from the end of `outage` to the arrival of the last request that failed because of it.

        That is the last one before the first `IN_A_ROW` requests on end of which no more than usual get no
        answer of the server. None if that is not seen before the next outage and the horizon.
        """
        if self.usual is None:
            return None
        until_s = self._traffic.next_begin_s(outage.to_s)
        first, end = np.searchsorted(self._arrived, [outage.to_s, until_s])
        place = np.searchsorted(self._calm, first)
        if place == self._calm.size or self._calm[place] + IN_A_ROW > end:
            return None
        last = np.searchsorted(self._failed, self._calm[place]) - 1
        if last < 0 or self._failed[last] < first:
            return 0.0
        return float(np.floor(self._arrived[self._failed[last]] - outage.to_s))


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


def _queue_recoveries(traffic: Traffic, normal: float | None) -> list[float | None]:
    """Of each outage the seconds from its end until the queue is back to `normal`; None if that is not seen.

    Back: the first whole second from which the 5-s mean of waiting requests is at most `normal` for 10 s
    on end, all of it before the next outage and the horizon.
    """
    run, outages = traffic.run, traffic.outages
    start, smooth = _smoothed_waiting(run)
    if normal is None or start.size < HELD_FOR_S:
        return [None] * len(outages)
    at_s = run.columns_of("timeline")["at_s"]
    clear = ~np.convolve(seconds_touched(outages, at_s), np.ones(SMOOTHED_OVER_S), mode="valid").astype(bool)
    is_low = clear & (smooth <= normal + 1e-9)
    held = np.flatnonzero(np.convolve(is_low, np.ones(HELD_FOR_S), mode="valid") == HELD_FOR_S)
    back = np.append(start[held], np.inf)
    first = back[np.searchsorted(back, [outage.to_s for outage in outages])]
    return [
        float(back_s - outage.to_s) if back_s < traffic.next_begin_s(outage.to_s) else None
        for outage, back_s in zip(outages, first, strict=True)
    ]


def _smoothed_waiting(run: Run) -> tuple[Floats, Floats]:
    """Instants t, and the mean of the waiting requests over [t, t + 5): one that begins at the end of an
    outage holds nothing of it. Both are empty for a run shorter than that."""
    at_s, values = (run.columns_of("timeline")[name] for name in ("at_s", "waiting_mean"))
    if at_s.size < SMOOTHED_OVER_S:
        return at_s[:0], values[:0]
    smooth = np.convolve(values, np.full(SMOOTHED_OVER_S, 1 / SMOOTHED_OVER_S), mode="valid")
    return at_s[: smooth.size], smooth
