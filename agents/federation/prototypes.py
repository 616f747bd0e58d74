"""Prototypes: what classes look like, as means of features that clients saw, merged by how many they saw.
Pure functions and sums without torch; `agents.prototype_rounds` fills them during a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.federation.merging import Numbers, Uploads, merged

Counts = NDArray[np.int64]


class ClassMeans:
    """Per client the sum of the features of each class, float64 (clients, classes, width), and of how many
    samples it is, int64 (clients, classes)."""

    def __init__(self, clients: int, classes: int, width: int) -> None:
        self.sums = np.zeros((clients, classes, width))
        self.counts: Counts = np.zeros((clients, classes), dtype=np.int64)

    def add(
        self, client: NDArray[np.integer], label: NDArray[np.integer], features: NDArray[np.float32]
    ) -> None:
        """Samples that clients were told the labels of, (n,) each; features (n, width)."""
        np.add.at(self.sums, (client, label), features)
        np.add.at(self.counts, (client, label), 1)

    def means(self, client: NDArray[np.int64] | slice = slice(None)) -> Numbers:
        """Of some clients (n,), all unless told, and each class, float32 (n, classes, width); 0 of a class
        without samples."""
        counts = np.maximum(self.counts[client], 1)[:, :, None]
        means: Numbers = (self.sums[client] / counts).astype(np.float32)
        return means


@dataclass(frozen=True)
class Prototypes:
    """A mean for each class, float32 (classes, width), and of how many samples, int64 (classes,); clients:
    whose means are in it, and fewest: of how few samples one of these is, int64 (classes,)."""

    means: Numbers
    samples: Counts
    clients: Counts
    fewest: Counts


def merged_prototypes(how: str, means: Numbers, counts: Counts) -> Prototypes:
    """What a server makes of the uploads of J >= 1 clients: means (J, classes, width), counts (J, classes).

    Class by class as `merged` makes one of rejectors: `average` weighs a client by its samples of the class,
    `median` takes each number's over the clients that have some. Law: an average is the mean of all samples
    together; who has none of a class changes nothing of it. Zeros where nobody has any.
    """
    nothing = np.empty((0, 0), dtype=np.float32)
    one_by_one = [
        merged(how, Uploads(means[:, label], counts[:, label], nothing)) for label in range(means.shape[1])
    ]
    has_some = np.asarray(counts > 0)
    is_known = np.asarray(has_some.any(axis=0))
    fewest = np.where(has_some, counts, np.iinfo(np.int64).max).min(axis=0)
    return Prototypes(
        np.where(is_known[:, None], np.stack(one_by_one), np.float32(0.0)),
        counts.sum(axis=0),
        has_some.sum(axis=0),
        np.where(is_known, fewest, 0),
    )


def nearest(prototypes: Prototypes, features: NDArray[np.float32]) -> NDArray[np.int16]:
    """The class whose mean is nearest to each of some features (n, width), int16 (n,); -1 where no class has
    one. Of two as near the lower."""
    known = np.flatnonzero(prototypes.samples > 0)
    if not len(known):
        return np.full(len(features), -1, dtype=np.int16)
    means = prototypes.means[known].astype(np.float64)
    score = features.astype(np.float64) @ means.T - 0.5 * np.square(means).sum(axis=1)
    return np.asarray(known[score.argmax(axis=1)], dtype=np.int16)
