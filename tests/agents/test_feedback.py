"""Feedback on what was sent alone: unbiased with exploration, silent about the rest without."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from small_fleets import group, scenario

from agents.fleet import open_fleet
from agents.rejectors.feedback import Feedback
from agents.rejectors.losses import rejector_losses
from agents.rejectors.surrogates import Client, l2h_score
from sim.streams import stream

SAMPLES = torch.arange(8)


def feedback(exploration: float, entity: int = 0) -> Feedback:
    client = Client(torch.zeros(1, 8, dtype=torch.int64), torch.zeros(1, 8))
    price = torch.zeros(1, 1)
    return Feedback(l2h_score, client, price, price, exploration, [stream(7, "feedback", 0, entity)])


def test_what_the_rejector_sends_counts_once_and_the_rest_as_often_as_it_is_not_seen() -> None:
    outputs = torch.zeros(1, 8, 2)
    outputs[0, :4, 1] = 1.0
    weights = feedback(0.25).weights(outputs, SAMPLES)
    assert weights[0, :4].tolist() == [1.0] * 4
    assert set(weights[0, 4:].tolist()) <= {0.0, 4.0}
    assert feedback(0.0).weights(outputs, SAMPLES)[0, 4:].tolist() == [0.0] * 4


def test_the_mean_gradient_is_that_of_full_feedback() -> None:
    """Over 4,000 keyed draws each coordinate lies within four standard errors: a false alarm of 6e-5."""
    generator = torch.Generator().manual_seed(1)
    inputs, weight = torch.randn(8, 3, generator=generator), torch.randn(3, 2, generator=generator)
    w_local, w_remote = torch.rand(2, 8, generator=generator)
    draws = 4000
    known = feedback(0.3)
    gradients = []
    for _ in range(draws):
        gradients.append(gradient(inputs, weight, w_local, w_remote, known))
    seen, full = torch.stack(gradients), gradient(inputs, weight, w_local, w_remote, None)
    error = seen.std(dim=0) / draws**0.5
    assert (error > 0).any()
    assert ((seen.mean(dim=0) - full).abs() <= 4 * error + 1e-6).all()
    biased = gradient(inputs, weight, w_local, w_remote, feedback(0.0))
    assert ((biased - full).abs() > 4 * error).any()


def gradient(inputs, weight, w_local, w_remote, known: Feedback | None) -> torch.Tensor:
    weight = weight.clone().requires_grad_()
    outputs = inputs @ weight
    losses = rejector_losses(outputs, w_local, w_remote)
    if known is not None:
        losses = losses * known.weights(outputs[None], SAMPLES)[0]
    losses.mean().backward()
    return weight.grad.flatten()


def test_draws_belong_to_the_owner() -> None:
    outputs = torch.zeros(1, 8, 2)
    first, again, other = (
        torch.cat([known.weights(outputs, SAMPLES) for _ in range(4)])
        for known in (feedback(0.5), feedback(0.5), feedback(0.5, entity=1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("exploration", "warns"), [(0.0, True), (0.2, False)])
def test_a_fleet_learns_from_what_it_sends(
    exploration: float, warns: bool, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = {"feedback": "deferred_only", "exploration": exploration, "pretrain": {"epochs": 2}}
    asked = scenario(group(), training=training, study={"score": ("plug_in",), "c_e": (0.0, 0.4)})
    with caplog.at_level(logging.WARNING), open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        learned = fleet.decide()
    assert ("what a rejector never sends" in caplog.text) == warns
    assert np.isfinite(learned.study["risk"]).all()
    # With full feedback all prices share one rejector; here each learns about what it sends itself.
    losses = [
        loss
        for score, loss in zip(learned.study["score"], learned.study["final_loss"], strict=True)
        if score == "plug_in"
    ]
    assert len(set(losses)) > 1
