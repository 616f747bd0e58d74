"""Rejectors where a server chooses among its models: a send costs the mean over them, by their shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_fleets import learn
from test_options import MODELS, SERVICE, asking, two_servers

from agents.options import options_of
from sim.messages import Learned
from sim.scenario import Scenario

WORKS = {name: model | {"work": 1.0 + place} for place, (name, model) in enumerate(MODELS.items())}
AND_LOCAL_EDGE = (
    {"option": "far", "server": "cloud"},
    {"option": "near", "server": "edge", "model": "small", "c_e": 0.02},
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def switching(score: str, shares: tuple[float, ...] | None, options: Any = AND_LOCAL_EDGE[:1]) -> Scenario:
    switch = {"kind": "backlog", "above": 4, "below": 1, "shares": shares}
    servers = (
        {"server": "edge", "service": SERVICE},
        {"server": "cloud", "service": SERVICE, "switch": switch},
    )
    return two_servers(asking(score, options), models=WORKS, servers=servers)


def wrong(found: Learned) -> np.ndarray:
    return (found.tables.server_label != found.samples.label).astype(float)


def test_shares_stand_in_the_order_of_all_models() -> None:
    (option,) = options_of(switching("l2h", (0.7, 0.3)), 0)
    right = np.array([[1, 1, 0], [0, 1, 1]], dtype=bool)
    assert option.shares == (0.7, 0.3)
    assert option.of(right) == pytest.approx([0.7, 1.0, 0.3])
    (last,) = options_of(switching("l2h", None), 0)
    assert last.of(right).tolist() == [False, True, True]


def test_the_oracle_knows_the_mean_over_the_models(cache: Path) -> None:
    found = learn(switching("oracle", (0.7, 0.3)), cache)
    (table,) = found.tables.groups
    mean = np.array([0.7, 0.3]) @ wrong(found)
    local = (table.client_label != found.samples.label).astype(float)
    assert table.score == pytest.approx(local - 1.2 * mean, abs=1e-5)


@pytest.mark.parametrize("options", [AND_LOCAL_EDGE[:1], AND_LOCAL_EDGE], ids=["one", "two"])
@pytest.mark.parametrize("score", ["l2h", "plug_in", "l2h_priced"])
def test_a_model_that_gives_all_answers_is_learned_about_as_if_nothing_switched(
    score: str, options: Any, cache: Path
) -> None:
    """Weights of outcomes are linear in them, so that a mean over one model is that model's."""
    all_by_last, by_shares, mixed = (
        learn(switching(score, shares, options), cache).tables.groups[0].score
        for shares in (None, (0.0, 1.0), (0.5, 0.5))
    )
    assert by_shares == pytest.approx(all_by_last, abs=2e-3)
    assert not np.allclose(mixed, all_by_last, atol=2e-3)
