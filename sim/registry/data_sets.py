"""Data sets: how many samples of which size and classes each has, and where its files lie.
Read by `agents.data.datasets`; rules and estimates of memory ask here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.registry.registry import Family

if TYPE_CHECKING:
    from sim.scenario.files.answers import AnswerTable
    from sim.scenario.files.brought_sizes import Size
    from sim.scenario.schema.training import Data

_MNIST = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Layout:
    """The files of a set below a root, as torchvision lays them out.

    folder: below the root. also_bare: whether the root itself may hold the files, as Debian's does.
    compressed: whether a file may also be there as NAME.gz. debian: NAME of Debian's package dataset-NAME.
    md5: of each file as published, where torchvision knows one; splits: how its class calls its parts.
    """

    kind: str
    folder: str
    files: tuple[str, ...]
    also_bare: bool = False
    compressed: bool = False
    debian: str = ""
    md5: tuple[str, ...] = ()
    splits: tuple[dict[str, object], ...] = ({"train": True}, {"train": False})


@dataclass(frozen=True, kw_only=True)
class DataSetKind:
    """What is known of a data set.

    samples: all there are, or of a drawn one as many as unless said. number_bytes: what each number of a
    sample takes, as it is kept. is_drawn: whether there is no end of it. files: None where there are none.
    is_brought: whether `data.file` says where it is. has_answers: whether it tells what models answer, so
    that none is trained.
    """

    name: str
    samples: int
    number_bytes: int = 1
    is_drawn: bool = False
    files: Layout | None = None
    is_brought: bool = False
    has_answers: bool = False

    def classes_of(self, data: Data) -> int | None:
        """How many classes a scenario's data have; None where that is known once they are read."""
        raise NotImplementedError

    def pixels_of(self, data: Data) -> int:
        """How many numbers are in one of their samples."""
        raise NotImplementedError

    def all_of(self, _data: Data) -> int:
        """How many samples there are."""
        return self.samples

    def samples_of(self, data: Data) -> int:
        """How many samples the run uses."""
        return self.all_of(data) if data.samples is None else data.samples


@dataclass(frozen=True, kw_only=True)
class Pictures(DataSetKind):
    """A set that somebody published."""

    classes: int
    pixels: int

    def classes_of(self, _data: Data) -> int:
        return self.classes

    def pixels_of(self, _data: Data) -> int:
        return self.pixels


@dataclass(frozen=True, kw_only=True)
class DrawnMixture(DataSetKind):
    """Points that are drawn as `data.mixture` says."""

    is_drawn: bool = True

    def classes_of(self, data: Data) -> int:
        return data.mixture.classes

    def pixels_of(self, data: Data) -> int:
        return data.mixture.dimensions


@dataclass(frozen=True, kw_only=True)
class OwnSamples(DataSetKind):
    """Samples of the user's, to train models on; how many classes they have is known once they are read."""

    samples: int = 1
    number_bytes: int = 4
    is_brought: bool = True

    def classes_of(self, _data: Data) -> int | None:
        return None

    def pixels_of(self, data: Data) -> int:
        found = _size(data)
        return max(1, round(found.numbers / found.samples))

    def all_of(self, data: Data) -> int:
        return _size(data).samples


def _size(data: Data) -> Size:
    from sim.scenario.files.brought_sizes import Size, size_of  # noqa: PLC0415  (pyarrow, for these alone)

    return size_of(data.file, data.image_size) if data.file else Size(1, 1)


@dataclass(frozen=True, kw_only=True)
class Answers(DataSetKind):
    """A table of what given models answer. Of a file that cannot be read another rule tells."""

    samples: int = 1
    number_bytes: int = 4
    is_brought: bool = True
    has_answers: bool = True

    def classes_of(self, data: Data) -> int | None:
        return table.classes if (table := _answers(data)) else None

    def pixels_of(self, data: Data) -> int:
        return table.features.shape[1] if (table := _answers(data)) else 1

    def all_of(self, data: Data) -> int:
        return table.size if (table := _answers(data)) else data.samples or 1


def _answers(data: Data) -> AnswerTable | None:
    from sim.scenario.files.answers import answer_table  # noqa: PLC0415  (pyarrow, for this set alone)
    from sim.scenario.files.rows import BadFile  # noqa: PLC0415

    try:
        return answer_table(data.file) if data.file else None
    except BadFile:
        return None


DATA_SETS: Family[DataSetKind] = Family(
    "data_set",
    "data set",
    Pictures(name="digits", classes=10, pixels=64, samples=1_797),
    Pictures(
        name="fashion_mnist",
        classes=10,
        pixels=784,
        samples=70_000,
        files=Layout(
            "FashionMNIST",
            "FashionMNIST/raw",
            _MNIST,
            also_bare=True,
            compressed=True,
            debian="fashion-mnist",
        ),
    ),
    Pictures(
        name="mnist",
        classes=10,
        pixels=784,
        samples=70_000,
        files=Layout("MNIST", "MNIST/raw", _MNIST, compressed=True),
    ),
    Pictures(
        name="cifar10",
        classes=10,
        pixels=3 * 32 * 32,
        samples=60_000,
        files=Layout(
            "CIFAR10",
            "cifar-10-batches-py",
            (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
            md5=(
                "c99cafc152244af753f735de768cd75f",
                "d4bba439e000b95fd0a9bffe97cbabec",
                "54ebc095f3ab1f0389bbae665268c751",
                "634d18415352ddfa80567beed471001a",
                "482c414d41f54cd18b22e5b47cb7c3cb",
                "40351d587109b95175f43aff81a1287e",
            ),
        ),
    ),
    Pictures(
        name="cifar100",
        classes=100,
        pixels=3 * 32 * 32,
        samples=60_000,
        files=Layout(
            "CIFAR100",
            "cifar-100-python",
            ("train", "test"),
            md5=("16019d7e3df5f24257cddd939b257f8d", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
        ),
    ),
    Pictures(
        name="svhn",
        classes=10,
        pixels=3 * 32 * 32,
        samples=99_289,
        files=Layout(
            "SVHN",
            "",
            ("train_32x32.mat", "test_32x32.mat"),
            md5=("e26dedcc434d2e4c54c9b2d4a06d8373", "eb5a983be6a315427106f1b164d9cef3"),
            splits=({"split": "train"}, {"split": "test"}),
        ),
    ),
    DrawnMixture(
        name="gaussian_mixture",
        samples=10_000,
        number_bytes=28,  # as it is drawn: mean, noise and sum as float64, and itself
    ),
    Answers(name="table"),
    OwnSamples(name="npz"),
    OwnSamples(name="features"),
    OwnSamples(name="image_folder"),
    OwnSamples(name="torchvision"),
)

if TYPE_CHECKING:
    DataSetName = str
else:
    DataSetName = DATA_SETS.literal()
