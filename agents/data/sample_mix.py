"""What clients meet on average over the run: of every row of a score, the samples that it is judged on.
Made from the phases of `agents.data.mixes`; read by the evaluation of policies and by calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sim.messages import Phase, Samples


@dataclass(frozen=True)
class SampleMix:
    """What the owners of a group's rows are asked, h samples.

    positions: places on the sample axis, ascending, (h,). share: the part of the group's clients that each
    owner stands for, float64 (owners,), sum 1; 0 of one that is asked none of these. weight: what a sample
    counts for each owner, float64 (owners, h), mean 1 in each row that has a share; None: all alike.
    """

    positions: NDArray[np.integer]
    share: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None

    def of(self, owners: NDArray[np.integer]) -> SampleMix:
        """The same for some owners, whose shares need not sum to 1."""
        weight = None if self.weight is None else self.weight[owners]
        return SampleMix(self.positions, self.share[owners], weight)

    def mean(self, values: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Each row's mean over its samples, (owners,), of values (owners, h)."""
        if self.weight is None:
            return np.asarray(values.mean(axis=1))
        return np.asarray((values * self.weight).mean(axis=1))


def in_force(phases: Sequence[Phase], horizon_s: float) -> list[tuple[Phase, float]]:
    """The phases that come before the horizon, each with its share of the time; the first alone where there
    is no time."""
    ends = [*(after.at_s for _, after in pairwise(phases)), np.inf]
    lasts = [max(0.0, min(end, horizon_s) - phase.at_s) for phase, end in zip(phases, ends, strict=True)]
    if not sum(lasts):
        return [(phases[0], 1.0)]
    return [(phase, last / sum(lasts)) for phase, last in zip(phases, lasts, strict=True) if last]


def held_out_of(phases: Sequence[Phase], horizon_s: float, samples: Samples) -> NDArray[np.int32]:
    """The held-out positions that a group's requests are drawn from during the run, ascending."""
    met = np.unique(np.concatenate([phase.positions for phase, _ in in_force(phases, horizon_s)]))
    held_out: NDArray[np.int32] = met[samples.held_out[met]]
    return held_out


def sample_mix_of(
    parts: Sequence[tuple[Phase, float]], positions: NDArray[np.integer], clients: int, owners: int
) -> SampleMix:
    """What each of `owners` is asked of the samples at `positions`, clients taking owners in turn.

    parts: phases with what each weighs. A row is the mean over the clients of its owner; one that is asked
    none of the positions has no share in the group.
    """
    share = np.bincount(np.arange(clients) % owners, minlength=owners) / clients
    if len(parts) == 1 and parts[0][0].upto.shape[1] == 1:
        return SampleMix(positions, share)
    weight = np.zeros((owners, len(positions)))
    for phase, part in parts:
        size = np.diff(phase.first)
        met = np.diff(phase.upto, axis=1, prepend=0.0)
        if len(met) > 1:
            met = np.stack([met[owner::owners].mean(axis=0) for owner in range(owners)])
        of_stratum = part * met / np.maximum(size, 1)
        place = np.searchsorted(positions, phase.positions)
        there = np.append(positions, -1)[place] == phase.positions
        weight[:, place[there]] += of_stratum[:, np.repeat(np.arange(len(size)), size)[there]]
    total = weight.sum(axis=1)
    share = np.where(total > 0, share, 0.0)
    weight *= np.divide(len(positions), total, out=np.zeros(owners), where=total > 0)[:, None]
    return SampleMix(positions, share / share.sum(), weight)
