"""What the learners refuse before they train anything, each in one line that names the place."""

from __future__ import annotations

from typing import Any

import pytest
from small_fleets import group, model, scenario, three_kinds

from agents import fleet as door
from agents.checks import validate
from sim.errors import BadInput


def test_a_sound_scenario_passes() -> None:
    validate(three_kinds())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"model": model(family="lineer")},
            "fleet.sensors.model.family: 'lineer' is not a known model family (linear, mlp, small_cnn); "
            "did you mean 'linear'?",
        ),
        (
            {"rejector": {"family": "transformer"}},
            "fleet.sensors.rejector.family: 'transformer' is not a known rejector family (linear, mlp)",
        ),
        (
            {"policy": {"score": "entropy"}},
            "fleet.sensors.policy.score: 'entropy' is not a known score (l2h, confidence, random, oracle)",
        ),
        (
            {"clients": 10_001},
            "fleet.sensors.rejector.per: 'client' with 10001 clients, at most 10000 can have a rejector "
            "each; use 'variant'",
        ),
    ],
)
def test_a_group_that_cannot_learn_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as refusal:
        validate(scenario(group(**changes)))
    assert str(refusal.value) == line


def test_an_unknown_server_family_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^server\.model\.family: 'small_cn' .* did you mean 'small_cnn'\?$"):
        validate(scenario(server="small_cn"))


@pytest.mark.parametrize("name", ["server_lr", "rejector_lr"])
def test_a_learning_rate_above_one_is_refused(name: str) -> None:
    validate(scenario(training={"pretrain": {name: 1.0}}))
    with pytest.raises(BadInput, match=rf"^training\.pretrain\.{name}: 1\.5, it must be at most 1$"):
        validate(scenario(training={"pretrain": {name: 1.5}}))


@pytest.mark.parametrize("name", ["c_e", "c_1"])
@pytest.mark.parametrize("cost", [2e6, 1e39, float("inf"), float("nan")])
def test_a_cost_that_overflows_is_refused(name: str, cost: float) -> None:
    """Also where the schema was not asked, as by `model_copy`."""
    sound = scenario()
    validate(sound.model_copy(update={"costs": sound.costs.model_copy(update={name: 1e6})}))
    dear = sound.model_copy(update={"costs": sound.costs.model_copy(update={name: cost})})
    with pytest.raises(BadInput, match=rf"^costs\.{name}: .*, it must be at most 1e\+06$"):
        validate(dear)


ONLINE = {"every_s": 60.0, "steps": 20, "step_s": 0.05, "rejector_steps": 20, "rejector_step_s": 0.01}


@pytest.mark.parametrize(
    ("training", "line"),
    [
        ({"availability": 0.5}, "training.availability: 0.5, the learners can do only null so far"),
        ({"shared_batch": True}, "training.shared_batch: true, the learners can do only false so far"),
        (
            {"feedback": "deferred_only"},
            'training.feedback: "deferred_only", the learners can do only "full" so far',
        ),
        (
            {"pretrain": {"sync_every": "epoch"}},
            'training.pretrain.sync_every: "epoch", the learners can do only 1 so far',
        ),
    ],
)
def test_what_the_learners_would_ignore_is_refused(training: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as refusal:
        validate(scenario(training=training))
    assert str(refusal.value) == line


def test_learning_during_the_run_is_refused() -> None:
    with pytest.raises(
        BadInput, match=r"^training\.online: \{every_s: .*, the learners can do only null so far$"
    ):
        validate(scenario(training={"online": ONLINE}))


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^data\.set: 'svhn' is not a known data set \(digits\)$"):
        validate(scenario(data={"set": "svhn"}))


def test_many_clients_may_share_rejectors_or_need_none() -> None:
    validate(scenario(group(clients=1_000_000, rejector={"per": "variant"})))
    validate(scenario(group(clients=1_000_000, policy={"score": "confidence"})))


def test_a_fleet_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_hosts", lambda *_: pytest.fail("hosts were started"))
    with pytest.raises(BadInput, match="lineer"), door.open_fleet(scenario(server="lineer"), workers=2):
        pass
