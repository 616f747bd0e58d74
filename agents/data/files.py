"""Readers of the data sets' file formats; whatever is wrong with a file is said in one line that names it.
torchvision has such readers too: they take no compressed IDX, run whatever a pickle asks for, and insist on
the published checksums."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import BadInput

Part = tuple[NDArray[np.uint8], NDArray[np.int16]]  # pixels (n, channels, height, width), labels (n,)
_UNSIGNED_BYTES = 0x08  # IDX's code of a type
_PICKLED = {  # all that a file of CIFAR, written by Python 2, is made of besides dictionaries, lists and text
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def idx_pair(images: Path, labels: Path, classes: int) -> Part:
    """MNIST's format, two IDX files, compressed with gzip or not: pixels (n, 1, height, width), labels."""
    with _named(images):
        pixels = _idx(images, axes=3)
        if not pixels.size:
            raise ValueError(f"it holds no pictures, as its header says: {pixels.shape}")
    with _named(labels):
        values = _idx(labels, axes=1)
    return _checked(pixels[:, None], values, classes, labels)


def cifar(file: Path, key: str, classes: int) -> Part:
    """A batch of CIFAR: a pickled dictionary whose `data` holds rows of 3 x 32 x 32 bytes."""
    with _named(file):
        with file.open("rb") as stream:
            batch = _PlainUnpickler(stream, encoding="latin1").load()
        pixels = np.asarray(batch["data"])
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (3 * 32 * 32,):
            raise ValueError(f"its data are {pixels.dtype} {pixels.shape}, not uint8 (n, 3072)")
        labels = np.asarray(batch[key])
    return _checked(pixels.reshape(-1, 3, 32, 32), labels, classes, file)


def svhn(file: Path) -> Part:
    """A file of SVHN's cropped digits: MATLAB arrays X (32, 32, 3, n) and y (n, 1), in which 10 means 0."""
    from scipy.io import loadmat  # noqa: PLC0415  (only this set needs it)

    with _named(file):
        arrays = loadmat(str(file), variable_names=["X", "y"])
        pixels, labels = arrays["X"], arrays["y"].reshape(-1)
        if pixels.dtype != np.uint8 or pixels.shape[:-1] != (32, 32, 3):
            raise ValueError(f"its X is {pixels.dtype} {pixels.shape}, not uint8 (32, 32, 3, n)")
        if not pixels.size:
            raise ValueError("it holds no pictures")
    by_sample = np.ascontiguousarray(pixels.transpose(3, 2, 0, 1))
    if np.issubdtype(labels.dtype, np.integer):  # text and structures compare with no number
        labels = np.where(labels == 10, 0, labels)
    return _checked(by_sample, labels, 10, file)


def _checked(pixels: NDArray[np.uint8], labels: NDArray[Any], classes: int, file: Path) -> Part:
    """Raises BadInput, naming `file`, unless there is a label from 0 to classes - 1 for each image."""
    if labels.shape != (len(pixels),):
        raise BadInput(f"{file}: {labels.size} labels for {len(pixels)} images")
    if not np.issubdtype(labels.dtype, np.integer):
        raise BadInput(f"{file}: its labels are {labels.dtype}, not whole numbers")
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(outside):
        at = int(outside[0])
        raise BadInput(f"{file}: label {labels[at]} of sample {at} is not a class from 0 to {classes - 1}")
    return pixels, labels.astype(np.int16)


def _idx(file: Path, axes: int) -> NDArray[np.uint8]:
    """An array of bytes: two zeros, the type, the number of axes, their lengths (big-endian), the content."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    zeros, kind, count = struct.unpack_from(">HBB", content)
    if (zeros, kind, count) != (0, _UNSIGNED_BYTES, axes):
        raise ValueError(f"it is no IDX file of bytes along {axes} axes")
    shape = struct.unpack_from(f">{axes}I", content, 4)
    size, expected = len(content) - 4 - 4 * axes, int(np.prod(shape, dtype=np.int64))
    if size != expected:
        raise ValueError(f"it holds {size} bytes where its header says {expected}")
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


class _PlainUnpickler(pickle.Unpickler):
    """Builds arrays and plain values, and refuses all else: an unpickled file could run anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PICKLED:
            raise ValueError(f"it asks for {module}.{name}, which no data needs")
        return super().find_class(module, name)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Turns whatever reading `file` raises into BadInput with its name: a broken file may break its reader,
    which is another library's, in any way."""
    try:
        yield
    except Exception as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise BadInput(f"{file}: cannot be read as data: {' '.join(why.split())}") from error
