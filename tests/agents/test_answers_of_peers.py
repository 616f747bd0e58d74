"""Clients' models as servers': what a peer answers is what its frozen model is on record for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from small_fleets import MISSING, group, learn, model, scenario

from agents.plan import make_plan
from sim.engine.run import chunks
from sim.scenario import Scenario
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World

SERVICE = {"kind": "affine", "base_s": 0.02}
NOVICES = group("novices", clients=4, model=model(family="mlp", variants=2, epochs=6))


MAIN = {"server": "main", "models": ("own",), "service": SERVICE}


def asking(score: str = "l2h", price: str = "threshold", main: Any = MAIN, **of_sensors: Any) -> Scenario:
    """Sensors that miss three classes may ask a server, and the second model of the novices."""
    cost = {"kind": price} | ({"at": 0.0} if price == "threshold" else {})
    sensors = group(
        partition=MISSING,
        model=model(variants=2),
        options=({"option": "main", "server": "main"}, {"option": "peer", "server": "peers"}),
        choose="order" if score == "random" else "best",
        policy={"score": score, "price": cost},
        **of_sensors,
    )
    peers = {"server": "peers", "models": ("novice",), "peers_of": "novices", "replicas": 2}
    parts = {
        "server": None,
        "servers": (main, peers | {"service": SERVICE}),
        "models": {"own": {"family": "linear"}, "novice": {"of_group": "novices", "variant": 1}},
    }
    plan = scenario(sensors, NOVICES).model_dump() | parts
    return Scenario.model_validate(plan | {"fleet": (sensors, NOVICES)})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("score", ["l2h", "plug_in", "confidence"])
def test_a_peer_answers_as_its_client_does(score: str, cache: Path) -> None:
    """On the whole sample axis, views of all groups included; the frozen client stays the same."""
    asked = asking(score)
    tables = learn(asked, cache).tables
    assert (tables.server_label[1] == tables.groups[1].client_label[1]).all()
    assert (tables.server_label[0] != tables.server_label[1]).any()


def test_only_its_own_model_is_trained(cache: Path) -> None:
    plan = make_plan(asking())
    assert [plan.is_given(place) for place in (0, 1)] == [False, True]
    found = learn(asking(), cache)
    again = learn(asking(), cache)  # from the cache, which the peer wrote first
    assert found.client_hashes == again.client_hashes
    assert found.tables.server_label.tobytes() == again.tables.server_label.tobytes()


def test_accuracy_with_peers_follows_from_the_tables(cache: Path) -> None:
    """While the server is down everybody asks a peer; a sample's answer is right iff its model is on record
    as right, so accuracy is the mean of the table over what is asked."""
    down = ({"when": {"kind": "intervals", "at": ((0.0, 60.0),)}},)
    main = MAIN | {"when_down": "refuse", "outages": down}
    retry = {"attempts": 2, "backoff_s": 0.0, "next": "other", "allowance": None}
    asked = asking("random", "always_remote", main, retry=retry)
    found = learn(asked, cache)
    run = chunks(World(asked), found, ScenarioArrivals(World(asked)), 60.0)
    table = pa.concat_tables([chunk.requests for chunk in run]).to_pandas()
    table = table[(table["group"] == "sensors") & (table["outcome"] == "remote")]
    assert len(table) > 100
    assert (table["option"] == 1).all()
    position = np.searchsorted(found.samples.sample_id, table["sample_id"])
    label, axis = found.tables.groups[1].client_label[1], found.samples
    assert (table["answer_label"].to_numpy() == label[position]).all()
    expected = (label == axis.label)[position].mean()
    assert table["correct"].mean() == expected
    positions = found.traffic[0][0].positions
    promised = (label == axis.label)[positions].mean()
    assert abs(expected - promised) < 4 * (promised * (1 - promised) / len(table)) ** 0.5
