"""How long requests wait at servers whose replica is a pipeline, and at several servers side by side.
One of the laws of this package; each server is an M/D/1 queue of its own, whose service is a stage."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from analysis.run_folder.files import part_paths
from analysis.run_folder.kept_rows import read_requests
from analysis.run_folder.own_work import has_work_of_traces, work_of_models
from analysis.run_folder.run import Run
from analysis.run_folder.servers import intake_share
from analysis.run_folder.traffic import Traffic
from analysis.run_folder.whom import server_asked
from analysis.theory.prediction import Floats, Law, Prediction, mean_over_time, widened
from analysis.theory.queues import endless_queue, sampling_error_of_wait, service_of
from analysis.theory.service_laws import Service
from analysis.theory.streams import Stream, streams_of

MOST_BUSY = 0.95  # beyond, a run is seldom long enough to show a mean
SETTLES = 10.0  # relaxation times left out at the start
MOST_ERROR = 0.5  # relative, of a mean wait: a run that shows less says nothing


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Mean wait and mean stay at each server; beside a pipeline of as many stages as models, what they would
    be had each model a device of its own."""
    run, streams = traffic.run, streams_of(traffic)
    is_told = len(run.servers) > 1 or any(one.get("stages", 1) > 1 for one in run.servers.values())
    if not is_told or streams is None or not all(map(is_plain, streams)):
        return None
    if run.has_work_of_samples or has_work_of_traces(run) or run.outages_asked or run.lends_replicas:
        return None
    waits = of_each_server(run)
    found: list[Prediction] = []
    for place, (name, server) in enumerate(run.servers.items()):
        mine = [one for one in streams if run.options[one.name][0]["server"] == name]
        takes = {takes_alone_s(run, server, one) for one in mine}
        if len(takes) == 1 and None not in takes and is_simple(server):
            found += _of_server(traffic, name, mine, float(takes.pop() or 0.0), waits[place])
    return found or None


def wait_s(rate_hz: float, takes_s: float, stages: int = 1, overhead: float = 1.0) -> float:
    """The mean wait of Poisson requests before a pipeline whose service is constant; inf if it never settles.

    Of stages that take equally long only the first is waited for, so that is M/D/1 with service βD/n. Two
    models of rate λ share two stages: λβ²D²/(4(1 − λβD)); a device each: λD²/(2(1 − λD)).
    """
    queue = endless_queue(rate_hz, 1, takes_s * overhead / stages, 0.0)
    return inf if queue is None else queue.wait_s


def is_plain(stream: Stream) -> bool:
    return stream.is_steady_poisson and stream.group["retry"] is None and stream.group["breaker"] is None


def takes_alone_s(run: Run, server: dict[str, Any], stream: Stream) -> float | None:
    """The service time of a group's requests alone; None where it varies."""
    law, (option,) = service_of(server["service"]), run.options[stream.name]
    if law is None or law.cv > 0:
        return None
    of_model = work_of_models(run).get(option["model"], 1.0) * option["work"]
    return float(law.mean_s(1) * of_model * stream.group["service_factor"])


def is_simple(server: dict[str, Any]) -> bool:
    return (
        server["replicas"] == server["max_batch"] == 1
        and server["queue_limit"] is None
        and not server["drop_expired"]
        and server["autoscaling"] is None
        and server["admission"]["kind"] == "none"
    )


def _of_server(
    traffic: Traffic, name: str, streams: list[Stream], takes_s: float, seen: tuple[Floats, ...]
) -> list[Prediction]:
    run = traffic.run
    server, to_s = run.servers[name], run.horizon_s
    rates = {one.name: one.mean_first_sends_hz(run.warm_up_s, to_s) for one in streams}
    rate_hz, stage_s = sum(rates.values()), takes_s * intake_share(server)
    if not 0 < rate_hz * stage_s < MOST_BUSY:
        return []
    wait = wait_s(rate_hz, takes_s, server["stages"], server["stage_overhead"])
    stay = wait + takes_s * server["stage_overhead"]
    from_s = run.warm_up_s + SETTLES * stage_s / (1 - (rate_hz * stage_s) ** 0.5) ** 2
    error = sampling_error_of_wait(rate_hz, 1, stage_s, Service(stage_s, 0.0, 0.0), to_s - from_s)
    if from_s >= to_s or error > MOST_ERROR:
        return []
    reached, started, finished = seen
    mean_wait = mean_over_time(started - reached, reached, from_s, to_s)
    mean_stay = mean_over_time(finished - reached, reached, from_s, to_s)
    found = [
        Prediction("mean wait", name, "s", wait, widened(mean_wait, error * wait)),
        Prediction("mean stay", name, "s", stay, widened(mean_stay, error * wait)),
    ]
    by_model: dict[str, float] = {}
    for one in streams:
        model = run.options[one.name][0]["model"]
        by_model[model] = by_model.get(model, 0.0) + rates[one.name]
    if len(by_model) == server["stages"] > 1:
        apart = sum(rate * wait_s(rate, takes_s) for rate in by_model.values()) / rate_hz
        where = f"{name}, were they apart"
        found += [
            Prediction("mean wait", where, "s", apart, None),
            Prediction("mean stay", where, "s", apart + takes_s, None),
        ]
    return [one for one in found if one.simulated is None or one.agrees is not None]


def of_each_server(run: Run, *also: str) -> list[tuple[Floats, ...]]:
    """Of each server when served requests reached it, began and were finished, and what else is asked of
    them."""
    names = ["reached_at_s", "started_at_s", "finished_at_s", *also]
    parts: list[list[Floats]] = []
    for path in part_paths(run.path, "requests", needed=False):
        table = read_requests(run, path, run.columns_of_requests(run.has_options), ["request_id", *names])
        times = [table[name].to_numpy() for name in names]
        parts.append([server_asked(run, table).astype(np.float64), *times])
    server, *times = (np.concatenate(column) for column in zip(*parts, strict=True))
    served = ~np.isnan(times[2])
    return [
        tuple(column[served & (server == place)] for column in times) for place in range(len(run.servers))
    ]


LAW = Law(
    title="Models that share a pipeline",
    formula="wait Λs²/(2(1 − Λs)), s = βD/n, stay βD more: n stages, overhead β, service D, rate Λ; "
    "of two models of rate λ, two devices: shared λβ²D²/(4(1 − λβD)), apart λD²/(2(1 − λD))",
    assumes="steady Poisson requests of groups with one option each, no retries, breakers or outages; "
    "servers of one replica without batches that serve whoever comes, in constant time, in time or not",
    source="Li, Zheng et al., AlpaServe (OSDI 2023), 3.2; Pollaczek and Khinchine",
    fails="near a load of 1; where service varies, since a stage then waits for the next one, and the whole "
    "pipeline for its slowest batch",
    predict=predict,
    knows=frozenset({"stages", "servers", "options"}),
)
