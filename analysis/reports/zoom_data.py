"""The numbers behind the report's zoomable time line: bounded in size, however long the run was.
Plain data that `analysis/reports/pages/zoom.js` draws; bins are the printed figure's, only finer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from analysis.figures.style import BLUE, GREEN, PURPLE, SERIES, SKY, VERMILION, bin_width_s, few_steps
from analysis.figures.timeline import accuracy_bin_s, accuracy_bins, binned_seconds, bins_of_servers
from analysis.run_folder.outages import Outage, usable_steps
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.time_in_words import span

MOST_BINS = 1800  # of the time line; a run of half an hour is shown second by second
MOST_ACCURACY_BINS = 360
MOST_OUTAGES = 200
MOST_STEPS = 2000


def zoom_data(traffic: Traffic) -> dict[str, Any]:
    """Horizon, warm-up, outages and four panels with their series; JSON-safe, NaN is null."""
    run = traffic.run
    seconds = binned_seconds(run, MOST_BINS)
    middle = seconds["middle_s"]
    bins = accuracy_bins(traffic, MOST_ACCURACY_BINS)
    at_s, usable = few_steps(*usable_steps(run), run.horizon_s, MOST_STEPS)
    sends = seconds["first_sends"] + seconds["retries"]
    accuracy = [
        _series("95% band", "band", BLUE, bins["middle_s"], bins["high"], bins["low"]),
        _series("the fleet", "line", BLUE, bins["middle_s"], bins["fleet"]),
        _series("clients' own models", "dashed", "ink", bins["middle_s"], bins["clients"]),
    ]
    load = [
        _series("first sends", "area", SKY, middle, seconds["first_sends"]),
        _series("retries", "band", VERMILION, middle, sends, seconds["first_sends"]),
    ]
    queue = [
        _series("maximum", "area", PURPLE, middle, seconds["waiting_max"]),
        _series("mean", "line", PURPLE, middle, seconds["waiting_mean"]),
    ]
    replicas = [
        _series("busy", "area", GREEN, middle, seconds["busy_replicas_mean"]),
        _series("usable", "step", GREEN, at_s, usable),
    ]
    if len(run.servers) > 1:
        queue, replicas = _of_each_server(run)
    return {
        "horizon": run.horizon_s,
        "warm_up": run.warm_up_s,
        "outages": _shaded(traffic.outages),
        "panels": [
            _panel("accuracy", "accuracy, held-out (%)", accuracy, factor=100, low=_floor(bins)),
            _panel("sends", "sends (1/s)", load),
            _panel("waiting", "waiting (requests)", queue),
            _panel("replicas", "replicas (number)", replicas),
        ],
    }


def _shaded(outages: Sequence[Outage], most: int = MOST_OUTAGES) -> list[dict[str, Any]]:
    """The outages; where there are more than `most`, those of a kind with the least between them as one."""
    found: list[dict[str, Any]] = []
    for is_total in (False, True):
        ones = [one for one in outages if (one.target == "server") == is_total]
        ones.sort(key=lambda one: one.from_s)
        begins, ends = (np.array([getattr(one, name) for one in ones]) for name in ("from_s", "to_s"))
        ends = np.maximum.accumulate(ends) if len(outages) > most else ends
        parted = np.arange(1, len(ones))
        if len(outages) > most:
            parted = np.sort(1 + np.argsort(ends[:-1] - begins[1:], kind="stable")[: most // 2 - 1])
        for first, end in zip([0, *parted], [*parted, len(ones)] if ones else [], strict=False):
            label = ones[first].label if end - first == 1 else f"{end - first} outages"
            found.append({"from": begins[first], "to": ends[end - 1], "label": label, "total": is_total})
    return sorted(found, key=lambda one: one["from"])


def _of_each_server(run: Run) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The queues and the replicas of several servers, as the printed figure has them."""
    queues, replicas = [], []
    for (name, bins), colour in zip(bins_of_servers(run, MOST_BINS).items(), cycle(SERIES), strict=False):
        middle = bins["middle_s"]
        queues.append(_series(f"{name}, mean", "line", colour, middle, bins["waiting_mean"]))
        replicas.append(_series(f"{name}, busy", "line", colour, middle, bins["busy_replicas_mean"]))
        if "usable_replicas_mean" in bins:
            usable = bins["usable_replicas_mean"]
            replicas.append(_series(f"{name}, usable", "dashed", colour, middle, usable))
    return queues, replicas


def bins_in_words(traffic: Traffic) -> str:
    """How wide the bins are: of the server's panels, and of accuracy."""
    horizon_s = traffic.run.horizon_s
    requests = traffic.everything
    counted = int((requests["held_out"] & (requests["outcome"] != "in_flight")).sum())
    fine, coarse = (
        bin_width_s(horizon_s, 1, MOST_BINS),
        accuracy_bin_s(horizon_s, counted, MOST_ACCURACY_BINS),
    )
    return f"{span(fine, horizon_s)}, of accuracy {span(coarse, horizon_s)}"


def as_script(data: dict[str, Any]) -> Markup:
    """JSON that may stand in a script element: no sequence in it can end the element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _panel(
    name: str, title: str, series: list[dict[str, Any]], factor: int = 1, low: float = 0.0
) -> dict[str, Any]:
    return {"name": name, "title": title, "factor": factor, "low": low, "series": series}


def _series(name: str, kind: str, colour: str, x: Any, y: Any, base: Any = None) -> dict[str, Any]:
    series = {"name": name, "kind": kind, "colour": colour, "x": _numbers(x), "y": _numbers(y)}
    return series if base is None else series | {"base": _numbers(base)}


def _numbers(values: Any) -> list[float | None]:
    """Four digits after the point; what does not exist is None."""
    rounded = np.round(np.asarray(values, dtype=np.float64), 4)
    return [None if np.isnan(value) else float(value) for value in rounded]


def _floor(bins: pd.DataFrame) -> float:
    """Where the axis of accuracy begins: a tenth below what is seen."""
    least = float(np.nanmin([bins["low"].min(), bins["clients"].min()])) if len(bins) else 0.0
    return max(0.0, float(np.floor(least * 10 - 0.3) / 10))
