"""Readers of samples that a user brings: arrays, features, folders of pictures, data sets of torchvision.
Beside `agents.data.files`; nothing is unpickled and nothing fetched."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from sim.errors import BadInput
from sim.scenario import Data
from sim.scenario.files.brought_sizes import files_below
from sim.scenario.files.rows import BadFile
from sim.scenario.files.table_files import NpzFile, open_table

MOST_CLASSES = 2**15 - 1
LABEL, LEFT_ASIDE = "label", "note"
SAMPLES, LABELS = ("images", "features"), "labels"
PARTS = {"train", "val", "valid", "test"}  # folders that hold folders of classes
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
BYTES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
SIXTEEN_BITS = 257  # by which a grey of 16 bits is one of 8: 65,535 / 255
SPLITS = ("train", "val", "valid", "test")
OURS = {"CIFAR10": "cifar10", "CIFAR100": "cifar100"}  # torchvision unpickles these; our readers do not


class Brought(NamedTuple):
    """pixels (n, channels, height, width), uint8 or float32; labels int16 (n,), from 0; how many classes."""

    pixels: NDArray[Any]
    labels: NDArray[np.int16]
    classes: int


def arrays(data: Data) -> Brought:
    """`images` or `features` and `labels` of an .npz; or of each of its parts, as in train_images."""
    path = _file(data)
    with _named(path):
        file = open_table(path)
        if not isinstance(file, NpzFile):
            raise BadFile("is no archive of arrays (.npz)")
        names = [name for name in file.names if name.endswith(SAMPLES)]
        if not names:
            raise BadFile("has no array images or features, with or without a prefix such as train_")
        parts = [_part(file, name) for name in names]
        if len({pixels.shape[1:] for pixels, _ in parts}) > 1:
            raise BadFile(f"its parts differ in shape: {', '.join(str(x.shape[1:]) for x, _ in parts)}")
        pixels, labels = (
            np.concatenate(each) if len(parts) > 1 else each[0] for each in zip(*parts, strict=True)
        )
        return _checked(pixels, labels, file.place)


def features(data: Data) -> Brought:
    """A CSV or Parquet table: `label`, and every other column a feature but those that begin with note."""
    path = _file(data)
    with _named(path):
        file = open_table(path)
        if isinstance(file, NpzFile):
            raise BadFile("is an archive, no table; use set: npz")
        wanted = [name for name in file.names if name.partition(".")[0] != LEFT_ASIDE and name != LABEL]
        if LABEL not in file.names or not wanted:
            raise BadFile("needs a column label and features beside it")
        labels, rows = [], []
        for batch in file.read([LABEL, *wanted]):
            labels.append(file.numbers(batch, LABEL))
            columns = [file.numbers(batch, name) for name in wanted]
            rows.append(np.column_stack(columns).astype(np.float32))
        if not rows:
            raise BadFile("has no rows")
        return _checked(np.concatenate(rows)[:, None, None], np.concatenate(labels), file.place)


def image_folder(data: Data) -> Brought:
    """A folder for each class with its pictures, as torchvision's ImageFolder; or these in train, test."""
    root = Path(_file(data))
    with _named(str(root)):
        if not root.is_dir():
            raise BadFile("is no folder")
        pictured = [file for file in files_below(root) if file.suffix.lower() in PICTURES]
        places = [file.relative_to(root).parts for file in pictured]  # what is empty counts for nothing
        tops = {place[0] for place in places if len(place) > 1}
        level = 1 if tops <= PARTS else 0
        found = [
            (file, place[level])
            for file, place in zip(pictured, places, strict=True)
            if len(place) > level + 1
        ]
        if not found:
            raise BadFile("holds no pictures in folders named by their classes")
        classes = sorted({name for _, name in found})
        labels = np.array([classes.index(name) for _, name in found])
        pixels = _pictures((_opened(file) for file, _ in found), len(found), data.image_size)
        return _checked(pixels, labels, lambda row: str(found[row][0]))


def torchvision_set(data: Data) -> Brought:
    """Any classification set of torchvision by its name, from files that are there already; all its parts."""
    from agents.models.vision import torchvision  # noqa: PLC0415  (torch, for these sets alone)

    kind = _torchvision_kind(data, torchvision("datasets"))
    with _named(_file(data)), _nothing_unpickled():
        parts, labels = list(_parts(kind, _file(data))), list[Any]()

        def pictures() -> Iterator[Any]:
            for part in parts:
                for place in range(len(part)):
                    picture, label = part[place]
                    labels.append(label)
                    yield picture

        pixels = _pictures(pictures(), sum(map(len, parts)), data.image_size)
        if not all(isinstance(label, int | np.integer) for label in labels):
            raise BadFile(f"{data.name} gives no class as a whole number: it is no set of classification")
        return _checked(pixels, np.array(labels), lambda row: f"sample {row}")


READERS: dict[str, Callable[[Data], Brought]] = {
    "npz": arrays,
    "features": features,
    "image_folder": image_folder,
    "torchvision": torchvision_set,
}


def _file(data: Data) -> str:
    assert data.file is not None  # checked when the scenario was
    return data.file


