"""The data sets, as arrays: images scaled to [0, 1] and labels.
First step of building a fleet; `agents.pools` splits what comes from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.choices import choose
from sim.scenario import Scenario


@dataclass(frozen=True)
class DataSet:
    """n labelled images, float32 (n, channels, height, width) in [0, 1]; labels int16 (n,), from 0."""

    name: str
    images: NDArray[np.float32]
    labels: NDArray[np.int16]
    classes: int

    @property
    def size(self) -> int:
        """Number of samples, N in `sample_id = view * N + index`."""
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width


def digits() -> DataSet:
    """The 1,797 digits of 8x8 pixels that scikit-learn embeds (UCI, Alpaydin and Kaynak 1998)."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  (a second of import that only this set needs)

    bunch = load_digits()
    images = (bunch.images[:, None] / 16.0).astype(np.float32)
    return DataSet("digits", images, bunch.target.astype(np.int16), classes=10)


SETS: dict[str, Callable[[], DataSet]] = {"digits": digits}


def load(scenario: Scenario) -> DataSet:
    """The data set that `data.set` names. Raises BadInput for a set that the learners do not have."""
    return choose(SETS, scenario.data.set, "data.set", "data set")()
