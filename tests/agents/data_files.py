"""Small files in the formats of the real data sets, written by the tests that read them."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
from scipy.io import savemat

MNIST_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def made_up(count: int, shape: tuple[int, ...], classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random bytes as images (count, *shape), and labels that name every class."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % classes


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in the IDX format."""
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(
    folder: Path, compressed: bool, train: int = 40, test: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Four IDX files; returns all images (n, 1, 28, 28) and labels, the training part first."""
    parts = [made_up(train, (28, 28), 10, seed=1), made_up(test, (28, 28), 10, seed=2)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(MNIST_NAMES, (array for part in parts for array in part), strict=True):
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images[:, None], labels


def write_cifar(root: Path, classes: int, per_file: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """The batches of CIFAR-10, or with 100 classes CIFAR-100, pickled as Python 2 wrote them."""
    ten = classes == 10
    folder = root / ("cifar-10-batches-py" if ten else "cifar-100-python")
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"] if ten else ["train", "test"]
    folder.mkdir(parents=True)
    parts = [made_up(max(per_file, classes), (3072,), classes, seed) for seed in range(len(names))]
    for name, (data, labels) in zip(names, parts, strict=True):
        batch = {"data": data, "labels" if ten else "fine_labels": labels.tolist(), "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images.reshape(-1, 3, 32, 32), labels


def write_svhn(root: Path, count: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """The two MATLAB files of SVHN, in which the digit 0 has the label 10."""
    root.mkdir(parents=True, exist_ok=True)
    parts = [made_up(count, (3, 32, 32), 10, seed) for seed in (1, 2)]
    for name, (images, labels) in zip(("train_32x32.mat", "test_32x32.mat"), parts, strict=True):
        told = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(root / name, {"X": images.transpose(2, 3, 1, 0), "y": told}, do_compression=True)
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images, labels
