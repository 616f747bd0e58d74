"""The server: its trajectory is the one that a synchronous run would see, and it gets good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_fleets import NOISY, group, scenario, spoil

from agents.plan import Plan, make_plan
from agents.server_model import ServerModel
from sim.errors import RunFailed


def pool_answers(plan: Plan, server: ServerModel) -> np.ndarray:
    """Where a server is right on the rejector pool, asked through its answers on a borrowed sample axis."""
    ids = plan.pools.rejector
    borrowed = replace(plan, samples=replace(plan.samples, sample_id=ids))
    server._plan = borrowed
    return server.labels() == plan.labels(ids)


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_trace_holds_every_version_from_the_untrained_one(epochs: int) -> None:
    plan = make_plan(scenario(epochs=epochs))
    fresh, server = ServerModel(plan), ServerModel(plan)
    trajectory = server.pretrain()
    assert trajectory.correct.shape == (epochs * 9 + 1, 1, 359)
    assert np.array_equal(trajectory.correct[0, 0], pool_answers(plan, fresh))
    assert np.array_equal(trajectory.correct[-1, 0], pool_answers(plan, server))


def test_a_longer_run_passes_through_the_shorter_one() -> None:
    """Law: row t does not know how long training will go on, so replaying rows is running in step."""
    short, long = (ServerModel(make_plan(scenario(epochs=epochs))).pretrain() for epochs in (1, 3))
    assert np.array_equal(long.correct[:10], short.correct)
    assert long.loss[0] == short.loss[0]


def test_costs_and_rejectors_do_not_move_the_server() -> None:
    cheap = ServerModel(make_plan(scenario(costs={"c_e": 0.0}))).pretrain()
    dear = ServerModel(make_plan(scenario(group(clients=5), costs={"c_e": 0.9}, form="paper"))).pretrain()
    assert np.array_equal(cheap.correct, dear.correct)


def test_without_rejectors_nothing_is_traced() -> None:
    policy = {"score": "confidence", "price": {"kind": "threshold", "at": 0.5}}
    trajectory = ServerModel(make_plan(scenario(group(policy=policy)))).pretrain()
    assert trajectory.correct.shape == (19, 0, 359)


def test_every_rejector_view_is_traced() -> None:
    plan = make_plan(scenario(group("clean"), group("noisy", partition=NOISY, traffic={"mix": "own"})))
    correct = ServerModel(plan).pretrain().correct
    assert correct.shape == (19, 2, 359)
    assert correct[-1, 0].mean() > correct[-1, 1].mean()


def test_progress_is_told_by_epochs() -> None:
    told: list[tuple[int, int]] = []
    ServerModel(make_plan(scenario(epochs=3))).pretrain(lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_loss_that_is_no_number_names_the_server() -> None:
    plan = make_plan(scenario())
    spoil(plan, plan.pools.server[:1], np.inf)
    with pytest.raises(RunFailed, match=r"stage 'learn': server, pretraining: the loss is nan at step"):
        ServerModel(plan).pretrain()


@pytest.mark.slow
def test_the_default_server_reads_digits_it_has_not_seen() -> None:
    """539 clean samples, 60 epochs: 0.96 seen on 181 held-out digits, standard error 0.015."""
    plan = make_plan(scenario(epochs=60, server="small_cnn"))
    server = ServerModel(plan)
    server.pretrain()
    held_out = plan.samples.held_out
    assert (server.labels() == plan.samples.label)[held_out].mean() > 0.92


def test_answers_that_are_no_numbers_name_the_server() -> None:
    server = ServerModel(make_plan(scenario()))
    with torch.no_grad():
        server._model.head.bias[3] = torch.inf
    with pytest.raises(RunFailed, match=r"stage 'decide': server: an answer is not a finite number"):
        server.labels()
