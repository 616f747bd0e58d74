"""A server's trained model as a folder that any process can ask: its weights, what it sees of each sample.
Written for real replicas (`live.replica`), which run it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from agents.models.families import model_of
from agents.models.frozen import Weights
from agents.models.training import read, to_tensor

MADE_OF, WEIGHTS, INPUTS = "model.json", "weights.safetensors", "inputs.npy"


class Runnable(NamedTuple):
    """family, image_size: as of the scenario's model; shape: of a sample, channels, height, width; inputs: of
    each sample of the sample axis, float32 (n, *shape)."""

    family: str
    shape: tuple[int, int, int]
    classes: int
    image_size: int | None
    weights: Weights
    inputs: NDArray[np.float32]

    def write(self, folder: Path) -> None:
        made_of = {
            "family": self.family,
            "shape": self.shape,
            "classes": self.classes,
            "image_size": self.image_size,
        }
        (folder / MADE_OF).write_text(json.dumps(made_of))
        save_file(self.weights, folder / WEIGHTS)
        np.save(folder / INPUTS, self.inputs, allow_pickle=False)


def runnable(folder: Path) -> Callable[[Sequence[int]], list[int]]:
    """What answers samples by their places on the sample axis, a batch at a time, with one thread."""
    torch.set_num_threads(1)
    made_of = json.loads((folder / MADE_OF).read_text())
    state = {name: to_tensor(array) for name, array in load_file(folder / WEIGHTS).items()}
    shape = tuple(made_of["shape"])
    model = model_of(made_of["family"], shape, made_of["classes"], state, made_of["image_size"])
    inputs = np.load(folder / INPUTS, mmap_mode="r", allow_pickle=False)

    def answer(samples: Sequence[int]) -> list[int]:
        with torch.inference_mode():
            found: list[int] = read(model, inputs[list(samples)]).logits.argmax(dim=1).tolist()
        return found

    answer([0])  # the first batch of a process takes longer than any other
    return answer
