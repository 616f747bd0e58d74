"""How busy the server is and how long a send waits there, from the rates alone: the queueing formulas.
One of the laws of this package; applies to each stretch in which nothing about the system changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, sqrt
from typing import Any

import numpy as np

from analysis.run_folder.files import part_paths, read_table
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Floats, Law, Prediction, mean_over_time, widened
from analysis.theory.queues import (
    Queue,
    batch_queue,
    bounded_queue,
    endless_queue,
    forgets_in_s,
    sampling_error_of_wait,
)
from analysis.theory.regimes import Regime, regimes
from analysis.theory.service_laws import Service, service_law
from analysis.theory.streams import Stream, streams_of, timer_s, transfers_s
from sim.results import columns

COLUMNS = ["reached_at_s", "started_at_s", "server_cause"]
LEAST_S = 60.0  # a shorter stretch shows no steady state
SETTLES = 10.0  # relaxation times left out at the start of a stretch
MOST_ERROR = 0.5  # relative, of a mean wait: a run that shows less says nothing
LEAST_SPANS = 300  # relaxation times in a stretch that shows how many are refused
FEW_REFUSED = 0.01  # below it, a bounded queue takes as long to settle as an endless one


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Busy share, mean wait and refusals in each steady stretch.

    Where a calibration holds the share that is sent, both at the share it was told and at the one it sent.
    """
    streams, service = streams_of(traffic), service_law(traffic.run)
    if streams is None or service is None or not _is_plain(traffic, streams):
        return None
    predictions = _predict(traffic, service, streams, "")
    if any(one.share_error for one in streams):
        predictions += _predict(traffic, service, streams_of(traffic, True) or [], ", at the share it sent")
    return predictions or None


def _predict(traffic: Traffic, service: Service, streams: list[Stream], which: str) -> list[Prediction]:
    server, uncertainty = traffic.run.server, _uncertainty(streams)
    expected = [(regime, _expected(server, service, streams, regime)) for regime in regimes(traffic)]
    was_calm = [True, *(queue is not None for _, queue in expected)]
    predictions: list[Prediction] = []
    sends: dict[str, Any] | None = None
    for (regime, queue), calm_before in zip(expected, was_calm, strict=False):
        # What follows a stretch without a steady state still has that stretch's backlog to serve.
        if queue is None or not calm_before:
            continue
        from_s = regime.from_s + _settling_s(service, queue)
        if regime.to_s - from_s >= LEAST_S:
            sends = sends or _sends(traffic)
            ends = [_expected(server, service, streams, regime, 1 + sign * uncertainty) for sign in (-1, 1)]
            errors = _sampling(server, service, queue, _rate_hz(streams, regime), regime, from_s)
            predictions += _compare(traffic, regime, queue, ends, from_s, sends, errors)
    return [replace(one, quantity=one.quantity + which) for one in predictions]


def _is_plain(traffic: Traffic, streams: list[Stream]) -> bool:
    server = traffic.run.scenario["server"]
    return (
        all(stream.is_steady_poisson for stream in streams)
        and server["admission"]["kind"] == "none"
        and server["autoscaling"] is None
        and not traffic.run.lends_replicas
    )


def _uncertainty(streams: list[Stream]) -> float:
    """By what part the rate of all sends may be off, as calibrations are: two standard errors."""
    sends = sum(one.rate_hz * one.share(0.0) for one in streams)
    return 2 * sum(one.rate_hz * one.share_error for one in streams) / sends if sends else 0.0


def _expected(
    server: dict[str, Any], service: Service, streams: list[Stream], regime: Regime, times: float = 1.0
) -> Queue | None:
    """The queue in the steady state of a regime, at so many `times` its rate of sends; None where no formula
    fits, or where clients give up."""
    linked = [stream for stream in streams if stream.name not in regime.cut]
    rate_hz = times * _rate_hz(streams, regime)
    if not (regime.is_plain and regime.usable and rate_hz > 0):
        return None
    queue = _formula(server, service, rate_hz, regime.usable)
    if queue is None:
        return None
    stays_s = 6 * queue.wait_s + service.mean_s(int(server["max_batch"]))
    is_patient = all(stays_s + transfers_s(one.group) < timer_s(one.group) for one in linked)
    return queue if is_patient else None


def _rate_hz(streams: list[Stream], regime: Regime) -> float:
    linked = [stream for stream in streams if stream.name not in regime.cut]
    return sum(stream.mean_first_sends_hz(regime.from_s, regime.to_s) for stream in linked)


def _sampling(
    server: dict[str, Any], service: Service, queue: Queue, rate_hz: float, regime: Regime, from_s: float
) -> tuple[float, float, float]:
    """The relative standard errors of the busy share and of the mean wait that a stretch of this length has
    at least, whatever it shows itself, 0 where a bound cuts the queue short; and how many times the stretch
    holds the time in which a bounded queue forgets itself."""
    span_s, largest = regime.to_s - from_s, int(server["max_batch"])
    busy = sqrt((1 + service.cv**2) / (rate_hz * span_s))
    mean_s, load = service.mean_s(largest), rate_hz * service.of_full_batches_s(largest) / regime.usable
    spans = inf
    if queue.refused > 0:
        spans = span_s / forgets_in_s(load, regime.usable, mean_s, int(server["queue_limit"]))
    if queue.refused > FEW_REFUSED:
        return 0.0, 0.0, spans
    return busy, sampling_error_of_wait(rate_hz / largest, regime.usable, mean_s, service, span_s), spans


