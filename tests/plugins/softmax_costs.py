"""A loss of rejectors: what a choice by the softmax of their scores is expected to cost."""

from __future__ import annotations

from typing import Any

import torch

import l2h_fleet


@l2h_fleet.register("loss", "softmax_costs")
def softmax_costs(scores: Any, client_correct: Any, server_correct: Any, costs: Any) -> Any:
    return (costs * torch.softmax(scores, dim=-1)).sum(dim=-1)
