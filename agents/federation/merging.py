"""How uploaded rejectors become one: averages weighed by answers or by precision, and the median.
Pure functions of what was uploaded, without torch; `agents.rounds` asks them in the process of the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.plan import Block, Plan

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Uploads:
    """What rejectors share. numbers: float32 (rows, n); answers: how many they have learned from, int64
    (rows,); precision: float32 (rows, n), empty where nobody asks for it."""

    numbers: Numbers
    answers: NDArray[np.int64]
    precision: Numbers

    def of(self, rows: NDArray[np.integer]) -> Uploads:
        """Of some rows."""
        precision = self.precision[rows] if len(self.precision) else self.precision
        return Uploads(self.numbers[rows], self.answers[rows], precision)


def merged(how: str, uploads: Uploads) -> Numbers:
    """One set of numbers out of J, float32 (n,).

    `average`: the mean weighed by answers (McMahan et al. 2017, arXiv 1602.05629). `laplace`: each number
    weighed by its precision, the mode of the product of Gaussians (after arXiv 2102.01936, eq. of the
    server's posterior). `median`: of each number, over those with answers (Yin et al. 2018, arXiv
    1803.01498). Where all weights of a number are 0 they count as equal. Laws: members that are alike to the
    last bit give themselves; with equal precision `laplace` is the mean; a member with weight 0 changes
    nothing; the order of members does not matter beyond a rounding of float64.
    """
    numbers = uploads.numbers.astype(np.float64)
    if how == "median":
        known = uploads.answers > 0
        return np.asarray(np.median(numbers[known] if known.any() else numbers, axis=0), dtype=np.float32)
    if how == "laplace":
        weights = uploads.precision.astype(np.float64)
    else:
        weights = np.broadcast_to(uploads.answers.astype(np.float64)[:, None], numbers.shape)
    total = weights.sum(axis=0)
    weights = np.where(total > 0, weights, 1.0)
    return np.asarray((weights * numbers).sum(axis=0) / weights.sum(axis=0), dtype=np.float32)


def gathered(how: str, uploads: Uploads, cluster: NDArray[np.integer]) -> Uploads:
    """What heads upload for their clusters, cluster by cluster in order of their numbers, (rows,): numbers as
    `merged` makes them, and sums of answers and of precisions. Law: what is merged of these is what is merged
    of all members, to a rounding of float32, however they are grouped; a cluster of one uploads itself.
    """
    members = [np.flatnonzero(cluster == one) for one in np.unique(cluster)]
    has_precision = len(uploads.precision) > 0
    return Uploads(
        np.stack([merged(how, uploads.of(rows)) for rows in members]),
        np.array([uploads.answers[rows].sum() for rows in members]),
        np.stack([uploads.precision[rows].sum(axis=0, dtype=np.float64) for rows in members]).astype(
            np.float32
        )
        if has_precision
        else uploads.precision,
    )


def set_of_owners(plan: Plan, place: int) -> NDArray[np.int64]:
    """Which set each owner of a group's rejectors belongs to, (owners,): sets begin with the same weights,
    and are merged. Where clients do not learn together, or learn heads, each is one of its own."""
    owners, federation = np.arange(plan.owners_in(place)), plan.scenario.federation
    if federation is None or federation.learns == "heads":
        return owners
    if federation.among == "group":
        return np.zeros_like(owners)
    return owners % len(plan.trains_on[place])


def starts_of(plan: Plan, block: Block) -> NDArray[np.int64]:
    """By which owner each row of a block is initialised, (rows,)."""
    return set_of_owners(plan, block.group)[plan.owners(block)]
