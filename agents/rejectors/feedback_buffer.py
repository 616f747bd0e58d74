"""What clients got of the server during the run, per rejector, and the batches drawn from it.
Fed by every training round under `feedback: deferred_only`; `agents.rejectors.blocks` trains on it.
Without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.messages import Feedback


@dataclass(frozen=True)
class FeedbackBatch:
    """A step's batch of `rows` rejectors, n samples each of its own: place on the sample axis int32,
    server_correct bool, 1[e=y] of the answer that came, and weight float32, all (rows, n).
    """

    place: NDArray[np.int32]
    server_correct: NDArray[np.bool_]
    weight: NDArray[np.float32]


class FeedbackBuffer:
    """All that the clients of some rejectors got so far, and how many requests they decided.

    The estimate of a rejector's loss over what its clients meet is that of Horvitz and Thompson (1952):
    1/N * sum over the f answers received of loss/propensity, N the number of requests decided, propensity =
    P(sent). Its mean over the coins of exploration is the mean loss over all N requests, whatever is sent, as
    long as every send is answered; if a share of the answers is lost, whichever samples they are of, it is
    that mean loss times the share that comes. (To divide by the sum of 1/propensity instead would be
    right only as N grows.)
    """

    def __init__(self, owner_of: NDArray[np.int64], rows: int) -> None:
        """owner_of: per client of the fleet the rejector that it asks, from 0 to rows - 1, or -1."""
        self._owner_of, self._rows = owner_of, rows
        self.decided = np.zeros(rows, dtype=np.int64)
        self._place = [np.empty(0, dtype=np.int32)] * rows
        self._correct = [np.empty(0, dtype=np.bool_)] * rows
        self._propensity = [np.empty(0, dtype=np.float32)] * rows

    def add(self, feedback: Feedback) -> None:
        """Remembers what a training round says."""
        ours = self._owner_of >= 0
        np.add.at(self.decided, self._owner_of[ours], feedback.decided[ours])
        owner = self._owner_of[feedback.client]
        for row in np.unique(owner[owner >= 0]):
            mine = owner == row
            self._place[row] = np.append(self._place[row], feedback.sample[mine])
            self._correct[row] = np.append(self._correct[row], feedback.server_correct[mine])
            self._propensity[row] = np.append(self._propensity[row], feedback.propensity[mine])

    def state(self) -> dict[str, NDArray[np.generic]]:
        """All of it, rejector after rejector."""
        return {
            "decided": self.decided,
            "answers": self.answers,
            "place": np.concatenate(self._place),
            "correct": np.concatenate(self._correct),
            "propensity": np.concatenate(self._propensity),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Remembers what it did when `state` was taken."""
        self.decided = state["decided"].copy()
        ends = np.cumsum(state["answers"])[:-1]
        self._place, self._correct, self._propensity = (
            np.split(state[name], ends) for name in ("place", "correct", "propensity")
        )

    @property
    def answers(self) -> NDArray[np.int64]:
        """How many answers each rejector's clients got, (rows,)."""
        return np.array([len(place) for place in self._place])

    def batch(self, size: int, draws: Sequence[np.random.Generator]) -> FeedbackBatch:
        """`size` answers of each rejector, drawn with replacement by a generator of its own.

        weight = f/(N*propensity), so that the mean over a batch is, on average over draws, the estimate
        above. A rejector without answers gets weights of 0 and samples that mean nothing.
        """
        place = np.zeros((self._rows, size), dtype=np.int32)
        correct = np.zeros((self._rows, size), dtype=np.bool_)
        weight = np.zeros((self._rows, size), dtype=np.float32)
        for row, draw in enumerate(draws):
            count = len(self._place[row])
            if count:
                drawn = draw.integers(count, size=size)
                place[row], correct[row] = self._place[row][drawn], self._correct[row][drawn]
                weight[row] = count / (self.decided[row] * self._propensity[row][drawn].astype(np.float64))
        return FeedbackBatch(place, correct, weight)
