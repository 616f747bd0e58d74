"""The paper's coin that holds a trained rejector to a deferral rate: what it comes to, in expectation.
Part of an evaluation, so of every setting of a study; nothing is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import EvaluationSet, client_accuracies, gains_of

BOUNDS = np.linspace(0.1, 0.9, 9)
Bounded = NDArray[np.float64]  # deferral rate, accuracy and risk at each of `BOUNDS`, (3, 9)


def coin(calibrated: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P(sent | the rejector says LOCAL) and P(sent | it says REMOTE), float64 (rows, 9) each.

    calibrated: the share that each row sends of the calibration pool, (rows,). Where that is above the bound
    each send is kept with probability bound/share, else each local one is sent too with probability
    (bound - share)/(1 - share): post-hoc control of arXiv 2501.13810.
    """
    share = calibrated[:, None]
    above = share > BOUNDS
    keep = np.where(above, BOUNDS / np.where(above, share, 1.0), 1.0)
    add = np.where(above, 0.0, (BOUNDS - share) / np.where(above, 1.0, 1.0 - share))
    return add, keep


def bounded(
    sent: NDArray[np.bool_],
    calibrated: NDArray[np.float64],
    evaluation_set: EvaluationSet,
    cost_model: CostModel,
) -> Bounded:
    """What the coin comes to in expectation over its tosses; rows are summed by their share of clients.

    sent: what the rejectors send of the held-out samples, bool (rows, h); calibrated: as in `coin`. The
    deferral rate differs from the bound by as much as the two pools do.
    """
    add, keep = coin(calibrated)
    gains = gains_of(evaluation_set, cost_model)[:, evaluation_set.variant_of_row]
    each = np.concatenate([np.ones((1, *sent.shape)), gains])  # what one more send adds to all three
    of_sent, of_kept = (evaluation_set.mean(each * side) for side in (sent, ~sent))
    added = np.einsum("krq,r->kq", of_sent[..., None] * keep + of_kept[..., None] * add, evaluation_set.share)
    local = (1.0 - client_accuracies(evaluation_set)) @ evaluation_set.share
    start = np.array([0.0, evaluation_set.share.sum() - local, local])
    whole: Bounded = start[:, None] + added
    return whole
