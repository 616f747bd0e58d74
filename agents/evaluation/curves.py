"""Two tables of what learning achieved: how losses fell, and accuracy and risk against the deferral rate.
From the tables in force alone, without traffic; columns as declared in `sim.results.columns`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.data.sample_mix import SampleMix
from agents.evaluation.cost_model import CostModel
from sim.messages import Samples

RATES = np.linspace(0.0, 1.0, 21)
ROWS_AT_ONCE = 256  # bounds the memory of a curve over thousands of personal rejectors
Right = NDArray[Any]  # whether answers are right, bool, or how good they are, float32 in [0, 1]
Curve = NDArray[np.float64]  # accuracy and risk at each of `RATES`, (2, 21)


@dataclass(frozen=True)
class EvaluationSet:
    """One group's held-out traffic, h samples: what its models and the server make of it.

    client_correct: bool (variants, h); server_correct: bool (h,); or grades in [0, 1], float32;
    variant_of_row, share: for each row of a score, its variant and its part of the group's clients (int64 and
    float64, (rows,); shares sum to 1). c_e: of each sample, float64 (h,), None where all cost alike. weight:
    how much each row is asked of a sample, float64 (rows, h), mean 1; None: all alike. witness: which samples
    are one in several views, int64 (h,), numbered from 0; None: none are. Where each variant chooses among
    options server_correct and c_e are of its choice, (variants, h); least is the smallest cost of any option,
    float64 (variants, h), None: there is one.
    """

    client_correct: Right
    server_correct: Right
    variant_of_row: NDArray[np.int64]
    share: NDArray[np.float64]
    c_e: NDArray[np.float64] | None = None
    weight: NDArray[np.float64] | None = None
    witness: NDArray[np.int64] | None = None
    least: NDArray[np.float64] | None = None

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """Each row's sum over its samples, of values (..., rows, h)."""
        weighted = values if self.weight is None else values * self.weight
        summed: NDArray[Any] = weighted.sum(axis=-1)
        return summed

    def mean(self, values: NDArray[Any]) -> NDArray[Any]:
        """Each row's mean over its samples, of values (..., rows, h)."""
        weighted = values if self.weight is None else values * self.weight
        means: NDArray[Any] = weighted.mean(axis=-1)
        return means


def met_by(
    client_correct: Right,
    server_correct: Right,
    met: SampleMix,
    samples: Samples,
    c_e: NDArray[np.float64] | None,
    least: NDArray[np.float64] | None = None,
) -> EvaluationSet:
    """The set of rows that each have a model of their own, which meets h samples: (rows, h) and (h,).
    samples: the whole sample axis; c_e, least: as in `EvaluationSet`."""
    base, which = np.unique(samples.base_id[met.positions], return_inverse=True)
    return EvaluationSet(
        client_correct,
        server_correct,
        np.arange(len(client_correct)),
        met.share,
        c_e,
        met.weight,
        which.astype(np.int64) if len(base) < len(which) else None,
        least,
    )


