"""A group's calibration scores in order: which share of its requests a price would send.
Made from the tables of each version of its rejectors; read by the prices that hold a rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.messages import Phase
from sim.world.traffic import shares

_UNITS = 1 << 32  # of a row's weight: whole numbers add up to the same in any order


@dataclass(frozen=True)
class Curve:
    """The weighted distribution of m distinct scores.

    score: float32 (m,), ascending. upto: float64 (m + 1,), upto[i] the share of requests that score below
    score[i], the last one 1.
    """

    score: NDArray[np.float32]
    upto: NDArray[np.float64]

    def shares(self, score: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The shares of requests below each score, and below or at it, float64 (n,) each."""
        below, through = (np.searchsorted(self.score, score, side=side) for side in ("left", "right"))
        return self.upto[below], self.upto[through]

    def share_above(self, price: float) -> float:
        """The share of requests that score above a price."""
        return 1.0 - float(self.upto[np.searchsorted(self.score.astype(np.float64), price, side="right")])


def curve(table: NDArray[np.float32], row: NDArray[np.int32], met: Phase, member: NDArray[np.int64]) -> Curve:
    """The curve of some clients of a group, each counted as often as any other.

    table: float32 (rows, n), scores along the sample axis; row: int32 (members,), the clients' rows in it;
    met: the calibration pool as the group's requests show it; member: int64 (members,), their numbers in the
    group. A sample weighs as much as its share of the client's requests, in whole 2^-32.
    """
    if len(met.upto) == 1:
        clients, every = np.bincount(row, minlength=len(table)), _units(met, 0)
        weight = clients[:, None] * every[None, :]
    else:
        weight = np.zeros((len(table), len(met.positions)), dtype=np.int64)
        for r, one in zip(row.tolist(), member.tolist(), strict=True):
            weight[r] += _units(met, one)
    rows = np.unique(row)
    found, place = np.unique(table[rows][:, met.positions], return_inverse=True)
    of_score = np.zeros(len(found), dtype=np.int64)
    np.add.at(of_score, place.ravel(), weight[rows].ravel())
    upto = np.concatenate([[0], np.cumsum(of_score)])
    return Curve(found, upto / upto[-1])


def _units(met: Phase, member: int) -> NDArray[np.int64]:
    units: NDArray[np.int64] = np.rint(shares(met, member) * _UNITS).astype(np.int64)
    return units
