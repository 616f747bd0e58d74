"""The server: its trajectory is the one that a synchronous run would see, and it gets good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_fleets import NOISY, group, scenario, spoil

from agents.models.training import read
from agents.plan import Plan, make_plan
from agents.server import model as server_model
from agents.server.model import ServerModel
from agents.server.steps import rejector_batches
from sim.errors import RunFailed


def answers_to(plan: Plan, server: ServerModel, ids: np.ndarray) -> np.ndarray:
    """Where a server is right, asked through its answers on a borrowed sample axis."""
    server._plan = replace(plan, samples=replace(plan.samples, sample_id=ids))
    return server.labels() == plan.labels(ids)


def test_the_last_step_is_seen_by_the_trained_server() -> None:
    plan = make_plan(scenario(epochs=2))
    server = ServerModel(plan)
    trajectory = server.pretrain()
    assert trajectory.correct.shape == (1, 18, 1, 64)
    last = plan.rejector_pool[rejector_batches(plan)[-1]]
    assert np.array_equal(trajectory.correct[0, -1, 0], answers_to(plan, server, last))


def test_a_copy_of_an_epoch_ago_is_untrained_in_the_first_epoch() -> None:
    plan = make_plan(scenario(epochs=2, study={"sync_every": ("epoch",)}))
    fresh, trajectory = ServerModel(plan), ServerModel(plan).pretrain()
    assert plan.intervals == (1, 9)
    batches = rejector_batches(plan)[:8]
    right = answers_to(plan, fresh, plan.rejector_pool[batches.ravel()]).reshape(8, 64)
    assert np.array_equal(trajectory.correct[1, :8, 0], right)
    # At the end of an epoch the copy is the server of this very moment.
    assert np.array_equal(trajectory.correct[0, 8], trajectory.correct[1, 8])


def test_a_longer_run_passes_through_the_shorter_one() -> None:
    """Law: a step does not know how long training will go on, so recording ahead is running in step."""
    short, long = (ServerModel(make_plan(scenario(epochs=epochs))).pretrain() for epochs in (1, 3))
    assert np.array_equal(long.correct[:, :9], short.correct)
    assert long.loss[0] == short.loss[0]


def test_a_server_is_asked_only_about_what_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch a step for the copy that is always fresh, and each sample once at most for the others."""
    plan = make_plan(scenario(epochs=2, study={"sync_every": (1, "epoch")}))
    asked: list[int] = []
    monkeypatch.setattr(
        server_model, "read", lambda model, images: asked.append(len(images)) or read(model, images)
    )
    ServerModel(plan).pretrain()
    assert sum(asked) <= 18 * 64 + 3 * 359


def test_costs_and_rejectors_do_not_move_the_server() -> None:
    cheap = ServerModel(make_plan(scenario(costs={"c_e": 0.0}))).pretrain()
    dear = ServerModel(make_plan(scenario(group(clients=5), costs={"c_e": 0.9}, form="paper"))).pretrain()
    assert np.array_equal(cheap.correct, dear.correct)


def test_without_rejectors_nothing_is_traced() -> None:
    policy = {"score": "confidence", "price": {"kind": "threshold", "at": 0.5}}
    trajectory = ServerModel(make_plan(scenario(group(policy=policy)))).pretrain()
    assert trajectory.correct.shape == (0, 18, 0, 0)


def test_every_rejector_view_is_traced() -> None:
    plan = make_plan(scenario(group("clean"), group("noisy", partition=NOISY, traffic={"mix": "own"})))
    correct = ServerModel(plan).pretrain().correct
    assert correct.shape == (1, 18, 2, 64)
    assert correct[0, -9:, 0].mean() > correct[0, -9:, 1].mean()


def test_epoch_by_epoch_it_learns_the_same() -> None:
    plan = make_plan(scenario(epochs=3))
    server = ServerModel(plan)
    assert server.pretrain(1) is None
    assert server.pretrain(1) is None
    last, whole = server.pretrain(1), ServerModel(plan).pretrain()
    assert last.loss.tolist() == whole.loss.tolist()
    assert np.array_equal(last.correct, whole.correct)
    assert server.pretrain(1) is None


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


def test_samples_weigh_as_much_as_those_who_send_them() -> None:
    """Weights that differ by view move the server; equal ones, whatever their size, leave every bit alone."""
    noisy = {"partition": NOISY, "traffic": {"mix": "own"}}

    def weighed(clean: float, shifted: float) -> ServerModel:
        plan = make_plan(scenario(group("clean", weight=clean), group("noisy", weight=shifted, **noisy)))
        server = ServerModel(plan)
        server.pretrain()
        return server

    plain, doubled, tilted = weighed(1.0, 1.0), weighed(2.0, 2.0), weighed(1.0, 50.0)
    assert plain._plan.weight_of_view.tolist() == [1.0, 1.0]
    assert tilted._plan.weight_of_view.tolist() == [1.0, 50.0]
    weights = [next(server._model.parameters()).detach() for server in (plain, doubled, tilted)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_view_weighs_the_mean_of_its_senders_and_one_without_any() -> None:
    both = make_plan(scenario(group("a", weight=1.0), group("b", weight=4.0)))
    assert both.weight_of_view.tolist() == [2.5]
    nobody = make_plan(scenario(group(partition=NOISY, traffic={"mix": "own"}, weight=3.0)))
    assert nobody.weight_of_view.tolist() == [1.0, 3.0]