def deferral_curve(score: NDArray[np.float32], evaluation_set: EvaluationSet, cost_model: CostModel) -> Curve:
    """(accuracy, generalised risk), float64 (2, 21), if the samples with the highest scores are sent.

    score: (rows, h). At rate q each row sends its round(q*h) highest, ties in the order of samples;
    rows are averaged by their share of clients. Where samples have weights, it sends the highest of a share q
    of the weight, the last of them with the probability that makes it so.
    """
    gains = gains_of(evaluation_set, cost_model)
    sent = np.rint(RATES * score.shape[1]).astype(np.int64)
    gained = np.zeros((2, len(RATES)))
    for start in range(0, len(score), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        order = np.argsort(-score[rows], axis=1, kind="stable")
        sorted_gains = np.take_along_axis(gains[:, evaluation_set.variant_of_row[rows]], order[None], axis=2)
        if evaluation_set.weight is not None:
            weight = np.take_along_axis(evaluation_set.weight[rows], order, axis=1)
            gained += np.einsum("mrq,r->mq", _by_weight(sorted_gains, weight), evaluation_set.share[rows])
            continue
        total = np.pad(sorted_gains.cumsum(axis=2), ((0, 0), (0, 0), (1, 0)))
        gained += np.einsum("mrq,r->mq", total[:, :, sent], evaluation_set.share[rows])
    curve: Curve = _all_local(evaluation_set)[:, None] + gained / score.shape[1]
    return curve


def _by_weight(gains: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of gains (2, rows, h), already in order, up to each share of `RATES` of the weight (rows, h):
    (2, rows, 21)."""
    total = np.pad((gains * weight).cumsum(axis=2), ((0, 0), (0, 0), (1, 0)))
    upto = np.pad(weight.cumsum(axis=1), ((0, 0), (1, 0)))
    return np.array(
        [
            [np.interp(RATES * row[-1], row, of_row) for row, of_row in zip(upto, of_gain, strict=True)]
            for of_gain in total
        ]
    )


def random_curve(evaluation_set: EvaluationSet, cost_model: CostModel) -> Curve:
    """What random sending of each rate gives in expectation: a straight line, float64 (2, 21)."""
    gains = gains_of(evaluation_set, cost_model)
    if evaluation_set.weight is None:
        per_row = gains.mean(axis=2)[:, evaluation_set.variant_of_row]
    else:
        per_row = evaluation_set.mean(gains[:, evaluation_set.variant_of_row])
    gained = per_row @ evaluation_set.share
    line: Curve = _all_local(evaluation_set)[:, None] + gained[:, None] * RATES
    return line


def gains_of(evaluation_set: EvaluationSet, cost_model: CostModel) -> NDArray[np.float64]:
    """What sending a sample changes in accuracy and in risk: (2, variants, h)."""
    m, e = evaluation_set.client_correct.astype(np.float64), evaluation_set.server_correct.astype(np.float64)
    remote = cost_model.cost_remote(m, e + 0.0 * m, evaluation_set.c_e)
    return np.stack([e - m, remote - (1.0 - m)])


def _all_local(evaluation_set: EvaluationSet) -> NDArray[np.float64]:
    """Accuracy and risk if nothing is sent: (2,)."""
    accuracy = float(client_accuracies(evaluation_set) @ evaluation_set.share)
    whole = round(float(evaluation_set.share.sum()), 12)  # 1, or what a part of the clients weighs
    return np.array([accuracy, whole - accuracy])


def client_accuracies(evaluation_set: EvaluationSet) -> NDArray[np.float64]:
    """How good each row's own answers are, mean over its samples: (rows,)."""
    if evaluation_set.weight is None:
        of_variants: NDArray[np.float64] = evaluation_set.client_correct.mean(axis=1, dtype=np.float64)
        return of_variants[evaluation_set.variant_of_row]
    return evaluation_set.mean(evaluation_set.client_correct[evaluation_set.variant_of_row])


def deferral_table(
    curves: Mapping[str, Mapping[str, Curve]], traffic: Mapping[str, float]
) -> dict[str, list[object]]:
    """The columns of `sim.results.columns.DEFERRAL`: score by score, every group's curve, then that of "all".

    curves: by score, then group. "all" is the mean over groups weighted by `traffic`, requests per
    second as the run will meet them, and is left out for a score that some group does not have, since it
    would then speak of another fleet.
    """
    table: dict[str, list[object]] = {
        name: [] for name in ("score", "group", "deferral_rate", "accuracy", "risk")
    }
    for score, of_groups in curves.items():
        by_group = dict(of_groups)
        if by_group.keys() == traffic.keys():
            whole = sum(traffic.values())  # 0 of rates that are lost beside the numbers that floats can tell
            weights = [traffic[group] / whole if whole else 1 / len(traffic) for group in by_group]
            by_group["all"] = np.einsum("gmq,g->mq", np.stack(list(of_groups.values())), np.array(weights))
        for group, (accuracy, risk) in by_group.items():
            table["score"] += [score] * len(RATES)
            table["group"] += [group] * len(RATES)
            table["deferral_rate"] += RATES.tolist()
            table["accuracy"] += accuracy.tolist()
            table["risk"] += risk.tolist()
    return table


@dataclass(frozen=True)
class LearningCurve:
    """One learner's curve: stage ("client", "server", "rejector"), group ("" for the server), steps taken
    when each value was recorded, mean loss, accuracy (NaN for rejectors), and how many steps the copy of the
    server was behind on average (NaN for the others); all of one length.
    """

    stage: str
    group: str
    steps: NDArray[np.int64]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    staleness: NDArray[np.float64]


def learning_table(curves: Iterable[LearningCurve]) -> dict[str, list[object]]:
    """The columns of `sim.results.columns.LEARNING`; `at_s` is NaN, since all of it lies before the run."""
    table: dict[str, list[object]] = {
        name: [] for name in ("stage", "group", "step", "at_s", "loss", "accuracy", "staleness")
    }
    for curve in curves:
        table["stage"] += [curve.stage] * len(curve.steps)
        table["group"] += [curve.group] * len(curve.steps)
        table["step"] += curve.steps.tolist()
        table["at_s"] += [float("nan")] * len(curve.steps)
        table["loss"] += curve.loss.tolist()
        table["accuracy"] += curve.accuracy.tolist()
        table["staleness"] += curve.staleness.tolist()
    return table
