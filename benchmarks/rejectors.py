"""Stacked rejectors against a loop over torch modules: one core, the same batches, loss and SGD steps.

Prints microseconds per rejector and step, medians of several runs, and as its last line one JSON object.
`python -m benchmarks.rejectors [--repeats N] [--shapes NAME,NAME]`
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.plan import BLOCK
from agents.rejectors.inputs import RejectorInput
from agents.rejectors.losses import rejector_loss
from agents.rejectors.stacked import StackedRejectors
from sim.registry.families import REJECTOR_FAMILIES

RATE = 0.01
TOLD = 25 + 32  # features of a linear or small client: hidden layer, log-probabilities, largest probabilities


@dataclass(frozen=True)
class Shape:
    """A rejector's family and what it looks at; `counts` of rejectors that train together."""

    family: str
    batch: int
    picture: tuple[int, int, int] | None
    features: int
    counts: tuple[int, ...] = (100, 1000)


SHAPES = {
    "mlp_64_32_2": Shape("mlp", 32, None, 64),
    "linear_features": Shape("linear", 64, None, TOLD),
    "mlp_digits": Shape("mlp", 64, (1, 8, 8), TOLD),
    "linear_fashion_mnist": Shape("linear", 64, (1, 28, 28), 99),
    "mlp_fashion_mnist": Shape("mlp", 64, (1, 28, 28), 99),
    "lenet5_fashion_mnist": Shape("lenet5", 16, (1, 28, 28), 0, counts=(32,)),
}


class Module(nn.Module):
    """One rejector as one would write it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        family, width = REJECTOR_FAMILIES[shape.family], shape.features
        layers: list[nn.Module] = []
        if shape.picture is not None:
            channels, height, side = shape.picture
            for out, kernel in family.convolutions:
                layers += [nn.Conv2d(channels, out, kernel), nn.ReLU(), nn.MaxPool2d(2)]
                channels, height, side = out, (height - kernel + 1) // 2, (side - kernel + 1) // 2
            width += channels * height * side
        self.body = nn.Sequential(*layers, nn.Flatten())
        dense: list[nn.Module] = []
        for hidden in family.hidden:
            dense += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        self.head = nn.Sequential(*dense, nn.Linear(width, 2))

    def forward(self, pixels: Tensor | None, features: Tensor | None) -> Tensor:
        parts = [] if pixels is None else [self.body(pixels)]
        return self.head(torch.cat(parts if features is None else [*parts, features], dim=1))


def batch_of(shape: Shape, rows: int) -> tuple[RejectorInput, Tensor, Tensor]:
    """A picture for all, features and weights for each."""
    generator = torch.Generator().manual_seed(1)
    pixels = None if shape.picture is None else torch.randn(shape.batch, *shape.picture, generator=generator)
    features = torch.randn(rows, shape.batch, shape.features, generator=generator) if shape.features else None
    w_local, w_remote = torch.rand(2, rows, shape.batch, generator=generator)
    return RejectorInput(pixels, features), w_local, w_remote


def stacked(shape: Shape, count: int) -> Callable[[], None]:
    """A step of `count` rejectors in the product's blocks."""
    steps = []
    for first in range(0, count, BLOCK):
        rows = min(BLOCK, count - first)
        inputs, w_local, w_remote = batch_of(shape, rows)
        stack = StackedRejectors(shape.family, inputs, 2, seeds=range(first, first + rows))
        steps.append((stack, torch.optim.SGD(stack.parameters, lr=RATE), inputs, w_local, w_remote))

    def step() -> None:
        for stack, optimiser, inputs, w_local, w_remote in steps:
            optimiser.zero_grad()
            rejector_loss(stack.outputs(inputs), w_local, w_remote).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    return step


def one_by_one(shape: Shape, count: int) -> Callable[[], None]:
    """A step of `count` modules, each with its optimiser."""
    modules = [Module(shape) for _ in range(count)]
    optimisers = [torch.optim.SGD(module.parameters(), lr=RATE) for module in modules]
    inputs, w_local, w_remote = batch_of(shape, count)

    def step() -> None:
        for row, (module, optimiser) in enumerate(zip(modules, optimisers, strict=True)):
            optimiser.zero_grad()
            logits = module(inputs.pixels, None if inputs.features is None else inputs.features[row])
            rejector_loss(logits, w_local[row], w_remote[row]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    return step


def microseconds(step: Callable[[], None], count: int, repeats: int) -> float:
    """Per rejector and step: the median over `repeats` of a run that lasts at least a fifth of a second."""
    step()
    took = []
    for _ in range(repeats):
        began, steps = time.perf_counter(), 0
        while (seconds := time.perf_counter() - began) < 0.2:
            step()
            steps += 1
        took.append(seconds / steps / count * 1e6)
    return statistics.median(took)


def bytes_per_client(shape: Shape) -> int:
    """Weights, gradients and Adam's two moments of one rejector, float32."""
    inputs, _, _ = batch_of(shape, 1)
    return 4 * 4 * sum(tensor.numel() for tensor in StackedRejectors(shape.family, inputs, 2, [0]).parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shapes", default=",".join(SHAPES), help="which shapes, by name")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, dict[str, float]] = {}
    for name in chosen.shapes.split(","):
        shape = SHAPES[name]
        result: dict[str, float] = {"bytes_per_client": bytes_per_client(shape)}
        for count in shape.counts:
            ours = microseconds(stacked(shape, count), count, chosen.repeats)
            peer = microseconds(one_by_one(shape, count), count, chosen.repeats)
            result |= {
                f"ours_us_{count}": round(ours, 1),
                f"modules_us_{count}": round(peer, 1),
                f"ratio_{count}": round(peer / ours, 2),
            }
        results[name] = result
        print(name, *(f"{key} {value}" for key, value in result.items()), flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
