"""Frozen clients on disk, one safetensors file per recipe, so that a second run need not train them again.
A file appears whole or not at all, and one that is not what it should be is rebuilt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from agents.models.families import outline
from agents.models.frozen import FrozenClient, Recipe, Weights, hash_of
from sim.results.cache_folder import cache_root
from sim.results.whole_files import in_words, write_whole

log = logging.getLogger(__name__)
_WEIGHTS, _CURVE = "weights/", "curve/"


def cache_folder(chosen: Path | None) -> Path:
    """Where frozen clients are kept: below the root of the cache."""
    return cache_root(chosen) / "clients"


def load_client(recipe: Recipe, folder: Path) -> FrozenClient | None:
    """The client of a recipe, if the cache holds a sound copy; a file that is none is told in a warning."""
    path = _path(recipe, folder)
    try:
        return _read(path, recipe) if path.exists() else None
    except Exception as error:  # a foreign file may break its reader in any way; training anew mends them all
        log.warning("%s: the cached model cannot be used (%s); it is trained again", path, error)
        return None


def save_client(recipe: Recipe, frozen: FrozenClient, folder: Path) -> None:
    """Stores a client. A folder that cannot be written costs a warning, not the run."""
    try:
        _write(_path(recipe, folder), recipe, frozen)
    except OSError as error:
        log.warning("%s; the model is not kept", in_words(error, folder))


def _path(recipe: Recipe, folder: Path) -> Path:
    return folder / f"{recipe.digest}.safetensors"


def _read(path: Path, recipe: Recipe) -> FrozenClient:
    with safe_open(path, framework="numpy") as file:
        facts = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dictionary)
    if facts.get("recipe") != recipe.digest:
        raise ValueError("made by another recipe")
    if facts.get("content") != hash_of(tensors):
        raise ValueError("its content does not have the recorded hash")
    curve = [tensors.pop(_CURVE + name) for name in ("steps", "loss", "accuracy")]
    weights = {name.removeprefix(_WEIGHTS): array for name, array in tensors.items()}
    _require_fit(weights, curve, recipe)
    return FrozenClient(weights, hash_of(weights), *curve)


def _require_fit(weights: Weights, curve: Sequence[NDArray[np.generic]], recipe: Recipe) -> None:
    """Raises ValueError unless names, shapes and types are those that training the recipe would give."""
    shape = recipe.images.shape[1:]
    network = outline(recipe.family, shape, recipe.classes, recipe.image_size).state_dict()
    if {name: (array.shape, f"torch.{array.dtype}") for name, array in weights.items()} != {
        name: (tuple(tensor.shape), str(tensor.dtype)) for name, tensor in network.items()
    }:
        raise ValueError(f"its weights do not fit the family {recipe.family}")
    if any(array.shape != (recipe.epochs,) for array in curve):
        raise ValueError(f"its curve does not have {recipe.epochs} epochs")


def _write(path: Path, recipe: Recipe, frozen: FrozenClient) -> None:
    tensors: Weights = {_WEIGHTS + name: array for name, array in frozen.weights.items()}
    tensors |= {
        _CURVE + "steps": frozen.steps,
        _CURVE + "loss": frozen.loss,
        _CURVE + "accuracy": frozen.accuracy,
    }
    write_whole(path, save(tensors, metadata={"recipe": recipe.digest, "content": hash_of(tensors)}))
