"""Choices among LOCAL and one, two or three options against the Bayes choice, on Gaussian mixtures whose
posterior is known: costs are judged as expectations given x, so that no noise of labels is left in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pytest
import torch
from distributions import draw_mixture, mixture_eta
from numpy.typing import NDArray
from torch import Tensor

from agents.data.mixtures import drawn_set, mixture_of
from agents.evaluation.cost_model import CostModel, cost_model_of
from agents.fleet import open_fleet
from agents.options import options_of, surcharges
from agents.rejectors.inputs import RejectorInput
from agents.rejectors.option_losses import bound_of, option_losses, option_weights
from agents.rejectors.stacked import StackedRejectors
from sim.messages import Learned
from sim.registry.scores import SCORES
from sim.scenario import Scenario

PRICES = (0.25, 0.05, 0.12)  # of the options, c_e
C_1 = 1.3
GROWTH = ((100, 200), (1_000, 500), (25_000, 2_000))  # samples and steps


class Judged(NamedTuple):
    """agreement: with the Bayes choice; excess: of the risk beyond the Bayes risk; best_single: so of always
    asking the same, and of never asking."""

    agreement: float
    excess: float
    best_single: float


def asked(options: int, samples: int, score: str) -> Scenario:
    """A client that knows little, and as many experts as options."""
    names = [f"expert{number}" for number in range(options)]
    return Scenario.model_validate(
        {
            "name": "experts",
            "seed": 5,
            "horizon_s": 0.0,
            "data": {
                "set": "gaussian_mixture",
                "samples": samples,
                "pools": (0.1, 0.1, 0.5, 0.1, 0.2),
                "mixture": {"classes": 3, "dimensions": 2, "components": 2, "separation": 4.0},
            },
            "costs": {"c_e": 0.1, "c_1": C_1},
            "models": {name: {} for name in names},
            "servers": tuple(
                {"server": name, "models": (name,), "service": {"kind": "affine", "base_s": 0.01}}
                for name in names
            ),
            "fleet": (
                {
                    "group": "devices",
                    "clients": 1,
                    "model": {"family": "linear", "train_samples": 60, "epochs": 5},
                    "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
                    "options": tuple(
                        {"option": name, "server": name, "c_e": price}
                        for name, price in zip(names, PRICES, strict=False)
                    ),
                    "policy": {"score": score, "price": {"kind": "threshold", "at": 0.0}},
                },
            ),
            "training": {"pretrain": {"epochs": 12, "rejector_lr": 3e-3}},
        }
    )


def expert(scenario: Scenario, number: int) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """The first knows the posterior; others know it on one side of an axis, and guess on the other."""
    mixture = mixture_of(scenario)

    def probabilities(images: NDArray[np.float32]) -> NDArray[np.float64]:
        known = mixture.posterior(images)
        if number == 0:
            return known
        is_out = images.reshape(len(images), -1)[:, 0] * (1 if number == 1 else -1) < 0
        return np.where(is_out[:, None], np.array([1.0, 0.0, 0.0]), known)

    return probabilities


def judged(options: int, samples: int, score: str) -> Judged:
    """What the choices of a trained rejector come to on all samples that no rejector saw."""
    scenario = asked(options, samples, score)
    models = {"server" if options == 1 else f"models.expert{k}": expert(scenario, k) for k in range(options)}
    with (
        TemporaryDirectory() as folder,
        open_fleet(scenario, workers=0, cache=Path(folder), models=models) as fleet,
    ):
        fleet.build()
        fleet.learn()
        found = fleet.decide()
    costs = expected_costs(scenario, found)
    chosen = choices(scenario, found)
    bayes, mine = costs.min(axis=0), costs[chosen, np.arange(costs.shape[1])]
    single = min(costs.mean(axis=1))
    return Judged(float((mine == bayes).mean()), float((mine - bayes).mean()), float(single - bayes.mean()))


def expected_costs(scenario: Scenario, found: Learned) -> NDArray[np.float64]:
    """What each choice costs given x, (1 + options, n)."""
    points, _ = drawn_set(scenario)
    eta = mixture_of(scenario).posterior(points[found.samples.base_id])
    at = np.arange(len(eta))
    said, label = np.atleast_2d(found.tables.server_label), found.tables.groups[0].client_label[0]
    costs = [1.0 - eta[at, label]]
    for option in options_of(scenario, 0):
        costs.append(option.c_e + scenario.costs.c_1 * (1.0 - eta[at, said[option.model]]))
    return np.stack(costs)


def choices(scenario: Scenario, found: Learned) -> NDArray[np.int64]:
    """0 for LOCAL, else one more than the option's place."""
    score = found.tables.groups[0].score[0]
    costs, is_gain = scenario.costs, SCORES[scenario.fleet[0].policy.score].unit == "gain"
    if score.ndim == 1:
        price = options_of(scenario, 0)[0].c_e if is_gain else 0.0
        return (score > price).astype(np.int64)
    more = surcharges(scenario, 0, cost_model_of(scenario, costs.c_e, costs.c_1))
    net = score - more[:, None] if is_gain else score
    price = costs.c_e if is_gain else 0.0
    chosen: NDArray[np.int64] = np.where(net.max(axis=0) > price, 1 + net.argmax(axis=0), 0)
    return chosen


