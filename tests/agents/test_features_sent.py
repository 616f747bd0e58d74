"""Servers' models that see what a client's frozen model made of a sample, in place of the sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_fleets import MISSING, NOISY, group, learn, model, scenario

from agents.brought_names import features_for
from agents.fleet import open_fleet
from agents.models.client_cache import load_client
from agents.models.frozen import live_model, recipe_for
from agents.models.outputs import output_of
from agents.models.own_models import samples_asked
from agents.models.peers import fronts_say
from agents.plan import Plan, Variant, make_plan
from agents.server.model import ServerModel
from agents.server.seen import inputs_of
from sim.errors import BadInput
from sim.scenario import Scenario
from sim.scenario.rules import checks

SITE = {"server": "site", "models": ("whole", "head"), "service": {"kind": "affine", "base_s": 0.02}}
PICTURE = {"option": "picture", "server": "site", "model": "whole"}
FEATURES = {"option": "features", "server": "site", "model": "head", "payload_bytes": 256}
OTHERS = group("others", options=(PICTURE,))


def fleet(
    *others: Any, head: dict[str, Any] | None = None, variants: int = 1, epochs: int = 3, **changes: Any
) -> Scenario:
    """Sensors may send pictures to one model and features to another, which `head` changes."""
    sensors = group(
        partition=MISSING, model=model(family="mlp", variants=variants), options=(PICTURE, FEATURES)
    )
    plan = scenario(sensors, *others, epochs=epochs, **changes).model_dump() | {
        "server": None,
        "servers": (SITE,),
        "models": {
            "whole": {"family": "linear"},
            "head": {"family": "mlp", "features_of": "sensors"} | (head or {}),
        },
    }
    return Scenario.model_validate(plan | {"fleet": (sensors, *others)})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def plan(cache: Path) -> Plan:
    """With a group that sends noisy pictures to the other model: samples have two views."""
    noisy = group("noisy", partition=NOISY, traffic={"mix": "own"}, options=(PICTURE,))
    bare = make_plan(fleet(noisy))
    return replace(bare, said=fronts_say(bare, {}, cache)).prepare()


def test_it_sees_what_the_frozen_client_makes_of_a_sample(plan: Plan, cache: Path) -> None:
    sensor = Variant(0, 0)
    frozen = load_client(recipe_for(plan, sensor), cache)
    assert frozen is not None
    asked = np.concatenate([plan.samples.sample_id[::-7], plan.server_pool[:9], plan.server_pool[:3]])
    features = output_of(live_model(plan, sensor, frozen.weights), plan, asked.astype(np.int32)).features
    seen, shape = inputs_of(plan, 1)
    assert shape == (64, 1, 1)
    assert np.allclose(seen[asked.astype(np.int32)][:, :, 0, 0], features.numpy(), atol=1e-5)
    assert inputs_of(plan, 0) == (plan.images, plan.data.image_shape)


def test_it_learns_what_a_model_learns_to_whom_features_are_the_pictures(cache: Path) -> None:
    """Of a data set whose pictures are those features, with everything else alike; to the last bit."""
    bare = make_plan(fleet())
    seeing = replace(bare, said=fronts_say(bare, {}, cache))
    known = seeing.said[features_for("models.head")]
    pictures = np.zeros((bare.data.size, 64, 1, 1), dtype=np.float32)
    pictures[known["sample_id"]] = known["features"][:, :, None, None]
    plainly = make_plan(fleet(head={"features_of": None}))
    shown = replace(plainly, data=replace(plainly.data, pixels=pictures, levels=None))
    one, other = ServerModel(seeing, 1), ServerModel(shown, 1)
    found, expected = one.pretrain(), other.pretrain()
    assert found is not None
    assert expected is not None
    assert found.loss.tobytes() == expected.loss.tobytes()
    assert (one.labels() == other.labels()).all()
    assert one.confidence().tobytes() == other.confidence().tobytes()


def test_it_learns_classes_that_the_client_knows_nothing_of(cache: Path) -> None:
    """Whoever trained on seven classes of ten has features that tell the others apart, too."""
    found = learn(fleet(epochs=20), cache)
    label, unknown = found.samples.label, found.samples.label >= 7
    client, head = found.tables.groups[0].client_label[0], found.tables.server_label[1]
    assert not (client[unknown] == label[unknown]).any()
    assert (head[unknown] == label[unknown]).mean() > 0.3


def test_a_warm_start_begins_with_what_it_sees(cache: Path) -> None:
    """It imitates on features, too; on these samples as well they are known."""
    warm = {"epochs": 2, "patience": 1}
    training = {"form": "nonnegative", "pretrain": {"epochs": 1}, "warm_start": warm}
    told = learn(fleet(training=training), cache).warm_start
    assert set(told["model"]) == {"whole", "head"}


@pytest.mark.ray
@pytest.mark.slow
def test_the_law_of_workers_holds(cache: Path) -> None:
    with open_fleet(fleet(), workers=1, cache=cache) as opened:
        opened.build()
        opened.learn()
        found = opened.decide()
    here = learn(fleet(), cache)
    assert found.tables.server_label.tobytes() == here.tables.server_label.tobytes()
    assert found.client_hashes == here.client_hashes


@pytest.mark.parametrize(
    ("asked", "path", "words"),
    [
        (fleet(), None, ""),
        (fleet(OTHERS), None, ""),
        (fleet(head={"features_of": "sensor"}), "features_of", "did you mean sensors?"),
        (fleet(variants=2), "features_of", "variants must be 1"),
        (fleet(group("others")), "features_of", "others may ask head"),
        (fleet(head={"of_group": "sensors"}), "features_of", "leave out of_group"),
        (fleet(head={"image_size": 8}), "image_size", "features are no picture"),
        (fleet(head={"family": "small_cnn"}), "family", "must be one of linear, mlp"),
    ],
)
def test_what_nobody_can_send_is_refused_in_one_line(asked: Scenario, path: str | None, words: str) -> None:
    found = checks.findings(asked)
    assert [finding.path[-1] for finding in found] == ([path] if path else [])
    assert all(words in finding.rule for finding in found)


def test_whoever_is_brought_is_asked_about_all_that_the_server_learns_from() -> None:
    plan = make_plan(fleet(), ["fleet.sensors"])
    assert np.isin(plan.server_pool, samples_asked(plan)).all()


def test_a_model_that_tells_no_features_is_named(cache: Path) -> None:
    plan = make_plan(fleet(), ["fleet.sensors"])
    said = {"fleet.sensors": {"sample_id": plan.samples.sample_id, "features": np.empty((1, 0), np.float32)}}
    with pytest.raises(BadInput, match=r"models\.head\.features_of: sensors: its model tells no features"):
        fronts_say(plan, said, cache)
