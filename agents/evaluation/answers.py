"""All that the learners answer on the sample axis, gathered, and what follows for a group.
Made by `agents.fleet` from what the shards send; read by the modules that make tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.backends.client_shard import ModelAnswers
from agents.data.tables import servers_of
from agents.evaluation.best_option import Asked, judged
from agents.evaluation.cost_model import CostModel, cost_model_of
from agents.evaluation.curves import EvaluationSet, Right
from agents.evaluation.policy_evaluation import PolicyEvaluation, evaluate, prices, summed
from agents.options import Option, costs_for, options_of
from agents.plan import Block, Plan, Variant
from agents.rejectors.block_answers import BlockAnswers
from agents.rejectors.scores import OF_CLIENTS, Evidence, is_trained, oracle
from agents.rejectors.settings import Setting, costs_of, setting, settings_of


@dataclass(frozen=True)
class Answers:
    """All models on the sample axis: server_label int16 (n,); server_confidence float32 (n,), the largest
    probability of its softmax before the run, NaN where not held out; both (models, n) of several; per frozen
    model its answers and scores; per block what its rejectors decide.
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
        """The score of a group's policy, float32 (rows, n), or (rows, options, n) where options have scores
        of their own; None if it is drawn per request."""
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

    def evaluation_set(
        self, place: int, positions: NDArray[np.integer], cost_model: CostModel
    ) -> EvaluationSet:
        """A group's models and the first of its options on some positions of the sample axis, a row per
        model."""
        asked = Asked.of(self.plan, place, server_right(self.plan, self.server_label), positions)
        return asked.first(*self._models(place, positions), cost_model)

    def _models(self, place: int, positions: NDArray[np.integer]) -> tuple[Right, NDArray[np.float64]]:
        """Whether each frozen model of a group is right, (variants, positions); their shares, (variants,)."""
        models = [model for variant, model in self.of_models.items() if variant.group == place]
        correct = np.stack([model.right for model in models])[:, positions]
        return correct, self.plan.shares(place, len(correct))

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
        cost_model = costs_for(self.plan.scenario, place, each.c_e, each.c_1)
        scores, right = (
            self._of_clients(place, each.score, each.c_1),
            server_right(self.plan, self.server_label),
        )
        (score, held), (at, known) = (
            judged(
                self.plan,
                place,
                each.score,
                scores[..., positions],
                self._models(place, positions),
                Asked.of(self.plan, place, right, positions),
                cost_model,
            )
            for positions in (self.plan.held_out(place), self.plan.calibration(place))
        )
        price = prices(each.score, cost_model, at, known)
        calibrated = (at > price[:, None]).mean(axis=1)
        return evaluate(score, price, held, cost_model, calibrated)

    def _of_clients(self, place: int, name: str, c_1: float) -> NDArray[np.float32]:
        """A score made from a group's frozen models, float32 (variants, n), or by option (variants, options,
        n)."""
        models = [model for variant, model in self.of_models.items() if variant.group == place]
        if name != "oracle":
            return np.stack([model.scores[name] for model in models])
        nothing, right = np.empty((0, 0)), server_right(self.plan, self.server_label)
        options = options_of(self.plan.scenario, place)
        about = [(option.of(right), beyond_c_e(self.plan, option, c_1)) for option in options]
        by_option = np.stack(
            [
                [oracle(Evidence(nothing, model.right, of, c_1, beyond)) for of, beyond in about]
                for model in models
            ]
        )
        return by_option[:, 0] if len(options) == 1 else by_option


def server_right(plan: Plan, server_label: NDArray[np.int16]) -> Right:
    """Whether the server is right on the sample axis, bool (n,), or its grades, float32; of several models
    (models, n)."""
    if plan.given is None or not plan.given.is_graded:
        return np.asarray(server_label == plan.samples.label)
    grades = [model.quality for model in servers_of(plan.given, plan.scenario) if model.quality is not None]
    quality = np.stack(grades)[:, plan.samples.base_id]
    return quality[0] if len(quality) == 1 else quality


def beyond_c_e(plan: Plan, option: Option, c_1: float) -> NDArray[np.float64] | None:
    """`CostModel.beyond` of the sample axis at the scenario's own c_e, (n,), where samples have costs of
    their own; None where all cost alike."""
    own = plan.samples.c_e
    if own is None:
        return None
    return cost_model_of(plan.scenario, plan.scenario.costs.c_e, c_1).beyond(option.of(own))
