"""Contract of every model family: shapes, and weights that come from their seed alone."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from agents.families import FAMILIES, empty_model, initialise, new_model, outline
from agents.frozen import hash_of, weights_of

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_family_takes_pictures_of_any_size(family: str, shape: tuple[int, int, int]) -> None:
    model = new_model(family, shape, classes=7, seed=1)
    logits, features = model(torch.rand(5, *shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (5, 7)
    assert features.shape[0] == 5
    assert features.ndim == 2
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_come_from_their_seed_alone(family: str) -> None:
    first, again, other = (new_model(family, (1, 8, 8), 10, seed) for seed in (1, 1, 2))
    assert hash_of(weights_of(first)) == hash_of(weights_of(again)) != hash_of(weights_of(other))


@pytest.mark.parametrize("family", FAMILIES)
def test_making_a_model_leaves_the_global_generator_alone(family: str) -> None:
    before = torch.get_rng_state()
    new_model(family, (1, 8, 8), 10, seed=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_initialised(family: str) -> None:
    """None is left as memory happened to be: all lie within torch's own bounds, and none is constant."""
    for name, array in weights_of(new_model(family, (1, 8, 8), 10, seed=1)).items():
        assert 0.0 < abs(array).max() <= 1.0, name


def test_a_linear_model_tells_its_logits_as_features() -> None:
    logits, features = new_model("linear", (1, 8, 8), 10, seed=1)(torch.ones(2, 1, 8, 8))
    assert torch.equal(logits, features)


def test_a_layer_without_a_keyed_draw_is_refused() -> None:
    """Its weights would be whatever memory held, and no seed would give them again."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with pytest.raises(TypeError, match=r"^BatchNorm1d: "):
        initialise(model.to_empty(device="cpu"), seed=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_empty_model_has_the_outline_of_a_full_one(family: str) -> None:
    of_each = (make(family, (1, 8, 8), 10) for make in (outline, empty_model, partial(new_model, seed=1)))
    shapes = [{name: tensor.shape for name, tensor in model.state_dict().items()} for model in of_each]
    assert shapes[0] == shapes[1] == shapes[2]
