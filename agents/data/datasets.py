"""The data sets: labelled images in the form they are stored in, and as float32 where they are looked at.
First step of building a fleet; `agents.data.pools` splits what comes from here."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.data.brought import READERS
from agents.data.files import cifar, idx_pair, svhn
from agents.data.folders import data_files
from agents.data.mixtures import drawn_set
from sim.errors import BadInput
from sim.registry.data_sets import DATA_SETS
from sim.registry.registry import Code
from sim.scenario import Scenario
from sim.scenario.files.answers import AnswerTable, answer_table
from sim.scenario.files.rows import BadFile
from sim.streams import stream


@dataclass(frozen=True)
class DataSet:
    """n labelled images of (channels, height, width); labels int16 (n,), from 0.

    pixels: (n, channels, height, width), uint8 places in `levels` where that is given, else float32 values.
    levels: float32 in [0, 1], ascending. Pictures stay the bytes that they are on disk, a quarter of their
    size as float32. given: of a table of answers, what models say; its pixels are its features.
    """

    name: str
    pixels: NDArray[np.generic]
    levels: NDArray[np.float32] | None
    labels: NDArray[np.int16]
    classes: int
    given: AnswerTable | None = None

    @property
    def size(self) -> int:
        """Number of samples, N in `sample_id = view * N + index`."""
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @property
    def images(self) -> NDArray[np.float32]:
        """All images, float32 (n, channels, height, width); made on each call."""
        return self.look(slice(None))

    def look(self, which: NDArray[np.integer] | slice) -> NDArray[np.float32]:
        """Some images by their index, float32 (m, channels, height, width)."""
        pixels = self.pixels[which]
        if self.levels is None:
            return pixels.astype(np.float32)
        seen: NDArray[np.float32] = self.levels[pixels]
        return seen


SETS: Code[Callable[[Scenario], DataSet]] = Code(DATA_SETS)


@SETS.of("digits")
def digits(_scenario: Scenario) -> DataSet:
    """The 1,797 digits of 8x8 pixels that scikit-learn embeds (UCI, Alpaydin and Kaynak 1998).

    Read from its folder without loading it, which takes a second.
    """
    package = Path(str(distribution("scikit-learn").locate_file("sklearn")))
    with gzip.open(package / "datasets/data/digits.csv.gz") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return _pictures("digits", rows[:, :64].reshape(-1, 1, 8, 8), rows[:, 64], classes=10, white=16)


@SETS.of("fashion_mnist", "mnist")
def mnist(scenario: Scenario) -> DataSet:
    """MNIST (LeCun et al. 1998) or Fashion-MNIST (Xiao et al. 2017): 70,000 grey pictures of 28x28."""
    name, files = scenario.data.set, data_files(scenario.data)
    train, test = idx_pair(files[0], files[1], classes=10), idx_pair(files[2], files[3], classes=10)
    sizes = ["x".join(map(str, pixels.shape[2:])) for pixels, _ in (train, test)]
    if sizes[0] != sizes[1]:
        raise BadInput(f"{files[2]}: its pictures are {sizes[1]}, those of {files[0].name} are {sizes[0]}")
    return _joined(name, [train, test], classes=10)


@SETS.of("cifar10")
def cifar10(scenario: Scenario) -> DataSet:
    """CIFAR-10 (Krizhevsky 2009): 60,000 colour pictures of 32x32."""
    parts = [cifar(file, "labels", classes=10) for file in data_files(scenario.data)]
    return _joined("cifar10", parts, classes=10)


@SETS.of("cifar100")
def cifar100(scenario: Scenario) -> DataSet:
    """CIFAR-100 (Krizhevsky 2009) with its 100 fine classes: 60,000 colour pictures of 32x32."""
    parts = [cifar(file, "fine_labels", classes=100) for file in data_files(scenario.data)]
    return _joined("cifar100", parts, classes=100)


@SETS.of("svhn")
def street_digits(scenario: Scenario) -> DataSet:
    """SVHN (Netzer et al. 2011) without its "extra" part: 99,289 colour pictures of 32x32."""
    return _joined("svhn", [svhn(file) for file in data_files(scenario.data)], classes=10)


@SETS.of("gaussian_mixture")
def gaussian_mixture(scenario: Scenario) -> DataSet:
    """Points of `agents.data.mixtures` as images of one channel; as many as `data.samples` says."""
    points, labels = drawn_set(scenario)
    return DataSet("gaussian_mixture", points, None, labels, scenario.data.mixture.classes)


@SETS.of("npz", "features", "image_folder", "torchvision")
def own_samples(scenario: Scenario) -> DataSet:
    """Samples that a user brings, in the order of their files."""
    name = scenario.data.set
    pixels, labels, classes = READERS[name](scenario.data)
    if pixels.dtype == np.uint8:
        return _pictures(name, pixels, labels, classes)
    return DataSet(name, pixels.astype(np.float32, copy=False), None, labels, classes)


@SETS.of("table")
def answers(scenario: Scenario) -> DataSet:
    """A table of answers; features as images of one channel and one row, of no width where it has none."""
    file = scenario.data.file
    assert file is not None  # checked when the scenario was
    try:
        table = answer_table(file)
    except BadFile as error:
        raise BadInput(f"data.file: {file}: {error}") from None
    return DataSet("table", table.features[:, None, None], None, table.label, table.classes, table)


def load(scenario: Scenario) -> DataSet:
    """The data set that `data.set` names, the training and test parts of its authors joined, since the five
    pools split it anew; with `data.samples`, that many of its samples, a keyed draw without replacement.

    Raises BadInput, one line, for files that are missing or not what they should be.
    """
    data = SETS.choose(scenario.data.set, "data.set")(scenario)
    wanted = scenario.data.samples
    if wanted is None or wanted == data.size:
        return data
    if wanted > data.size:
        raise BadInput(f"data.samples: {wanted}, but {data.name} has {data.size}")
    chosen = np.sort(stream(scenario.seed, "data samples").permutation(data.size)[:wanted])
    given = None if data.given is None else data.given.take(chosen)
    return replace(data, pixels=data.pixels[chosen], labels=data.labels[chosen], given=given)


def _joined(name: str, parts: list[tuple[NDArray[np.uint8], NDArray[np.int16]]], classes: int) -> DataSet:
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return _pictures(name, pixels, labels, classes)


def _pictures(
    name: str, pixels: NDArray[np.uint8], labels: NDArray[np.integer], classes: int, white: int = 255
) -> DataSet:
    levels = (np.arange(256) / white).clip(max=1.0).astype(np.float32)
    return DataSet(name, pixels, levels, labels.astype(np.int16), classes)
