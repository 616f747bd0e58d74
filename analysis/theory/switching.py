"""How many answers a small model gives where more ask than the large one can serve: as many as keep it busy.
One of the laws of this package, of servers that switch by their backlog."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.run_folder.own_work import has_work_of_traces, work_of_models
from analysis.run_folder.servers import switches
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, mean_over_time, share_of
from analysis.theory.service_laws import service_of
from analysis.theory.streams import Stream, streams_of

MARGIN = 0.01  # of the share: what it idles between two switches, and how full its batches are
ROOM = 4  # times the backlog at which it switches: places in the queue that it does not come to need


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Of each server that switches between two models and is asked for too much: the share of the first, and
    how many answers are right."""
    streams, run = streams_of(traffic, as_decided=True), traffic.run
    if streams is None or not any(map(switches, run.servers.values())) or not _is_plain(traffic, streams):
        return None
    found = []
    for name, server in run.servers.items():
        asks = [one for one in streams if run.options[one.name][0]["server"] == name]
        names = server.get("models") or list(run.scenario["models"])
        if _switches_between_two(server, names) and asks:
            share = _share(traffic, server, names, asks)
            if 0.0 < share < 1.0:
                found += _compare(traffic, name, names, share)
    return found or None


def share_of_small(rate_hz: float, small_s: float, large_s: float, replicas: int) -> float:
    """f of λ·(f·s_small + (1 − f)·s_large) = c."""
    return (large_s - replicas / rate_hz) / (large_s - small_s)


def _is_plain(traffic: Traffic, streams: list[Stream]) -> bool:
    """Whether each request is asked once, of one server, and nothing fails."""
    run = traffic.run
    return (
        all(one.is_steady_poisson and one.group["retry"] is None for one in streams)
        and all(len(options) == 1 for options in run.options.values())
        and not run.outages_asked
        and not run.lends_replicas
        and not run.has_work_of_samples
        and not has_work_of_traces(run)
    )


def _switches_between_two(server: dict[str, Any], names: list[str]) -> bool:
    switch, limit = server.get("switch"), server["queue_limit"]
    return (
        switch is not None
        and len(names) == 2
        and switch["kind"] == "backlog"
        and switch["below"] >= 1
        and server["max_batch"] == 1
        and server["admission"]["kind"] == "none"
        and server["autoscaling"] is None
        and not server["drop_expired"]
        and (limit is None or limit >= ROOM * switch["above"])
    )


def _share(traffic: Traffic, server: dict[str, Any], names: list[str], asks: list[Stream]) -> float:
    """The share of the first model; NaN where the scenario does not tell, or groups' work differs."""
    run, service = traffic.run, service_of(server["service"])
    factors = {one.group["service_factor"] * run.options[one.name][0]["work"] for one in asks}
    if service is None or len(factors) > 1:
        return np.nan
    rate_hz = sum(one.mean_first_sends_hz(float(run.warm_up_s), float(run.horizon_s)) for one in asks)
    small_s, large_s = (
        service.mean_s(1) * factors.copy().pop() * work_of_models(run)[name] for name in names
    )
    return share_of_small(rate_hz, small_s, large_s, int(server["replicas"])) if rate_hz else np.nan


def _compare(traffic: Traffic, name: str, names: list[str], share: float) -> list[Prediction]:
    requests, run = traffic.requests, traffic.run
    served = traffic.is_outcome("remote") & np.asarray(requests["server"] == name)
    model = np.asarray(requests["model"] == names[0], dtype=float)
    seen = mean_over_time(
        model[served], traffic.arrived_at_s[served], float(run.warm_up_s), float(run.horizon_s)
    )
    found = [Prediction(f"share of {names[0]}", name, "share", share, seen, margin=MARGIN)]
    held_out = served & traffic.held_out
    right = [traffic.correct[held_out & (model == is_small)] for is_small in (1.0, 0.0)]
    if all(len(one) for one in right):
        of_small, of_large = (float(np.mean(one)) for one in right)
        predicted = share * of_small + (1.0 - share) * of_large
        every = traffic.correct[held_out]
        if every.dtype == bool:
            seen = share_of(int(every.sum()), len(every))
            found.append(
                Prediction(
                    "right answers", name, "share", predicted, seen, margin=MARGIN * abs(of_large - of_small)
                )
            )
    return found


LAW = Law(
    title="A server that switches models under overload",
    formula="λ·(f·s_small + (1 − f)·s_large) = c gives the share f of the small model; right are f·a_small + "
    "(1 − f)·a_large",
    assumes="two models, switched by backlog; steady Poisson requests, one server each, no retries; nothing "
    "fails; λ·s_large > c > λ·s_small; no batches; a_small and a_large of what each has answered in the run",
    source="conservation of work: who is never idle serves c seconds a second",
    fails="where the backlog falls to nothing between two switches",
    predict=predict,
    knows=frozenset({"switches", "servers", "options", "choices"}),
)