def _formula(server: dict[str, Any], service: Service, rate_hz: float, replicas: int) -> Queue | None:
    largest, limit = int(server["max_batch"]), server["queue_limit"]
    mean_s = service.mean_s(1)
    if largest > 1:
        if replicas > 1 or float(server["batch_wait_s"]) > 0 or not service.is_gamma:
            return None
        queue = batch_queue(rate_hz, service, largest)
    else:
        if limit is not None and (limit == 0 or service.is_exponential):
            return bounded_queue(rate_hz, replicas, mean_s, int(limit))
        queue = endless_queue(rate_hz, replicas, mean_s, service.cv, service)
    if queue is None or limit is None or 20 * (1 + rate_hz * queue.wait_s) < limit:
        return queue
    return None  # the bound would be felt


def _settling_s(service: Service, queue: Queue) -> float:
    """Some relaxation times of M/M/1, S/(1 - √ρ)² (Cohen 1982), where a stretch has forgotten its start;
    times (1 + cv²)/2, as near the capacity, where services vary more than exponential ones."""
    load, spread = min(queue.busy, 0.95), max(1.0, (1 + service.cv**2) / 2)
    return float(SETTLES * service.mean_s(1) * spread / (1 - load**0.5) ** 2)


def _sends(traffic: Traffic) -> dict[str, Any]:
    """Every send: when it reached the server, when its service began (NaN: not), whether it was refused."""
    parts: list[Any] = []
    run = traffic.run
    for path in part_paths(run.path, "requests", needed=False):
        rows = read_table(path, columns.REQUESTS, [*COLUMNS, "attempts"]).to_pandas()
        parts.append(rows.loc[rows["attempts"] == 1, COLUMNS])
    parts += [
        read_table(path, columns.ATTEMPTS, COLUMNS).to_pandas()
        for path in part_paths(run.path, "attempts", needed=False)
    ]
    sends: dict[str, Any] = {
        name: np.concatenate([part[name].to_numpy(dtype=float) for part in parts]) for name in COLUMNS[:2]
    }
    sends["refused"] = np.concatenate([np.asarray(part["server_cause"] == "queue_full") for part in parts])
    return sends


def _compare(
    traffic: Traffic,
    regime: Regime,
    queue: Queue,
    ends: list[Queue | None],
    from_s: float,
    sends: dict[str, Any],
    errors: tuple[float, float, float],
) -> list[Prediction]:
    """ends: the queue at the lowest and the highest rate that may be meant; None: it never settles there.
    errors: as `_sampling` gives them."""
    reached: Floats = sends["reached_at_s"]
    started: Floats = sends["started_at_s"]
    seconds = traffic.seconds["at_s"]
    whole = seconds + 1 <= regime.to_s
    busy = mean_over_time(
        traffic.seconds["busy_replicas_mean"][whole] / regime.usable,
        seconds[whole],
        from_s,
        regime.to_s,
    )
    served = ~np.isnan(started)
    waits = mean_over_time((started - reached)[served], reached[served], from_s, regime.to_s)

    if errors[1] > MOST_ERROR:
        waits = waits._replace(value=np.nan)  # too short a run to show a mean

    def margin(of: Callable[[Queue], float]) -> float:
        return max(abs(of(end) - of(queue)) if end else inf for end in ends)  # inf: it may never settle

    predictions = [
        Prediction(
            "replicas busy",
            regime.label,
            "share",
            queue.busy,
            widened(busy, errors[0] * queue.busy),
            margin=margin(lambda q: q.busy),
        ),
        Prediction(
            "mean wait",
            regime.label,
            "s",
            queue.wait_s,
            widened(waits, errors[1] * queue.wait_s),
            margin=queue.error * queue.wait_s + margin(lambda q: q.wait_s),
        ),
    ]
    if queue.refused > 0 and errors[2] >= LEAST_SPANS:
        inside = (reached >= from_s) & (reached < regime.to_s)
        refused = sends["refused"].astype(float)
        trials = sqrt(queue.refused * (1 - queue.refused) / max(1, int(inside.sum())))
        hits = widened(mean_over_time(refused, reached, from_s, regime.to_s), trials)
        off = margin(lambda q: q.refused)
        predictions.append(Prediction("refused", regime.label, "share", queue.refused, hits, margin=off))
    return [one for one in predictions if one.agrees is not None and one.margin < inf]


LAW = Law(
    "Load and wait",
    "busy = λ·ρ·E[S]/c; wait by Pollaczek and Khinchine (one replica), Erlang C (exponential service), "
    "between M/M/c and M/D/c by cv² or between light and heavy traffic (else, where that is good), a "
    "Markov chain at the ends of batches (one replica with batches)",
    "Poisson requests at a constant rate, a policy that does not look at the server, load below 1, clients "
    "that wait several times as long as a send stays; outages cut the run into stretches judged one by one",
    "Kleinrock, Queueing Systems (1975, 1976); Kimura 1986; Cosmetatos 1976; Burman and Smith 1983; Tijms, "
    "van Hoorn and Federgruen 1981; Bailey 1954; Whitt 1989 (how long a run must be)",
    "near a load of 1, where a steady state takes longer to come than the stretch lasts; with heavy tails, "
    "whose variance a run does not meet; with several replicas and a cv above 2 (Gamma: 4); with several "
    "replicas and batches, or a wait for batches to fill, which have no formula here",
    predict,
    knows=frozenset({"heads"}),
)
