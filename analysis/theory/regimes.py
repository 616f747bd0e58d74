"""Stretches of a run in which nothing about the system changes: the same replicas, the same groups cut off.
Between the outages of a run and the laws that hold for a steady state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from analysis.run_folder.outages import Outage, usable_steps
from analysis.run_folder.traffic import Traffic


@dataclass(frozen=True)
class Regime:
    """[from_s, to_s): usable replicas; the groups whose links are all down; is_plain: no slowdown, and no
    links that are down for some clients of a group only."""

    from_s: float
    to_s: float
    usable: int
    cut: frozenset[str]
    is_plain: bool

    @property
    def label(self) -> str:
        when = f"{self.from_s:g}–{self.to_s:g} s"
        return f"{when}, {' and '.join(sorted(self.cut))} cut off" if self.cut else when


def regimes(traffic: Traffic) -> Iterator[Regime]:
    """The regimes after the warm-up, in order of time."""
    run = traffic.run
    steps, usable = usable_steps(run)
    changes = [*steps, *(edge for outage in traffic.outages for edge in (outage.from_s, outage.to_s))]
    inner = sorted({at for at in changes if run.warm_up_s < at < run.horizon_s})
    coming, active = list(reversed(traffic.outages)), list[Outage]()
    for from_s, to_s in pairwise([run.warm_up_s, *inner, run.horizon_s]):
        while coming and coming[-1].from_s <= from_s:
            active.append(coming.pop())
        active = [outage for outage in active if from_s < outage.to_s]
        cut = frozenset(name for outage in active for name in cut_groups(run.scenario, outage))
        replicas = int(usable[np.searchsorted(steps, from_s, side="right") - 1])
        is_plain = all(_is_plain(run.scenario, outage) for outage in active)
        yield Regime(from_s, to_s, replicas, cut, is_plain)


def cut_groups(scenario: dict[str, Any], outage: Outage) -> tuple[str, ...]:
    """The groups all of whose links an outage takes at once; none where it takes only some of them."""
    if outage.slower is not None or not outage.target.startswith("links:"):
        return ()
    for written in scenario["server"]["outages"]:
        target = written["target"]
        if target["kind"] == "links" and "links:" + "+".join(target["groups"]) == outage.target:
            whole = float(target["share"]) == 1 and target["correlated"]
            return tuple(target["groups"]) if whole else ()
    return ()


def _is_plain(scenario: dict[str, Any], outage: Outage) -> bool:
    if outage.slower is not None:
        return False
    return not outage.target.startswith("links:") or bool(cut_groups(scenario, outage))
