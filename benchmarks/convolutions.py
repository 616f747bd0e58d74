"""Ways to stack convolutional rejectors, against calling them one by one as `agents.rejectors.stacked` does.

What LeNet-5 rejectors make of a batch of pictures before their dense layers, and its gradient; one thread.
Peers: one grouped convolution for all (pictures of each row, or one first convolution over the pictures that
all share), `torch.vmap`, and patches multiplied as matrices. Prints processor milliseconds a rejector and
step, medians of several runs, and as its last line one JSON object.
`python -m benchmarks.convolutions [--repeats N] [--counts 8,32]`
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from agents.rejectors.inputs import RejectorInput
from agents.rejectors.stacked import Layer, StackedRejectors

BATCH, SIDE = 16, 28
STEPS_OF_ROWS = 64  # each repetition takes about so many steps of one rejector

Way = Callable[[Tensor, list[Layer]], Tensor]  # of pictures (n, channels, height, width) (rows, n, width)


def pooled(seen: Tensor) -> Tensor:
    return torch.relu(functional.max_pool2d(seen, 2))


def by_row(seen: Tensor, rows: int) -> Tensor:
    """(rows, n, width) of maps (n, rows*channels, height, width)."""
    return seen.reshape(len(seen), rows, -1).transpose(0, 1)


def grouped(pixels: Tensor, layers: list[Layer]) -> Tensor:
    rows = len(layers[0][0])
    seen = pixels.repeat(1, rows, 1, 1)
    for weight, bias in layers:
        seen = pooled(functional.conv2d(seen, weight.flatten(0, 1), bias.flatten(), groups=rows))
    return by_row(seen, rows)


def shared(pixels: Tensor, layers: list[Layer]) -> Tensor:
    (weight, bias), *rest = layers
    seen = pooled(functional.conv2d(pixels, weight.flatten(0, 1), bias.flatten()))
    for weight, bias in rest:
        seen = pooled(functional.conv2d(seen, weight.flatten(0, 1), bias.flatten(), groups=len(weight)))
    return by_row(seen, len(weight))


def mapped(pixels: Tensor, layers: list[Layer]) -> Tensor:
    def one(*parameters: Tensor) -> Tensor:
        seen = pixels
        for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
            seen = pooled(functional.conv2d(seen, weight, bias))
        return seen.flatten(start_dim=1)

    return torch.vmap(one)(*(tensor for layer in layers for tensor in layer))


def unfolded(pixels: Tensor, layers: list[Layer]) -> Tensor:
    rows, count = len(layers[0][0]), len(pixels)
    seen = pixels.expand(rows, *pixels.shape)
    for weight, bias in layers:
        channels, kernel, side = weight.shape[1], weight.shape[-1], seen.shape[-1] - weight.shape[-1] + 1
        patches = functional.unfold(seen.flatten(0, 1), kernel).unflatten(0, (rows, count))
        maps = torch.matmul(weight.flatten(2).unsqueeze(1), patches) + bias[:, None, :, None]
        seen = pooled(maps.reshape(rows * count, channels, side, side)).unflatten(0, (rows, count))
    return seen.flatten(start_dim=2)


WAYS: dict[str, Way] = {"grouped": grouped, "shared": shared, "vmap": mapped, "unfolded": unfolded}


def measure(count: int, repeats: int) -> dict[str, float]:
    """Milliseconds a rejector and step, of one by one and of each way; all say the same, up to rounding."""
    inputs = RejectorInput(torch.rand(BATCH, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)), None)
    stack = StackedRejectors("lenet5", inputs, 1, range(count))
    assert inputs.pixels is not None
    ways: dict[str, Way] = {"one_by_one": lambda pixels, _: stack._convolved(pixels), **WAYS}
    expected = ways["one_by_one"](inputs.pixels, stack.convolutions)
    steps = max(1, STEPS_OF_ROWS // count)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.process_time()
            for _ in range(steps):
                told = way(inputs.pixels, stack.convolutions)
                told.sum().backward()
            took[name].append(1e3 * (time.process_time() - began) / steps / count)
            torch.testing.assert_close(told, expected, rtol=1e-4, atol=1e-4)
    return {name: statistics.median(each) for name, each in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--counts", default="8,32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for count in map(int, options.counts.split(",")):
        found[count] = measure(count, options.repeats)
        print(f"{count} rejectors: ", ", ".join(f"{name} {ms:.2f} ms" for name, ms in found[count].items()))
    times = {
        count: {name: each["one_by_one"] / ms for name, ms in each.items()} for count, each in found.items()
    }
    print(json.dumps({"ms": found, "times_as_fast_as_one_by_one": times}))


if __name__ == "__main__":
    main()
