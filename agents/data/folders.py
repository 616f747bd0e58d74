"""Where the files of a data set lie: looks for them, has torchvision fetch them, or says what is expected.
Between the scenario's `data.root` and the readers of `agents.data.files`."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from sim.errors import BadInput
from sim.scenario import Data

log = logging.getLogger(__name__)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts it
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
    compressed: whether a file may also be there as NAME.gz.
    md5: of each file as published, where torchvision knows one; splits: how its class calls its parts.
    """

    kind: str
    folder: str
    files: tuple[str, ...]
    also_bare: bool = False
    compressed: bool = False
    md5: tuple[str, ...] = ()
    splits: tuple[dict[str, object], ...] = ({"train": True}, {"train": False})


LAYOUTS = {
    "mnist": Layout("MNIST", "MNIST/raw", _MNIST, compressed=True),
    "fashion_mnist": Layout("FashionMNIST", "FashionMNIST/raw", _MNIST, also_bare=True, compressed=True),
    "cifar10": Layout(
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
    "cifar100": Layout(
        "CIFAR100",
        "cifar-100-python",
        ("train", "test"),
        md5=("16019d7e3df5f24257cddd939b257f8d", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
    ),
    "svhn": Layout(
        "SVHN",
        "",
        ("train_32x32.mat", "test_32x32.mat"),
        md5=("e26dedcc434d2e4c54c9b2d4a06d8373", "eb5a983be6a315427106f1b164d9cef3"),
        splits=({"split": "train"}, {"split": "test"}),
    ),
}


def data_files(data: Data) -> list[Path]:
    """The files of a scenario's data set, in the order of its layout; fetched first if it says `download`.

    A file that is not byte for byte the published one is used all the same, with a warning: it may be a part
    of the set that somebody cut out. Raises BadInput, saying what is expected where, if there are none.
    """
    layout, roots = LAYOUTS[data.set], roots_of(data)
    files = _among(layout, roots)
    if files is None and data.download:
        _download(data.set, layout, roots[0])
        files = _among(layout, roots)
    if files is None:
        raise BadInput(_missing(data, layout, roots))
    for file, md5 in zip(files, layout.md5, strict=False):
        if _md5(file) != md5:
            log.warning("%s: is not the published file of %s (its checksum differs)", file, data.set)
    return files


def roots_of(data: Data) -> list[Path]:
    """The folders to look in: `data.root` alone, else $L2H_DATA, data/ and where Debian has it."""
    if data.root is not None:
        return [Path(data.root).expanduser()]
    own = os.environ.get("L2H_DATA")
    return [*([Path(own)] if own else []), Path("data"), *([DEBIAN] if data.set == "fashion_mnist" else [])]


def _among(layout: Layout, roots: list[Path]) -> list[Path] | None:
    for root in roots:
        for folder in (root / layout.folder, *([root] if layout.also_bare else [])):
            files = [_file(folder / name, layout.compressed) for name in layout.files]
            if None not in files:
                return [file for file in files if file is not None]
    return None


def _file(plain: Path, may_be_compressed: bool) -> Path | None:
    choices = [plain, plain.with_name(plain.name + ".gz")] if may_be_compressed else [plain]
    return next((choice for choice in choices if choice.is_file()), None)


def _download(name: str, layout: Layout, root: Path) -> None:
    """Has torchvision fetch the set into `root`; it shows its progress and checks the published checksums."""
    from agents.models.vision import torchvision  # noqa: PLC0415  (torch, for a download alone)

    try:
        for split in layout.splits:
            getattr(torchvision("datasets"), layout.kind)(str(root), download=True, **split)
    except (OSError, RuntimeError) as error:  # no network, a full disk, a checksum that differs
        why = " ".join(str(error).split())
        raise BadInput(
            f"data.download: {name} could not be fetched ({why}); "
            f"by other means, put {_expected(layout, root)}"
        ) from error


def _missing(data: Data, layout: Layout, roots: list[Path]) -> str:
    """What is said where nothing was found."""
    where = " nor in ".join(str(root) for root in roots)
    key = f"data.root: {data.root!r}" if data.root is not None else f"data.set: {data.set}"
    ways = ["set data.root to the folder that holds them"] if data.root is None else []
    ways += [] if data.download else ["data.download: true fetches them"]
    ways += ["Debian's package dataset-fashion-mnist has them"] if data.set == "fashion_mnist" else []
    return f"{key}: not found in {where}: expected {_expected(layout, roots[0])}; {', or '.join(ways)}"


def _expected(layout: Layout, root: Path) -> str:
    or_compressed = " (or with .gz)" if layout.compressed else ""
    return f"in {root / layout.folder} the files {', '.join(layout.files)}{or_compressed}"


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
