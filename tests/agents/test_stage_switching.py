"""Stage switching on real modules: each stage has a gradient for its own model only, and moves it alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agents.models.families import FAMILIES as MODEL_FAMILIES
from agents.models.families import Classifier, new_model
from agents.models.training import classifier_step
from agents.rejectors.inputs import RejectorInput
from agents.rejectors.losses import FORMS, rejector_loss, rejector_weights, server_loss
from agents.rejectors.stacked import StackedRejectors
from sim.registry.families import REJECTOR_FAMILIES

SHAPE, CLASSES, SAMPLES, ROWS = (1, 32, 32), 4, 12, 3  # 32 pixels: what every family can take
GENERATOR = torch.Generator().manual_seed(1)
IMAGES = torch.rand(SAMPLES, *SHAPE, generator=GENERATOR)
LABELS = torch.randint(0, CLASSES, (SAMPLES,), generator=GENERATOR)


class World:
    """A client, a server and rejectors of real families, all of whose parameters ask for gradients."""

    def __init__(self, family: str, rejector_family: str) -> None:
        self.client = new_model("linear", SHAPE, CLASSES, seed=2)
        self.server = new_model(family, SHAPE, CLASSES, seed=3)
        logits, hidden = self.client(IMAGES)
        self.inputs = RejectorInput(IMAGES, hidden.detach().expand(ROWS, -1, -1))
        self.rejectors = StackedRejectors(rejector_family, self.inputs, outputs=2, seeds=range(ROWS))
        self.client_correct = (logits.argmax(dim=1) == LABELS).expand(ROWS, -1)

    def stage_1(self) -> Tensor:
        return server_loss(self.server(IMAGES)[0], LABELS)

    def stage_2(self, form: str) -> Tensor:
        server_correct = (self.server(IMAGES)[0].argmax(dim=1) == LABELS).expand(ROWS, -1)
        weights = rejector_weights(self.client_correct, server_correct, 0.1, 2.0, form)
        return rejector_loss(self.rejectors.outputs(self.inputs), *weights).sum()


def gradients_of(model: nn.Module | StackedRejectors) -> list[Tensor | None]:
    own = model.parameters if isinstance(model, StackedRejectors) else model.parameters()
    return [parameter.grad for parameter in own]


def bytes_of(model: Classifier | StackedRejectors) -> list[Tensor]:
    own = model.parameters if isinstance(model, StackedRejectors) else model.parameters()
    return [parameter.detach().clone() for parameter in own]


@pytest.mark.parametrize("family", MODEL_FAMILIES)
def test_stage_1_leaves_the_rejectors_gradient_empty(family: str) -> None:
    world = World(family, "mlp")
    world.stage_1().backward()
    assert all(gradient is not None and gradient.any() for gradient in gradients_of(world.server))
    assert set(gradients_of(world.rejectors)) == {None}
    assert set(gradients_of(world.client)) == {None}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rejector_family", REJECTOR_FAMILIES)
def test_stage_2_leaves_the_servers_gradient_empty(rejector_family: str, form: str) -> None:
    """The server enters through 1[e(x)=y], which has no gradient; the frozen client likewise."""
    world = World("mlp", rejector_family)
    world.stage_2(form).backward()
    assert all(gradient is not None for gradient in gradients_of(world.rejectors))
    assert gradients_of(world.rejectors)[-1].any()
    assert set(gradients_of(world.server)) == {None}
    assert set(gradients_of(world.client)) == {None}


@pytest.mark.parametrize("form", FORMS)
def test_the_sum_of_both_stages_has_no_cross_gradient(form: str) -> None:
    """L_S = L_1 + L_2 at once gives each model, bit for bit, the gradient of its own stage."""
    apart, summed = World("small_cnn", "mlp"), World("small_cnn", "mlp")
    apart.stage_1().backward()
    apart.stage_2(form).backward()
    (summed.stage_1() + summed.stage_2(form)).backward()
    for name in ("server", "rejectors"):
        pairs = zip(gradients_of(getattr(apart, name)), gradients_of(getattr(summed, name)), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_a_step_of_one_stage_leaves_the_other_models_bytes_alone() -> None:
    """With momentum on both sides: an optimiser that saw the other model would go on moving it."""
    world = World("mlp", "mlp")
    of_server = torch.optim.Adam(world.server.parameters(), lr=0.1)
    of_rejectors = torch.optim.Adam(world.rejectors.parameters, lr=0.1)
    client = bytes_of(world.client)
    for _ in range(3):
        rejectors, server = bytes_of(world.rejectors), bytes_of(world.server)
        classifier_step(world.server, of_server, IMAGES, LABELS)
        assert all(map(torch.equal, bytes_of(world.rejectors), rejectors))
        assert not any(map(torch.equal, bytes_of(world.server), server))
        server = bytes_of(world.server)
        of_rejectors.zero_grad()
        world.stage_2("nonnegative").backward()
        of_rejectors.step()
        assert all(map(torch.equal, bytes_of(world.server), server))
        assert not any(map(torch.equal, bytes_of(world.rejectors), rejectors))
    assert all(map(torch.equal, bytes_of(world.client), client))
