"""How likely models are said to be right on held-out samples, by their own softmax and by rejectors that
estimate it, beside whether they are: the table `reliability` of a run folder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.answers import Answers
from agents.evaluation.reliability_bins import SUMS, ReliabilityBins, reliability_bins
from agents.options import costs_for, options_of
from agents.plan import Plan
from agents.rejectors.surrogates import SURROGATES

SOFTMAX = "softmax"
COLUMNS = ("group", "source", "model", "sample_id", "weight", "estimated", "right")


def reliability_of(plan: Plan, answers: Answers) -> dict[str, list[object]]:
    """The columns of `sim.results.columns.RELIABILITY`: by group, the server's model first, softmax before
    scores.

    Made once, before any round of the run; labels of held-out samples are read here and train nothing.
    """
    table: dict[str, list[object]] = {name: [] for name in COLUMNS}
    for place, group in enumerate(plan.scenario.fleet):
        held_out = plan.held_out(place)
        blocks = [(block.score, made) for block, made in answers.of_blocks.items() if block.group == place]
        for model in ("server", "client"):
            softmax = _softmax(answers, place, model)
            if softmax is not None:
                _add(table, (group.group, SOFTMAX, model), plan, held_out, softmax)
            for score in SURROGATES:
                parts = [
                    made.estimates[model] for of, made in blocks if of == score and model in made.estimates
                ]
                if parts:
                    _add(table, (group.group, score, model), plan, held_out, np.sum(parts, axis=0))
    return table


def _softmax(answers: Answers, place: int, model: str) -> ReliabilityBins | None:
    """The largest probability that a model itself gives, over a group's held-out samples; None where it gives
    none, and of the server where the group has several options, or several models answer."""
    plan, options = answers.plan, options_of(answers.plan.scenario, place)
    held_out, costs = plan.held_out(place), plan.scenario.costs
    cost_model = costs_for(plan.scenario, place, costs.c_e, costs.c_1)
    evaluation_set = answers.held_out_set(place, cost_model)
    if model == "server":
        if len(options) > 1 or options[0].shares is not None:
            return None
        estimated = options[0].of(answers.server_confidence)[None, held_out]
        if np.isnan(estimated).any():
            return None
        met = None
        if evaluation_set.weight is not None:
            met = evaluation_set.share[None] @ evaluation_set.weight
        return reliability_bins(estimated, evaluation_set.server_correct[None], np.ones(1), met)
    models = [made for variant, made in answers.of_models.items() if variant.group == place]
    if not all("confidence" in made.scores for made in models):
        return None
    uncertainty = np.stack([made.scores["confidence"][held_out] for made in models])
    share, weight = evaluation_set.share, evaluation_set.weight
    return reliability_bins(1.0 - uncertainty, evaluation_set.client_correct, share, weight)


def _add(
    table: dict[str, list[object]],
    named: tuple[str, str, str],
    plan: Plan,
    held_out: NDArray[np.integer],
    sums: ReliabilityBins,
) -> None:
    """A row for each sample and bin in which estimates lie."""
    weight, estimated, right = (sums[SUMS.index(name)] for name in SUMS)
    sample, which_bin = np.nonzero(weight)
    here = (sample, which_bin)
    for name, value in zip(COLUMNS, named, strict=False):
        table[name] += [value] * len(sample)
    table["sample_id"] += plan.samples.sample_id[held_out][sample].tolist()
    table["weight"] += weight[here].tolist()
    table["estimated"] += (estimated[here] / weight[here]).tolist()
    table["right"] += (right[here] / weight[here]).tolist()
