"""Learning to Help trained the plain way, one setting after the other, and by the product: speed and risk.

The plain way is that of the authors' public scripts, written afresh: batches of 16; in every step the
client's model answers, the server's takes a step, the rejector takes one; a new server and rejector for each
pair of costs. Same batches, frozen client, networks, first weights of the server and optimiser (SGD with
momentum) in both. Times are processor seconds of learning alone, on one thread: data and frozen clients are
made before.
Prints a line per world and as its last line one JSON object.
`python -m benchmarks.l2h_training [--worlds lenet5,alexnet] [--samples N] [--epochs N]`
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.fleet import open_fleet
from agents.models.classifiers import Classifier
from agents.models.families import new_model
from agents.models.frozen import live_model, recipe_for, train
from agents.models.training import read
from agents.plan import Plan, Variant, make_plan
from agents.rejectors.losses import rejector_loss, rejector_weights
from agents.server.steps import server_batches
from sim.scenario import Scenario
from sim.streams import key

C_E, C_1 = (0.25, 0.0, 0.1, 0.4), (1.0, 1.25)
BATCH, MOMENTUM = 16, 0.9


@dataclass(frozen=True)
class World:
    """A server's family and rate, and how much there is to learn from; pairs: costs trained the plain way."""

    server: str
    server_lr: float
    samples: int
    epochs: int
    pairs: int


WORLDS = {
    "lenet5": World("lenet5", 0.01, 12_000, 4, pairs=4),
    "alexnet": World("alexnet", 0.01, 1_200, 1, pairs=1),
}
REJECTOR_LR = 0.03


def scenario(world: World, grid: bool, form: str) -> Scenario:
    """One client of LeNet-5, whose rejector and server learn from the same batches; a tenth is its own."""
    return Scenario.model_validate(
        {
            "name": "l2h_training",
            "seed": 7,
            "horizon_s": 0.0,
            "data": {
                "set": "fashion_mnist",
                "samples": world.samples,
                "pools": (0.05, 0.3, 0.3, 0.05, 0.3),
            },
            "costs": {"c_e": C_E[0], "c_1": C_1[0]},
            "fleet": (
                {
                    "group": "one",
                    "clients": 1,
                    "model": {"family": "lenet5", "train_samples": 500, "epochs": 20},
                    "rejector": {"family": "lenet5", "input": "raw"},
                    "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
                },
            ),
            "server": {"model": {"family": world.server}, "service": {"kind": "affine", "base_s": 0.05}},
            "training": {
                "form": form,
                "shared_batch": True,
                "pretrain": {
                    "epochs": world.epochs,
                    "batch": BATCH,
                    "optimiser": "sgd",
                    "momentum": MOMENTUM,
                    "server_lr": world.server_lr,
                    "rejector_lr": REJECTOR_LR,
                },
            },
            "study": {"c_e": C_E, "c_1": C_1} if grid else None,
        }
    )


def ours(asked: Scenario) -> tuple[float, pd.DataFrame]:
    """Seconds of learning, and the table of the study."""
    with open_fleet(asked, workers=0) as fleet:
        fleet.build()
        began = time.process_time()
        fleet.learn()
        took = time.process_time() - began
        study = pd.DataFrame(fleet.decide().study)
    return took, study[study["score"] == "l2h"]


