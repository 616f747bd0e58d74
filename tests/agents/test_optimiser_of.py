"""The optimisers of pretraining: the one that is asked for, with its own momentum and decay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_fleets import scenario

from agents.fleet import open_fleet
from agents.models.training import optimiser_of
from sim.scenario.rules.checks import availability_can_be_learned_for, momentum_goes_with_sgd
from sim.scenario.schema.training import Pretrain


def after_a_step(pretrain: Pretrain, weight_decay: float, steps: int = 1) -> float:
    """A weight of 1 under a gradient of 1, at a rate of 0.1."""
    weight = torch.ones(1, requires_grad=True)
    optimiser = optimiser_of(pretrain, [weight], 0.1, weight_decay)
    for _ in range(steps):
        weight.grad = torch.ones(1)
        optimiser.step()
    return weight.item()


def test_sgd_by_hand() -> None:
    assert after_a_step(Pretrain(optimiser="sgd"), 0.0) == pytest.approx(0.9)
    assert after_a_step(Pretrain(optimiser="sgd"), 0.5) == pytest.approx(0.85)
    assert after_a_step(Pretrain(optimiser="sgd", momentum=0.9), 0.0, steps=2) == pytest.approx(0.71)


def test_adam_without_decay_is_adam_and_its_decay_is_decoupled() -> None:
    assert after_a_step(Pretrain(), 0.0) == pytest.approx(0.9)
    assert after_a_step(Pretrain(), 0.5) == pytest.approx(0.95 * 1.0 - 0.1)


def test_every_optimiser_trains_a_fleet(cache: Path) -> None:
    losses = []
    for changes in ({}, {"optimiser": "sgd", "momentum": 0.9}, {"rejector_weight_decay": 5.0}):
        asked = scenario(training={"pretrain": {"epochs": 3, **changes}})
        with open_fleet(asked, workers=0, cache=cache) as fleet:
            fleet.build()
            fleet.learn()
            losses.append(fleet.decide().study["final_loss"][0])
    assert np.isfinite(losses).all()
    assert len(set(losses)) == 3


def test_what_does_not_go_together_is_named() -> None:
    (path, value, rule), *_ = momentum_goes_with_sgd(scenario(training={"pretrain": {"momentum": 0.5}}))
    assert (path[-1], value, rule) == ("momentum", 0.5, "only optimiser: sgd has it, not adam")
    for training, horizon_s in (
        ({"availability": 0.5, "form": "released"}, 60.0),
        ({"availability": "observed"}, 0.0),
    ):
        (breach,) = availability_can_be_learned_for(scenario(training=training, horizon_s=horizon_s))
        assert breach[0] == ("training", "availability")
    assert not [*availability_can_be_learned_for(scenario(training={"availability": "observed"}))]
