"""Whether an own loss keeps its contract: tried on drawn scores and outcomes, before any run.
What `l2h_fleet.check("loss", ...)` asks."""

from __future__ import annotations

from typing import Any

import torch

from agents.rejectors.own_losses import checked_losses
from sim.errors import BadInput, RunFailed

SAMPLES = 200


def check_loss(made: Any) -> None:
    """Tries a loss on drawn scores and outcomes, of one option and, unless it is for one, of two. Raises
    BadInput for what it misses."""
    for options in (1,) if getattr(made, "for_one_option", False) else (1, 2):
        _check_with(made, options)


def _check_with(made: Any, options: int) -> None:
    draws = torch.Generator().manual_seed(options)
    scores = 3.0 * torch.randn((SAMPLES, 1 + options), generator=draws)
    right = (torch.rand((SAMPLES, 1 + options), generator=draws) < 0.7).float()
    client, server = right[:, 0], right[:, 1:]
    costs = torch.cat([1.0 - right[:, :1], 0.1 + (1.0 - server)], dim=1)
    told = scores, client, server, costs
    (losses, slopes), again, alone = (
        _tried(made, *(part[:some].clone() for part in told)) for some in (SAMPLES, SAMPLES, 1)
    )
    name, where = getattr(made, "__name__", made), f"of {options} option{'s' * (options > 1)}"
    for holds, otherwise in (
        (losses.isfinite().all(), f"a loss {where} is {losses[~losses.isfinite()][:1].sum().item()}"),
        (slopes.isfinite().all(), f"the gradient of a loss {where} is not finite"),
        (slopes.any(), f"the gradient is 0 everywhere {where}: nothing could be learned"),
        (torch.equal(losses, again[0]), "gives something else the second time: it draws, or remembers"),
        (
            torch.isclose(losses[0], alone[0][0], rtol=1e-4, atol=1e-6),
            "a sample's loss is another when others are beside it",
        ),
    ):
        if not holds:
            raise BadInput(f"{name}: {otherwise}")


def _tried(made: Any, scores: Any, client: Any, server: Any, costs: Any) -> tuple[Any, Any]:
    """The losses, (n,), and the gradient of their sum by the scores."""
    try:
        losses = checked_losses(
            getattr(made, "__name__", "loss"), made, scores.requires_grad_(), client, server, costs
        )
    except RunFailed as error:
        raise BadInput(error.why) from None
    (slopes,) = torch.autograd.grad(losses.sum(), scores, allow_unused=True)
    return losses.detach(), torch.zeros_like(scores) if slopes is None else slopes
