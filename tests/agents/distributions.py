"""Distributions whose eta is known exactly: finite populations, and a mixture of Gaussians in the plane.
The tests of the losses compare what minimises a loss on them with what their Bayes rule says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import torch
from bayes_rule import generalised_risk
from torch import Tensor

from agents.rejectors.losses import rejector_loss

COSTS = list(product((0.0, 0.1, 0.4), (0.25, 0.6, 1.0, 1.6, 4.0)))  # (c_e, c_1), sums from 0.25 to 4.4
BAYES_CONSISTENT = ("nonnegative", "cost_sensitive")


@dataclass(frozen=True)
class Population:
    """Finitely many inputs x, each with `counts[x, y]` rows of label y: a mean over rows is an expectation.

    counts: int64 (inputs, classes). client, server: the label that m and e answer, int64 (inputs,).
    """

    counts: Tensor
    client: Tensor
    server: Tensor

    @property
    def eta(self) -> Tensor:
        """P(Y=y | x), float64 (inputs, classes)."""
        return self.counts.double() / self.counts.sum(dim=1, keepdim=True)

    @property
    def input_of_row(self) -> Tensor:
        return torch.arange(len(self.counts)).repeat_interleave(self.counts.sum(dim=1))

    @property
    def label_of_row(self) -> Tensor:
        labels = torch.arange(self.counts.shape[1]).repeat(len(self.counts))
        return labels.repeat_interleave(self.counts.flatten())

    def correct(self, answers: Tensor) -> Tensor:
        """1[answer(x) = y] row by row, float64 (rows,), of answers (inputs,)."""
        return (answers[self.input_of_row] == self.label_of_row).double()

    def p_correct(self, answers: Tensor) -> Tensor:
        """P(answer(x) = Y | x), float64 (inputs,), of answers (inputs,)."""
        return chance_of(self.eta, answers)

    def with_bayes_server(self) -> Population:
        """The same world with e*(x) = argmax eta(x), the lowest label where several are likeliest."""
        return replace(self, server=self.counts.argmax(dim=1))

    def margin(self, c_e: float, c_1: float) -> Tensor:
        """P(m!=Y|x) - c_e - c_1*P(e!=Y|x), float64 (inputs,): the Bayes rule sends iff it is positive."""
        return 1.0 - self.p_correct(self.client) - c_e - c_1 * (1.0 - self.p_correct(self.server))

    def risk(self, sends: Tensor, c_e: float, c_1: float) -> float:
        """The expected generalised 0-1 loss of a rule, bool (inputs,)."""
        answers = self.correct(self.client), self.correct(self.server)
        return generalised_risk(sends[self.input_of_row], *answers, c_e, c_1).item()


def draw_population(seed: int, inputs: int = 100, classes: int = 4) -> Population:
    """Inputs from nearly sure to undecided; m answers anything, e the likeliest label for half of them."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 10, (inputs, classes), generator=generator)
    likely = torch.randint(0, classes, (inputs,), generator=generator)
    counts[torch.arange(inputs), likely] += torch.randint(1, 60, (inputs,), generator=generator)
    client, server = torch.randint(0, classes, (2, inputs), generator=generator)
    good = torch.rand(inputs, generator=generator) < 0.5
    return Population(counts, client, torch.where(good, counts.argmax(dim=1), server))


def free_minimiser(input_of_row: Tensor, w_local: Tensor, w_remote: Tensor, steps: int = 80) -> Tensor:
    """r_remote - r_local, float64 (inputs,), that minimises `rejector_loss` itself over all functions r.

    Newton's method, which needs nothing but the loss: autograd gives slope and curvature, and one input's
    difference does not enter another's. Steps of at most 1; a minimiser at infinity is met `steps` away.
    """
    difference = torch.zeros(int(input_of_row.max()) + 1, dtype=torch.float64)
    for _ in range(steps):
        difference.requires_grad_()
        halves = difference[input_of_row] / 2
        loss = rejector_loss(torch.stack([-halves, halves], dim=1), w_local, w_remote)
        (slope,) = torch.autograd.grad(loss, difference, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), difference)
        step = (slope / curvature).nan_to_num().clamp(-1.0, 1.0)  # 0/0: flat, as far as numbers can tell
        difference = (difference - step).detach()
    return difference


# Two blobs a class, laid out so that no straight line serves: rows (x, y, label).
_BLOBS = torch.tensor(
    [[-2.0, 1.0, 0], [0.0, 1.0, 1], [2.0, 1.0, 2], [-2.0, -1.0, 2], [0.0, -1.0, 0], [2.0, -1.0, 1]],
    dtype=torch.float64,
)
_SPREAD = 0.75
CLASSES = 3


@dataclass(frozen=True)
class Draw:
    """n points of the mixture: float64 (n, 2), and their labels int64 (n,)."""

    points: Tensor
    labels: Tensor


def draw_mixture(size: int, seed: int) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    blob = torch.randint(0, len(_BLOBS), (size,), generator=generator)
    noise = torch.randn(size, 2, generator=generator, dtype=torch.float64)
    return Draw(_BLOBS[blob, :2] + _SPREAD * noise, _BLOBS[blob, 2].long())


def mixture_density(points: Tensor) -> Tensor:
    """p(x, y), float64 (n, classes), of points (n, 2)."""
    squared = (points[:, None, :] - _BLOBS[None, :, :2]).square().sum(dim=2)
    of_blob = torch.exp(-squared / (2 * _SPREAD**2)) / (2 * torch.pi * _SPREAD**2 * len(_BLOBS))
    return of_blob @ torch.nn.functional.one_hot(_BLOBS[:, 2].long(), CLASSES).double()


def mixture_eta(points: Tensor) -> Tensor:
    """P(Y=y | x) in closed form, float64 (n, classes)."""
    joint = mixture_density(points)
    return joint / joint.sum(dim=1, keepdim=True)


def chance_of(eta: Tensor, answers: Tensor) -> Tensor:
    """eta at the answers: P(answer = Y | x), (n,) of eta (n, classes) and answers int64 (n,)."""
    return eta.gather(1, answers[:, None])[:, 0]
