"""The cache: a sound file spares the training, any other costs a warning and is replaced."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_fleets import group, model, scenario

from agents.models import client_cache
from agents.models.client_cache import cache_folder, load_client, save_client
from agents.models.frozen import FrozenClient, Recipe, hash_of, recipe_for, train
from agents.plan import Variant, make_plan


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return recipe_for(make_plan(scenario()), Variant(0, 0))


@pytest.fixture(scope="module")
def frozen(recipe: Recipe) -> FrozenClient:
    return train([recipe])[0]


def test_what_is_kept_is_recalled_to_the_bit(recipe: Recipe, frozen: FrozenClient, tmp_path: Path) -> None:
    assert load_client(recipe, tmp_path) is None
    save_client(recipe, frozen, tmp_path)
    again = load_client(recipe, tmp_path)
    assert again is not None
    assert again.weight_hash == frozen.weight_hash
    assert again.loss.tobytes() == frozen.loss.tobytes()
    assert again.accuracy.tobytes() == frozen.accuracy.tobytes()
    assert again.steps.tolist() == frozen.steps.tolist()
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_buffers_of_whole_numbers_are_kept_too(tmp_path: Path) -> None:
    plan = make_plan(scenario(group(model=model(family="torchvision:shufflenet_v2_x0_5", epochs=1))))
    recipe = recipe_for(plan, Variant(0, 0))
    frozen = train([recipe])[0]
    save_client(recipe, frozen, tmp_path)
    again = load_client(recipe, tmp_path)
    assert again is not None
    assert again.weight_hash == frozen.weight_hash
    assert {array.dtype.name for array in again.weights.values()} == {"float32", "int64"}


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    """One bit of the last tensor in the file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def half_flipped(path: Path) -> None:
    """One bit in the middle, among the weights."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def foreign(path: Path) -> None:
    save_file({"weights/head.weight": np.zeros((10, 64), dtype=np.float32)}, path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not a model")


def reshaped(path: Path) -> None:
    """Sound in itself and of the right recipe, but the weights of another network."""
    signed(path, {"weights/head.weight": np.zeros((10, 3), dtype=np.float32)})


def without_a_weight(path: Path) -> None:
    signed(path, {"weights/head.weight": np.zeros((10, 64), dtype=np.float32)})


def of_another_type(path: Path) -> None:
    """Every name and shape is right, and the numbers are whole."""
    shapes = {"weights/head.weight": (10, 64), "weights/head.bias": (10,)}
    signed(path, {name: np.zeros(shape, dtype=np.int64) for name, shape in shapes.items()})


def signed(path: Path, weights: dict[str, np.ndarray]) -> None:
    curve = {f"curve/{name}": np.zeros(2) for name in ("steps", "loss", "accuracy")}
    save_file(weights | curve, path, {"recipe": path.stem, "content": hash_of(weights | curve)})


SPOILS = [truncated, flipped, half_flipped, foreign, reshaped, without_a_weight, of_another_type, empty, text]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_spoiled_file_is_told_and_replaced(
    spoil: Callable[[Path], None],
    recipe: Recipe,
    frozen: FrozenClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    save_client(recipe, frozen, tmp_path)
    (path,) = tmp_path.iterdir()
    spoil(path)
    with caplog.at_level(logging.WARNING):
        assert load_client(recipe, tmp_path) is None
    assert "it is trained again" in caplog.text
    save_client(recipe, frozen, tmp_path)
    assert load_client(recipe, tmp_path) is not None


@pytest.mark.parametrize("error", [TypeError, AttributeError, RecursionError, PermissionError])
def test_however_a_reader_breaks_the_client_is_trained_again(
    error: type[Exception],
    recipe: Recipe,
    frozen: FrozenClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise error("out of order")

    save_client(recipe, frozen, tmp_path)
    monkeypatch.setattr(client_cache, "_read", broken)
    assert load_client(recipe, tmp_path) is None


def test_a_folder_that_cannot_be_looked_into_is_none(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "exists", closed)
    assert load_client(recipe, tmp_path) is None


def test_a_file_of_another_recipe_is_not_used(recipe: Recipe, frozen: FrozenClient, tmp_path: Path) -> None:
    save_client(recipe, frozen, tmp_path)
    (path,) = tmp_path.iterdir()
    other = recipe_for(make_plan(scenario(seed=8)), Variant(0, 0))
    path.rename(tmp_path / f"{other.digest}.safetensors")
    assert load_client(other, tmp_path) is None


def test_a_folder_that_cannot_be_written_costs_a_warning(
    recipe: Recipe, frozen: FrozenClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with caplog.at_level(logging.WARNING):
        save_client(recipe, frozen, in_the_way)
    assert "the model is not kept" in caplog.text


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("L2H_CACHE", raising=False)
    assert cache_folder(None) == tmp_path / ".cache" / "clients"
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "mine"))
    assert cache_folder(None) == tmp_path / "mine" / "clients"
    assert cache_folder(tmp_path / "chosen") == tmp_path / "chosen" / "clients"
