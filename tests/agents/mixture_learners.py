"""Real networks on the Gaussian mixture: a client, servers and rejectors, trained as the product trains them.
Their risk is judged by eta itself, so what is left of the noise is the noise of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from bayes_rule import bayes_defers, generalised_risk
from distributions import CLASSES, Draw, chance_of, draw_mixture, mixture_eta
from torch import Tensor

from agents.models.families import Classifier, new_model
from agents.models.training import classifier_step
from agents.rejectors.inputs import RejectorInput
from agents.rejectors.losses import rejector_loss, rejector_weights
from agents.rejectors.stacked import StackedRejectors

BATCH = 128


@dataclass(frozen=True)
class Row:
    """One rejector of a stack: its seed, which also is its server's and its samples', costs, and form."""

    seed: int
    costs: tuple[float, float]
    form: str


@dataclass(frozen=True)
class Exam:
    """40,000 points to judge by: each with P(m=Y|x), and max_y eta_y(x)."""

    points: Tensor
    eta: Tensor
    p_client: Tensor

    def bayes_risk(self, c_e: float, c_1: float) -> float:
        """Of e* = argmax eta and the Bayes rule."""
        best = self.eta.max(dim=1).values
        sends = bayes_defers(self.p_client, best, c_e, c_1)
        return generalised_risk(sends, self.p_client, best, c_e, c_1).item()


def as_images(points: Tensor) -> Tensor:
    """A point is a picture of one row and two pixels."""
    return points.float()[:, None, None, :]


@torch.no_grad()
def answers(model: Classifier, points: Tensor) -> Tensor:
    return model(as_images(points))[0].argmax(dim=1)


def train_classifier(family: str, draw: Draw, steps: int, seed: int) -> Classifier:
    """Stage 1: Adam with a falling rate, on batches of one keyed order."""
    model = new_model(family, (1, 1, 2), CLASSES, seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator, images = torch.Generator().manual_seed(seed), as_images(draw.points)
    for _ in range(steps):
        chosen = torch.randint(0, len(images), (BATCH,), generator=generator)
        classifier_step(model, optimiser, images[chosen], draw.labels[chosen])
        schedule.step()
    return model


@cache
def client() -> Classifier:
    """A straight-line classifier where no straight line serves: right 4 times in 10."""
    return train_classifier("linear", draw_mixture(2000, seed=1), steps=400, seed=1)


@cache
def exam() -> Exam:
    points = draw_mixture(40_000, seed=99).points
    eta = mixture_eta(points)
    return Exam(points, eta, chance_of(eta, answers(client(), points)))


def excess_risks(rows: Sequence[Row], size: int, steps: int) -> Tensor:
    """Each row's risk beyond the Bayes risk, (rows,); e and r each learn from `size` samples of their own."""
    seeds = sorted({row.seed for row in rows})
    servers = {
        seed: train_classifier("mlp", draw_mixture(size, 1000 + seed), min(steps, 2500), seed)
        for seed in seeds
    }
    sends = train_rejectors(rows, servers, size, steps)
    of_rows = []
    for row, sent in zip(rows, sends, strict=True):
        p_server = chance_of(exam().eta, answers(servers[row.seed], exam().points))
        risk = generalised_risk(sent, exam().p_client, p_server, *row.costs)
        of_rows.append(risk.item() - exam().bayes_risk(*row.costs))
    return torch.tensor(of_rows)


def train_rejectors(rows: Sequence[Row], servers: dict[int, Classifier], size: int, steps: int) -> Tensor:
    """Stage 2, all rows as one stack; whether each sends each point of the exam, bool (rows, points)."""
    draws = {seed: draw_mixture(size, 2000 + seed) for seed in servers}
    points = torch.stack([draws[row.seed].points.float() for row in rows])
    weights = torch.stack([weights_of(row, servers[row.seed], draws[row.seed]) for row in rows])
    stack = StackedRejectors("mlp", RejectorInput(None, points), outputs=2, seeds=[row.seed for row in rows])
    optimiser = torch.optim.Adam(stack.parameters, lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(5)
    for _ in range(steps):
        chosen = torch.randint(0, size, (BATCH,), generator=generator)
        weight = weights[:, chosen]
        loss = rejector_loss(
            stack.outputs(RejectorInput(None, points[:, chosen])), weight[..., 0], weight[..., 1]
        )
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        logits = stack.outputs(RejectorInput(None, exam().points.float().expand(len(rows), -1, -1)))
    return logits[..., 1] > logits[..., 0]


def weights_of(row: Row, server: Classifier, draw: Draw) -> Tensor:
    """(w_local, w_remote) of each sample, (n, 2)."""
    correct = [answers(model, draw.points) == draw.labels for model in (client(), server)]
    return torch.stack(rejector_weights(*correct, *row.costs, row.form), dim=1)
