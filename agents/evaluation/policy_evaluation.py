"""Policy evaluation: what deciding by a score at a price comes to on held-out samples, summed over rejectors.
From answers alone, without traffic; `agents.evaluation.tables` turns sums into rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from agents.evaluation.bounded_rate import Bounded, bounded
from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import Curve, EvaluationSet, Right, deferral_curve
from agents.evaluation.thresholds import CHOSEN, Known, least_risk
from agents.rejectors.scores import bayes_price
from sim.registry.prices import PriceRule


@dataclass(frozen=True)
class PolicyEvaluation:
    """Means over a group's clients, or a part of the sum: evaluations of disjoint clients add up.

    sides: [LOCAL, REMOTE] x [samples, m right, e right], float64 (2, 3); oracle: the sum of each sample's
    smaller cost; price: that the decisions were made at; own: of [LOCAL, REMOTE], by how much sends of these
    samples would be charged beyond c_e, float64 (2,). curve: as `deferral_curve`. bounded: as
    `bounded_rate.bounded`. paired: what is paid more than by [sending nothing, sending everything], and the
    weight, of each distinct sample, float64 (3, samples).
    """

    sides: NDArray[np.float64]
    oracle: float
    price: float
    curve: Curve
    bounded: Bounded
    own: NDArray[np.float64]
    paired: NDArray[np.float64]


def evaluate(
    score: NDArray[np.float32],
    price: NDArray[np.float64],
    evaluation_set: EvaluationSet,
    cost_model: CostModel,
    calibrated: NDArray[np.float64],
) -> PolicyEvaluation:
    """The evaluation of sending what scores above the price. score: (rows, h); price: (rows,); calibrated:
    the share of the calibration pool that each row sends at that price, (rows,)."""
    m, e = evaluation_set.client_correct[evaluation_set.variant_of_row], evaluation_set.server_correct
    sent = score > price[:, None]
    total, share = evaluation_set.total, evaluation_set.share
    sides = (~sent, sent)
    counts = np.stack([[total(side), total(_right(side, m)), total(_right(side, e))] for side in sides])
    exact_m, exact_e = m.astype(np.float64), e.astype(np.float64)
    local, remote = 1.0 - exact_m, cost_model.cost_remote(exact_m, exact_e, evaluation_set.c_e)
    least = remote if evaluation_set.least is None else evaluation_set.least[evaluation_set.variant_of_row]
    best = np.minimum(local, least)
    own = np.zeros(2)
    if evaluation_set.c_e is not None:
        beyond = cost_model.charged * (evaluation_set.c_e - cost_model.c_e)
        weight = 1.0 if evaluation_set.weight is None else evaluation_set.weight
        if beyond.ndim == 1:
            own = np.stack([(side * weight) @ beyond for side in sides]) @ share
        else:
            own = np.stack([(side * weight * beyond).sum(axis=1) for side in sides]) @ share
    with np.errstate(invalid="ignore"):  # some never send and some always do: NaN
        mean_price = float(price @ share)
    return PolicyEvaluation(
        counts @ share,
        float(total(best) @ share),
        mean_price,
        deferral_curve(score, evaluation_set, cost_model),
        bounded(sent, calibrated, evaluation_set, cost_model),
        own,
        _paired(sent, remote - local, evaluation_set),
    )


def _paired(
    sent: NDArray[np.bool_], more: NDArray[np.float64], evaluation_set: EvaluationSet
) -> NDArray[np.float64]:
    """`PolicyEvaluation.paired`. more: what a send costs more than keeping, (rows, h)."""
    weight = np.ones(sent.shape) if evaluation_set.weight is None else evaluation_set.weight
    parts = np.stack([sent * more, ~sent * -more, np.ones(sent.shape)])
    each: NDArray[np.float64] = np.einsum("prh,rh,r->ph", parts, weight, evaluation_set.share)
    which = evaluation_set.witness
    if which is None:
        return each
    return np.stack([np.bincount(which, weights=part) for part in each])


def _right(side: NDArray[np.bool_], right: Right) -> NDArray[Any]:
    """Which of each row's samples on a side are right, or their grades; (rows, h)."""
    found: NDArray[Any] = side & right if right.dtype == np.bool_ else side * right.astype(np.float64)
    return found


def summed(evaluations: Sequence[PolicyEvaluation]) -> PolicyEvaluation:
    """The sum over parts of a group, in their order."""
    return PolicyEvaluation(
        np.sum([each.sides for each in evaluations], axis=0),
        sum(each.oracle for each in evaluations),
        sum(each.price for each in evaluations),
        np.sum([each.curve for each in evaluations], axis=0),
        np.sum([each.bounded for each in evaluations], axis=0),
        np.sum([each.own for each in evaluations], axis=0),
        np.sum([each.paired for each in evaluations], axis=0),
    )


