"""What the learners refuse before they train anything, each in one line that names the place."""

from __future__ import annotations

from typing import Any

import pytest
from small_fleets import group, model, scenario, three_kinds

from agents import fleet as door
from agents.checks import validate
from sim.errors import BadInput


def test_a_sound_scenario_passes() -> None:
    validate(three_kinds())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"model": model(family="lineer")},
            "fleet.sensors.model.family: 'lineer' is not a known model family "
            "(linear, mlp, small_cnn, lenet5, alexnet); did you mean 'linear'?",
        ),
        (
            {"model": model(family="torchvision:resnet19")},
            "fleet.sensors.model.family: 'torchvision:resnet19' is not a classifier of torchvision; "
            "did you mean 'torchvision:resnet18'?",
        ),
        (
            {"model": model(family="torchvision:squeezenet1_0")},
            "fleet.sensors.model.family: 'torchvision:squeezenet1_0' has no linear head, whose input "
            "a rejector could look at",
        ),
        (
            {"model": model(family="lenet5")},
            "fleet.sensors.model.family: lenet5 cannot learn from batches of 32 images of 1x8x8 "
            "(it needs 12 pixels a side); fleet.sensors.model.image_size sets the pixels a side",
        ),
        (
            {"model": model(family="torchvision:vgg11", image_size=16)},
            "fleet.sensors.model.family: torchvision:vgg11 cannot learn from batches of 32 images of 1x8x8, "
            "resized to 16x16 (Given input size: (512x1x1). Calculated output size: (512x0x0). Output size "
            "is too small); fleet.sensors.model.image_size sets the pixels a side",
        ),
        (
            {"model": model(family="torchvision:shufflenet_v2_x0_5", train_samples=1)},
            "fleet.sensors.model.family: torchvision:shufflenet_v2_x0_5 cannot learn from batches of 1 "
            "images of 1x8x8 (Expected more than 1 value per channel when training, got input size "
            "torch.Size([1, 24, 1, 1])); fleet.sensors.model.image_size sets the pixels a side",
        ),
    ],
)
def test_a_group_that_cannot_learn_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as refusal:
        validate(scenario(group(**changes)))
    assert str(refusal.value) == line


def test_an_unknown_server_family_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^server\.model\.family: 'small_cn' .* did you mean 'small_cnn'\?$"):
        validate(scenario(server="small_cn"))


@pytest.mark.parametrize(
    ("rejector", "line"),
    [
        (
            {"family": "lenet5", "input": "features"},
            "fleet.sensors.rejector.input: 'features' holds no picture for lenet5; use raw or raw+features",
        ),
        (
            {"family": "lenet5", "input": "raw"},
            "fleet.sensors.rejector.family: 'lenet5' leaves nothing of pictures of 8x8; use linear or mlp",
        ),
    ],
)
def test_a_rejector_that_cannot_look_is_refused(rejector: dict[str, str], line: str) -> None:
    with pytest.raises(BadInput) as refusal:
        validate(scenario(group(rejector=rejector)))
    assert str(refusal.value) == line
    policy = {"score": "confidence", "price": {"kind": "threshold", "at": 0.5}}
    validate(scenario(group(rejector=rejector, policy=policy)))  # nobody trains it


def test_an_unknown_data_set_is_refused() -> None:
    """Also where the schema was not asked, as by `model_copy`."""
    sound = scenario()
    other = sound.model_copy(update={"data": sound.data.model_copy(update={"set": "digit"})})
    with pytest.raises(BadInput, match=r"^data\.set: 'digit' .*; did you mean 'digits'\?$"):
        validate(other)


def test_a_server_that_cannot_take_the_pictures_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^server\.model\.family: lenet5 cannot learn from batches of 64 "):
        validate(scenario(server="lenet5"))


def test_a_fleet_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "new_backend", lambda *_: pytest.fail("learners were started"))
    with pytest.raises(BadInput, match="lineer"), door.open_fleet(scenario(server="lineer"), workers=2):
        pass
