"""All that the learners answer on the sample axis, gathered, and what follows for a group.
Made by `agents.fleet` from what the shards send; read by the modules that make tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.backends.client_shard import ModelAnswers
from agents.data.tables import server_of
from agents.evaluation.cost_model import cost_model_of
from agents.evaluation.curves import EvaluationSet, Right
from agents.evaluation.policy_evaluation import PolicyEvaluation, evaluate, prices, summed
from agents.plan import Block, Plan, Variant
from agents.rejectors.block_answers import BlockAnswers
from agents.rejectors.scores import OF_CLIENTS, Evidence, is_trained, oracle
from agents.rejectors.settings import Setting, costs_of, setting, settings_of


@dataclass(frozen=True)
class Answers:
    """All models on the sample axis: server_label int16 (n,); server_confidence float32 (n,), the largest
    probability of its softmax before the run, NaN where not held out; per frozen model its answers and
    scores; per block what its rejectors decide.
    """

    plan: Plan
    server_label: NDArray[np.int16]
    server_confidence: NDArray[np.float32]
    of_models: Mapping[Variant, ModelAnswers]
    of_blocks: Mapping[Block, BlockAnswers]

    def client_label(self, place: int) -> NDArray[np.int16]:
        """The answers of a group's frozen models, int16 (variants, n)."""
        return np.stack([model.labels for variant, model in self.of_models.items() if variant.group == place])

    def score_in_force(self, place: int) -> NDArray[np.float32] | None:
        """The score of a group's policy, float32 (rows, n); None if it is drawn per request."""
        name = self.plan.scenario.fleet[place].policy.score
        if is_trained(name):
            parts = [answers.score for block, answers in self.of_blocks.items() if block.group == place]
            return np.concatenate([rows for rows in parts if len(rows)])
        return self._of_clients(place, name, self.plan.scenario.costs.c_1) if name in OF_CLIENTS else None

    def quality(self, place: int) -> NDArray[np.float32] | None:
        """The grades of a group's frozen models, float32 (variants, n); None where answers are classes."""
        if self.plan.given is None or not self.plan.given.is_graded:
            return None
        models = (model for variant, model in self.of_models.items() if variant.group == place)
        return np.stack([model.right for model in models]).astype(np.float32)

    def evaluation_set(self, place: int, positions: NDArray[np.integer]) -> EvaluationSet:
        """A group's models and the server on some positions of the sample axis, a row per model."""
        models = [model for variant, model in self.of_models.items() if variant.group == place]
        correct = np.stack([model.right for model in models])[:, positions]
        server = server_right(self.plan, self.server_label)[positions]
        shares, c_e = self.plan.shares(place, len(correct)), self.plan.samples.c_e
        return EvaluationSet(
            correct, server, np.arange(len(correct)), shares, None if c_e is None else c_e[positions]
        )

    @cached_property
    def evaluations(self) -> tuple[dict[Setting, PolicyEvaluation], ...]:
        """Per group the evaluation of each setting that its rejectors were trained in; then that of
        each score made from the frozen models, at all costs that are looked at."""
        return tuple(self._evaluations(place) for place in range(len(self.plan.scenario.fleet)))

    def _evaluations(self, place: int) -> dict[Setting, PolicyEvaluation]:
        scenario = self.plan.scenario
        parts: dict[Setting, list[PolicyEvaluation]] = {
            each: [] for each in settings_of(scenario, scenario.fleet[place])
        }
        for block, answers in self.of_blocks.items():
            if block.group == place:
                for each, part in answers.evaluations.items():
                    parts[each].append(part)
        trained = {each: summed(of_blocks) for each, of_blocks in parts.items()}
        scores = next(model.scores for variant, model in self.of_models.items() if variant.group == place)
        made = [setting(name, "", *costs, "") for name in scores for costs in costs_of(scenario)]
        return trained | {each: self._untrained(place, each) for each in made}

    def _untrained(self, place: int, each: Setting) -> PolicyEvaluation:
        """The evaluation of a score that is made from a frozen model; where it has no Bayes price, each model
        is judged at the threshold that does best on the calibration pool."""
        cost_model = cost_model_of(self.plan.scenario, each.c_e, each.c_1)
        scores = self._of_clients(place, each.score, each.c_1)
        held_out, calibration = self.plan.held_out(place), self.plan.calibration(place)
        price = prices(
            each.score, cost_model, scores[:, calibration], self.evaluation_set(place, calibration)
        )
        calibrated = (scores[:, calibration] > price[:, None]).mean(axis=1)
        return evaluate(
            scores[:, held_out], price, self.evaluation_set(place, held_out), cost_model, calibrated
        )

    def _of_clients(self, place: int, name: str, c_1: float) -> NDArray[np.float32]:
        """A score made from a group's frozen models, float32 (variants, n)."""
        models = [model for variant, model in self.of_models.items() if variant.group == place]
        if name != "oracle":
            return np.stack([model.scores[name] for model in models])
        nothing, right = np.empty((0, 0)), server_right(self.plan, self.server_label)
        beyond = beyond_c_e(self.plan, c_1)
        return np.stack([oracle(Evidence(nothing, model.right, right, c_1, beyond)) for model in models])


def server_right(plan: Plan, server_label: NDArray[np.int16]) -> Right:
    """Whether the server is right on the sample axis, bool (n,), or its grades, float32."""
    quality = None if plan.given is None else server_of(plan.given, plan.scenario).quality
    return server_label == plan.samples.label if quality is None else quality[plan.samples.base_id]


def beyond_c_e(plan: Plan, c_1: float) -> NDArray[np.float64] | None:
    """`CostModel.beyond` of the sample axis at the scenario's own c_e, (n,); None where all cost alike."""
    own = plan.samples.c_e
    return None if own is None else cost_model_of(plan.scenario, plan.scenario.costs.c_e, c_1).beyond(own)
