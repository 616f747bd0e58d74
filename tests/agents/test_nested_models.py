"""Widths of one network, learned at once: laws of parts, of gradients, and how much widths agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_fleets import group, learn, model, scenario
from torch import nn
from tried import tried

from agents.checks import checked_plan
from agents.models.classifiers import Headed
from agents.models.families import new_model
from agents.models.narrowed import Narrowed
from agents.models.training import optimiser_of, read
from agents.plan import Plan, make_plan
from agents.server.model import ServerModel
from agents.server.nested import Nested, Whole, projected
from agents.server.several import ServerModels
from sim.errors import BadInput
from sim.scenario import Scenario
from sim.scenario.rules import checks

SITE = {"server": "site", "models": ("small", "large"), "service": {"kind": "affine", "base_s": 0.02}}
SWITCH = {"kind": "backlog", "above": 8, "below": 2, "shares": (0.5, 0.5)}
NESTED = {"nested_in": "large", "share": 0.125, "work": 0.3}


def widths(
    small: dict[str, Any] | None = None, large: str = "mlp", epochs: int = 2, **changes: Any
) -> Scenario:
    phones = group(model=model(family="linear"))
    plain = scenario(phones, epochs=epochs, **changes).model_dump()
    models = {"small": NESTED | (small or {}), "large": {"family": large}}
    servers = (SITE | {"switch": SWITCH},)
    return Scenario.model_validate(
        plain | {"server": None, "servers": servers, "models": models, "fleet": (phones,)}
    )


def trained(plan: Plan) -> tuple[Nested, Whole]:
    models = ServerModels(plan)
    models.pretrain()
    small, large = models._models
    assert isinstance(small, Nested)
    assert isinstance(large, Whole)
    return small, large


@pytest.mark.parametrize("family", ["mlp", "small_cnn", "lenet5"])
def test_the_whole_width_says_what_the_whole_says_to_the_last_bit(family):
    network = new_model(family, (1, 16, 16), 10, seed=3)
    assert isinstance(network, Headed)
    images = np.random.default_rng(1).random((40, 1, 16, 16), dtype=np.float32)
    one, other = read(network, images), read(Narrowed(network, 1.0), images)
    assert torch.equal(one.logits, other.logits)
    assert torch.equal(one.features, other.features)


def test_a_part_is_the_first_units_and_nothing_else():
    network = new_model("mlp", (1, 8, 8), 10, seed=3)
    assert isinstance(network, Headed)
    images = torch.from_numpy(np.random.default_rng(1).random((9, 1, 8, 8), dtype=np.float32))
    hidden = network.body(images)[:, :8]
    expected = hidden @ network.head.weight[:, :8].T + network.head.bias
    before, part = Narrowed(network, 0.125)(images)[0], Narrowed(network, 0.125)
    torch.testing.assert_close(before, expected)
    with torch.no_grad():
        network.body[1].weight[8:] = 7.0
        network.head.weight[:, 8:] = 7.0
    assert torch.equal(part(images)[0], before)


def test_alone_it_learns_as_the_plain_model_to_the_last_bit():
    """A whole with no parts, by the steps of all widths."""
    plan = make_plan(widths())
    plain, alone = ServerModel(plan, 1), Whole(plan, 1, [])
    expected, found = plain.pretrain(), alone.pretrain()
    assert expected is not None
    assert found is not None
    assert found.loss.tobytes() == expected.loss.tobytes()
    assert found.correct.tobytes() == expected.correct.tobytes()
    for one, other in zip(alone._model.parameters(), plain._model.parameters(), strict=True):
        assert torch.equal(one, other)


@tried(100)
@given(st.integers(0, 2**32))
def test_of_two_gradients_neither_goes_against_the_other(seed):
    draw = torch.Generator().manual_seed(seed)
    one, other = torch.randn(2, 12, generator=draw, dtype=torch.float64)
    first, second = projected([one, other])
    assert torch.dot(first, other) >= -1e-9
    assert torch.dot(second, one) >= -1e-9
    if torch.dot(one, other) >= 0:
        assert torch.equal(first, one)
        assert torch.equal(second, other)


def narrow_alone(plan: Plan) -> ServerModel:
    """A network as narrow as the part, with weights of its own."""
    model = ServerModel(plan, 1)
    drawn = torch.Generator().manual_seed(plan.scenario.seed)
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU())
    model._model = Headed(body, nn.Linear(8, 10))
    for tensor in model._model.parameters():
        bound = (64 if tensor.shape[-1] == 64 else 8) ** -0.5
        tensor.data.copy_(torch.empty(tensor.shape).uniform_(-bound, bound, generator=drawn))
    pretrain = plan.scenario.training.pretrain
    model._optimiser = optimiser_of(pretrain, model._model.parameters(), pretrain.server_lr, fused=True)
    model.pretrain()
    return model


@pytest.mark.slow  # three seeds, of three networks each
def test_widths_of_one_network_agree_more_than_networks_of_their_own():
    """Eight units and 64, digits, under each of three seeds; and neither is worse for it by more than .05."""
    pools = {"set": "digits", "pools": (0.2, 0.2, 0.12, 0.05, 0.43)}
    for seed in (7, 8, 9):
        plan = make_plan(widths(epochs=60, data=pools).model_copy(update={"seed": seed}))
        small, large = trained(plan)
        apart, plain = narrow_alone(plan), ServerModel(plan, 1)
        plain.pretrain()
        label = plan.samples.label
        together = (small.labels() == large.labels()).mean()
        separate = (apart.labels() == plain.labels()).mean()
        assert together > separate, seed
        assert (small.labels() == label).mean() > (apart.labels() == label).mean() - 0.05
        assert (large.labels() == label).mean() > (plain.labels() == label).mean() - 0.05


def test_a_fleet_learns_and_is_told_of_both(tmp_path):
    """Whatever the order in which they stand; curves and answers are of each."""
    found = learn(widths(), tmp_path)
    assert found.tables.server_label.shape[0] == 2
    assert not (found.tables.server_label[0] == found.tables.server_label[1]).all()
    stages = list(zip(found.learning["stage"], found.learning["group"], strict=True))
    assert sum(stage == "server" for stage, _ in stages) > 1


def test_weights_travel_with_the_whole():
    plan = make_plan(widths())
    models, again = ServerModels(plan), ServerModels(plan)
    models.pretrain()
    again.restore(models.state())
    assert models.labels().tobytes() == again.labels().tobytes()


@pytest.mark.parametrize(
    ("asked", "path", "words"),
    [
        (widths(), None, ""),
        (widths({"nested_in": "larg"}), "nested_in", "did you mean large?"),
        (widths({"nested_in": "small"}), "nested_in", "no such other model"),
        (widths({"nested_in": None}), "share", "give nested_in"),
        (widths({"image_size": 16}), "image_size", "is the whole's"),
        (widths({"family": "mlp"}, large="small_cnn"), "family", "leave it out"),
        (widths(large="linear"), "nested_in", "one of mlp, small_cnn, lenet5"),
        (widths(training={"warm_start": {"epochs": 2, "patience": 1}}), "warm_start", "not yet"),
    ],
)
def test_what_is_no_part_is_refused_in_one_line(asked, path, words):
    found = list(checks.findings(asked))
    assert [finding.path[-1] for finding in found] == ([path] if path else [])
    assert all(words in finding.sentence for finding in found)


@pytest.mark.parametrize(("where", "fits"), [(("small", "large"), True), (("small",), False)])
def test_a_part_takes_no_memory_beside_its_whole(where, fits):
    plain = widths({"memory_bytes": 8.0})
    large = plain.server_models["large"].model_copy(update={"memory_bytes": 6.0})
    one = plain.servers[0].model_copy(update={"models": where, "memory_bytes": 7.0, "switch": None})
    other = one.model_copy(update={"server": "other", "models": ("large",)})
    asked = plain.model_copy(update={"models": plain.models | {"large": large}, "servers": (one, other)})
    about = [finding for finding in checks.findings(asked) if finding.path[-1] == "memory_bytes"]
    assert (not about) == fits


@pytest.mark.parametrize("brought", ["small", "large"])
def test_a_part_of_a_brought_model_is_told_in_one_line(brought):
    def always(pictures):
        return torch.zeros(len(pictures), 10)

    why = f"models.small.nested_in: is for models that are trained, and {brought} is brought"
    with pytest.raises(BadInput, match=why):
        checked_plan(widths(), {f"models.{brought}": always})
