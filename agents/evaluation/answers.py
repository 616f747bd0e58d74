"""All that the learners answer on the sample axis, gathered, and what follows for a group.
Made by `agents.fleet` from what the shards send; read by the modules that make tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.backends.client_shard import ModelAnswers
from agents.data.sample_mix import SampleMix
from agents.data.tables import servers_of
from agents.evaluation.best_option import Asked, by_best
from agents.evaluation.cost_model import CostModel, cost_model_of
from agents.evaluation.curves import EvaluationSet, Right
from agents.evaluation.judged import calibrated_on, judged_on
from agents.evaluation.policy_evaluation import PolicyEvaluation, evaluate, prices, summed
from agents.evaluation.thresholds import told_less
from agents.options import Option, costs_for, most_surcharge, options_of
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
        if name not in OF_CLIENTS:
            return None
        costs, price = self.plan.scenario.costs, self.plan.scenario.fleet[place].policy.price
        score = self._of_clients(place, name, costs.c_1)
        if not price.is_chosen:
            return score
        cost_model = costs_for(self.plan.scenario, place, costs.c_e, costs.c_1)
        at, known = self._asked(place, name, score, cost_model, self._calibrated_on(place))
        chosen = prices(name, cost_model, at, known, price)
        return told_less(score, chosen, most_surcharge(self.plan.scenario, place, cost_model))

    def quality(self, place: int) -> NDArray[np.float32] | None:
        """The grades of a group's frozen models, float32 (variants, n); None where answers are classes."""
        if self.plan.given is None or not self.plan.given.is_graded:
            return None
        models = (model for variant, model in self.of_models.items() if variant.group == place)
        return np.stack([model.right for model in models]).astype(np.float32)

    def held_out_set(self, place: int, cost_model: CostModel) -> EvaluationSet:
        """A group's models and the first of its options on its held-out traffic, a row per model."""
        met = self._judged_on(place)
        return self._options(place, met).first(self._right(place, met), cost_model)

    def _judged_on(self, place: int) -> SampleMix:
        return judged_on(self.plan, place, self._models_in(place))

    def _calibrated_on(self, place: int) -> SampleMix:
        return calibrated_on(self.plan, place, self._models_in(place))

    def _models_in(self, place: int) -> int:
        return sum(variant.group == place for variant in self.of_models)

    def _right(self, place: int, met: SampleMix) -> Right:
        """Whether each frozen model of a group is right, (variants, h)."""
        models = [model for variant, model in self.of_models.items() if variant.group == place]
        found: Right = np.stack([model.right for model in models])[:, met.positions]
        return found

    def _options(self, place: int, met: SampleMix) -> Asked:
        return Asked.of(self.plan, place, server_right(self.plan, self.server_label), met)

    def _asked(
        self, place: int, name: str, score: NDArray[np.float32], cost_model: CostModel, met: SampleMix
    ) -> tuple[NDArray[np.float32], EvaluationSet]:
        """A score of a group's frozen models where they meet samples, and what sends come to there."""
        correct, asked = self._right(place, met), self._options(place, met)
        return by_best(self.plan, place, name, score[..., met.positions], correct, asked, cost_model)

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
        cost_model = costs_for(self.plan.scenario, place, each.c_e, each.c_1)
        scores, own_price = (
            self._of_clients(place, each.score, each.c_1),
            self.plan.scenario.fleet[place].policy.price,
        )
        (score, held_out), (at, known) = (
            self._asked(place, each.score, scores, cost_model, met)
            for met in (self._judged_on(place), self._calibrated_on(place))
        )
        price = prices(each.score, cost_model, at, known, own_price)
        calibrated = known.mean(at > price[:, None])
        return evaluate(score, price, held_out, cost_model, calibrated)

    def _of_clients(self, place: int, name: str, c_1: float) -> NDArray[np.float32]:
        """A score made from a group's frozen models, float32 (variants, n), or by option (variants, options,
        n)."""
        models = [model for variant, model in self.of_models.items() if variant.group == place]
        if name != "oracle":
            return np.stack([model.scores[name] for model in models])
        right = server_right(self.plan, self.server_label)
        known = Evidence(np.empty((0, 0)), np.empty(0), 1.0, right, right, c_1)
        options = options_of(self.plan.scenario, place)
        about = [(option.of(right), beyond_c_e(self.plan, option, c_1)) for option in options]
        asked = [replace(known, server_correct=of, beyond_c_e=beyond) for of, beyond in about]
        by_option = np.stack(
            [[oracle(replace(one, client_correct=model.right)) for one in asked] for model in models]
        )
        return by_option[:, 0] if len(options) == 1 else by_option


def server_right(plan: Plan, server_label: NDArray[np.int16]) -> Right:
    """Whether the server is right on the sample axis, bool (n,), or its grades, float32; of several models
    (models, n)."""
    if plan.given is None or not plan.given.is_graded:
        return np.asarray(server_label == plan.samples.label)
    grades = [model.quality for model in servers_of(plan.given, plan.scenario) if model.quality is not None]
    quality = np.stack(grades)[:, plan.samples.base_id]
    found: Right = quality[0] if len(quality) == 1 else quality
    return found


def beyond_c_e(plan: Plan, option: Option, c_1: float) -> NDArray[np.float64] | None:
    """`CostModel.beyond` of the sample axis at the scenario's own c_e, (n,), where samples have costs of
    their own; None where all cost alike."""
    own = plan.samples.c_e
    if own is None:
        return None
    return cost_model_of(plan.scenario, plan.scenario.costs.c_e, c_1).beyond(option.of(own))
