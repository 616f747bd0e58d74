"""Stacked networks: what single ones compute and learn, and the same bits in every company."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agents.rejectors.inputs import RejectorInput
from agents.rejectors.stacked import StackedRejectors
from sim.registry.families import REJECTOR_FAMILIES
from sim.scenario.schema.vocabulary import choices_at

SIDE = 16
LOOKS = ("raw", "features", "raw+features")


def a_look(rows: int, looks: str = "raw+features", samples: int = 32) -> RejectorInput:
    """Random pictures that rows share, and features of their own; a row's do not depend on `rows`."""
    pixels = torch.randn(samples, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    features = [
        torch.randn(samples, 20, generator=torch.Generator().manual_seed(10 + row)) for row in range(rows)
    ]
    return RejectorInput(
        pixels if "raw" in looks else None, torch.stack(features) if "features" in looks else None
    )


def test_scenarios_may_name_just_the_families_that_there_are() -> None:
    assert choices_at(("fleet", 0, "rejector", "family"), {"fleet": [{}]}) == list(REJECTOR_FAMILIES)


def possible(family: str, looks: str) -> bool:
    return looks != "features" or not REJECTOR_FAMILIES[family].convolutions


SHAPES = [(family, looks) for family in REJECTOR_FAMILIES for looks in LOOKS if possible(family, looks)]


class Single(nn.Module):
    """One network, of torch's own modules, with the weights of a row of a stack."""

    def __init__(self, stack: StackedRejectors, row: int) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for weight, bias in stack.convolutions:
            _, channels, fan_in, kernel, _ = weight.shape
            layer = nn.Conv2d(fan_in, channels, kernel)
            layer.load_state_dict({"weight": weight[row], "bias": bias[row]})
            convolutions += [layer, nn.ReLU(), nn.MaxPool2d(2)]
        dense: list[nn.Module] = []
        for weight, bias in stack.layers:
            layer = nn.Linear(weight.shape[1], weight.shape[2])
            layer.load_state_dict({"weight": weight[row].T, "bias": bias[row, 0]})
            dense += [layer, nn.ReLU()]
        self.body = nn.Sequential(*convolutions, nn.Flatten())
        self.head = nn.Sequential(*dense[:-1])

    def forward(self, inputs: RejectorInput, row: int) -> torch.Tensor:
        parts = [] if inputs.pixels is None else [self.body(inputs.pixels)]
        parts += [] if inputs.features is None else [inputs.features[row]]
        return self.head(torch.cat(parts, dim=1))


@pytest.mark.parametrize(("family", "looks"), SHAPES)
def test_a_stack_learns_what_single_networks_learn(family: str, looks: str) -> None:
    """Twenty SGD steps on logistic losses: outputs differ by rounding alone, less than 1e-6."""
    inputs = a_look(3, looks)
    stack = StackedRejectors(family, inputs, 2, seeds=[1, 2, 3])
    singles = [Single(stack, row) for row in range(3)]
    target = torch.randint(0, 2, (32,), generator=torch.Generator().manual_seed(5))
    summed = torch.optim.SGD(stack.parameters, lr=0.02)
    alone = [torch.optim.SGD(single.parameters(), lr=0.02) for single in singles]
    before = stack.outputs(inputs).detach()
    for _ in range(20):
        summed.zero_grad()
        shares = torch.log_softmax(stack.outputs(inputs), dim=2)
        (-shares[:, torch.arange(32), target].mean(dim=1)).sum().backward()
        summed.step()
        for row, (single, optimiser) in enumerate(zip(singles, alone, strict=True)):
            optimiser.zero_grad()
            nn.functional.cross_entropy(single(inputs, row), target).backward()
            optimiser.step()
    after = stack.outputs(inputs).detach()
    assert (after - before).abs().max() > 0.01
    for row, single in enumerate(singles):
        torch.testing.assert_close(after[row], single(inputs, row).detach(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("family", REJECTOR_FAMILIES)
def test_a_row_comes_from_its_own_seed(family: str) -> None:
    summed = StackedRejectors(family, a_look(3), 2, seeds=[1, 2, 3]).parameters
    alone = StackedRejectors(family, a_look(1), 2, seeds=[2]).parameters
    for stacked, single in zip(summed, alone, strict=True):
        assert torch.equal(stacked[1], single[0])
        assert not torch.equal(stacked[0], stacked[1])


@pytest.mark.parametrize(("family", "looks"), SHAPES)
def test_a_row_does_not_know_the_size_of_its_stack(family: str, looks: str) -> None:
    """Bit for bit, forward, backward and stepped: a client learns the same in a small and a large block."""
    inputs = a_look(64, looks)
    alone = learnt(family, inputs, rows=range(3, 4))
    for rows in (range(5), range(2, 9), range(64)):
        among_many = learnt(family, inputs, rows)
        at = rows.index(3)
        assert all(torch.equal(a[0], b[at]) for a, b in zip(alone, among_many, strict=True))


def learnt(family: str, inputs: RejectorInput, rows: range) -> list[torch.Tensor]:
    """The outputs and parameters of a stack of these rows after three steps."""
    inputs = inputs if inputs.features is None else inputs.for_rows(torch.tensor(rows))
    stack = StackedRejectors(family, inputs, 2, seeds=rows)
    optimiser = torch.optim.Adam(stack.parameters)
    for _ in range(3):
        optimiser.zero_grad()
        stack.outputs(inputs).square().sum().backward()
        optimiser.step()
    return [stack.outputs(inputs).detach(), *(each.detach() for each in stack.parameters)]


def test_drawing_rejectors_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    StackedRejectors("mlp", a_look(2), 2, seeds=[1, 2])
    assert torch.equal(before, torch.get_rng_state())