def _part(file: NpzFile, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Samples of an archive as pictures, and their labels."""
    kind = next(one for one in SAMPLES if name.endswith(one))
    label = name.removesuffix(kind) + LABELS
    if label not in file.names:
        raise BadFile(f"has {name} and no {label}")
    (rows,) = file.read([name, label])
    samples, labels = np.asarray(rows.columns[name]), np.asarray(rows.columns[label])
    if samples.dtype.kind not in "fiub":
        raise BadFile(f"{name} is {samples.dtype}: must be numbers")
    if kind == "features":
        if samples.ndim != 2:
            raise BadFile(f"{name} has {samples.ndim} axes: must be (samples, features)")
        return samples.astype(np.float32)[:, None, None], labels.reshape(len(samples), -1)[:, 0]
    if samples.ndim == 3:
        samples = samples[:, None]
    if samples.ndim != 4:
        raise BadFile(
            f"{name} has {samples.ndim} axes: must be (samples, height, width), with channels or without"
        )
    if samples.shape[1] not in (1, 3) and samples.shape[3] in (1, 3):
        samples = samples.transpose(0, 3, 1, 2)
    if samples.dtype != np.uint8:
        samples = samples.astype(np.float32)
    return np.ascontiguousarray(samples), labels.reshape(len(samples), -1)[:, 0]


def _checked(pixels: NDArray[Any], labels: NDArray[Any], place: Callable[[int], str]) -> Brought:
    """Raises BadFile for labels that are no classes, and for numbers that are not finite."""
    with np.errstate(invalid="ignore"):
        wrong = ~((labels >= 0) & (labels < MOST_CLASSES) & (labels == np.floor(labels)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadFile(f"{place(row)}: label is {labels[row]}: must be a class, a whole number from 0")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        row = int(np.argmin(np.isfinite(pixels).all(axis=(1, 2, 3))))
        raise BadFile(f"{place(row)}: holds what is not a finite number")
    classes = int(labels.max()) + 1
    if classes < 2:
        raise BadFile("has one class alone")
    return Brought(pixels, labels.astype(np.int16), classes)


def _pictures(opened: Iterator[Any], count: int, image_size: int | None) -> NDArray[np.uint8]:
    """Pictures of one size, uint8 (n, channels, height, width): one channel if all are grey, else three."""
    pixels, is_grey = np.empty((0, 3, 0, 0), dtype=np.uint8), True
    for place, shown in enumerate(opened):
        picture = _of_bytes(shown)
        is_grey = is_grey and picture.mode in ("L", "1")
        picture = picture.convert("RGB")
        if image_size is not None:
            picture = picture.resize((image_size, image_size))
        if not place:
            pixels = np.empty((count, 3, picture.height, picture.width), dtype=np.uint8)
        if (picture.height, picture.width) != pixels.shape[2:]:
            sizes = f"{pixels.shape[2]}x{pixels.shape[3]} and {picture.height}x{picture.width}"
            raise BadFile(f"has pictures of {sizes}: data.image_size sets the pixels a side of all")
        pixels[place] = np.asarray(picture).transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[:, :1]) if is_grey else pixels


def _of_bytes(picture: Any) -> Any:
    """A picture whose channels are bytes; grey of 16 bits is scaled. Raises BadFile for other modes."""
    if picture.mode in BYTES:
        return picture
    if not picture.mode.startswith("I;16"):
        raise BadFile(f"has a picture of mode {picture.mode}: must be grey of 8 or 16 bits, or of colours")
    from PIL import Image  # noqa: PLC0415  (for pictures alone)

    return Image.fromarray(np.round(np.asarray(picture) / SIXTEEN_BITS).astype(np.uint8))


def _opened(file: Path) -> Any:
    from PIL import Image  # noqa: PLC0415  (for pictures alone)

    try:
        with Image.open(file) as picture:
            picture.load()
            return picture
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadFile(f"{file.name} is no picture that can be read: {' '.join(str(error).split())}") from None


def _torchvision_kind(data: Data, module: Any) -> Any:
    known = [name for name in module.__all__ if name not in OURS and isinstance(getattr(module, name), type)]
    name = data.name or ""
    if name in OURS:
        raise BadInput(f"data.name: '{data.name}' would be unpickled by torchvision; use set: {OURS[name]}")
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f", such as {known[0]}"
        raise BadInput(f"data.name: '{data.name}' is not a data set of torchvision{hint}")
    return getattr(module, name)


def _parts(kind: Any, root: str) -> Iterator[Any]:
    """All parts of a set of torchvision: whatever of its splits the files hold."""
    asked = inspect.signature(kind).parameters
    where = {name: value for name, value in (("root", root), ("download", False)) if name in asked}
    if "train" in asked:
        yield from (kind(**where, train=train) for train in (True, False))
    elif "split" in asked:
        found, why = dict[str, Any](), ""
        usual = asked["split"].default
        more = [usual] if isinstance(usual, str) and usual not in SPLITS else []
        for split in (*SPLITS, *more):
            if split in more and "train" in found:
                continue  # such as trainval, which holds it
            try:
                found[split] = kind(**where, split=split)
            except (RuntimeError, ValueError, OSError) as error:
                why = why or " ".join(str(error).split())
        if not found:
            raise BadFile(why)
        yield from found.values()
    else:
        yield kind(**where)


@contextmanager
def _nothing_unpickled() -> Iterator[None]:
    """Within it whoever unpickles is refused: a pickle could run anything."""

    def refuse(*_given: Any, **_named: Any) -> Any:
        raise BadFile("is a pickle, which could run anything: it is not read")

    with patch("pickle.load", refuse), patch("pickle.loads", refuse):
        yield


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Turns whatever reading raises into BadInput with the file's name."""
    try:
        yield
    except BadInput:
        raise
    except BadFile as error:
        raise BadInput(f"data.file: {path}: {error}") from None
    except Exception as error:  # another library's reader may break in any way
        why = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"data.file: {path}: cannot be read as data: {why}") from error
