"""What clients got of the server during the run, per rejector, and the batches drawn from it.
Fed by every training round under `feedback: deferred_only`; `agents.rejectors.blocks` trains on it.
Without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.messages import Feedback, HandedOver
from sim.registry.condensing import level, representatives
from sim.streams import Draws


@dataclass(frozen=True)
class FeedbackBatch:
    """A step's batch of `rows` rejectors, n samples each of its own: place on the sample axis int32,
    server_correct bool, 1[e=y] of the answer that came, and weight float32, all (rows, n).
    """

    place: NDArray[np.int32]
    server_correct: NDArray[np.bool_]
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Condensing:
    """How many answers each rejector holds at most, and by which draws these are chosen. label: of the sample
    axis, (n,); owners: of each rejector, (rows,), by whom draws are keyed."""

    most: int
    label: NDArray[np.integer]
    draws: Draws
    owners: NDArray[np.int64]


class FeedbackBuffer:
    """All that the clients of some rejectors got so far, and how many requests they decided.

    The estimate of a rejector's loss over what its clients meet is that of Horvitz and Thompson (1952):
    1/N * sum over the f answers received of loss/propensity, N the number of requests decided, propensity =
    P(sent). Its mean over the coins of exploration is the mean loss over all N requests, whatever is sent, as
    long as every send is answered; if a share of the answers is lost, whichever samples they are of, it is
    that mean loss times the share that comes. (To divide by the sum of 1/propensity instead would be
    right only as N grows.) What neighbours hand over adds to both: its losses, and how many requests it
    stands for. Where answers are condensed the f_c that are kept of n_c of a class count n_c/f_c each, so
    that this is unbiased over the draws, too.
    """

    def __init__(self, owner_of: NDArray[np.int64], rows: int, condensing: Condensing | None = None) -> None:
        """owner_of: per client of the fleet the rejector that it asks, from 0 to rows - 1, or -1."""
        self._owner_of, self._rows, self._condensing = owner_of, rows, condensing
        self.decided = np.zeros(rows, dtype=np.int64)
        self.stood_for = np.zeros(rows)  # requests of neighbours
        classes = int(condensing.label.max(initial=0)) + 1 if condensing is not None else 0
        self._of_class = np.zeros((rows, classes), dtype=np.int64)  # answers so far, kept or not
        self._priority = [np.empty(0)] * rows
        self._place = [np.empty(0, dtype=np.int32)] * rows
        self._correct = [np.empty(0, dtype=np.bool_)] * rows
        self._propensity = [np.empty(0, dtype=np.float32)] * rows

    def add(self, feedback: Feedback) -> None:
        """Remembers what a training round says."""
        ours = self._owner_of >= 0
        np.add.at(self.decided, self._owner_of[ours], feedback.decided[ours])
        self._take(feedback)

    def hand(self, handed: HandedOver) -> None:
        """Remembers what came from neighbours."""
        ours = self._owner_of[handed.client] >= 0
        np.add.at(self.stood_for, self._owner_of[handed.client[ours]], handed.stands_for[ours])
        self._take(handed)

    def _take(self, told: Feedback | HandedOver) -> None:
        owner = self._owner_of[told.client]
        for row in np.unique(owner[owner >= 0]):
            mine = owner == row
            self._place[row] = np.append(self._place[row], told.sample[mine])
            self._correct[row] = np.append(self._correct[row], told.server_correct[mine])
            self._propensity[row] = np.append(self._propensity[row], told.propensity[mine])
            if self._condensing is not None:
                self._condense(self._condensing, int(row), told.sample[mine])

    def _condense(self, how: Condensing, row: int, more: NDArray[np.int32]) -> None:
        """Keeps representatives of what a rejector holds, `more` being what came now."""
        number = self._of_class[row].sum() + np.arange(len(more))
        owner = np.full(len(more), how.owners[row])
        priority = np.append(self._priority[row], how.draws.many(owner, number))
        label = how.label[self._place[row]]
        self._of_class[row] += np.bincount(how.label[more], minlength=self._of_class.shape[1])
        kept = representatives(label, priority, self._of_class[row], how.most)
        self._place[row], self._correct[row] = self._place[row][kept], self._correct[row][kept]
        self._propensity[row], self._priority[row] = self._propensity[row][kept], priority[kept]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """All of it, rejector after rejector."""
        return {
            "decided": self.decided,
            "stood_for": self.stood_for,
            "held": self.held,
            "of_class": self._of_class,
            "priority": np.concatenate(self._priority),
            "place": np.concatenate(self._place),
            "correct": np.concatenate(self._correct),
            "propensity": np.concatenate(self._propensity),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Remembers what it did when `state` was taken."""
        self.decided, self.stood_for = state["decided"].copy(), state["stood_for"].copy()
        self._of_class = state["of_class"].copy()
        ends = np.cumsum(state["held"])[:-1]
        if self._condensing is not None:
            self._priority = np.split(state["priority"], ends)
        self._place, self._correct, self._propensity = (
            np.split(state[name], ends) for name in ("place", "correct", "propensity")
        )

    @property
    def held(self) -> NDArray[np.int64]:
        """How many answers each rejector has to learn from, (rows,)."""
        return np.array([len(place) for place in self._place])

    @property
    def answers(self) -> NDArray[np.int64]:
        """How many answers each rejector's clients got, or their neighbours handed over, (rows,)."""
        return self.held if self._condensing is None else self._of_class.sum(axis=1)

    def batch(self, size: int, draws: Sequence[np.random.Generator]) -> FeedbackBatch:
        """`size` answers of each rejector, drawn with replacement by a generator of its own.

        weight = f/(N*propensity), f being what is held, so that the mean over a batch is, on average over
        draws, the estimate above. A rejector without answers gets weights of 0 and samples that mean nothing.
        """
        place = np.zeros((self._rows, size), dtype=np.int32)
        correct = np.zeros((self._rows, size), dtype=np.bool_)
        weight = np.zeros((self._rows, size), dtype=np.float32)
        for row, draw in enumerate(draws):
            count = len(self._place[row])
            if count:
                drawn = draw.integers(count, size=size)
                place[row], correct[row] = self._place[row][drawn], self._correct[row][drawn]
                requests = self.decided[row] + self.stood_for[row]
                weight[row] = count / (requests * self._propensity[row][drawn].astype(np.float64))
                if self._condensing is not None:
                    weight[row] *= self._each_counts(self._condensing, row)[drawn]
        return FeedbackBatch(place, correct, weight)

    def _each_counts(self, how: Condensing, row: int) -> NDArray[np.float64]:
        """For how many of its class each kept answer of a rejector counts, (kept,)."""
        of_class = self._of_class[row]
        each = np.maximum(1.0, of_class / level(of_class, how.most))
        found: NDArray[np.float64] = each[how.label[self._place[row]]]
        return found
