"""Contract of every model family: shapes, and weights that come from their seed alone."""

from __future__ import annotations

import pytest
import torch

from agents.families import FAMILIES, new_model
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
