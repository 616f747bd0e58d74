"""How long batteries last, or how much they have left: what they hold over the mean power that is drawn.
One of the laws of this package; from the run it reads only the share that is sent."""

from __future__ import annotations

from math import exp, inf
from typing import Any

import numpy as np

from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, mean_of
from analysis.theory.streams import Stream, streams_of


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Of each group on batteries the lifetime, if all of its devices ran empty, or what they have left, if
    none did."""
    scenario, streams = traffic.run.scenario, streams_of(traffic, beside_batteries=False)
    if not traffic.run.is_metered or streams is None:
        return None
    if scenario.get("outages") or (scenario.get("server") or {}).get("outages"):
        return None
    found = [one for stream in streams if _is_plain(stream) for one in _of_group(traffic, stream)]
    return found or None


def _is_plain(stream: Stream) -> bool:
    """Whether its sends are a Poisson process, each once, and its batteries hold all that they harvest."""
    group, battery = stream.group, stream.group["device"].get("battery")
    sends_once = all(group[name] is None for name in ("options", "retry", "hedge", "breaker"))
    if battery is None or not stream.is_steady_poisson or not sends_once or battery["harvest"] is not None:
        return False
    return bool(battery["harvest_w"] <= group["device"]["idle_w"])


def _of_group(traffic: Traffic, stream: Stream) -> list[Prediction]:
    group, table, horizon_s = stream.group, traffic.run.energy, float(traffic.run.horizon_s)
    device, battery = group["device"], group["device"]["battery"]
    rows = table[table["group"] == stream.name]
    decided = traffic.everything[(traffic.everything["group"] == stream.name).to_numpy()]
    decided = decided[decided["is_decided"].to_numpy(dtype=bool)]
    if decided.empty:
        return []
    share = stream.shares[0] if len(stream.shares) == 1 else float(decided["deferred"].mean())
    asks_hz = stream.rate_hz / stream.clients
    draws_w = power_w(asks_hz, share, device, group["link"]) - float(battery["harvest_w"])
    holds_j = float(battery["capacity_j"] if battery["start_j"] is None else battery["start_j"])
    one_j = device["inference_j"] + sum(send_j(group["link"]))
    empty_s = rows["empty_at_s"].to_numpy(dtype=float)
    lasts_s = holds_j / draws_w if draws_w > 0 else inf
    if not np.isnan(empty_s).any():
        return [
            Prediction(
                "lifetime",
                stream.name,
                "s",
                lasts_s,
                mean_of(empty_s),
                margin=one_j / draws_w + _rounding(lasts_s),
            )
        ]
    if np.isnan(empty_s).all():
        left = mean_of(rows["left_j"].to_numpy(dtype=float))
        return [
            Prediction(
                "left at the end", stream.name, "J", holds_j - draws_w * horizon_s, left, margin=2 * one_j
            )
        ]
    return []


def _rounding(lasts_s: float) -> float:
    """Of instants that are computed in floating point."""
    return 1e-9 * lasts_s


def send_j(link: dict[str, Any]) -> tuple[float, float]:
    """Energy of a payload on a client's own link, and of a whole tail behind it."""
    return link["tx_w"] * transfer_s(link), link["rx_w"] * link["tail_s"]


def transfer_s(link: dict[str, Any]) -> float:
    return 8.0 * link["payload_bytes"] / link["bandwidth_bps"] if link["bandwidth_bps"] else 0.0


def power_w(asks_hz: float, share: float, device: dict[str, Any], link: dict[str, Any]) -> float:
    """Mean power of a device that works. A tail ends early where the next payload comes: the radio listens
    for min(τ, gap − x) after a payload of x seconds, of exponential gaps."""
    sends_hz = asks_hz * share
    listens = 0.0
    if sends_hz > 0:
        listens = exp(-sends_hz * transfer_s(link)) * (1.0 - exp(-sends_hz * link["tail_s"]))
    payload_j, _ = send_j(link)
    return float(
        device["idle_w"] + asks_hz * device["inference_j"] + sends_hz * payload_j + link["rx_w"] * listens
    )


LAW = Law(
    title="How long a battery lasts",
    formula="T = E/(w + λ·e + μ·p·x + r·exp(−μ·x)·(1 − exp(−μ·τ)) − h); after t < T, E·(1 − t/T) is left",
    assumes="steady Poisson requests, λ a client; μ = λ times the share sent, each once; inference takes e, "
    "the radio p for the x seconds of a payload and r for a tail of τ; constant harvest h of at most what "
    "idling takes; no outages",
    source="Wald's identity for a sum of independent draws (Ross, Stochastic Processes, 3.3); the tail is "
    "the busy share of M/G/∞",
    fails="a device that runs empty misses the energy of its last request: the margin is one request's",
    predict=predict,
    knows=frozenset({"stages"}),
)
