"""What frozen models make of samples: right or wrong, how sure, and what their rejectors are told of it.
Made once for all blocks of a group that ask about the same samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor
from torch.nn import functional

from agents.evaluation.judged import calibrated_on
from agents.models.outputs import FrozenModel, ModelOutput, output_of
from agents.models.training import Seen
from agents.plan import Plan, Variant
from agents.rejectors.inputs import INPUTS
from agents.rejectors.surrogates import SURROGATES

TOP = 5  # how many of the client's largest probabilities a rejector is told, in descending order


@dataclass(frozen=True)
class Predictions:
    """Of several models and n samples: answer, the class given, int64, correct, 1[m=y], bool, or a grade in
    [0, 1], and uncertainty, 1 - max_y p(y|x), float32, 0 where no probabilities are known, all (models, n),
    of the softmax at the `temperature` that the calibration pool asks for, if a score of the group takes it
    for a probability; features: what a rejector is told, float32 (models, n, width), of width 0 if it looks
    at none.
    """

    answer: Tensor
    correct: Tensor
    uncertainty: Tensor
    features: Tensor


class ClientPredictions:
    """Asks frozen models, and remembers what was last asked of one group; if training goes on during the run,
    whatever was asked, since every round asks it again."""

    def __init__(self, plan: Plan, models: Mapping[Variant, FrozenModel]) -> None:
        self._plan, self._models = plan, models
        self._keeps_all = plan.scenario.learns_in_run
        self._known: dict[tuple[int, bytes], dict[Variant, Predictions]] = {}
        self._believed = {block.group for block in plan.blocks if SURROGATES[block.score].believes_client}
        self._temperatures: dict[Variant, float] = {}

    def of(self, variants: Sequence[Variant], sample_ids: NDArray[np.int32]) -> Predictions:
        """What `variants`, all of one group, make of samples, in that order."""
        about = (variants[0].group, sample_ids.tobytes())
        if about not in self._known:
            self.forget()
        answers = self._known.setdefault(about, {})
        for variant in variants:
            if variant not in answers:
                answers[variant] = self._ask(variant, sample_ids)
        known = [answers[variant] for variant in variants]
        return Predictions(
            torch.cat([each.answer for each in known]),
            torch.cat([each.correct for each in known]),
            torch.cat([each.uncertainty for each in known]),
            torch.cat([each.features for each in known]),
        )

    def forget(self) -> None:
        """Frees what is remembered and will not be asked again."""
        if not self._keeps_all:
            self._known.clear()

    def _ask(self, variant: Variant, sample_ids: NDArray[np.int32]) -> Predictions:
        output = output_of(self._models[variant], self._plan, sample_ids)
        # Summed over the other classes, as the score of confidence is.
        scaled = output.logits.double() / self._temperature(variant)
        others = torch.softmax(scaled, dim=1).sort(dim=1).values[:, :-1]
        _, sees_features = INPUTS[self._plan.scenario.fleet[variant.group].rejector.input]
        is_told = sees_features and output.logits.shape[1] > 0
        seen = features(output) if is_told else output.features[:, :0]
        uncertainty = others.sum(dim=1).float()
        return Predictions(output.answer[None], output.right[None], uncertainty[None], seen[None])

    def _temperature(self, variant: Variant) -> float:
        """1 where nobody takes what the model says for a probability."""
        if variant.group not in self._believed:
            return 1.0
        if variant not in self._temperatures:
            sample_id, model = self._plan.samples.sample_id, self._models[variant]
            self._temperatures[variant] = temperature_of(
                self._plan, variant, lambda at: output_of(model, self._plan, sample_id[at]).logits
            )
        return self._temperatures[variant]


def temperature_of(plan: Plan, variant: Variant, logits_at: Callable[[NDArray[np.integer]], Tensor]) -> float:
    """The temperature that the calibration pool asks for, as the clients of a model meet it; 1 where the
    model gives no probabilities, or no label says what is right. logits_at: of the model, at positions of the
    sample axis."""
    if plan.given is not None and plan.given.is_graded:
        return 1.0
    met = calibrated_on(plan, variant.group, len(plan.trains_on[variant.group])).of(
        np.array([variant.number])
    )
    pool, logits = plan.samples.sample_id[met.positions], logits_at(met.positions)
    weight = None if met.weight is None or not met.weight.any() else torch.from_numpy(met.weight[0])
    return temperature(logits, torch.from_numpy(plan.labels(pool)), weight) if logits.shape[1] else 1.0


def temperature(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> float:
    """By what logits (n, classes) are to be divided so that labels (n,) are likeliest: temperature scaling
    (Guo et al. 2017), between 1/100 and 100. The answers stay what they are. weight: of each, (n,)."""
    scores = logits.double()

    def unlikely(log_temperature: float) -> float:
        losses = functional.cross_entropy(
            scores / np.exp(log_temperature), labels.long(), reduction="mean" if weight is None else "none"
        )
        return float(losses if weight is None else (losses * weight).mean())

    found = optimize.minimize_scalar(unlikely, bounds=(-np.log(100), np.log(100)), method="bounded")
    return float(np.exp(found.x))


def features(output: ModelOutput | Seen) -> Tensor:
    """Of n samples: hidden layer, log-probabilities, largest probabilities, (n, width)."""
    log_probabilities = functional.log_softmax(output.logits, dim=1)
    top = log_probabilities.exp().topk(min(TOP, log_probabilities.shape[1]), dim=1).values
    return torch.cat([output.features, log_probabilities, top], dim=1)
