"""The optimisers are those of torch to the last bit; `tests/test_start.py` has what they do not load."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agents.models.optimisers import Adam, Optimiser, Sgd

PAIRS = {
    "adam": (lambda p, f: Adam(p, 1e-2, fused=f), lambda p, f: torch.optim.Adam(p, lr=1e-2, fused=f)),
    "adamw": (
        lambda p, f: Adam(p, 1e-2, 0.1, f),
        lambda p, f: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1, fused=f),
    ),
    "sgd": (lambda p, f: Sgd(p, 1e-2, fused=f), lambda p, f: torch.optim.SGD(p, lr=1e-2, fused=f)),
    "momentum": (
        lambda p, f: Sgd(p, 1e-2, 0.9, 0.1, f),
        lambda p, f: torch.optim.SGD(p, lr=1e-2, momentum=0.9, weight_decay=0.1, fused=f),
    ),
}


def parameters() -> list[Tensor]:
    """Of several shapes and layouts in memory; the last one never has a gradient."""
    draw = torch.Generator().manual_seed(5)
    picture = torch.randn(4, 3, 5, 5, generator=draw).to(memory_format=torch.channels_last)
    others = [torch.randn(shape, generator=draw) for shape in ((7, 9), (11,), (3, 4, 5), (2,))]
    return [one.requires_grad_() for one in (picture, *others)]


def stepped(optimiser: Optimiser | torch.optim.Optimizer, moved: list[Tensor]) -> list[bytes]:
    """Parameters and all that is remembered of them, after some steps."""
    for step in range(7):
        optimiser.zero_grad()
        sum(((step + 1) * one**3).sin().sum() for one in moved[:-1]).backward()
        optimiser.step()
    kept = [(name, one) for of in moved for name, one in sorted(optimiser.state[of].items())]
    return [one.detach().numpy().tobytes() for one in moved] + [
        (name, one if one is None else one.numpy().tobytes()) for name, one in kept
    ]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", PAIRS)
def test_steps_and_states_have_the_bits_of_torchs_own(kind, fused):
    ours, theirs = (stepped(of(moved := parameters(), fused), moved) for of in PAIRS[kind])
    assert ours == theirs


def test_a_parameter_without_gradient_stays_and_nothing_is_remembered_of_it():
    moved = parameters()
    before, optimiser = moved[-1].clone(), Adam(moved, 0.1, 0.1)
    stepped(optimiser, moved)
    assert torch.equal(moved[-1], before)
    assert optimiser.state[moved[-1]] == {}
