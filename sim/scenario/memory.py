"""A rough count of the memory that a scenario needs, so that one far too large is refused at once.
Meant to be right within a factor of about two; a run that fits is not promised to be fast."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from sim.scenario.arrivals import Diurnal, FlashCrowd, GammaRenewal, Mmpp, Poisson
from sim.scenario.document import Scenario
from sim.scenario.draft import Path
from sim.scenario.fleet import Group
from sim.scenario.values import CHUNK_S

MOST_PERSONAL = 10_000  # clients of a group that may have a rejector each
WITHOUT_REJECTOR = ("confidence", "entropy", "margin", "random", "oracle")
ROW_BYTES = 1_000  # one request of the whole run, while its results are analysed
MODEL_BYTES = 256 * 1024  # one frozen client model, and what is kept of it
REQUEST_BYTES = 1_200  # one request of the chunk in work: rows, sends, events ahead, and copies
CLIENT_BYTES = 100  # one client's state in the loop
RESAMPLED_BYTES = 12_000  # one client that is resampled for the intervals
SCORE_BYTES = 4
LABEL_BYTES = 2
VERSIONS_KEPT = 3  # tables of scores that some client still uses, while the next one is made
COPY_BYTES = 64  # when a client's copy and rejector of one version come into force
REJECTOR_BYTES = 64 * 1024  # weights, gradients and momentum of a small perceptron
SAMPLES = {
    "digits": 1_797,
    "fashion_mnist": 70_000,
    "mnist": 70_000,
    "cifar10": 60_000,
    "cifar100": 60_000,
    "svhn": 99_289,
    "gaussian_mixture": 10_000,
}


class Need(NamedTuple):
    """Memory that grows with the value at `path`."""

    path: Path
    value: Any
    bytes: float
    what: str


def memory(scenario: Scenario) -> Iterator[tuple[Path, Any, str]]:
    """A breach naming what needs most, if all needs together exceed the machine's memory."""
    needs = [need for index, group in enumerate(scenario.fleet) for need in needs_of(scenario, group, index)]
    total, most = sum(need.bytes for need in needs), installed_bytes()
    if total > most:
        too_large = [need for need in needs if need.bytes > most]
        worst = too_large[0] if too_large else max(needs, key=lambda need: need.bytes)
        share = f"{_gib(worst.bytes)} of it for {worst.what}"
        rule = f"the run needs about {_gib(total)} of memory, {share}: this machine has {_gib(most)}"
        yield worst.path, worst.value, rule


def needs_of(scenario: Scenario, group: Group, index: int) -> list[Need]:
    """What one group needs."""
    clients: Path = ("fleet", index, "clients")
    # Beyond the most that may be personal another rule asks for `per: variant`: count it as followed.
    personal = is_personal(group) and group.clients <= MOST_PERSONAL
    _, _, _, calibration, traffic = scenario.data.pools
    tables = group.clients if personal else group.model.variants
    samples = SAMPLES[scenario.data.set] * (calibration + traffic) * views(scenario)
    scores = tables * samples * SCORE_BYTES * (1 if scenario.training.online is None else VERSIONS_KEPT)
    versions = rounds(scenario) * (group.clients * COPY_BYTES + samples * LABEL_BYTES)
    requests = group.clients * busiest_rate_hz(group) * CHUNK_S * REQUEST_BYTES
    rows = group.clients * busiest_rate_hz(group) * scenario.horizon_s * ROW_BYTES
    heard_of = group.clients * min(1.0, busiest_rate_hz(group) * scenario.horizon_s)
    variants: Path = ("fleet", index, "model", "variants")
    return [
        Need(clients, group.clients, group.clients * CLIENT_BYTES, "the state of its clients"),
        Need(clients, group.clients, heard_of * RESAMPLED_BYTES, "the intervals over its clients"),
        Need(clients, group.clients, scores, "the scores of its samples"),
        Need(*_rounds(scenario), versions, "the versions of its models"),
        Need(clients, group.clients, tables * REJECTOR_BYTES if personal else 0, "personal rejectors"),
        Need(variants, group.model.variants, group.model.variants * MODEL_BYTES, "the client models"),
        Need(*_rate(group, index), requests, f"the requests of {CHUNK_S:g} s"),
        Need(("horizon_s",), scenario.horizon_s, rows, "the analysis of its requests"),
    ]


def views(scenario: Scenario) -> int:
    """At most how many ways in which samples are seen: clean, and as each group and each drift has it."""
    shifted = sum(group.partition.kind == "domain_shift" for group in scenario.fleet)
    noises = sum(drift.noise is not None for group in scenario.fleet for drift in group.traffic.drift)
    return 1 + shifted + noises


def rounds(scenario: Scenario) -> float:
    """How many rounds of training fall due in the run."""
    online = scenario.training.online
    return 0.0 if online is None else scenario.horizon_s / online.every_s


def _rounds(scenario: Scenario) -> tuple[Path, Any]:
    """The key that says how many versions a run has."""
    online = scenario.training.online
    if online is None:
        return ("horizon_s",), scenario.horizon_s
    return ("training", "online", "every_s"), online.every_s


def is_personal(group: Group) -> bool:
    """Whether each client has a rejector of its own; some scores ask none."""
    return group.rejector.per == "client" and group.policy.score not in WITHOUT_REJECTOR


def busiest_rate_hz(group: Group) -> float:
    """The largest arrival rate of a client; a trace or a closed loop says none and counts 0."""
    process, shape = group.arrivals.process, group.arrivals.shape
    peak = 1.0
    if isinstance(shape, Diurnal):
        peak = 1.0 + shape.amplitude
    elif isinstance(shape, FlashCrowd):
        peak = max(1.0, shape.factor)
    if isinstance(process, Poisson | GammaRenewal):
        return process.rate_hz * peak
    return max(process.rates_hz) * peak if isinstance(process, Mmpp) else 0.0


def _rate(group: Group, index: int) -> tuple[Path, Any]:
    """The key of the arrival rate, or of the clients where they alone drive the load."""
    process, path = group.arrivals.process, ("fleet", index, "arrivals", "process")
    if isinstance(process, Mmpp):
        return (*path, "rates_hz"), process.rates_hz
    if isinstance(process, Poisson | GammaRenewal) and process.rate_hz > 1:
        return (*path, "rate_hz"), process.rate_hz
    return ("fleet", index, "clients"), group.clients


def installed_bytes() -> int:
    """The machine's physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gib(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB" if count < 2**50 else f"{count / 2**30:.1e} GiB"
