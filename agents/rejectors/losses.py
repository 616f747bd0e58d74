"""The Learn-to-Help losses: the stage-switching surrogate of the generalised 0-1 risk.
Source: Learning to Help in Multi-Class Settings (arXiv 2501.13810); torch tensors in and out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from agents.evaluation.cost_model import CostModel
from agents.rejectors.own_losses import OWN_LOSSES
from sim.registry.losses import LOSSES

RELEASED = "training.form: 'released' rewards sending where the server is wrong"
FORMS = tuple(LOSSES)  # the tool's own
_ROUNDING = 1e-5  # relative, of costs in float32


def rejector_weights(
    client_correct: Tensor,
    server_correct: Tensor,
    c_e: float,
    c_1: float,
    form: str,
    cost_remote: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The weights (w_local, w_remote) of stage 2, each of the inputs' shape.

    client_correct, server_correct: 1[m(x)=y] and 1[e(x)=y], bool or 0/1, any common shape. `cost_remote`
    replaces c_e + c_1*1[e(x)!=y]. With cost_local = 1[m(x)!=y] and w_j = K - cost_j:

    - `nonnegative`: K = max(1, c_e + c_1), or max(1, c_e + max(1, c_1)) where `cost_remote` is given, so
      that weights are never negative and the loss is convex in the rejector;
    - `paper`: K = 1; unbounded below where c_e + c_1 > 1;
    - `cost_sensitive`: w_local = cost_remote, w_remote = cost_local; convex, needs no K;
    - `released`: w_remote = 1 - c_e + c_1*1[e(x)!=y], as in the authors' public code. It rewards sending
      where the server is wrong and is not Bayes consistent; a fleet that learns by it logs `RELEASED`.

    Raises ValueError for another form, for `released` with `cost_remote`, or where `nonnegative` is given a
    cost above K: clamped, it would no longer be what the Bayes rule weighs. Those of an own loss are 0.
    """
    correct_local, correct_remote = _as_numbers(client_correct), _as_numbers(server_correct)
    cost_local = 1.0 - correct_local
    remote = c_e + c_1 * (1.0 - correct_remote) if cost_remote is None else cost_remote
    if form == "nonnegative":
        worst = c_1 if cost_remote is None else max(1.0, c_1)
        bound = max(1.0, c_e + worst)
        if (remote > bound * (1.0 + _ROUNDING)).any():
            raise ValueError(
                f"cost_remote: {remote.max().item():g} is above K = {bound:g}; is P(charged) above 1?"
            )
        # Rounding may take the largest cost past the bound, by 5e-7 at costs of a few units.
        return bound - cost_local, (bound - remote).clamp(min=0.0)
    if form == "paper":
        return 1.0 - cost_local, 1.0 - remote
    if form == "cost_sensitive":
        return remote + torch.zeros_like(cost_local), cost_local
    if form == "released" and cost_remote is None:
        return correct_local, 1.0 - c_e + c_1 * (1.0 - correct_remote)
    if form in OWN_LOSSES:
        return torch.zeros_like(cost_local), torch.zeros_like(cost_local)
    raise ValueError(f"form '{form}' is unknown or takes no cost_remote; the forms are {', '.join(FORMS)}")


def outcome_weights(cost_model: CostModel, form: str) -> Tensor:
    """(w_local, w_remote, cost_remote) by 2*1[m=y] + 1[e=y], (4, 3): all that stage 2 knows of the answers.

    form "" is for losses that take the cost and no weights, which are then NaN.
    """
    client_correct, server_correct = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    cost_remote = cost_model.cost_remote(client_correct, server_correct)
    if not form:
        nothing = torch.full((4,), torch.nan)
        return torch.stack([nothing, nothing, cost_remote], dim=1)
    given = None if cost_model.availability is None else cost_remote
    w_local, w_remote = rejector_weights(
        client_correct, server_correct, cost_model.c_e, cost_model.c_1, form, given
    )
    return torch.stack([w_local, w_remote, cost_remote], dim=1)


def slope_of_cost(form: str) -> tuple[float, float, float]:
    """What a send that costs 1 less adds to (w_local, w_remote, cost_remote) in a form, K kept."""
    return (-1.0, 0.0, -1.0) if form == "cost_sensitive" else (0.0, 1.0, -1.0)


def rejector_loss(logits: Tensor, w_local: Tensor, w_remote: Tensor) -> Tensor:
    """Stage 2, L_2 = -w_local*log s_local(r) - w_remote*log s_remote(r), s the softmax; mean over n.

    logits: (n, 2), ordered (local, remote); weights: (n,). Stacked rejectors have leading axes, logits
    (rows, n, 2) and weights (rows, n): then the result is (rows,), each row's own mean.
    """
    return rejector_losses(logits, w_local, w_remote).mean(dim=-1)


def rejector_losses(logits: Tensor, w_local: Tensor, w_remote: Tensor) -> Tensor:
    """`rejector_loss` before the mean: each sample's own, of the weights' shape."""
    log_share = functional.log_softmax(logits, dim=-1)
    return -(w_local * log_share[..., 0] + w_remote * log_share[..., 1])


def server_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Stage 1, L_1 = -log softmax(e(x))_y, mean over n, weighted by `weights` where they are given.

    logits: (n, classes); labels: int64 (n,); weights: (n,), not negative, not all zero.
    """
    if weights is None:
        return functional.cross_entropy(logits, labels)
    losses = functional.cross_entropy(logits, labels, reduction="none")
    return (weights * losses).sum() / weights.sum()


def _as_numbers(correct: Tensor) -> Tensor:
    return correct if correct.is_floating_point() else correct.to(torch.get_default_dtype())
