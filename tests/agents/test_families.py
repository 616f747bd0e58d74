"""Contract of every model family: shapes, and weights that come from their seed alone."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from small_fleets import SMALL_FAMILIES
from torch import nn

from agents.models.classifiers import Headed
from agents.models.families import FAMILIES, empty_model, initialise, new_model, outline, require_fit
from agents.models.frozen import hash_of, weights_of
from agents.models.optimisers import Adam
from agents.models.training import classifier_step
from sim.errors import BadInput
from sim.registry.families import MODEL_FAMILIES

SHAPES = [(1, 12, 12), (1, 28, 28), (3, 32, 32)]
OF_TORCHVISION = "torchvision:mobilenet_v3_small"
ALL = [*FAMILIES, OF_TORCHVISION]


def test_every_family_that_is_not_small_is_named_here() -> None:
    assert set(FAMILIES) - set(SMALL_FAMILIES) == {"alexnet"}


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_family_takes_pictures_of_any_size(family: str, shape: tuple[int, int, int]) -> None:
    model = new_model(family, shape, classes=7, seed=1)
    logits, features = model(torch.rand(5, *shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (5, 7)
    assert features.shape[0] == 5
    assert features.ndim == 2
    assert torch.isfinite(logits).all()


@pytest.mark.slow
@pytest.mark.parametrize("family", ALL)
def test_weights_come_from_their_seed_alone(family: str) -> None:
    first, again, other = (new_model(family, (1, 12, 12), 10, seed) for seed in (1, 1, 2))
    assert hash_of(weights_of(first)) == hash_of(weights_of(again)) != hash_of(weights_of(other))


@pytest.mark.parametrize("family", ALL)
def test_making_and_training_a_model_leaves_the_global_generator_alone(family: str) -> None:
    before = torch.get_rng_state()
    new_model(family, (1, 12, 12), 10, seed=1).train()(
        torch.rand((2, 1, 12, 12), generator=torch.Generator())
    )
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_initialised(family: str) -> None:
    """None is left as memory happened to be: all lie within torch's own bounds, and none is constant."""
    for name, tensor in new_model(family, (1, 12, 12), 10, seed=1).named_parameters():
        assert 0.0 < tensor.abs().max() <= 1.0, name


def test_a_linear_model_tells_its_logits_as_features() -> None:
    logits, features = new_model("linear", (1, 8, 8), 10, seed=1)(torch.ones(2, 1, 8, 8))
    assert torch.equal(logits, features)


