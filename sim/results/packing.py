"""Plain values and arrays, nested as one likes, as the bytes of one safetensors file, and back.
What `sim.results.checkpoints` writes; reading such a file runs nothing, whoever made it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

Arrays = dict[str, NDArray[Any]]
TREE = "tree"  # the entry of the file's metadata that says how its arrays hang together


def pack(value: Any) -> bytes:
    """The bytes of a value made of dataclasses, mappings by name, lists, tuples, text, numbers and arrays.

    The law: `unpack` gives the same value to the last bit, dataclasses as mappings of their fields; an array
    that stands in several places is stored once. Raises TypeError for anything else.
    """
    arrays = _Kept()
    tree = _told(value, arrays)
    return save(arrays.by_name, metadata={TREE: json.dumps(tree, allow_nan=False)})


def unpack(content: bytes) -> Any:
    """The value that was packed; its arrays may be written to. Raises ValueError if these are other bytes."""
    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return _meant(json.loads(header["__metadata__"][TREE]), arrays)
    except (SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is not a packed value ({error})") from None


def fill(target: Any, values: dict[str, Any]) -> None:
    """Sets the fields of a dataclass, and of dataclasses in them and in lists of them, to what was packed of
    one like it.

    Raises ValueError if that had other fields.
    """
    names = [field.name for field in fields(target)]
    if sorted(names) != sorted(values):
        raise ValueError(f"has the fields {', '.join(sorted(values))}, not {', '.join(sorted(names))}")
    for name in names:
        known = getattr(target, name)
        if is_dataclass(known):
            fill(known, values[name])
        elif isinstance(known, list) and known and all(map(is_dataclass, known)):
            for one, of_one in zip(known, values[name], strict=True):
                fill(one, of_one)
        else:
            setattr(target, name, values[name])


class _Kept:
    """The arrays met so far, by name, each once."""

    def __init__(self) -> None:
        self.by_name: Arrays = {}
        self._names: dict[int, str] = {}  # by identity: the arrays live as long as this does

    def put(self, array: NDArray[Any]) -> str:
        """The array's name."""
        array = np.asarray(array, order="C")
        if id(array) not in self._names:
            self._names[id(array)] = str(len(self.by_name))
            self.by_name[self._names[id(array)]] = array
        return self._names[id(array)]


def _told(value: Any, arrays: _Kept) -> Any:
    """The value as JSON; arrays, lists of numbers alone, and which of their words lists of text repeat go to
    `arrays` and leave their name."""
    if isinstance(value, np.ndarray):
        return {"array": arrays.put(value)}
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool | int | float | str):
        return {"float": str(value)} if isinstance(value, float) and not isfinite(value) else value
    if isinstance(value, list | tuple):
        return _told_in_order(value, arrays)
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: _told(item, arrays) for name, item in value.items()}}
    raise TypeError(f"{type(value).__name__}: is no plain value")


def _told_in_order(values: list[Any] | tuple[Any, ...], arrays: _Kept) -> Any:
    kinds = set(map(type, values))
    if isinstance(values, list) and kinds in ({int}, {float}):
        return {"list": arrays.put(np.array(values, dtype="i8" if kinds == {int} else "f8"))}
    if isinstance(values, list) and kinds == {str} and len(words := dict.fromkeys(values)) < len(values):
        places = dict(zip(words, range(len(words)), strict=True))
        return {"words": [list(words), arrays.put(np.array([places[word] for word in values]))]}
    told = [_told(value, arrays) for value in values]
    return told if isinstance(values, list) else {"tuple": told}


def _meant(told: Any, arrays: Arrays) -> Any:
    if isinstance(told, list):  # mostly of plain values
        return [_meant(item, arrays) if isinstance(item, dict | list) else item for item in told]
    if not isinstance(told, dict):
        return told
    ((kind, content),) = told.items()
    return _MEANT[kind](content, arrays)


_MEANT: dict[str, Callable[[Any, Arrays], Any]] = {
    "array": lambda name, arrays: arrays[name],
    "list": lambda name, arrays: arrays[name].tolist(),
    "words": lambda told, arrays: [told[0][place] for place in arrays[told[1]].tolist()],
    "float": lambda text, _: float(text),
    "tuple": lambda items, arrays: tuple(_meant(item, arrays) for item in items),
    "dict": lambda items, arrays: {name: _meant(item, arrays) for name, item in items.items()},
}
