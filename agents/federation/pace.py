"""Rejectors of devices that are not equally fast: rows that stop before others, and what these upload.
Used by `agents.rejectors.blocks`, whose rows train step by step together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.federation.merging import Numbers
from agents.federation.shared import numbers_of
from agents.models.optimisers import Optimiser
from agents.models.snapshots import rows_kept
from agents.plan import Block, Plan
from agents.server.online import steps_in_round, steps_of_rows
from sim.messages import TrainingRound


class Pace:
    """Steps of each row of a block in one round. shared: what rows upload, as they begin; most: steps of the
    fastest client of the fleet."""

    def __init__(
        self, plan: Plan, block: Block, training_round: TrainingRound, shared: Sequence[Tensor]
    ) -> None:
        self._shared, self._steps = shared, steps_of_rows(plan, block, training_round)
        self._nominal, federation = steps_in_round(plan), plan.scenario.federation
        self.most = max([self._nominal, *training_round.steps.tolist()])
        self._begin: Numbers | None = None
        if self._steps is not None and federation is not None and federation.normalises:
            self._begin = numbers_of(shared).copy()

    @contextmanager
    def only_busy(self, optimiser: Optimiser, parameters: Sequence[Tensor], step: int) -> Iterator[None]:
        """Leaves the rows as they are that have done all their steps, (step counts from 0)."""
        if self._steps is None or (self._steps > step).all():
            yield
            return
        with rows_kept(optimiser, parameters, torch.from_numpy(self._steps <= step)):
            yield

    def mean(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean loss of each row over its steps, of (steps, rows)."""
        if self._steps is None:
            return np.asarray(losses.mean(axis=0))
        does = np.arange(len(losses))[:, None] < self._steps
        return np.asarray((losses * does).sum(axis=0) / np.maximum(1, self._steps))

    def more(self) -> Numbers:
        """What makes a row's change, theta - theta_0, into nominal/steps of it, float32 (rows, n).

        With plain gradient descent that is normalised averaging with an effective number of `nominal` steps
        (Wang et al. 2020, arXiv 2007.07481, FedNova): a mean of theta_0 + nominal * (theta - theta_0)/steps
        weighs every client's gradients alike, whatever its steps. Law: nothing where steps are nominal.
        Empty where nobody normalises.
        """
        if self._steps is None or self._begin is None:
            return np.empty((0, 0), dtype=np.float32)
        by = self._nominal / np.maximum(1, self._steps) - 1.0
        return (by[:, None] * (numbers_of(self._shared) - self._begin)).astype(np.float32)