def test_a_layer_without_a_keyed_draw_is_refused() -> None:
    """Its weights would be whatever memory held, and no seed would give them again."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with pytest.raises(TypeError, match=r"^BatchNorm1d: "):
        initialise(model.to_empty(device="cpu"), seed=1)


@pytest.mark.parametrize("family", ALL)
def test_an_empty_model_has_the_outline_of_a_full_one(family: str) -> None:
    of_each = (make(family, (1, 12, 12), 10) for make in (outline, empty_model, partial(new_model, seed=1)))
    kinds = [
        {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
        for model in of_each
    ]
    assert kinds[0] == kinds[1] == kinds[2]


@pytest.mark.parametrize("family", ["linear", "lenet5", OF_TORCHVISION])
def test_resizing_is_part_of_the_model(family: str) -> None:
    """A picture of one grey stays what it is in any size, so it must get the same answer."""
    small = new_model(family, (1, 12, 12), 10, seed=1, image_size=16).eval()
    native = new_model(family, (1, 16, 16), 10, seed=1).eval()
    logits = [
        model(torch.full((2, 1, side, side), 0.5))[0]
        for model, side in ((small, 12), (small, 16), (native, 16))
    ]
    torch.testing.assert_close(logits[0], logits[1])
    assert torch.equal(logits[1], logits[2])


def test_lenet5_is_the_network_of_the_paper() -> None:
    """6 and 16 maps, 120 and 84 units: 61,706 weights on one channel, 62,006 on three."""
    for shape, weights in (((1, 28, 28), 61_706), ((1, 32, 32), 61_706), ((3, 32, 32), 62_006)):
        assert sum(tensor.numel() for tensor in outline("lenet5", shape, 10).parameters()) == weights


def test_alexnet_is_the_network_of_the_paper() -> None:
    """57,044,810 weights for ten classes of colour pictures, which it sees as 64x64."""
    model = outline("alexnet", (3, 32, 32), 10)
    assert sum(tensor.numel() for tensor in model.parameters()) == 57_044_810
    assert model.image_size == 64
    assert outline("alexnet", (3, 32, 32), 10, image_size=96).image_size == 96


def test_a_network_that_cannot_be_outlined_without_memory_still_can_be_asked() -> None:
    """RegNets compute their widths with tensors while they are built."""
    before = torch.get_rng_state()
    model = outline("torchvision:regnet_x_400mf", (3, 32, 32), 10)
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
    assert model(torch.empty((2, 3, 32, 32), device="meta"))[0].shape == (2, 10)
    assert torch.equal(before, torch.get_rng_state())


def test_features_of_torchvision_are_what_its_head_is_given() -> None:
    model = new_model("torchvision:shufflenet_v2_x0_5", (3, 32, 32), 10, seed=1).eval()
    logits, features = model(torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(0)))
    head = model.get_submodule("network.fc")
    torch.testing.assert_close(head(features), logits)


def small_dropout(seed: int) -> Headed:
    """A network that is all dropout but for its head."""
    with torch.device("meta"):
        model = Headed(nn.Sequential(nn.Flatten(), nn.Dropout(0.5)), nn.Linear(64, 4), draws=True)
    model = model.to_empty(device="cpu")
    initialise(model, seed)
    return model


def test_dropout_is_keyed_by_seed_and_pass() -> None:
    images = torch.ones(4, 1, 8, 8)
    first, again, other = (small_dropout(seed).train() for seed in (1, 1, 2))
    one, two = (torch.stack([model(images)[1] for _ in range(3)]) for model in (first, again))
    assert torch.equal(one, two)
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[0], other(images)[1])
    assert 0.3 < (one == 0).double().mean() < 0.7


def test_dropout_goes_on_where_a_stored_model_stopped() -> None:
    """Also behind whatever else drew in between, as in a process that was restarted."""
    images = torch.ones(4, 1, 8, 8)
    model = small_dropout(1).train()
    model(images)
    stored = {name: array.copy() for name, array in weights_of(model).items()}
    expected = model(images)[1]
    other = small_dropout(5).train()
    other.load_state_dict({name: torch.tensor(array) for name, array in stored.items()})
    assert torch.equal(other(images)[1], expected)


def test_evaluation_draws_nothing() -> None:
    model = small_dropout(1).eval()
    before = hash_of(weights_of(model))
    assert torch.equal(model(torch.ones(4, 1, 8, 8))[1], torch.ones(4, 64))
    assert hash_of(weights_of(model)) == before
    assert weights_of(model)["draw_key"].dtype == np.int64


def test_a_family_learns_from_the_side_on_that_its_entry_tells_and_no_earlier():
    told = {name: kind.least_side for name, kind in MODEL_FAMILIES.items() if kind.least_side is not None}
    assert {"linear", "mlp", "small_cnn", "lenet5", "alexnet"} == set(told)
    for name, least in told.items():
        for batch, channels, side in ((1, 1, least), (2, 3, least), (32, 1, least + 1), (1, 3, 2 * least)):
            shape = (channels, side, side)
            require_fit(name, shape, 10, image_size=side, batch=batch, path="x")
            assert MODEL_FAMILIES[name].surely_fits(side, side, None) or MODEL_FAMILIES[name].resizes_to
            assert MODEL_FAMILIES[name].surely_fits(8, 8, side)
        if least > 1:
            assert not MODEL_FAMILIES[name].surely_fits(100, 100, least - 1)
            with pytest.raises(BadInput, match="cannot learn from batches of 4 images"):
                require_fit(name, (1, 100, 100), 10, image_size=least - 1, batch=4, path="x")
    assert not MODEL_FAMILIES["torchvision"].surely_fits(1000, 1000, None)


def test_pooling_what_has_that_size_already_is_left_out_without_a_bit_of_difference() -> None:
    """A digit is 4x4 by then; weights have the same names and, step by step, the same bits."""
    ours, pooled = (new_model("small_cnn", (1, 8, 8), 10, seed=3) for _ in range(2))
    pooled.body[7] = nn.AdaptiveAvgPool2d(4)
    assert isinstance(ours.body[7], nn.Identity)
    assert isinstance(new_model("small_cnn", (1, 9, 12), 10, seed=3).body[7], nn.AdaptiveAvgPool2d)
    optimisers = [Adam(model.parameters(), 1e-2, fused=True) for model in (ours, pooled)]
    draw = torch.Generator().manual_seed(1)
    for _ in range(20):
        images, labels = torch.rand(32, 1, 8, 8, generator=draw), torch.randint(10, (32,), generator=draw)
        told = [
            classifier_step(m, o, images, labels) for m, o in zip((ours, pooled), optimisers, strict=True)
        ]
        assert told[0] == told[1]
    assert {name: one.numpy().tobytes() for name, one in ours.state_dict().items()} == {
        name: one.numpy().tobytes() for name, one in pooled.state_dict().items()
    }
