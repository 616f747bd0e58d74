"""What an outage or a burst leaves behind: the backlog, the retries it breeds, and whether it ever ends.
One of the laws of this package: a fluid queue with retries, from the first trigger to the horizon."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.outages import Outage, usable_steps
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.theory.fluid import Flow, Source, flow
from analysis.theory.prediction import Floats, Law, Prediction, Simulated, mean_over_time
from analysis.theory.service_laws import Service, service_law
from analysis.theory.streams import (
    Stream,
    amplification,
    backoffs_s,
    factor,
    passes,
    reply_s,
    streams_of,
    timer_s,
    transfers_s,
)

STEPS_PER_S = 10
LONGEST_S = 20_000.0  # of a longer run the steps would take too long
POINTS = 60  # of the curve over time
MOST_TRIGGERS = 8
LEAST_S = 30.0
# Relative, of the sends: what chance makes of a rate in the second in which a storm starts or not.
ERROR = 0.1


def predict(traffic: Traffic) -> list[Prediction] | None:
    """For each trigger when its backlog is gone; how the run ends; the queue over time."""
    run = traffic.run
    streams, service = streams_of(traffic), service_law(run)
    if streams is None or service is None or not _is_plain(run) or run.horizon_s > LONGEST_S:
        return None
    capacity = capacity_hz(traffic, service)
    triggers = _triggers(traffic, streams, capacity)
    if not triggers:
        return None
    fluid, server = _fluid(streams, run.scenario, service, capacity, 1.0), run.server
    most = max(float(fluid.waiting.max()), float(run.columns_of("timeline")["waiting_mean"].max()))
    if most <= float(server["replicas"]) * float(server["max_batch"]):
        return None  # no backlog, predicted or seen
    ends = [_fluid(streams, run.scenario, service, capacity, times) for times in (1 - ERROR, 1 + ERROR)]
    fluids = [fluid, *ends]
    return [
        *_recoveries(traffic, triggers, fluids, capacity, streams),
        *_ending(traffic, triggers, fluids),
        *_curve(traffic, triggers, fluid),
    ]


def _is_plain(run: Run) -> bool:
    server = run.scenario["server"]
    return (
        server["discipline"] == "fifo"
        and server["admission"]["kind"] == "none"
        and server["autoscaling"] is None
        and not server["drop_expired"]
        and not run.lends_replicas
        and not any(one["target"]["kind"] == "links" for one in server["outages"])
    )


def capacity_hz(traffic: Traffic, service: Service) -> Floats:
    """Requests per second that full batches can serve, at each step of the run, (n,)."""
    run, server = traffic.run, traffic.run.server
    at_s = (np.arange(ceil(run.horizon_s * STEPS_PER_S)) + 0.5) / STEPS_PER_S
    steps, usable = usable_steps(run)
    replicas = int(server["replicas"])
    slow = [(one, one.slower, _slowed(one, replicas)) for one in traffic.outages if one.slower is not None]
    # Slowdowns hit the last replicas: those of one number of them are alike.
    firsts = np.unique([0, *(replicas - count for *_, count in slow)])
    sizes = np.diff(np.append(firsts, replicas))[:, None]
    speed = np.ones((firsts.size, at_s.size))
    for outage, slower, count in slow:
        from_step, to_step = np.searchsorted(at_s, [outage.from_s, outage.to_s])
        speed[np.searchsorted(firsts, replicas - count) :, from_step:to_step] /= slower
    work = np.clip(usable[np.searchsorted(steps, at_s, side="right") - 1] - firsts[:, None], 0, sizes)
    per_request_s = service.of_full_batches_s(int(server["max_batch"]))
    return np.asarray((speed * work).sum(axis=0) / per_request_s)


def _slowed(outage: Outage, replicas: int) -> int:
    return replicas if outage.target == "server" else int(outage.target.partition(":")[2])


def _triggers(traffic: Traffic, streams: list[Stream], capacity: Floats) -> tuple[Outage, ...]:
    """The outages and slowdowns of the server, and the bursts that ask for more than it can do."""
    bursts = []
    for one in streams:
        shape = one.group["arrivals"]["shape"]
        if shape["kind"] != "flash_crowd" or not 0 <= float(shape["at_s"]) < traffic.run.horizon_s:
            continue
        begins, middle = float(shape["at_s"]), float(shape["at_s"]) + float(shape["for_s"]) / 2
        asked = sum(each.first_sends_hz(middle) for each in streams)
        if asked > capacity[int(begins * STEPS_PER_S)]:
            ends = min(begins + float(shape["for_s"]), traffic.run.horizon_s)
            bursts.append(Outage(f"burst of {one.name}", begins, ends))
    both = sorted([*traffic.outages, *bursts], key=lambda trigger: (trigger.from_s, trigger.to_s))
    return tuple(both)


def _fluid(
    streams: list[Stream], scenario: dict[str, Any], service: Service, capacity: Floats, times: float
) -> Flow:
    """The fluid if everybody asks so many `times` as often."""
    server = scenario["server"]
    return flow(
        [_source(one, scenario, service, capacity.size, times) for one in streams],
        capacity,
        1 / STEPS_PER_S,
        inf if server["queue_limit"] is None else float(server["queue_limit"]),
        when_down=str(server["when_down"]),
        survives=bool(server["queue_survives"]),
    )


def _source(stream: Stream, scenario: dict[str, Any], service: Service, count: int, times: float) -> Source:
    group, shape = stream.group, stream.group["arrivals"]["shape"]
    at_s = (np.arange(count) + 0.5) / STEPS_PER_S
    factors = np.array([factor(shape, at) for at in at_s]) if shape["kind"] != "constant" else 1.0
    shares = stream.shares_at(at_s)
    batch_s = service.mean_s(int(scenario["server"]["max_batch"]))
    spare_s = max(timer_s(group) - transfers_s(group) - batch_s, 0.0)
    first_hz = times * stream.rate_hz * factors * shares
    again = passes(group)
    pauses = backoffs_s(group)[: len(again)]
    return Source(
        first_hz,
        spare_s,
        again,
        delays_s=tuple(timer_s(group) + pause for pause in pauses),
        errors_s=tuple(transfers_s(group) - reply_s(group["link"]) + pause for pause in pauses),
        most_hz=_breaker_hz(stream, float(first_hz.mean())),
    )


def _breaker_hz(stream: Stream, first_hz: float) -> float:
    """Sends per second of clients with open breakers: one probe after each cooldown, at the next send."""
    breaker = stream.group["breaker"]
    if breaker is None or first_hz <= 0:
        return inf
    cycle_s = float(breaker["cooldown_s"]) + timer_s(stream.group) + stream.clients / first_hz
    return stream.clients / cycle_s


def _recoveries(
    traffic: Traffic,
    triggers: tuple[Outage, ...],
    fluids: list[Flow],
    capacity: Floats,
    streams: list[Stream],
) -> list[Prediction]:
    """From the end of each trigger until fewer wait than the replicas take at once.

    The margin is what ERROR in the sends makes of it: near the threshold a great deal, and where it is more
    than the number itself, nothing is said.
    """
    run, predictions = traffic.run, []
    server = run.server
    few = float(server["replicas"]) * float(server["max_batch"])
    seconds = run.columns_of("timeline")["at_s"]
    waiting = run.columns_of("timeline")["waiting_mean"]
    means = [_mean_between(fluid.waiting, seconds, seconds + 1) for fluid in fluids]
    for trigger in triggers[:MOST_TRIGGERS]:
        later = [other.from_s for other in triggers if other.from_s >= trigger.to_s]
        until_s = min([*later, run.horizon_s])
        if until_s - trigger.to_s < LEAST_S:
            continue
        after = (seconds >= trigger.to_s) & (seconds < until_s)
        simulated, expected, *ends = (
            _first_s(seconds[after], queue[after] <= few) - trigger.to_s for queue in (waiting, *means)
        )
        margin = max(0.0 if end == expected else abs(end - expected) for end in ends)
        if margin > max(expected, 5.0):
            continue
        chance = _chance_s(means[0][after], expected, capacity, streams, trigger.to_s)
        where = f"{trigger.label}, {trigger.from_s:g}–{trigger.to_s:g} s"
        # Known to the whole second.
        about = Simulated(simulated, simulated - 1 - chance, simulated + 1 + chance)
        predictions.append(Prediction("backlog gone after", where, "s", expected, about, margin=margin))
    return predictions


def _first_s(at_s: Floats, holds: NDArray[np.bool_]) -> float:
    """The first of the instants at which something holds; inf if it never does."""
    return float(at_s[np.argmax(holds)]) if holds.any() else inf


def _chance_s(queue: Floats, takes_s: float, capacity: Floats, streams: list[Stream], from_s: float) -> float:
    """Half the 95% interval of a drain: a random walk with drift (Cox and Miller 1965, 5.7).

    queue: a mean per second from `from_s` on. Chance counts while it falls, from its last fullness on. Each
    first send brings up to `amplification` sends, so their number varies by λ·A² a second.
    """
    if takes_s == inf:
        return 0.0
    falls_s = max(takes_s - float(np.flatnonzero(queue >= 0.95 * queue.max())[-1]), 0.0)
    at_s = from_s + takes_s
    first = sum(one.first_sends_hz(at_s) for one in streams)
    variance = sum(one.first_sends_hz(at_s) * amplification(one.group) ** 2 for one in streams)
    spare = float(capacity[min(int(at_s * STEPS_PER_S), capacity.size - 1)]) - first
    return 1.96 * float(np.sqrt(variance * falls_s)) / spare if spare > 0 else 0.0


def _ending(traffic: Traffic, triggers: tuple[Outage, ...], fluids: list[Flow]) -> list[Prediction]:
    """The second half of what follows the last change: sends per second, and who is answered in time.

    Nothing where ERROR in the sends decides between a storm and none.
    """
    run = traffic.run
    shapes = [group["arrivals"]["shape"] for group in run.groups.values()]
    crowds = [float(s["at_s"]) + float(s["for_s"]) for s in shapes if s["kind"] == "flash_crowd"]
    last = max([*(trigger.to_s for trigger in triggers), *(at for at in crowds if at < run.horizon_s)])
    from_s, to_s = (last + run.horizon_s) / 2, run.horizon_s - 5.0
    if to_s - from_s < LEAST_S:
        return []
    span = slice(int(from_s * STEPS_PER_S), int(to_s * STEPS_PER_S))
    expected = float(fluids[0].sends_hz[span].mean())
    answered, *ends = (float(fluid.answered[span].mean()) for fluid in fluids)
    if not max(abs(end - answered) for end in ends) <= ERROR:
        return []
    seconds, where = traffic.seconds, f"{from_s:g}–{to_s:g} s"
    sends = (seconds["first_sends"] + seconds["retries"]).astype(float)
    simulated = mean_over_time(sends, seconds["at_s"], from_s, to_s)
    predictions = [
        Prediction("sends per second at the end", where, "1/s", expected, simulated, margin=ERROR * expected)
    ]
    sent = traffic.column("deferred") & traffic.known
    hits = mean_over_time(
        traffic.is_answered_by("server")[sent].astype(float), traffic.arrived_at_s[sent], from_s, to_s
    )
    predictions.append(Prediction("sends answered at the end", where, "share", answered, hits, margin=ERROR))
    return [one for one in predictions if one.agrees is not None]


def _curve(traffic: Traffic, triggers: tuple[Outage, ...], fluid: Flow) -> list[Prediction]:
    """The queue from shortly before the first trigger, a mean per stretch."""
    run = traffic.run
    from_s = max(0.0, triggers[0].from_s - 20.0)
    until_s = run.horizon_s
    edges = np.linspace(from_s, until_s, POINTS + 1)
    seconds = run.columns_of("timeline")["at_s"]
    waiting = run.columns_of("timeline")["waiting_mean"]
    predictions = []
    for begins, ends in pairwise(edges.tolist()):
        inside = (seconds >= np.floor(begins)) & (seconds < np.ceil(ends))
        simulated = Simulated(float(waiting[inside].mean()), np.nan, np.nan)
        expected = float(_mean_between(fluid.waiting, np.array([begins]), np.array([ends]))[0])
        predictions.append(
            Prediction(
                "waiting requests",
                "whole server",
                "requests",
                expected,
                simulated,
                over="virtual time (s)",
                at=float((begins + ends) / 2),
            )
        )
    return predictions


def _mean_between(values: Floats, from_s: Floats, to_s: Floats) -> Floats:
    """The mean of a step function between instants, each (k,)."""
    total = np.append(0.0, np.cumsum(values))
    first, last = (
        np.clip(np.round(at * STEPS_PER_S).astype(np.int64), 0, values.size) for at in (from_s, to_s)
    )
    return np.asarray((total[last] - total[first]) / np.maximum(last - first, 1))


LAW = Law(
    "Backlog and retries",
    "dq/dt = sends − μ; what is sent while the wait q/μ is longer than a client waits is sent again "
    "after its timer and pause, A times in all; A = min(attempts, 1 + allowance), a breaker holds it to "
    "a probe per cooldown; with A·λ·ρ > μ a backlog above μ·timeout never ends",
    "fifo, capacity μ of full batches, a policy that does not look at the server (what share it sends, "
    "each minute's decisions say where the scenario does not), no admission, no autoscaling",
    "Newell, Applications of Queueing Theory (1982), chapter 2; Bronson et al., Metastable Failures in "
    "Distributed Systems (HotOS 2021)",
    "near the threshold A·λ·ρ = μ, where a tenth more or less decides; in short outages of clients that "
    "have saved up an allowance, and so send more again; where attempts end by refusals long before "
    "their timers",
    predict,
    knows=frozenset({"heads"}),
)
