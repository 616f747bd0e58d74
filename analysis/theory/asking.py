"""How long an answer takes by each option where hardly anybody else asks: the sum of what stands on its way.
The law of this package that knows of options; points to split a model at are a case of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from analysis.run_folder.own_work import has_work_of_traces, work_of_models
from analysis.run_folder.servers import switches
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, mean_over_time
from analysis.theory.service_laws import service_of
from analysis.theory.streams import Stream, mean_s, reply_s, streams_of, timer_s

MOST_LOAD = 0.25  # of a device, a link or a server: beyond, others are too much in the way
PATIENCE = 4.0  # times what an answer takes: who gives up sooner would cut off the late ones

Key = tuple[str, str]  # what many take: ("server", its name), ("link", its name), ("device", a group)


class Way(NamedTuple):
    """Seconds that a request of one option takes of what it shares with others, their mean square over the
    squared mean, and the seconds of the rest of its way."""

    shared_s: dict[Key, float]
    spread: dict[Key, float]
    rest_s: float

    @property
    def alone_s(self) -> float:
        return self.rest_s + sum(self.shared_s.values())


def predict(traffic: Traffic) -> list[Prediction] | None:
    """The mean time from request to answer, of each group and option."""
    streams = streams_of(traffic)
    if streams is None or not _is_plain(traffic, streams):
        return None
    ways = {one.name: [_way(traffic, one, o) for o in traffic.run.options[one.name]] for one in streams}
    waits = _longest_waits(traffic, streams, ways)
    if waits is None or any(np.isnan(way.alone_s) for of_group in ways.values() for way in of_group):
        return None
    found = []
    for stream in streams:
        for place, way in enumerate(ways[stream.name]):
            wait_s = sum(waits[key] for key in way.shared_s)
            if PATIENCE * (way.alone_s + wait_s) <= timer_s(stream.group):
                found.append(_compare(traffic, stream, place, way.alone_s, wait_s))
    return found or None


def _is_plain(traffic: Traffic, streams: list[Stream]) -> bool:
    """Whether some options are written, and nothing fails, scales, trains, is refused, or is asked twice at a
    time."""
    run = traffic.run
    if not any(group.get("options") for group in run.groups.values()):
        return False
    servers = run.servers.values()
    return (
        all(one.is_steady_poisson and one.group["hedge"] is None for one in streams)
        and not run.outages_asked
        and not run.lends_replicas
        and run.scenario["training"].get("online") is None
        and not run.has_work_of_samples
        and not has_work_of_traces(run)
        and all(one["admission"]["kind"] == "none" and one["autoscaling"] is None for one in servers)
        and all(one["max_batch"] == 1 and one["discipline"] == "fifo" for one in servers)
        and not any(map(switches, servers))
    )


def _way(traffic: Traffic, stream: Stream, option: dict[str, Any]) -> Way:
    """What stands on the way of one option; NaN where the scenario does not tell."""
    run, device, link = traffic.run, stream.group["device"], option["link"]
    service = service_of(run.servers[option["server"]]["service"])
    work = option["work"] * work_of_models(run).get(option["model"], 1.0) * stream.group["service_factor"]
    bits, shared = (
        8.0 * link["payload_bytes"],
        {one["link"]: one for one in run.scenario.get("network") or ()},
    )
    takes = {
        ("device", stream.name): device["inference_s"] + option["device_s"],
        ("server", option["server"]): np.nan if service is None else service.mean_s(1) * work,
    }
    spread = dict.fromkeys(takes, 1.0) | {
        ("server", option["server"]): 1.0 if service is None else 1.0 + service.cv**2
    }
    rest_s = 2 * mean_s(link["latency"]) + (bits / link["bandwidth_bps"] if link["bandwidth_bps"] else 0.0)
    rest_s += reply_s(link)
    for name in option["over"]:
        rest_s += 2 * mean_s(shared[name]["latency"])
        takes["link", name] = bits / (shared[name]["bandwidth_bps"] or np.nan)
        spread["link", name] = 2.0  # payloads that pass at once wait ρ/(1 − ρ) of their time: twice M/D/1
    return Way(takes, spread, rest_s)


def _longest_waits(
    traffic: Traffic, streams: list[Stream], ways: dict[str, list[Way]]
) -> dict[Key, float] | None:
    """How long others keep a request waiting at most, were everybody to ask for what takes longest there;
    None where somewhere that is too much to be called nobody else."""
    waits: dict[Key, float] = {}
    for key in {key for of_group in ways.values() for way in of_group for key in way.shared_s}:
        rate_hz, load, square = 0.0, 0.0, 0.0
        for stream in streams:
            most_s = max((way.shared_s.get(key, 0.0) for way in ways[stream.name]), default=0.0)
            spread = max(way.spread.get(key, 1.0) for way in ways[stream.name])
            asks_hz = stream.rate_hz * max(stream.shares)
            if key[0] == "device":  # of one client, whose requests all take inference, and some both in turn
                asks_hz, spread = stream.rate_hz / stream.clients, 2.0
            elif key[0] == "server":
                asks_hz /= traffic.run.servers[key[1]]["replicas"]
            rate_hz, load = rate_hz + asks_hz, load + asks_hz * most_s
            square += asks_hz * spread * most_s**2
        if not load <= MOST_LOAD:
            return None
        waits[key] = square / (2.0 * (1.0 - load))
    return waits


def _compare(traffic: Traffic, stream: Stream, place: int, alone_s: float, wait_s: float) -> Prediction:
    requests = traffic.requests
    mine = traffic.is_outcome("remote") & np.asarray(traffic.requests["group"] == stream.name)
    mine &= requests["attempts"].to_numpy() == 1
    if traffic.run.has_options:
        mine &= requests["option"].to_numpy() == place
    seen = mean_over_time(
        requests["final_s"].to_numpy(dtype=float)[mine],
        traffic.arrived_at_s[mine],
        float(traffic.run.warm_up_s),
        float(traffic.run.horizon_s),
    )
    where = f"{stream.name}/{traffic.run.options[stream.name][place]['option']}"
    return Prediction("time to an answer", where, "s", alone_s + wait_s / 2, seen, margin=wait_s / 2)


LAW = Law(
    title="What asking takes",
    formula="T = inference + device_s + 2·latency + 8·bytes/bandwidth + E[S]·work, and half of the longest "
    "wait, Σ λ·E[S²]/(2(1 − ρ)) of device, links and server, were everybody to ask for what takes longest",
    assumes="options that are written; steady Poisson requests; nothing fails; device, shared links and "
    "servers loaded by at most a quarter; no batches; clients wait for four times as long",
    source="Pollaczek and Khinchine; a server of c replicas waits no longer than one that gets each c-th "
    "(Wolff, Stochastic Modeling, 1989)",
    fails="the margin is half of the longest wait, so it says little where that is long",
    predict=predict,
    knows=frozenset({"servers", "options", "choices", "links"}),
)
