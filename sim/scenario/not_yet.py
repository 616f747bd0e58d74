"""What the vocabulary already has words for and the simulator cannot do yet.
A table of paths and the values that work today; when something is built, its line here changes or goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sim.scenario.document import Scenario
from sim.scenario.draft import Finding, Path
from sim.scenario.wording import show

FAMILIES = ("linear", "mlp", "small_cnn")
DURATIONS = ("exponential", "lognormal", "gamma", "weibull")  # and constants, which have no kind

WORKS_TODAY: dict[str, tuple[Any, ...]] = {
    "data.set": ("digits",),
    "data.root": (None,),
    "data.download": (False,),
    "fleet.*.model.family": FAMILIES,
    "fleet.*.partition.kind": ("iid", "missing_classes", "few_samples", "domain_shift"),
    "fleet.*.rejector.family": ("linear", "mlp"),
    "fleet.*.arrivals.process.kind": ("poisson",),
    "fleet.*.arrivals.shape.kind": ("constant",),
    "fleet.*.link.latency.kind": DURATIONS,
    "fleet.*.policy.score": ("l2h", "confidence", "random", "oracle"),
    "fleet.*.policy.price.kind": ("threshold", "always_local", "always_remote"),
    "server.model.family": FAMILIES,
    "server.service.time.kind": DURATIONS,
    "training.availability": (None,),
    "training.shared_batch": (False,),
    "training.feedback": ("full",),
    "training.pretrain.sync_every": (1,),
    "training.online": (None,),
}

# Where all values work but a few: the value that does not, and what does in words.
FAILS_TODAY: dict[str, tuple[Any, str]] = {"horizon_s": (0.0, "a horizon above 0")}


class Met(NamedTuple):
    path: Path
    value: Any


def findings(scenario: Scenario) -> Iterator[Finding]:
    """One finding for each value that the simulator cannot use yet."""
    for pattern, works in WORKS_TODAY.items():
        for path, value in matches(scenario, pattern):
            if value not in works:
                yield _not_available(path, value, ", ".join(_word(one) for one in works))
    for pattern, (fails, works_in_words) in FAILS_TODAY.items():
        for path, value in matches(scenario, pattern):
            if value == fails:
                yield _not_available(path, value, works_in_words)


def matches(scenario: Scenario, pattern: str) -> list[Met]:
    """The places of a scenario that a pattern such as `fleet.*.policy.score` names, and what stands there."""
    here = [Met((), scenario)]
    for step in pattern.split("."):
        if step == "*":
            here = [Met((*path, index), entry) for path, value in here for index, entry in enumerate(value)]
        else:
            # A part of another kind, or null, has no such key: nothing to say about it.
            here = [Met((*path, step), getattr(value, step)) for path, value in here if hasattr(value, step)]
    return here


def _not_available(path: Path, value: Any, works: str) -> Finding:
    return Finding(path, f"{_word(value)} is not available yet (works today: {works})")


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return show(tuple(entry.model_dump() for entry in value))
    return show(value.model_dump() if hasattr(value, "model_dump") else value)
