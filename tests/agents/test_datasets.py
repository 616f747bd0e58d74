"""Every data set: read as it was written, in its range, and refused in one line where its files are wrong."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any
from urllib.error import URLError

import brought_files
import data_files
import numpy as np
import pytest
from data_files import idx, write_cifar, write_mnist, write_svhn
from scipy.io import savemat
from sklearn.datasets import load_digits
from small_fleets import group, scenario

from agents.checks import validate
from agents.data import folders as data_folders
from agents.data.datasets import SETS, DataSet, load
from agents.data.folders import DEBIAN, layout_of, roots_of
from agents.fleet import open_fleet
from agents.models.vision import torchvision
from sim.errors import BadInput
from sim.registry.data_sets import DATA_SETS

CASES: dict[str, Callable[[Path], tuple[np.ndarray, np.ndarray]]] = {
    "mnist": lambda root: write_mnist(root / "MNIST/raw", compressed=False),
    "fashion_mnist": lambda root: write_mnist(root / "FashionMNIST/raw", compressed=False),
    "cifar10": lambda root: write_cifar(root, classes=10),
    "cifar100": lambda root: write_cifar(root, classes=100),
    "svhn": write_svhn,
}


def loaded(name: str, root: Path | None = None, /, **changes: Any) -> DataSet:
    data = {"set": name, "root": None if root is None else str(root), **changes}
    return load(scenario(data=data))


def test_every_set_has_a_case_here() -> None:
    assert set(SETS) == set(DATA_SETS)
    assert set(CASES) == {name for name, kind in DATA_SETS.items() if kind.files is not None}


def brought(name: str, folder: Path) -> dict[str, Any]:
    """A file of the user's for a set that is read from one."""
    if name == "table":
        return {"file": str(brought_files.write(brought_files.answers(), folder / "a.csv"))}
    if name == "features":
        return {"file": str(brought_files.features(folder / "a.csv"))}
    if name == "torchvision":
        brought_files.eurosat(folder)
        return {"file": str(folder), "name": "EuroSAT", "image_size": 4}
    brought_files.pictures(folder / "a.npz", folder / "a")
    return {"file": str(folder / ("a.npz" if name == "npz" else "a"))}


@pytest.mark.parametrize("name", SETS)
def test_every_data_set_keeps_the_contract(name: str, tmp_path: Path) -> None:
    if name in CASES:
        CASES[name](tmp_path)
    is_brought = DATA_SETS[name].is_brought
    written = brought(name, tmp_path) if is_brought else {}
    data = loaded(name, None if is_brought else tmp_path, **written)
    assert data.images.shape == (data.size, *data.image_shape)
    assert data.images.dtype == np.float32
    assert data.labels.dtype == np.int16
    assert set(np.unique(data.labels)) == set(range(data.classes))
    known, asked = DATA_SETS[name], scenario(data={"set": name} | written).data
    if known.has_answers or not is_brought:
        assert (known.classes_of(asked), known.pixels_of(asked)) == (data.classes, prod(data.image_shape))
        assert name in CASES or known.samples_of(asked) == data.size
    else:
        assert known.classes_of(asked) is None
    some = np.array([3, 1, 4])
    assert np.array_equal(data.look(some), data.images[some])
    if data.levels is not None and name in ("digits", *CASES):
        assert data.images.min() == 0.0
        assert data.images.max() == 1.0