def rejector_of(side: int = 4) -> nn.Sequential:
    """LeNet-5 with two outputs on 28x28 pixels, as a module."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side * side, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 2),
    )


class Plain:
    """A server and a rejector for one pair of costs, trained in a loop over batches."""

    def __init__(self, plan: Plan, client: Classifier, world: World, form: str, c_e: float, c_1: float):
        self._plan, self._client, self._form, self._costs = plan, client, form, (c_e, c_1)
        torch.manual_seed(7)
        start = key(plan.scenario.seed, "server model")  # the product's, so both begin with the same weights
        self._server = new_model(world.server, plan.data.image_shape, plan.data.classes, start)
        self._rejector = rejector_of()
        self._optimiser = torch.optim.SGD(
            [
                {"params": self._server.parameters(), "lr": world.server_lr},
                {"params": self._rejector.parameters(), "lr": REJECTOR_LR},
            ],
            momentum=MOMENTUM,
        )

    def learn(self) -> float:
        """Seconds that all steps take, on the batches that the product's server sees, in its order."""
        began = time.process_time()
        self._server.train()
        for chosen in islice(server_batches(self._plan), self._plan.steps):
            sample_ids = self._plan.server_pool[chosen]
            labels = torch.tensor(self._plan.labels(sample_ids).astype(np.int64))
            self._step(self._pictures(sample_ids), labels)
        return time.process_time() - began

    def _step(self, images: Tensor, labels: Tensor) -> None:
        """Both stages on one batch, their losses summed: neither reaches the other's model."""
        with torch.no_grad():
            client_correct = self._client(images)[0].argmax(dim=1) == labels
        logits = self._server(images)[0]
        server_correct = logits.detach().argmax(dim=1) == labels
        weights = rejector_weights(client_correct, server_correct, *self._costs, self._form)
        loss = nn.functional.cross_entropy(logits, labels)
        loss = loss + rejector_loss(self._rejector(_normalised(images)), *weights)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def _pictures(self, sample_ids: NDArray[np.int32]) -> Tensor:
        return torch.tensor(self._plan.images[sample_ids])

    @torch.no_grad()
    def risk(self) -> tuple[float, float]:
        """The generalised risk on the held-out samples, and the server's accuracy on them."""
        held_out = self._plan.pools.held_out
        label, images = self._plan.labels(held_out), self._plan.images[held_out]
        client, server = (read(each, images).logits.argmax(dim=1) for each in (self._client, self._server))
        local, remote = self._rejector(_normalised(self._pictures(held_out))).T
        client_wrong, server_wrong = (answer.numpy() != label for answer in (client, server))
        cost = np.where(
            (remote > local).numpy(), self._costs[0] + self._costs[1] * server_wrong, client_wrong
        )
        return float(cost.mean()), float(1.0 - server_wrong.mean())


def _normalised(images: Tensor) -> Tensor:
    return (images - 0.5) / 0.5


def compared(world: World) -> dict[str, Any]:
    """Samples a second of both ways and the ratios, for one setting and for the grid; risks at its costs."""
    torch.set_num_threads(1)
    plan = make_plan(scenario(world, grid=True, form="nonnegative")).prepare()
    variant = Variant(0, 0)
    client = live_model(plan, variant, train([recipe_for(plan, variant)])[0].weights)
    pairs = list(product(C_E, C_1))
    samples = plan.steps * BATCH
    took, risks = [], {}
    for c_e, c_1 in pairs[: world.pairs]:
        plain = Plain(plan, client, world, "nonnegative", c_e, c_1)
        took.append(plain.learn())
        risks[c_e, c_1] = plain.risk()
    released = Plain(plan, client, world, "released", *pairs[0])
    released.learn()
    single_s, _ = ours(scenario(world, grid=False, form="nonnegative"))
    grid_s, study = ours(scenario(world, grid=True, form="nonnegative"))
    of, first = study.set_index(["c_e", "c_1"])["risk"], study.iloc[0]
    plain_s = float(np.mean(took))
    return {
        "samples": samples,
        "settings": len(pairs),
        "plain_settings_timed": world.pairs,
        "plain_samples_per_s": round(samples / plain_s, 1),
        "ours_samples_per_s_single": round(samples / single_s, 1),
        "ours_samples_per_s_grid": round(samples * len(pairs) / grid_s, 1),
        "ratio_single": round(plain_s / single_s, 2),
        "ratio_grid": round(plain_s * len(pairs) / grid_s, 2),
        "optimiser": f"sgd, momentum {MOMENTUM}, batch {BATCH}",
        "form": "nonnegative",
        "server_accuracy": {
            "plain": round(risks[pairs[0]][1], 4),
            "ours": round(1.0 - (float(first["risk_all_remote"]) - C_E[0]) / C_1[0], 4),
        },
        "risk": {
            f"c_e={c_e:g}, c_1={c_1:g}": {"plain": round(risk, 4), "ours": round(float(of[c_e, c_1]), 4)}
            for (c_e, c_1), (risk, _) in risks.items()
        },
        "risk_all_local": round(float(first["risk_all_local"]), 4),
        "risk_of_plain_released_at_the_first": round(released.risk()[0], 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--samples", type=int, help="of the data set, in place of a world's own")
    parser.add_argument("--epochs", type=int)
    chosen = parser.parse_args()
    results = {}
    for name in chosen.worlds.split(","):
        own = WORLDS[name]
        world = World(
            own.server, own.server_lr, chosen.samples or own.samples, chosen.epochs or own.epochs, own.pairs
        )
        results[name] = compared(world)
        print(name, json.dumps(results[name]), flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