def prices(
    name: str,
    cost_model: CostModel,
    score: NDArray[np.float32],
    known: EvaluationSet,
    price: PriceRule | None = None,
) -> NDArray[np.float64]:
    """The price that each row decides at, float64 (rows,). score: (rows, c), on the calibration pool.

    As the group's own price chooses it, if it is one that is chosen there; else the Bayes price of the score,
    or the threshold of least risk on these samples.
    """
    bayes = bayes_price(name, cost_model.bayes_price)
    is_chosen = price is not None and price.is_chosen
    if not np.isnan(bayes) and not is_chosen:
        return np.full(len(score), bayes)
    rows = known_of(score, known, cost_model, bayes)
    return np.array(
        [CHOSEN[price.kind](price, row) if price and is_chosen else least_risk(row) for row in rows]
    )


def known_of(
    score: NDArray[np.float32], known: EvaluationSet, cost_model: CostModel, bayes: float
) -> Iterator[Known]:
    """What thresholds are chosen on, row by row."""
    all_e, all_c_e = known.server_correct.astype(np.float64), known.c_e
    ends = float(cost_model.cost_remote(1.0, 0.0)), float(cost_model.cost_remote(0.0, 1.0))
    for row, variant in enumerate(known.variant_of_row):
        m = known.client_correct[variant].astype(np.float64)
        e = all_e if all_e.ndim == 1 else all_e[variant]
        c_e = all_c_e if all_c_e is None or all_c_e.ndim == 1 else all_c_e[variant]
        weight = np.ones(len(m)) if known.weight is None else known.weight[row]
        remote = cost_model.cost_remote(m, e, c_e)
        yield Known(score[row], 1.0 - m, remote, 1.0 - m, weight, *ends, bayes)


def measures(evaluation: PolicyEvaluation, cost_model: CostModel) -> dict[str, float]:
    """The columns of `sim.results.columns.STUDY` that follow from an evaluation; NaN for the accuracy of an
    empty side.

    risk is the generalised 0-1 loss under the cost model; accuracy takes every send as answered.
    """
    (local, m_local, e_local), (remote, m_remote, e_remote) = evaluation.sides
    n = local + remote
    risk_local, risk_remote = (
        n - m_local - m_remote,
        _cost(cost_model, n, m_local + m_remote, e_local + e_remote) + evaluation.own.sum(),
    )
    risk = local - m_local + _cost(cost_model, remote, m_remote, e_remote) + evaluation.own[1]
    client = {"local": _ratio(m_local, local), "remote": _ratio(m_remote, remote)}
    server = {"local": _ratio(e_local, local), "remote": _ratio(e_remote, remote)}
    sides = {
        name: value
        for side in ("local", "remote")
        for name, value in (
            (f"client_accuracy_{side}", client[side]),
            (f"server_accuracy_{side}", server[side]),
            (f"server_gain_{side}", server[side] - client[side]),
        )
    }
    return {
        "price": evaluation.price,
        "deferral_rate": remote / n,
        "accuracy": (m_local + e_remote) / n,
        "risk": risk / n,
        "risk_all_local": risk_local / n,
        "risk_all_remote": risk_remote / n,
        "risk_oracle": evaluation.oracle / n,
        "excess_over_oracle": (risk - evaluation.oracle) / n,
        **_above_constant(evaluation, (risk - min(risk_local, risk_remote)) / n),
        "samples_local": local,
        "samples_remote": remote,
        **sides,
    }


def _above_constant(evaluation: PolicyEvaluation, value: float) -> dict[str, float]:
    """By how much the risk lies above that of the better constant decision, with a 95% interval: paired over
    the distinct samples, Student's t at 97.5% against each of the two, so that both hold at once.

    The larger of two differences lies between the larger lower ends and the larger upper ones, whichever
    constant is the better one in truth. NaN for fewer than two samples.
    """
    *differences, weight = evaluation.paired
    count, whole = int((weight > 0).sum()), weight.sum()
    ends = []
    for difference in differences:
        mean = difference.sum() / whole
        spread = np.square(difference - mean * weight).sum() * count / max(1, count - 1)
        reach = (
            special.stdtrit(count - 1.0, 1.0 - 0.05 / 4.0) * np.sqrt(spread) / whole if count > 1 else np.nan
        )
        ends.append((mean - reach, mean + reach))
    low, high = (float(max(each)) for each in zip(*ends, strict=True))
    return {"above_constant": value, "above_constant_low": low, "above_constant_high": high}


def _cost(cost_model: CostModel, sent: float, m_right: float, e_right: float) -> float:
    """The summed cost of `sent` samples, of which m and e have so many right: it is linear in both."""
    at_zero = float(cost_model.cost_remote(0.0, 0.0))
    of_client, of_server = (float(cost_model.cost_remote(*one)) - at_zero for one in ((1.0, 0.0), (0.0, 1.0)))
    return sent * at_zero + m_right * of_client + e_right * of_server


def _ratio(right: float, of: float) -> float:
    return float(right / of) if of > 0 else float("nan")