@pytest.mark.parametrize("name", CASES)
def test_a_set_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    images, labels = CASES[name](tmp_path)
    data = loaded(name, tmp_path)
    assert np.array_equal(data.pixels, images)
    assert np.array_equal(data.labels, labels)
    assert np.array_equal(data.images, images.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("name", CASES)
def test_torchvision_reads_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own reader, told not to insist on the published checksums, is the second opinion."""
    CASES[name](tmp_path)
    layout, datasets = layout_of(name), torchvision("datasets")
    kind = getattr(datasets, layout.kind)
    if "mnist" not in name:
        monkeypatch.setattr(kind, "_check_integrity", lambda _: True)
        monkeypatch.setattr(kind, "_load_meta", lambda _: None, raising=False)
    theirs = [kind(str(tmp_path), **split) for split in layout.splits]
    ours = loaded(name, tmp_path)
    told = [np.asarray(part.labels if name == "svhn" else part.targets) for part in theirs]
    assert np.array_equal(ours.labels, np.concatenate(told))
    pixels = np.concatenate([np.asarray(part.data) for part in theirs])
    if "mnist" in name:
        pixels = pixels[:, None]
    elif "cifar" in name:
        pixels = pixels.transpose(0, 3, 1, 2)
    assert np.array_equal(ours.pixels, pixels)


def test_checksums_and_files_are_those_that_torchvision_knows() -> None:
    datasets = torchvision("datasets")
    for name in ("cifar10", "cifar100"):
        kind, layout = getattr(datasets, layout_of(name).kind), layout_of(name)
        assert [list(pair) for pair in zip(layout.files, layout.md5, strict=True)] == (
            kind.train_list + kind.test_list
        )
        assert kind.base_folder == layout.folder
    parts = [datasets.SVHN.split_list[part] for part in ("train", "test")]
    assert [(part[1], part[2]) for part in parts] == list(
        zip(layout_of("svhn").files, layout_of("svhn").md5, strict=True)
    )
    for name in ("mnist", "fashion_mnist"):
        kind = getattr(datasets, layout_of(name).kind)
        assert [file.removesuffix(".gz") for file, _ in kind.resources] == list(layout_of(name).files)


def test_files_that_are_not_the_published_ones_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_svhn(tmp_path)
    loaded("svhn", tmp_path)
    assert (
        len([message for message in caplog.messages if "is not the published file of svhn" in message]) == 2
    )


@pytest.mark.parametrize("below", ["FashionMNIST/raw", "."])
@pytest.mark.parametrize("compressed", [True, False])
def test_fashion_mnist_may_lie_as_torchvision_or_debian_has_it(
    below: str, compressed: bool, tmp_path: Path
) -> None:
    images, _ = write_mnist(tmp_path / below, compressed)
    assert np.array_equal(loaded("fashion_mnist", tmp_path).pixels, images)


def test_fashion_mnist_is_not_taken_for_mnist(tmp_path: Path) -> None:
    """Their files have the same names; only the folder tells them apart."""
    write_mnist(tmp_path, compressed=True)
    with pytest.raises(BadInput, match="not found"):
        loaded("mnist", tmp_path)


@pytest.mark.skipif(
    not (DEBIAN / "fashion-mnist/train-images-idx3-ubyte.gz").is_file(),
    reason=f"{DEBIAN}/fashion-mnist is not there: apt-get install dataset-fashion-mnist",
)
def test_the_real_fashion_mnist_of_debian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # so that no data/ is found first
    monkeypatch.delenv("L2H_DATA", raising=False)
    data = loaded("fashion_mnist")
    assert data.pixels.shape == (70_000, 1, 28, 28)
    assert data.pixels.dtype == np.uint8
    assert np.bincount(data.labels).tolist() == [7_000] * 10


def test_where_a_set_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def roots(name: str, root: str | None = None) -> list[Path]:
        return roots_of(scenario(data={"set": name, "root": root}).data)

    monkeypatch.delenv("L2H_DATA", raising=False)
    assert roots("mnist") == [Path("data")]
    assert roots("fashion_mnist") == [Path("data"), DEBIAN / "fashion-mnist"]
    monkeypatch.setenv("L2H_DATA", str(tmp_path))
    assert roots("svhn") == [tmp_path, Path("data")]
    assert roots("svhn", "elsewhere") == [Path("elsewhere")]


def test_files_that_are_not_there_are_named_with_their_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        loaded("cifar100", tmp_path)
    assert str(refusal.value) == (
        f"data.root: '{tmp_path}': not found in {tmp_path}: expected in {tmp_path / 'cifar-100-python'} "
        "the files train, test; data.download: true fetches them"
    )


def test_without_a_root_every_place_and_every_way_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("L2H_DATA", "mine")
    monkeypatch.setattr(data_folders, "DEBIAN", Path("packaged"))
    with pytest.raises(BadInput) as refusal:
        loaded("fashion_mnist")
    assert str(refusal.value) == (
        "data.set: fashion_mnist: not found in mine nor in data nor in packaged/fashion-mnist: expected in "
        "mine/FashionMNIST/raw the files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
        "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (or with .gz); set data.root to the folder that "
        "holds them, or data.download: true fetches them, or Debian's package dataset-fashion-mnist has them"
    )


def test_a_download_that_fails_names_folder_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network here")

    monkeypatch.setattr(torchvision("datasets").SVHN, "download", offline)
    with pytest.raises(BadInput) as refusal:
        loaded("svhn", tmp_path, download=True)
    assert str(refusal.value) == (
        "data.download: svhn could not be fetched (<urlopen error no network here>); by other means, put in "
        f"{tmp_path} the files train_32x32.mat, test_32x32.mat"
    )


def test_a_download_is_read_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision checks the checksums of what it fetches; here it is told that they are right."""
    kind = torchvision("datasets").CIFAR100
    monkeypatch.setattr(kind, "download", lambda self: None if any(Path(self.root).iterdir()) else fetch())
    monkeypatch.setattr(kind, "_check_integrity", lambda _: True)
    monkeypatch.setattr(kind, "_load_meta", lambda _: None)
    images: list[np.ndarray] = []

    def fetch() -> None:
        images.append(write_cifar(tmp_path, classes=100)[0])

    assert np.array_equal(loaded("cifar100", tmp_path, download=True).pixels, images[0])


def rewritten(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def spoil(root: Path) -> Path:
        path = root / file
        path.write_bytes(change(path.read_bytes()))
        return path

    return spoil


def pickled(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda old: pickle.dumps(pickle.loads(old) | changes, protocol=2)


def matlab(**arrays: Any) -> Callable[[Path], Path]:
    def spoil(root: Path) -> Path:
        savemat(root / "test_32x32.mat", arrays)
        return root / "test_32x32.mat"

    return spoil


class Harmful:
    """Unpickled naively, this would run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the file was allowed to run something",))


IMAGES, LABELS, TEST_IMAGES = (f"MNIST/raw/{data_files.MNIST_NAMES[place]}" for place in (0, 1, 2))
BATCH = "cifar-10-batches-py/data_batch_3"
X = np.zeros((32, 32, 3, 4), dtype=np.uint8)
WRONG: list[tuple[str, Callable[[Path], Path], str]] = [
    ("mnist", rewritten(IMAGES, lambda old: old[:-1]), "holds 31359 bytes where its header says 31360"),
    ("mnist", rewritten(IMAGES, lambda old: old + b"!"), "holds 31361 bytes"),
    ("mnist", rewritten(IMAGES, lambda _: b"not IDX at all"), "no IDX file of bytes along 3 axes"),
    ("mnist", rewritten(IMAGES, lambda _: b""), "cannot be read"),
    ("mnist", rewritten(IMAGES, lambda _: idx(np.zeros(40))), "no IDX file of bytes along 3 axes"),
    ("mnist", rewritten(LABELS, lambda _: idx(np.zeros(39))), "39 labels for 40 images"),
    (
        "mnist",
        rewritten(LABELS, lambda _: idx(np.arange(40))),
        "label 10 of sample 10 is not a class from 0 to 9",
    ),
    ("mnist", rewritten(IMAGES, lambda _: idx(np.zeros((0, 28, 28)))), "no pictures"),
    ("mnist", rewritten(TEST_IMAGES, lambda _: idx(np.zeros((20, 0, 0)))), "no pictures"),
    ("cifar10", rewritten(BATCH, lambda old: old[:-20]), "cannot be read"),
    ("cifar10", rewritten(BATCH, lambda _: b"text"), "cannot be read"),
    ("cifar10", rewritten(BATCH, lambda _: pickle.dumps(Harmful())), "which no data needs"),
    ("cifar10", rewritten(BATCH, lambda _: pickle.dumps([1, 2])), "cannot be read"),
    ("cifar10", rewritten(BATCH, pickled(data=np.zeros((20, 784), np.uint8))), r"\(20, 784\), not uint8"),
    ("cifar10", rewritten(BATCH, pickled(data=np.zeros((20, 3072)))), "float64"),
    ("cifar10", rewritten(BATCH, pickled(labels=[0] * 19 + [-1])), "label -1 of sample 19"),
    ("cifar10", rewritten(BATCH, pickled(labels=[0.5] * 20)), "not whole numbers"),
    ("cifar10", rewritten(BATCH, lambda _: pickle.dumps({"labels": [1]}, 2)), "no 'data'"),
    ("svhn", rewritten("train_32x32.mat", lambda old: old[: len(old) // 2]), "cannot be read"),
    ("svhn", rewritten("train_32x32.mat", lambda _: b"text"), "cannot be read"),
    ("svhn", matlab(X=X, y=np.full((4, 1), 11)), "label 11 of sample 0 is not a class from 0 to 9"),
    ("svhn", matlab(X=X, y=np.ones((3, 1), np.uint8)), "3 labels for 4 images"),
    ("svhn", matlab(X=X[0], y=np.ones((4, 1), np.uint8)), r"not uint8 \(32, 32, 3, n\)"),
    ("svhn", matlab(X=X), "no 'y'"),
    ("svhn", matlab(X=X, y={"label": np.ones(4)}), "1 labels for 4 images"),
    ("svhn", matlab(X=X[..., :1], y={"label": np.ones(4)}), "not whole numbers"),
    ("svhn", matlab(X=X, y=np.array(list("1234"))), "not whole numbers"),
    ("svhn", matlab(X=X[..., :0], y=np.ones((0, 1), np.uint8)), "no pictures"),
]


@pytest.mark.parametrize(("name", "spoil", "why"), WRONG)
def test_a_wrong_file_is_named_at_check(
    name: str, spoil: Callable[[Path], Path], why: str, tmp_path: Path
) -> None:
    CASES[name](tmp_path)
    path = spoil(tmp_path)
    with pytest.raises(BadInput, match=why) as refusal:
        validate(scenario(data={"set": name, "root": str(tmp_path)}))
    assert str(refusal.value).startswith(f"{path}: ")
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("root", ["x" * 10_000, "x/" * 5_000])
def test_a_root_too_long_for_a_file_name_is_one_line(root: str) -> None:
    with pytest.raises(BadInput, match="not found in x"):
        validate(scenario(data={"set": "mnist", "root": root}))


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, compressed=True)
    path = tmp_path / f"{data_files.MNIST_NAMES[2]}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="cannot be read as data: Compressed file ended") as refusal:
        loaded("fashion_mnist", tmp_path)
    assert str(refusal.value).startswith(f"{path}: ")


def test_idx_of_another_type_is_refused(tmp_path: Path) -> None:
    """Floats in place of bytes: the third byte of the header says so."""
    write_mnist(tmp_path, compressed=True)
    floats = struct.pack(">HBB", 0, 13, 1) + struct.pack(">I", 20) + bytes(80)
    (tmp_path / f"{data_files.MNIST_NAMES[3]}.gz").write_bytes(gzip.compress(floats))
    with pytest.raises(BadInput, match="no IDX file of bytes along 1 axes"):
        loaded("fashion_mnist", tmp_path)


def test_samples_are_a_keyed_draw_without_replacement() -> None:
    whole, some, again = loaded("digits"), loaded("digits", samples=500), loaded("digits", samples=500)
    other = load(scenario(data={"set": "digits", "samples": 500}, seed=8))
    assert some.size == 500
    assert some.pixels.tobytes() == again.pixels.tobytes() != other.pixels.tobytes()
    rows = {image.tobytes() for image in whole.pixels}
    assert {image.tobytes() for image in some.pixels} <= rows
    assert loaded("digits", samples=whole.size).pixels.tobytes() == whole.pixels.tobytes()


def test_more_samples_than_there_are_is_refused(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    with pytest.raises(BadInput, match=r"^data\.samples: 100, but svhn has 60$"):
        loaded("svhn", tmp_path, samples=100)


@pytest.mark.parametrize("name", ["cifar10", "svhn", "mnist", "gaussian_mixture"])
def test_a_fleet_learns_from_every_kind_of_set(name: str, tmp_path: Path, cache: Path) -> None:
    if name in CASES:
        CASES[name](tmp_path)
    samples = 200 if name == "gaussian_mixture" else None
    asked = scenario(group(), data={"set": name, "root": str(tmp_path), "samples": samples})
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        learned = fleet.decide()
    assert learned.tables.server_label.shape == learned.samples.label.shape
    assert np.isfinite(learned.learning["loss"]).all()


def test_digits_are_those_of_scikit_learn():
    bunch = load_digits()
    data = loaded("digits")
    np.testing.assert_array_equal(data.pixels[:, 0], bunch.images)
    np.testing.assert_array_equal(data.labels, bunch.target)
    assert data.levels is not None
    assert data.levels[16] == 1.0


def test_idx_pictures_of_two_sizes_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST/raw"
    write_mnist(folder, compressed=False)
    small, _ = data_files.made_up(20, (20, 20), 10, seed=3)
    (folder / data_files.MNIST_NAMES[2]).write_bytes(idx(small))
    asked = scenario(group(), data={"set": "mnist", "root": str(tmp_path)})
    with pytest.raises(BadInput, match="its pictures are 20x20, those of train-images-idx3-ubyte are 28x28"):
        load(asked)


def test_labels_of_numpys_own_integers_are_read(tmp_path: Path) -> None:
    """As who writes such a file today would leave them."""
    write_cifar(tmp_path, classes=10)
    folder = tmp_path / "cifar-10-batches-py"
    expected = []
    for file in [*sorted(folder.glob("data_batch_*")), folder / "test_batch"]:
        batch = pickle.loads(file.read_bytes())
        expected += batch["labels"]
        batch["labels"] = [np.int64(label) for label in batch["labels"]]
        file.write_bytes(pickle.dumps(batch))
    asked = scenario(group(), data={"set": "cifar10", "root": str(tmp_path)})
    assert load(asked).labels.tolist() == expected
