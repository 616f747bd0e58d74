"""Policy evaluation: what deciding by a score at a price comes to on held-out samples, summed over rejectors.
From answers alone, without traffic; `agents.evaluation.tables` turns sums into rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.bounded_rate import Bounded, bounded
from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import Curve, EvaluationSet, Right, deferral_curve
from agents.rejectors.scores import bayes_price


@dataclass(frozen=True)
class PolicyEvaluation:
    """Means over a group's clients, or a part of the sum: evaluations of disjoint clients add up.

    sides: [LOCAL, REMOTE] x [samples, m right, e right], float64 (2, 3); oracle: the sum of each sample's
    smaller cost; price: that the decisions were made at; own: of [LOCAL, REMOTE], by how much sends of these
    samples would be charged beyond c_e, float64 (2,). curve: as `deferral_curve`. bounded: as
    `bounded_rate.bounded`.
    """

    sides: NDArray[np.float64]
    oracle: float
    price: float
    curve: Curve
    bounded: Bounded
    own: NDArray[np.float64]


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
    counts = np.stack([[side.sum(axis=1), _right(side, m), _right(side, e)] for side in (~sent, sent)])
    exact_m, exact_e = m.astype(np.float64), e.astype(np.float64)
    least = evaluation_set.least
    if least is None:
        least = cost_model.cost_remote(exact_m, exact_e, evaluation_set.c_e)
    else:
        least = least[evaluation_set.variant_of_row]
    best = np.minimum(1.0 - exact_m, least)
    own = np.zeros(2)
    if evaluation_set.c_e is not None:
        beyond = cost_model.charged * (evaluation_set.c_e - cost_model.c_e)
        per_row = [
            side @ beyond if beyond.ndim == 1 else (side * beyond).sum(axis=1) for side in (~sent, sent)
        ]
        own = np.stack(per_row) @ evaluation_set.share
    return PolicyEvaluation(
        counts @ evaluation_set.share,
        float(best.sum(axis=1) @ evaluation_set.share),
        float(price @ evaluation_set.share),
        deferral_curve(score, evaluation_set, cost_model),
        bounded(sent, calibrated, evaluation_set, cost_model),
        own,
    )


def _right(side: NDArray[np.bool_], right: Right) -> NDArray[Any]:
    """How many of each row's samples on a side are right, or the sum of their grades; (rows,)."""
    found: NDArray[Any] = (side & right if right.dtype == np.bool_ else side * right.astype(np.float64)).sum(
        axis=1
    )
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
    )


def best_threshold(
    score: NDArray[np.float32],
    client_correct: Right,
    server_correct: Right,
    cost_model: CostModel,
    c_e: NDArray[np.float64] | None = None,
) -> float:
    """The price of least risk on n samples, all (n,): minus infinity, or a score that occurs; the highest of
    several equally good ones, so that nothing is sent for nothing. c_e: of each sample, where they differ.
    """
    m, e = client_correct.astype(np.float64), server_correct.astype(np.float64)
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    added = np.concatenate([[0.0], np.cumsum((cost_model.cost_remote(m, e, c_e) - (1.0 - m))[order])])
    # Sending the first k is a threshold only where the k-th and the next one differ.
    is_cut = np.append(np.append(True, ranked[1:] != ranked[:-1]), True)
    sends = int(np.flatnonzero(is_cut)[np.argmin(added[is_cut])])
    return float(ranked[sends]) if sends < len(ranked) else -np.inf


def prices(
    name: str, cost_model: CostModel, score: NDArray[np.float32], known: EvaluationSet
) -> NDArray[np.float64]:
    """The price that each row decides at, float64 (rows,): the Bayes price of the score, or else the best
    threshold on these samples, the calibration pool's. score: (rows, c).
    """
    bayes = bayes_price(name, cost_model.bayes_price)
    if not np.isnan(bayes):
        return np.full(len(score), bayes)
    correct = known.client_correct[known.variant_of_row]
    pairs = zip(score, correct, strict=True)
    server = known.server_correct  # of one option, so alike for all rows: others have a Bayes price
    return np.array([best_threshold(s, m, server, cost_model, known.c_e) for s, m in pairs])


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
        "samples_local": local,
        "samples_remote": remote,
        **sides,
    }


def _cost(cost_model: CostModel, sent: float, m_right: float, e_right: float) -> float:
    """The summed cost of `sent` samples, of which m and e have so many right: it is linear in both."""
    at_zero = float(cost_model.cost_remote(0.0, 0.0))
    of_client, of_server = (float(cost_model.cost_remote(*one)) - at_zero for one in ((1.0, 0.0), (0.0, 1.0)))
    return sent * at_zero + m_right * of_client + e_right * of_server


def _ratio(right: float, of: float) -> float:
    return float(right / of) if of > 0 else float("nan")
