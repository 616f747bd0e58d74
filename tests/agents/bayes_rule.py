"""The generalised 0-1 risk and its Bayes rule, by which learners and decisions are judged.
Source: Learning to Help in Multi-Class Settings (arXiv 2501.13810)."""

from __future__ import annotations

import torch
from torch import Tensor


def generalised_risk(
    deferred: Tensor, client_correct: Tensor, server_correct: Tensor, c_e: float, c_1: float
) -> Tensor:
    """The mean generalised 0-1 loss: 1[m!=y] where local, c_e + c_1*1[e!=y] where deferred; a scalar.

    All inputs share one shape, bool or 0/1; chances of being correct in place of 0/1 give the expected loss.
    """
    cost_local = 1.0 - as_numbers(client_correct)
    cost_remote = c_e + c_1 * (1.0 - as_numbers(server_correct))
    return torch.where(deferred.bool(), cost_remote, cost_local).mean()


def bayes_defers(p_client_correct: Tensor, p_server_correct: Tensor, c_e: float, c_1: float) -> Tensor:
    """Whether the Bayes rule sends: P(m!=Y|x) > c_e + c_1*P(e!=Y|x); bool, of the inputs' shape.

    With the Bayes server, P(e=Y|x) is max_y eta_y(x).
    """
    return (1.0 - p_client_correct) > c_e + c_1 * (1.0 - p_server_correct)


def as_numbers(correct: Tensor) -> Tensor:
    return correct if correct.is_floating_point() else correct.to(torch.get_default_dtype())