@pytest.mark.slow
@pytest.mark.parametrize("score", ["l2h", "plug_in", "l2h_priced"])
def test_what_the_product_learns_is_far_better_than_any_single_option(score: str) -> None:
    """With labels' noise and a small rejector: at most a fifth of what the best single choice loses."""
    found = judged(3, 12_000, score)
    assert found.excess < found.best_single / 5
    assert found.agreement > 0.7


def chances(points: Tensor, options: int) -> Tensor:
    """P(right | x) of a client that always says 0, and of experts: of the first everywhere, of others on one
    side of an axis alone, float64 (1 + options, n)."""
    eta = mixture_eta(points)
    best = eta.max(dim=1).values
    sides = (torch.ones(len(points), dtype=torch.bool), points[:, 0] > 0, points[:, 0] < 0)
    return torch.stack([eta[:, 0], *(torch.where(side, best, eta[:, 1]) for side in sides[:options])])


def trained(options: int, size: int, steps: int, seeds: int = 3, form: str = "nonnegative") -> Tensor:
    """Excess risk of each of some rejectors, trained on `size` samples of their own, and its share of samples
    on which the choice is Bayes's; judged by the posterior: (2, seeds)."""
    draws = [draw_mixture(size, 100 + seed) for seed in range(seeds)]
    points = torch.stack([one.points.float() for one in draws])
    prices = torch.tensor(PRICES[:options], dtype=torch.float64)
    coin = torch.Generator().manual_seed(9)
    right = torch.stack([chances(one.points, options) for one in draws])
    outcome = torch.rand(right.shape, generator=coin, dtype=torch.float64) < right
    cost = (~outcome).double() * torch.tensor([1.0, *[C_1] * options])[:, None]
    cost[:, 1:] += prices[:, None]
    bound = bound_of([CostModel(float(price), C_1) for price in prices])
    weights = option_weights(cost.float().movedim(1, 2), form, bound)
    stack = StackedRejectors("mlp", RejectorInput(None, points), 1 + options, list(range(seeds)))
    optimiser = torch.optim.Adam(stack.parameters, lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.randint(0, size, (128,), generator=coin)
        outputs = stack.outputs(RejectorInput(None, points[:, chosen]))
        optimiser.zero_grad()
        option_losses(outputs, weights[:, chosen]).mean(dim=1).sum().backward()
        optimiser.step()
        schedule.step()
    exam = draw_mixture(20_000, 99).points
    expected = (1.0 - chances(exam, options)) * torch.tensor([1.0, *[C_1] * options])[:, None]
    expected[1:] += prices[:, None]
    with torch.no_grad():
        choice = stack.outputs(RejectorInput(None, exam.float().expand(seeds, -1, -1))).argmax(dim=2)
    mine, bayes = expected.T[torch.arange(len(exam)), choice], expected.min(dim=0).values
    return torch.stack([(mine - bayes).mean(dim=1), (mine == bayes).double().mean(dim=1)])


@pytest.mark.slow
@pytest.mark.parametrize("options", [1, 2, 3])
def test_choices_near_the_bayes_choice_as_samples_grow(options: int) -> None:
    """Among LOCAL and one, two or three options of unequal prices: the minimiser of the loss on more samples
    is nearer to the Bayes choice, in risk and in agreement, and very near in the end."""
    few, some, many = (trained(options, size, steps).mean(dim=1) for size, steps in GROWTH)
    assert few[0] > some[0] > many[0]
    assert few[1] < some[1] < many[1]
    assert many[0] < 0.02
    assert many[0] < few[0] / 4
    assert many[1] > 0.8


@pytest.mark.slow
def test_the_cost_sensitive_form_nears_it_too() -> None:
    risk, agreement = trained(3, 25_000, 2_000, form="cost_sensitive").mean(dim=1)
    assert risk < 0.02
    assert agreement > 0.8
