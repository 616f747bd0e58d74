"""Several options before the run: what is sent is held to go to the best option by score.
That leaves a score and a server's answer of each sample, which the evaluation of one option takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.data.sample_mix import SampleMix
from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import EvaluationSet, Right, met_by
from agents.options import options_of, surcharges
from agents.plan import Plan
from sim.messages import Samples
from sim.registry.scores import SCORES


@dataclass(frozen=True)
class Asked:
    """What a group's options make of the h samples that it meets. right: of each option's model, (options,
    h); c_e: by option of a charged send of each sample, float64 (h,), None where a setting says it; samples:
    the whole sample axis."""

    right: Right
    c_e: tuple[NDArray[np.float64] | None, ...]
    met: SampleMix
    samples: Samples

    @classmethod
    def of(cls, plan: Plan, place: int, right: Right, met: SampleMix) -> Asked:
        """right: of the servers' models on the sample axis, (n,), or of several (models, n)."""
        options = options_of(plan.scenario, place)
        return cls(
            np.stack([one.of(right)[met.positions] for one in options]),
            tuple(one.c_e_of(plan.samples, met.positions) for one in options),
            met,
            plan.samples,
        )

    def first(self, client_correct: Right, cost_model: CostModel) -> EvaluationSet:
        """As if every send went to the first option: for scores that rank all options alike. client_correct:
        (rows, h)."""
        least = None if len(self.right) == 1 else self._least(client_correct, cost_model)
        return met_by(client_correct, self.right[0], self.met, self.samples, self.c_e[0], least)

    def best(
        self, score: NDArray[np.float32], client_correct: Right, cost_model: CostModel
    ) -> tuple[NDArray[np.float32], EvaluationSet]:
        """The largest score of each sample, (rows, h), of equals the first option's; and the samples as
        these options answer them. score: net of surcharges, (rows, options, h)."""
        chosen, column = score.argmax(axis=1), np.arange(score.shape[2])
        prices = np.stack([np.full(len(column), cost_model.c_e) if own is None else own for own in self.c_e])
        found = met_by(
            client_correct,
            self.right[chosen, column],
            self.met,
            self.samples,
            prices[chosen, column],
            self._least(client_correct, cost_model),
        )
        return score.max(axis=1), found

    def _least(self, client_correct: Right, cost_model: CostModel) -> NDArray[np.float64]:
        """The smallest cost of any option, float64 (rows, h)."""
        m = client_correct.astype(np.float64)
        costs = (
            cost_model.cost_remote(m, right.astype(np.float64) + 0.0 * m, own)
            for right, own in zip(self.right, self.c_e, strict=True)
        )
        least: NDArray[np.float64] = np.minimum.reduce(list(costs))
        return least


def by_best(
    plan: Plan,
    place: int,
    name: str,
    score: NDArray[np.float32],
    client_correct: Right,
    asked: Asked,
    cost_model: CostModel,
) -> tuple[NDArray[np.float32], EvaluationSet]:
    """A score of a group on the samples that it meets, (rows, h), and what sends come to there.

    score: (rows, h), or by option (rows, options, h): gains are then less what an option costs beyond the
    setting's c_e, as in the run. client_correct: whether each row's model is right, (rows, h).
    """
    if score.ndim == 2:
        return score, asked.first(client_correct, cost_model)
    if SCORES[name].unit == "gain":
        score = score - surcharges(plan.scenario, place, cost_model).astype(np.float32)[:, None]
    return asked.best(score, client_correct, cost_model)
