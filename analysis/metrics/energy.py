"""What devices drew: per request, outcome and right answer; and how long their batteries lasted.
A section of the summary of runs whose scenario says something of energy."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.measures import Ratio
from analysis.run_folder.traffic import Floats, Mask, Traffic, ratio
from sim.results.columns import OUTCOMES


def is_metered(traffic: Traffic) -> Mask:
    """Which requests are those of devices of whose energy something is said, (n,)."""
    return np.asarray(traffic.requests["group"].isin(traffic.run.energy["group"].unique()), dtype=bool)


def energy(traffic: Traffic) -> dict[str, Any] | None:
    """None where nothing is said of energy; what idles is no request's."""
    if not traffic.run.is_metered:
        return None
    table, horizon_s = traffic.run.energy, traffic.run.horizon_s
    mine, drawn = is_metered(traffic), _drawn(traffic)
    on_battery = table[table["capacity_j"].notna()]
    empty_s = on_battery["empty_at_s"].to_numpy(dtype=float)
    return {
        "per_request_j": ratio(drawn.sum(), mine.sum()),
        "by_outcome": {
            name: ratio(drawn[traffic.is_outcome(name)].sum(), (mine & traffic.is_outcome(name)).sum())
            for name in OUTCOMES
        },
        "per_right_answer_j": ratio(drawn.sum(), (mine * traffic.correct).sum()),
        **{name: float(table[name].sum()) for name in ("idle_j", "inference_j", "radio_j")},
        **{name: float(table[name].sum()) for name in ("harvested_j", "spilled_j")},
        "ran_empty_share": ratio((~np.isnan(empty_s)).sum(), empty_s.size),
        "silent_share": ratio(on_battery["silent_s"].sum(), empty_s.size * horizon_s),
        "first_empty_at_s": float(np.nanmin(empty_s)) if (~np.isnan(empty_s)).any() else None,
        "lifetime_s": ratio(np.fmin(empty_s, horizon_s).sum(), empty_s.size),
    }


def _drawn(traffic: Traffic) -> Floats:
    return traffic.requests["energy_j"].to_numpy(dtype=np.float64)


def _per_request(traffic: Traffic) -> tuple[Floats, Floats]:
    return _drawn(traffic), is_metered(traffic).astype(np.float64)


def _per_right_answer(traffic: Traffic) -> tuple[Floats, Floats]:
    return _drawn(traffic), np.asarray(is_metered(traffic) * traffic.correct, dtype=np.float64)


# As sums over requests, for their intervals in time.
OF_REQUESTS = {
    "per_request_j": Ratio("energy per request", "J", _per_request, in_time=True),
    "per_right_answer_j": Ratio("energy per right answer", "J", _per_right_answer, in_time=True),
}

DEFINITIONS = {
    "energy.per_request_j": (
        "What devices drew for a counted request, inference and radio, mean over those of groups of whose "
        "energy something is said; their idling is no request's (J)."
    ),
    "energy.by_outcome.*": "The same of requests with this outcome (J).",
    "energy.per_right_answer_j": "What was drawn for these requests, over the right answers among them (J).",
    "energy.idle_j": "Drawn by all devices beside what requests took, in the whole run (J).",
    "energy.inference_j": "Drawn by inference, in the whole run (J).",
    "energy.radio_j": "Drawn by radios, in the whole run (J).",
    "energy.harvested_j": "Harvested by all batteries, in the whole run (J).",
    "energy.spilled_j": "The part of it that found them full (J).",
    "energy.ran_empty_share": "Devices on batteries that ran empty at least once (share).",
    "energy.silent_share": "Of the time of devices on batteries, that in which they were silent (share).",
    "energy.first_empty_at_s": "When the first of them ran empty; none if none did (s of virtual time).",
    "energy.lifetime_s": (
        "From t = 0 until a device first ran empty, the horizon where it did not, mean over the devices on "
        "batteries (restricted mean lifetime) (s)."
    ),
}
