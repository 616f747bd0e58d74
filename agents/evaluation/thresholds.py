"""Thresholds that are chosen on the labels of the calibration pool, each row's own.
The code of the prices that say so in `sim.registry.prices`; their scores are told less the threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sim.registry.prices import PRICES, RiskControlled, Safe
from sim.registry.registry import Code

FOLDS, TENTHS = 5, 10
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """A row's n calibration samples, all (n,).

    score: float32; cost_local, cost_remote: what keeping and what sending it comes to; wrong: how wrong the
    client is, 0 to 1; weight: how much its clients are asked of it, not negative. worst_remote, best_remote:
    what a send costs that goes wrong where the client is right, and right where it is wrong. bayes: the price
    at which the score decides best if it is what it should be, NaN where none is known.
    """

    score: NDArray[np.float32]
    cost_local: Floats
    cost_remote: Floats
    wrong: Floats
    weight: Floats
    worst_remote: float
    best_remote: float
    bayes: float


CHOSEN: Code[Callable[[Any, Known], float]] = Code(PRICES)


def least_risk(known: Known) -> float:
    """The threshold of least risk: minus infinity, or a score that occurs; the highest of several equally
    good ones, so that nothing is sent for nothing."""
    order = np.argsort(-known.score, kind="stable")
    ranked = known.score[order]
    gained = known.cost_remote - known.cost_local
    added = np.concatenate([[0.0], np.cumsum((known.weight * gained)[order])])
    # Sending the first k is a threshold only where the k-th and the next one differ.
    is_cut = np.append(np.append(True, ranked[1:] != ranked[:-1]), True)
    sends = int(np.flatnonzero(is_cut)[np.argmin(added[is_cut])])
    return float(ranked[sends]) if sends < len(ranked) else -np.inf


@CHOSEN.of("safe")
def safe(price: Safe, known: Known) -> float:
    """The score's own threshold, or the better constant decision where it does not beat that by more than
    `standard_errors` of the paired difference.

    Beside the samples stands an imagined one, which goes wrong whatever is chosen (rule of succession;
    Laplace): else a server that erred on none of few samples would be trusted at any cost. The score's
    own threshold is its Bayes price, else the one of least risk, whose difference is cross-fitted over
    five folds, since it does better on the samples that it was chosen on.
    """
    weight = np.append(known.weight, np.square(known.weight).sum() / known.weight.sum())
    local, remote = np.append(known.cost_local, 1.0), np.append(known.cost_remote, known.worst_remote)
    sends_all = float(weight @ (remote - local)) < 0
    cost, regret = (remote, 1.0 - known.best_remote) if sends_all else (local, known.worst_remote)
    has_price = not np.isnan(known.bayes)
    own = known.bayes if has_price else least_risk(known)
    paid = _cost(known, own) if has_price else _cross_fitted(known)
    mean, error = mean_and_error(np.append(paid - cost[:-1], regret), weight)
    if mean < 0 and mean + price.standard_errors * error < 0:
        return own
    return -np.inf if sends_all else np.inf


@CHOSEN.of("risk_controlled")
def risk_controlled(price: RiskControlled, known: Known) -> float:
    """The threshold that sends least such that, with confidence 1 - delta, no more than `alpha` of what is
    kept is wrong; minus infinity, everything sent, where none shows that.

    Tested are thresholds that keep a tenth, two tenths, ... of the samples, each at delta / 10
    (Bonferroni), so that the largest may be taken: selection with guaranteed risk (Geifman and El-Yaniv
    2017; Angelopoulos et al. 2021, *Learn then Test*). The bound is Clopper and Pearson's; with weights, or
    of graded answers, Hoeffding's for as many samples as the weights are worth.
    """
    order = np.argsort(known.score, kind="stable")
    ranked, weight, wrong = (part[order] for part in (known.score, known.weight, known.wrong))
    best = -np.inf
    for tenths in range(1, TENTHS + 1):
        at = ranked[int(np.ceil(len(ranked) * tenths / TENTHS)) - 1]
        kept = ranked <= at
        if _bound(wrong[kept], weight[kept], price.delta / TENTHS) <= price.alpha:
            best = float(at)
    return best


def _bound(wrong: Floats, weight: Floats, delta: float) -> float:
    """What the mean of `wrong` lies below with confidence 1 - delta, (n,) both."""
    total, count = float(weight.sum()), len(wrong)
    if not total:
        return 1.0
    if (weight == weight[0]).all() and np.isin(wrong, (0.0, 1.0)).all():
        errors = float(wrong.sum())
        return (
            1.0 if errors == count else float(special.betaincinv(errors + 1.0, count - errors, 1.0 - delta))
        )
    worth = total**2 / float(np.square(weight).sum())
    return float(weight @ wrong) / total + float(np.sqrt(np.log(1.0 / delta) / (2.0 * worth)))


def mean_and_error(values: Floats, weight: Floats) -> tuple[float, float]:
    """The weighted mean of n values and its standard error, infinite for fewer than two samples that count;
    both (n,)."""
    total, count = weight.sum(), int((weight > 0).sum())
    mean = float(weight @ values / total)
    if count < 2:
        return mean, np.inf
    spread = float((np.square(weight * (values - mean))).sum()) * count / (count - 1)
    return mean, float(np.sqrt(spread) / total)


def told_less(score: NDArray[np.float32], threshold: Floats, surcharge: float = 0.0) -> NDArray[np.float32]:
    """Scores (rows, n), or by option (rows, options, n), less each row's threshold, (rows,): above 0 exactly
    where they exceeded it. One beyond all scores becomes the next number there, so that the order is kept.
    surcharge: by how much at most an option's score is still to be less, or more."""
    exact, apart = score.astype(np.float64), tuple(range(1, score.ndim))
    least, most = exact.min(axis=apart) - 1.0 - surcharge, exact.max(axis=apart) + 1.0 + surcharge
    finite = np.expand_dims(np.clip(threshold, least, most), apart)
    less: NDArray[np.float32] = (exact - finite).astype(np.float32)
    return less


def _cost(known: Known, threshold: float) -> Floats:
    return np.where(known.score > threshold, known.cost_remote, known.cost_local)


def _cross_fitted(known: Known) -> Floats:
    """What each sample costs at the threshold of least risk on the other folds."""
    fold, cost = np.arange(len(known.score)) % FOLDS, np.empty(len(known.score))
    for number in range(min(FOLDS, len(fold))):
        mine = fold == number
        others = _part(known, ~mine)
        threshold = least_risk(others) if others.weight.any() else np.inf
        cost[mine] = _cost(_part(known, mine), threshold)
    return cost


def _part(known: Known, where: NDArray[np.bool_]) -> Known:
    names = ("score", "cost_local", "cost_remote", "wrong", "weight")
    return replace(known, **{name: getattr(known, name)[where] for name in names})
