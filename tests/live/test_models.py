"""Replicas that run the trained model: what they answer, what stops them, and what has no model to run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds import scenario_of

from agents.fleet import open_fleet
from live import replica
from live.needs import require_playable
from live.playing import Served, live_path
from live.service import Law
from sim.engine.run import Run
from sim.errors import BadInput
from sim.scenario import Scenario
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

MODEL = Served("processes", service="model")
SPAN = (2.0, 4.5)  # of the outage


def plan_of(**server: object) -> Scenario:
    group = {
        "group": "devices",
        "clients": 4,
        "model": {"family": "linear", "train_samples": 50, "epochs": 1},
        "arrivals": {"process": {"kind": "poisson", "rate_hz": 2.0}},
        "policy": {"score": "l2h", "price": {"kind": "always_remote"}},
        "timeout_s": 4.0,
    }
    base = {
        "replicas": 2,
        "max_batch": 4,
        "model": {"family": "mlp"},
        "service": {"kind": "affine", "base_s": 0.02},
        "outages": ({"when": {"kind": "intervals", "at": (SPAN,)}, "target": {"kind": "server"}},),
        "when_down": "refuse",
    }
    training = {"pretrain": {"epochs": 1}}
    return scenario_of(horizon_s=24.0, fleet=(group,), server=base | server, training=training)


@pytest.mark.slow
def test_replicas_answer_by_the_model_before_and_after_they_were_killed(tmp_path):
    """Of some samples the tables are told wrong: just those answers are unlike."""
    plan = plan_of()
    world = World(plan)
    with (
        open_fleet(plan, workers=0, cache=tmp_path) as fleet,
        live_path(plan, MODEL, lambda _word: None, lambda: False) as path,
    ):
        fleet.build()
        fleet.learn()
        learned = fleet.decide()
        wrong = learned.tables.server_label.copy()
        is_wrong = np.arange(len(wrong)) % 3 == 0
        wrong[is_wrong] = (wrong[is_wrong] + 1) % 10
        told = replace(learned, tables=replace(learned.tables, server_label=wrong))
        path.take_model(fleet.server_to_run())
        chunk = Run(world, told, ScenarioArrivals(world), None, path, EvenWindows(plan.horizon_s)).advance()
    rows = chunk.requests.to_pandas()
    served = rows[rows.outcome == "remote"]
    at = {number: place for place, number in enumerate(learned.samples.sample_id)}
    answered = rows[rows.finished_at_s.notna()]  # of some the client may not have heard at the horizon
    unlike = sum(is_wrong[at[number]] for number in answered.sample_id)
    assert 0 < unlike < len(answered)
    assert path.observed()["answers"] == {"compared": len(answered), "unlike": unlike}
    assert (served.sent_at_s < SPAN[0]).any()
    assert (served.sent_at_s > SPAN[1]).any()
    assert not served.started_at_s.between(SPAN[0] + 0.5, SPAN[1]).any()
    assert "refused" in set(rows[rows.sent_at_s.between(SPAN[0] + 0.5, SPAN[1])].outcome)


def test_a_replica_that_is_slowed_takes_so_many_times_what_its_machine_took(monkeypatch):
    clock, slept = [0.0], list[float]()
    monkeypatch.setattr(replica.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(replica.time, "sleep", slept.append)

    def answer(samples: list[int]) -> list[int]:
        clock[0] += 0.25 * len(samples)
        return [9 - one for one in samples]

    slow = Law([0.0, 0.1, 0.2], [(2.0, 3.0, 1, 3.0)], 2, 0.0, 2.0, "folder")
    orders = [slow.order(place, 1.0, [1.0, 1.0], [4, 5], 1.25) for place in (0, 1)]  # at 2.5 s of the run
    assert [replica.busy(answer, *order) for order in orders] == [[5, 4], [5, 4]]
    assert slept == [0.0, 1.0]  # only the highest is slowed: half a second becomes one and a half
    drawn = slow._replace(model="").order(1, 2.0, [1.0, 3.0], [4, 5], 1.25)
    assert replica.busy(None, *drawn) is None
    assert slept[2] == pytest.approx(0.2 * 2.0 * 2.0 * 3.0 / 2.0)


@pytest.mark.parametrize(
    "server",
    [{"model": {"file": "mine.onnx"}}, {"model": {"of_group": "devices"}}, {"model": {"answers": "theirs"}}],
)
def test_a_model_that_the_run_does_not_train_is_not_run(server):
    plan = plan_of()
    own = plan.server.model.model_copy(update=server["model"])
    given = plan.model_copy(update={"server": plan.server.model_copy(update={"model": own})})
    require_playable(given)
    with pytest.raises(BadInput, match=r"^--service model: needs a server.model that the run trains"):
        require_playable(given, asks_model=True)


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_told_in_one_line(tmp_path):
    plan = plan_of()
    with (
        pytest.raises(BadInput, match=r"^--service model: replicas could not load it$"),
        live_path(plan, MODEL, lambda _word: None, lambda: False) as path,
    ):
        path.loop.run_until_complete(path.real.take_model(tmp_path))  # an empty folder
