"""How busy a link is that many clients share, and how many payloads are on it: M/G/1, queued or shared.
One of the laws of this package; reads the rates from the scenario and the links' own table."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.run_folder.files import read_table
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Floats, Law, Prediction, mean_over_time, widened
from analysis.theory.streams import Stream, streams_of
from sim.results.columns_by_run import LINKS

MOST_BUSY = 0.9  # beyond, a run is seldom long enough to show a mean


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Busy share and payloads of each link that one kind of sends comes to first."""
    scenario, streams = traffic.run.scenario, streams_of(traffic)
    links = scenario.get("network") or ()
    if not links or streams is None or not all(_is_plain(one) for one in streams):
        return None
    if scenario.get("outages") or (scenario.get("server") or {}).get("outages"):
        return None
    table = read_table(traffic.run.path / "links.parquet", LINKS).to_pandas()
    found: list[Prediction] = []
    for link in links:
        sends = [one for one in streams if one.group["link"]["over"][:1] == [link["link"]]]
        elsewhere = [one for one in streams if link["link"] in one.group["link"]["over"][1:]]
        if link["bandwidth_bps"] is not None and sends and not elsewhere:
            found += _compare(traffic, link, sends, table[table["link"] == link["link"]])
    return found or None


def _is_plain(stream: Stream) -> bool:
    """Whether a group's sends come to its first shared link as a Poisson process: retries would not."""
    return stream.is_steady_poisson and not stream.group["options"] and stream.group["retry"] is None


def _compare(traffic: Traffic, link: dict[str, Any], streams: list[Stream], rows: Any) -> list[Prediction]:
    from_s, to_s = float(traffic.run.scenario["warm_up_s"]), float(traffic.run.horizon_s)
    rates = np.array([one.mean_first_sends_hz(from_s, to_s) for one in streams])
    takes = np.array([8.0 * one.group["link"]["payload_bytes"] / link["bandwidth_bps"] for one in streams])
    busy, inside = on_link(rates, takes, link["discipline"])
    if not 0 < busy <= MOST_BUSY:
        return []
    at_s = rows["at_s"].to_numpy()
    seen = {
        name: mean_over_time(rows[name].to_numpy(), at_s, from_s, to_s)
        for name in ("busy_mean", "payloads_mean")
    }
    error = float(np.sqrt((rates * takes**2).sum() / (to_s - from_s)))
    return [
        Prediction("busy share", link["link"], "share", busy, widened(seen["busy_mean"], error)),
        Prediction(
            "payloads on it",
            link["link"],
            "requests",
            inside,
            widened(seen["payloads_mean"], inside / busy * error / (1 - busy)),
        ),
    ]


def on_link(rates: Floats, takes: Floats, discipline: str) -> tuple[float, float]:
    """Busy share, and the mean number of payloads, of a link to which payloads that take so long alone come
    as Poisson processes of these rates; inf where they are more than it can let pass."""
    busy = float((rates * takes).sum())
    if busy >= 1:
        return 1.0, np.inf
    if discipline == "ps":
        return busy, busy / (1 - busy)
    return busy, busy + float(rates.sum() * (rates * takes**2).sum()) / (2 * (1 - busy))


LAW = Law(
    title="Links that many share",
    formula="ρ = Σ λ_i·x_i with x_i = 8·bytes/bandwidth; payloads on the link: ps ρ/(1 − ρ), whatever the "
    "sizes; fifo ρ + λ·Σ λ_i·x_i²/(2(1 − ρ))",
    assumes="steady Poisson requests, no retries, options or outages; constant bandwidth; whoever passes the "
    "link passes no shared one before",
    source="Kleinrock, Queueing Systems II (1976), 4.4 (processor sharing); Pollaczek and Khinchine (fifo)",
    fails="where the devices' own queues smooth what they send",
    predict=predict,
    knows=frozenset({"stages", "links", "heads"}),
)
