"""What a server's model sees of a sample: the picture, or the features that a client's frozen model makes.
Behind `agents.server.model`, which need not know which."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.brought_names import features_for, server_names
from agents.plan import Plan


class Inputs(Protocol):
    """float32 (k, *shape) of sample_ids int32 (k,)."""

    def __getitem__(self, sample_ids: NDArray[np.int32]) -> NDArray[np.float32]: ...


class Features:
    """Features float32 (n, width) of sample_ids int32 (n,), ascending, as pictures of one pixel and a channel
    each."""

    def __init__(self, sample_id: NDArray[np.int32], features: NDArray[np.float32]) -> None:
        self._sample_id, self._features = sample_id, features[:, :, None, None]

    def __getitem__(self, sample_ids: NDArray[np.int32]) -> NDArray[np.float32]:
        seen: NDArray[np.float32] = self._features[np.searchsorted(self._sample_id, sample_ids)]
        return seen


def inputs_of(plan: Plan, model: int) -> tuple[Inputs, tuple[int, int, int]]:
    """What a model of the servers sees, and its shape: channels, height, width."""
    front = plan.said.get(features_for(server_names(plan.scenario)[model]))
    if front is None:
        return plan.images, plan.data.image_shape
    return Features(front["sample_id"], front["features"]), (front["features"].shape[1], 1, 1)
