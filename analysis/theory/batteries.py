"""How long batteries last, or how much they have left: what they hold over the mean power that is drawn.
One of the laws of this package; from the run it reads only the shares that are sent."""

from __future__ import annotations

from math import exp, inf
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, mean_of
from analysis.theory.streams import Stream, streams_of


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Of each group on batteries the lifetime, if all of its devices ran empty, or what they have left, if
    none did."""
    scenario = traffic.run.scenario
    streams = streams_of(traffic, as_decided=True, beside_batteries=False)
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
    model = (rows["client_id"] - rows["client_id"].min()).to_numpy() % group["model"]["variants"]
    of_device = _shares(decided, rows["client_id"].to_numpy(), model)
    asks_hz = stream.rate_hz / stream.clients
    harvest_w = float(battery["harvest_w"])
    draws_w = np.array([power_w(asks_hz, one, device, group["link"]) - harvest_w for one in of_device])
    holds_j = float(battery["capacity_j"] if battery["start_j"] is None else battery["start_j"])
    one_j = device["inference_j"] + sum(send_j(group["link"]))
    empty_s = rows["empty_at_s"].to_numpy(dtype=float)
    lasts_s = float(np.mean(holds_j / draws_w)) if (draws_w > 0).all() else inf
    if not np.isnan(empty_s).any():
        return [
            Prediction(
                "lifetime",
                stream.name,
                "s",
                lasts_s,
                mean_of(empty_s),
                margin=float(np.mean(one_j / draws_w)) + _rounding(lasts_s),
            )
        ]
    if np.isnan(empty_s).all():
        left = mean_of(rows["left_j"].to_numpy(dtype=float))
        return [
            Prediction(
                "left at the end",
                stream.name,
                "J",
                holds_j - float(draws_w.mean()) * horizon_s,
                left,
                margin=2 * one_j,
            )
        ]
    return []


def _shares(
    decided: pd.DataFrame, client_id: NDArray[np.int64], model: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The share that all devices with the frozen `model` of each sent, (devices,): models differ in it, and
    the mean of lifetimes is not the lifetime at the mean share. A rate that a price holds is not met exactly
    by any."""
    of_request = model[np.searchsorted(client_id, decided["client_id"].to_numpy())]
    asked = np.bincount(of_request, minlength=model.max() + 1)
    sent = np.bincount(of_request, weights=decided["deferred"].to_numpy(dtype=float), minlength=asked.size)
    overall = sent.sum() / asked.sum()
    return np.asarray(np.divide(sent, asked, out=np.full(asked.size, overall), where=asked > 0)[model])


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
    assumes="steady Poisson requests, λ a client; μ = λ times the share sent by devices with the same frozen "
    "model, each once, and T the mean over devices; inference takes e, the radio p for the x seconds of a "
    "payload and r for a tail of τ; constant harvest h of at most what idling takes; no outages",
    source="Wald's identity for a sum of independent draws (Ross, Stochastic Processes, 3.3); the tail is "
    "the busy share of M/G/∞",
    fails="a device that runs empty misses the energy of its last request: the margin is one request's",
    predict=predict,
    knows=frozenset({"stages"}),
)
