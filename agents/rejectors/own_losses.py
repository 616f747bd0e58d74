"""Losses that researchers bring: a function of outputs and outcomes, in place of a form's weights.
Registered by `commands.plugins`; `agents.rejectors.option_surrogates` puts them where rows ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sim.errors import RunFailed
from sim.registry.losses import LOSSES
from sim.registry.registry import Code

# Of scores (n, 1+J), client_correct (n,), server_correct (n, J) and costs (n, 1+J): each sample's own, (n,).
OwnLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
OWN_LOSSES: Code[OwnLoss] = Code(LOSSES)


def with_own(loss: Callable[[Tensor, Any], Tensor], forms: Sequence[str]) -> Callable[[Tensor, Any], Tensor]:
    """A loss in which the rows of own forms have that of whoever brought it. forms: of each row.

    Samples of all rows of a form are handed over as one long list, since a sample's loss depends on nothing
    beside it; so a stack of rejectors trains as fast by an own loss as by any other.
    """
    rows_of = {
        name: torch.tensor([row for row, form in enumerate(forms) if form == name])
        for name in OWN_LOSSES
        if name in forms
    }
    if not rows_of:
        return loss

    def with_those(outputs: Tensor, batch: Any) -> Tensor:
        are_all_own = sum(map(len, rows_of.values())) == len(forms)
        losses = torch.zeros(outputs.shape[:2]) if are_all_own else loss(outputs, batch)
        for name, rows in rows_of.items():
            told = (outputs, batch.client_correct, batch.server_correct, batch.costs)
            scores, client, server, costs = (part[rows].flatten(0, 1) for part in told)
            made = checked_losses(name, OWN_LOSSES[name], scores, client, server.view(len(client), -1), costs)
            losses = losses.index_copy(0, rows, made.view(len(rows), -1).to(losses.dtype))
        return losses

    return with_those


def checked_losses(
    name: str, made: OwnLoss, scores: Tensor, client: Tensor, server: Tensor, costs: Tensor
) -> Tensor:
    """What an own loss gives, (n,). Raises RunFailed if that is no number a sample, or knows no gradient."""
    try:
        found = made(scores, client, server, costs)
    except Exception as error:
        why = " ".join(str(error).split())
        raise RunFailed("learn", f"the loss '{name}' broke: {type(error).__name__}: {why}") from error
    if not isinstance(found, Tensor) or not found.is_floating_point():
        kind = found.dtype if isinstance(found, Tensor) else type(found).__name__
        raise RunFailed("learn", f"the loss '{name}' must give a tensor of floats, not {kind}")
    if found.shape != client.shape:
        rule = f"must give each of {len(client)} samples its own, ({len(client)},), not {tuple(found.shape)}"
        raise RunFailed("learn", f"the loss '{name}' {rule}; samples weigh unlike, so leave out the mean")
    if not found.requires_grad:
        raise RunFailed("learn", f"the loss '{name}' has no gradient: it does not depend on the scores")
    return found
