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


def test_a_learning_rate_beyond_float32_is_refused() -> None:
    with pytest.raises(
        BadInput, match=r"^training\.pretrain\.rejector_lr: 1e\+38, it must be at most 1e\+30$"
    ):
        validate(scenario(training={"pretrain": {"rejector_lr": 1e38}}))


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
