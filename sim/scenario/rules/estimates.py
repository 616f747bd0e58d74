"""What a run will come to, from what its scenario says alone: requests, load, memory, files, time.
Printed by `check`; each within a factor of about two, and the load an upper bound."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from sim.scenario.asking import block_work, inference_s, ways_of
from sim.scenario.rules.memory import memory_bytes
from sim.scenario.rules.rates import busiest_rate_hz, mean_rate_hz
from sim.scenario.rules.tables import mean_work
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.server import Station

PART_REQUESTS = 50_000  # requests in a part of a parted table ...
PART_S = 7 * 86_400.0  # ... which covers no more time
OTHER_FILES = 45  # tables, pictures in two formats, the report
OTHER_BYTES = 4e6  # of them
REQUEST_BYTES = 50  # a request, packed, with the attempts of some
SECOND_BYTES = 15  # a second of the time line, packed
REQUEST_S = 1e-5  # a request through the slower clock, written, and read by the report
REPORT_S = 6.0  # wall seconds of the report and of starting up


class Estimate(NamedTuple):
    """requests: expected ones. offered, busiest: the load of full batches on average and in the busiest
    minute, were every request sent that the policy may send, each once, and shared by all servers; of as many
    replicas as autoscaling may give where it is_scaled, and without what brings models in where one swaps.
    is_closed: closed loops are counted as if they were answered at once; those of sessions count their way.
    bytes: in memory at the peak. written: on the disk, in so many files. wall_s: without the training of
    models."""

    requests: float
    offered: float
    busiest: float
    bytes: float
    files: int
    written: float
    wall_s: float
    is_scaled: bool = False
    swaps: bool = False
    is_closed: bool = False


def estimate(scenario: Scenario) -> Estimate:
    """Of a scenario that has passed its checks. Raises BadFile for a file that has changed since."""
    fleet, horizon_s = scenario.fleet, scenario.horizon_s
    requests = sum(one.clients * mean_rate_hz(scenario, n) for n, one in enumerate(fleet)) * horizon_s
    while_training = (_training_share(scenario), 1.0)
    mean, busiest = (
        sum(
            group.clients * rate(scenario, place) * _most_work(group) * _block_work(scenario, group)
            for place, group in enumerate(fleet)
        )
        * mean_work(scenario)
        / sum(served_hz(one) / _longer(scenario, n, share) for n, one in enumerate(scenario.stations))
        for rate, share in zip((mean_rate_hz, busiest_rate_hz), while_training, strict=True)
    )
    parts = max(1, ceil(requests / PART_REQUESTS), ceil(horizon_s / PART_S))
    return Estimate(
        requests,
        mean,
        busiest,
        memory_bytes(scenario),
        2 * parts + OTHER_FILES,
        requests * REQUEST_BYTES + horizon_s * SECOND_BYTES + OTHER_BYTES,
        requests * REQUEST_S + REPORT_S,
        any(server.autoscaling is not None for server in scenario.stations),
        any(server.load_s is not None for server in scenario.stations),
        any(not one.arrivals.process.is_open and one.session is None for one in fleet),
    )


def in_words(found: Estimate) -> str:
    """What `check` says of it."""
    busiest = f", {found.busiest:.2g} at the busiest" if found.busiest > 1.1 * found.offered else ""
    scaled = ", scaled out in full" if found.is_scaled else ""
    loads = ", without models that come in" if found.swaps else ""
    closed = ", were closed loops answered at once" if found.is_closed else ""
    load = f"an offered load of at most {found.offered:.2g}{busiest}{scaled}{loads}{closed}"
    return (
        f"expected: {found.requests:,.0f} requests; {load}; "
        f"{found.bytes / 2**30:.1f} GiB of memory; {found.files} files of {found.written / 2**20:,.0f} MiB; "
        f"{found.wall_s:,.0f} s beside training"
    )


def most_sent(group: Group) -> float:
    """The largest share of its requests that a group's policy sends, as far as its kind says."""
    price = group.policy.price
    if price.kind == "always_local":
        return 0.0
    return float(price.rate) if price.aims_at == "rate" else 1.0  # type: ignore[attr-defined]


def _most_work(group: Group) -> float:
    """Of the requests that it sends at most, in those that take as long as servers say."""
    of_options = max((one.work for one in group.options or ()), default=1.0)
    return most_sent(group) * group.service_factor * of_options


def _training_share(scenario: Scenario) -> float:
    """The share of time in which rounds of training take capacity, if none is skipped or lost."""
    online = scenario.training.online
    return 0.0 if online is None else min(1.0, online.steps * online.step_s / online.shortest_s)


def _longer(scenario: Scenario, place: int, share: float) -> float:
    """How many times as long a server's batches take on average, of which this share starts in a round."""
    online = scenario.training.online
    if online is None or not any(
        online.models is None or name in online.models for name in scenario.models_of(place)
    ):
        return 1.0
    return 1 + share * (1 / (1 - online.capacity_share) - 1)


def _block_work(scenario: Scenario, group: Group) -> float:
    """How many times as long as plain requests full batches of a group's blocks take any server, at most."""
    return max(block_work(one, group) for one in scenario.stations)


def served_hz(server: Station) -> float:
    """Requests a second in full batches on as many replicas as there may be."""
    most = server.replicas if server.autoscaling is None else server.autoscaling.max
    batch_s = server.service.scale_s(server.max_batch) * server.service.mean_factor()
    return most * server.max_batch / (batch_s * server.stage_overhead / server.stages)


def fastest_answer_s(scenario: Scenario, group: Group) -> float:
    """From a decision to its answer, with nobody else there, on average, by the fastest option."""
    return min(way.answer_s for way in ways_of(scenario, group)) - inference_s(group)
