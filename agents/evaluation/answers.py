"""All that the learners answer on the sample axis, gathered, and what follows for a group.
Made by `agents.fleet` from what the shards send; read by the modules that make tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.backends.client_shard import ModelAnswers
from agents.data.met import Met
from agents.data.tables import server_of
from agents.evaluation.cost_model import cost_model_of
from agents.evaluation.curves import EvaluationSet, Right, met_by
from agents.evaluation.judged import calibrated_on, judged_on
from agents.evaluation.policy_evaluation import PolicyEvaluation, evaluate, prices, summed
from agents.evaluation.thresholds import told_less
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
        if name not in OF_CLIENTS:
            return None
        costs, price = self.plan.scenario.costs, self.plan.scenario.fleet[place].policy.price
        score = self._of_clients(place, name, costs.c_1)
        if not price.is_chosen:
            return score
        cost_model, calibration = (
            cost_model_of(self.plan.scenario, costs.c_e, costs.c_1),
            self.plan.calibration(place),
        )
        known = self.calibration_set(place)
        return told_less(score, prices(name, cost_model, score[:, calibration], known, price))

    def quality(self, place: int) -> NDArray[np.float32] | None:
        """The grades of a group's frozen models, float32 (variants, n); None where answers are classes."""
        if self.plan.given is None or not self.plan.given.is_graded:
            return None
        models = (model for variant, model in self.of_models.items() if variant.group == place)
        return np.stack([model.right for model in models]).astype(np.float32)

    def held_out_set(self, place: int) -> EvaluationSet:
        """A group's models and the server on its held-out traffic, a row per model."""
        return self._evaluation_set(place, judged_on(self.plan, place, self._models_in(place)))

    def calibration_set(self, place: int) -> EvaluationSet:
        """The same on the calibration pool."""
        return self._evaluation_set(place, calibrated_on(self.plan, place, self._models_in(place)))

    def _models_in(self, place: int) -> int:
        return sum(variant.group == place for variant in self.of_models)

    def _evaluation_set(self, place: int, met: Met) -> EvaluationSet:
        models = [model for variant, model in self.of_models.items() if variant.group == place]
        correct = np.stack([model.right for model in models])[:, met.positions]
        server = server_right(self.plan, self.server_label)[met.positions]
        return met_by(correct, server, met, self.plan.samples)

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
        """The evaluation of a score that is made from a frozen model, each model at the price of `prices`."""
        cost_model = cost_model_of(self.plan.scenario, each.c_e, each.c_1)
        scores = self._of_clients(place, each.score, each.c_1)
        held_out, calibration = self.plan.held_out(place), self.plan.calibration(place)
        known, own_price = self.calibration_set(place), self.plan.scenario.fleet[place].policy.price
        price = prices(each.score, cost_model, scores[:, calibration], known, own_price)
        calibrated = known.mean(scores[:, calibration] > price[:, None])
        return evaluate(scores[:, held_out], price, self.held_out_set(place), cost_model, calibrated)

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
