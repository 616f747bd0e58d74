"""Models of the servers that are parts of another one, and learn together with it: nested widths.
Stand for `agents.server.model.ServerModel` in `agents.server.several`, where some model is part of another.

After SFSC (Wu et al. 2022, arXiv 2206.08289), whose aim is compatible sub-networks of one training; the
formulas are ours: the loss of width i is a_i·L_1(e_i) + b_i·KL(e_M ‖ e_i), e_M being the whole, which the
second term does not move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from agents.models.classifiers import Headed
from agents.models.narrowed import Narrowed
from agents.models.snapshots import State
from agents.models.training import to_tensor
from agents.plan import Plan
from agents.rejectors.losses import server_loss
from agents.server.model import SeenByClients, ServerModel, Trajectory

KEPT = 0.99  # of the mean loss of a width so far, a step


class Whole(ServerModel):
    """A model and those nested in it, `nested`, which follow its epochs. With none it learns as any other, to
    the last bit."""

    def __init__(self, plan: Plan, model: int, places: Sequence[int]) -> None:
        super().__init__(plan, model)
        assert isinstance(self._model, Headed)
        self.nested = [Nested(plan, place, self, self._model) for place in places]
        self._losses: NDArray[np.float64] | None = None

    def _pretraining(self) -> Iterator[Trajectory | None]:
        for trajectory in super()._pretraining():
            if trajectory is not None:
                for one in self.nested:
                    one.finish()
            yield trajectory

    def _record_copies(self, seen: SeenByClients, version: int) -> None:
        super()._record_copies(seen, version)
        for one in self.nested:
            one.record(version)

    def _step(self, sample_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> tuple[float, float]:
        """A step of all widths on one batch; loss and accuracy of the whole before it."""
        self._model.train()
        labels = to_tensor(self._plan.labels(sample_ids).astype(np.int64))
        images = to_tensor(self._seen[sample_ids])
        given = to_tensor(weights) if (weights != weights[0]).any() else None
        said = [self._model(images)[0], *(one.says(images) for one in self.nested)]
        own = [server_loss(logits, labels, given) for logits in said]
        shares = self._uncertainty([loss.item() for loss in own])
        losses = [share * loss for share, loss in zip(shares, own, strict=True)]
        told = said[0].detach().log_softmax(dim=1)
        for place, one in enumerate(self.nested, start=1):
            losses[place] = losses[place] + one.imitate_weight * _divergence(told, said[place])
        parameters = list(self._model.parameters())
        rows = [_gradient(loss, parameters) for loss in losses]
        total = torch.stack(projected(rows)).sum(dim=0)
        sizes = [parameter.numel() for parameter in parameters]
        for parameter, part in zip(parameters, torch.split(total, sizes), strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))
        self._optimiser.step()
        right = [(logits.argmax(dim=1) == labels).double().mean().item() for logits in said]
        for one, loss, hits in zip(self.nested, own[1:], right[1:], strict=True):
            one.note(loss.item(), hits)
        return own[0].item(), right[0]

    def _uncertainty(self, losses: list[float]) -> NDArray[np.float64]:
        """What each width's own loss weighs, (widths,), of mean 1: e^-u, u being the logarithm of its mean so
        far, where e^-u·L + u is least (Kendall et al. 2018, arXiv 1705.07115)."""
        now = np.array(losses)
        self._losses = now if self._losses is None else KEPT * self._losses + (1 - KEPT) * now
        sure = 1.0 / np.maximum(self._losses, 1e-12)
        found: NDArray[np.float64] = sure / sure.mean()
        return found


class Nested(ServerModel):
    """The first share of another model's units: asked as any model, and trained by the other's steps."""

    def __init__(self, plan: Plan, model: int, whole: Whole, network: Headed) -> None:
        self._plan = plan
        name, asked = list(plan.scenario.server_models.items())[model]
        self._name, self._told, self.sent = (name,), f"server {name}", None
        self._seen = whole._seen
        self._network, self.imitate_weight = Narrowed(network, asked.share), asked.imitates
        self._model = self._network
        self._copies, self._curve = SeenByClients(plan), list[tuple[float, float]]()
        self._trajectory: Trajectory | None = None

    def pretrain(self, _epochs: int | None = None) -> Trajectory | None:
        """What pretraining left behind, once the whole is through; that must be asked before."""
        return self._trajectory

    def says(self, images: Tensor) -> Tensor:
        """Logits in a step, (n, classes), through which gradients reach the whole's weights."""
        logits: Tensor = self._network(images)[0]
        return logits

    def record(self, version: int) -> None:
        """Answers for every copy that is taken of this version."""
        self._record_copies(self._copies, version)

    def note(self, loss: float, accuracy: float) -> None:
        """Of a batch, before the step."""
        self._curve.append((loss, accuracy))

    def finish(self) -> None:
        """After the last step."""
        epochs = self._plan.scenario.training.pretrain.epochs
        curve = np.array(self._curve).reshape(epochs, -1, 2).mean(axis=1) if self._curve else np.empty((0, 2))
        self._trajectory = Trajectory(self._copies.correct, *curve.T.copy())

    def state(self) -> State:
        """Its weights are the whole's."""
        return {}

    def restore(self, _state: State) -> None:
        """They come with the whole's."""


def projected(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Each gradient (n,) without what it has against each other: g_i less (g_i·g_j/|g_j|²)·g_j wherever
    g_i·g_j < 0 (Yu et al. 2020, arXiv 2001.06782, in order). Law: of two, neither then goes against the other
    as it was; where none conflict nothing changes."""
    found = []
    for place in range(len(gradients)):
        own = gradients[place]
        for other, against in enumerate(gradients):
            along = torch.dot(own, against)
            if other != place and along < 0:
                own = own - along / torch.dot(against, against) * against
        found.append(own)
    return found


def _divergence(told: Tensor, said: Tensor) -> Tensor:
    """KL(whole ‖ width), mean over a batch. told: the whole's log-probabilities."""
    return functional.kl_div(said.log_softmax(dim=1), told, reduction="batchmean", log_target=True)


def _gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Of all parameters side by side, (n,)."""
    parts = torch.autograd.grad(loss, parameters)
    return torch.cat([part.reshape(-1) for part in parts])
