"""Rejectors: every family and input keeps the contract, and stacking changes no bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agents.rejectors import FAMILIES, INPUTS, TOP, StackedRejectors
from agents.training import Reading

PIXELS = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
READING = Reading(
    logits=torch.randn(6, 10, generator=torch.Generator().manual_seed(2)),
    features=torch.randn(6, 32, generator=torch.Generator().manual_seed(3)),
)


@pytest.mark.parametrize(
    ("name", "width"), [("raw", 64), ("features", 32 + 10 + TOP), ("raw+features", 64 + 32 + 10 + TOP)]
)
def test_what_a_rejector_is_told(name: str, width: int) -> None:
    assert INPUTS[name](PIXELS, READING).shape == (6, width)


def test_features_are_hidden_layer_log_probabilities_and_largest_probabilities() -> None:
    told = INPUTS["features"](PIXELS, READING)
    probabilities = torch.softmax(READING.logits, dim=1)
    assert torch.equal(told[:, :32], READING.features)
    torch.testing.assert_close(told[:, 32:42].exp(), probabilities)
    torch.testing.assert_close(told[:, 42:], probabilities.sort(dim=1, descending=True).values[:, :TOP])


def test_two_classes_have_two_probabilities_to_tell() -> None:
    assert INPUTS["features"](PIXELS, Reading(READING.logits[:, :2], READING.features)).shape == (6, 32 + 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stack_computes_what_single_networks_compute(family: str) -> None:
    stack = StackedRejectors(family, width=20, seeds=[1, 2, 3])
    inputs = torch.randn(3, 7, 20, generator=torch.Generator().manual_seed(4))
    for row in range(3):
        layers: list[nn.Module] = []
        for weight, bias in stack.layers:
            layer = nn.Linear(weight.shape[1], weight.shape[2])
            layer.load_state_dict({"weight": weight[row].detach().T, "bias": bias[row, 0].detach()})
            layers += [layer, nn.ReLU()]
        single = nn.Sequential(*layers[:-1])
        torch.testing.assert_close(stack.logits(inputs)[row], single(inputs[row]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_comes_from_its_own_seed(family: str) -> None:
    together = StackedRejectors(family, width=20, seeds=[1, 2, 3]).parameters
    alone = StackedRejectors(family, width=20, seeds=[2]).parameters
    for stacked, single in zip(together, alone, strict=True):
        assert torch.equal(stacked[1], single[0])
        assert not torch.equal(stacked[0], stacked[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_does_not_know_the_size_of_its_stack(family: str) -> None:
    """Bit for bit, forward and backward: so a client learns the same in a small and in a large block."""
    inputs = torch.randn(64, 32, 20, generator=torch.Generator().manual_seed(5))
    results = []
    for rows in (1, 5, 64):
        stack = StackedRejectors(family, width=20, seeds=range(rows))
        logits = stack.logits(inputs[:rows])
        logits.square().sum().backward()
        results.append([logits[0].detach(), *(parameter.grad[0] for parameter in stack.parameters)])
    for few in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], few, strict=True))


def test_drawing_rejectors_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    StackedRejectors("mlp", width=20, seeds=[1, 2])
    assert torch.equal(before, torch.get_rng_state())
