"""A server between two chunks as data: its queue and batches, its autoscaler, its switch.
Part of `sim.engine.state`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Scaling:
    """The autoscaler between two ticks: when ordered replicas are there, what was wanted at the last ticks
    (-1: nothing was decided), when it last changed something, and seconds measured so far."""

    coming: list[float] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    changed_at: float = -np.inf
    busy_s: float = 0.0
    usable_s: float = 0.0
    replica_s: float = 0.0
    measured_at: float = 0.0


@dataclass
class Steered:
    """What may be set from outside between two windows: the queue's limit (inf: none), and how many replicas
    the autoscaler asks for at its next tick (-1: it says itself)."""

    queue_limit: float
    replicas: int = -1


@dataclass
class Switched:
    """A server that chooses among its models: the place of the one that it is at (-1: it does not choose),
    and how many came in the interval `period` so far, and in the one before."""

    width: int = -1
    period: int = 0
    arrivals: int = 0
    arrivals_before: int = 0


@dataclass
class StationState:
    """A server between two chunks.

    waiting: sends in the order of the queue, the first `returned` of them put back by an outage. batch_of:
    per replica the sends in service, in the order of the batch; ends: when that batch ends; since: when it
    began, or last went on; left: seconds left of one that stands still (NaN: it does not). A pipeline of
    several `stages` stands there once for each; cleared: of these when the last batch leaves the stage (-inf:
    none, or the first is free). warm_until: until when an instance of a serverless server is warm. used_at:
    of a server that swaps, for each replica and model when a batch of it last began there (-inf: it is not in
    the memory; negative: it was there at the start). replicas: those there are; taken: by outages. steps:
    (instant, usable replicas) at the start of the last chunk and wherever they changed in it, for those who
    keep a record.
    """

    waiting: list[int]
    returned: int
    batch_of: list[list[int]]
    ends: list[float]
    since: list[float]
    left: list[float]
    warm_until: list[float]
    used_at: list[float]
    cleared: list[float]
    stages: int
    replicas: int
    taken: int
    scaling: Scaling
    steered: Steered
    switched: Switched
    steps: list[tuple[float, int]]

    @property
    def usable(self) -> int:
        return max(0, self.replicas - self.taken)

    @property
    def held(self) -> int:
        """How many batches stand still with their replicas."""
        return int(np.count_nonzero(~np.isnan(self.left)))
