"""The whole of learning in one process: what a run receives, and what must not change it."""

from __future__ import annotations

import logging
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fingerprints import fingerprint
from small_fleets import MISSING, NOISY, group, learn, model, scenario, three_kinds

from agents.backends.in_process import InProcess
from agents.fleet import Fleet, open_fleet
from agents.models.frozen import Recipe, recipe_for
from agents.plan import Variant
from agents.rejectors.losses import FORMS
from agents.rejectors.scores import is_trained
from sim.messages import Learned
from sim.registry.scores import SCORES
from sim.results.columns import DEFERRAL, LEARNING


@pytest.fixture(scope="module")
def learned(cache: Path) -> Learned:
    return learn(three_kinds(), cache)


def test_a_run_receives_every_table(learned: Learned) -> None:
    rows = len(learned.samples.sample_id)
    assert rows == 2 * 540
    assert learned.tables.server_label.shape == (rows,)
    assert learned.tables.server_label.dtype == np.int16
    for tables in learned.tables.groups:
        assert tables.client_label.shape == (2, rows)
        assert tables.client_label.dtype == np.int16
        assert tables.score is not None
        assert tables.score.shape == (3, rows)
        assert tables.score.dtype == np.float32
        assert np.isfinite(tables.score).all()
    assert [len(hashes) for hashes in learned.client_hashes] == [2, 2, 2]
    assert all(len(each) == 64 for hashes in learned.client_hashes for each in hashes)


def test_the_curves_have_their_columns(learned: Learned) -> None:
    assert list(learned.learning) == LEARNING.names
    assert list(learned.deferral) == DEFERRAL.names
    owners = list(dict.fromkeys(zip(learned.learning["stage"], learned.learning["group"], strict=True)))
    groups = ["sensors", "novices", "noisy"]
    assert owners == [
        *(("client", name) for name in groups),
        ("server", ""),
        *(("rejector", name) for name in groups),
    ]
    curves = list(dict.fromkeys(zip(learned.deferral["score"], learned.deferral["group"], strict=True)))
    scores = ("l2h", "confidence", "entropy", "margin", "confidence_calibrated", "energy", "random", "oracle")
    assert curves == [(score, name) for score in scores for name in (*groups, "all")]


def test_curves_agree_with_the_tables(learned: Learned) -> None:
    """All local and all remote, recomputed from what requests would look up."""
    of_curve = dict(
        zip(
            zip(*(learned.deferral[name] for name in ("score", "group", "deferral_rate")), strict=True),
            learned.deferral["accuracy"],
            strict=True,
        )
    )
    for place, name in enumerate(("sensors", "novices", "noisy")):
        sent = learned.traffic[place][0].positions
        held_out = sent[learned.samples.held_out[sent]]
        label = learned.samples.label[held_out]
        right = (learned.tables.groups[place].client_label[:, held_out] == label).mean(axis=1)
        local = (2 * right[0] + right[1]) / 3  # three clients are dealt two variants in turn
        remote = (learned.tables.server_label[held_out] == label).mean()
        for score in ("l2h", "confidence", "random", "oracle"):
            assert of_curve[score, name, 0.0] == pytest.approx(local)
            assert of_curve[score, name, 1.0] == pytest.approx(remote)


def test_the_same_bytes_again_from_a_cold_cache(learned: Learned, tmp_path: Path) -> None:
    cold = learn(three_kinds(), tmp_path)
    warm = learn(three_kinds(), tmp_path)
    assert fingerprint(learned) == fingerprint(cold) == fingerprint(warm)


def test_another_seed_gives_another_fleet(learned: Learned, cache: Path) -> None:
    other = learn(three_kinds().model_copy(update={"seed": 8}), cache)
    assert fingerprint(other) != fingerprint(learned)


def test_a_warm_cache_spares_the_training(cache: Path, learned: Learned) -> None:
    assert learned.client_hashes
    told: list[str] = []
    with open_fleet(
        three_kinds(), workers=0, cache=cache, progress=lambda what, *_: told.append(what)
    ) as fleet:
        asked = watch_asks(fleet)
        fleet.build()
    assert "frozen clients" not in told
    assert asked == ["adopt"]


def watch_asks(fleet: Fleet) -> list[str]:
    """The names of the methods that shards are asked for from now on."""
    asked: list[str] = []
    ask = fleet._backend.ask_shards
    fleet._backend.ask_shards = lambda method, *rest: asked.append(method) or ask(method, *rest)
    return asked


def test_a_cold_one_tells_its_progress(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    asked = three_kinds()
    with open_fleet(asked, workers=0, cache=tmp_path, progress=lambda *each: told.append(each)) as fleet:
        fleet.build()
        fleet.learn()
    assert told == [
        *(("frozen clients", done, 6) for done in (4, 6)),  # two groups have models of one shape
        ("server", 1, 2),
        ("server", 2, 2),
        *(("rejectors", done, 3) for done in range(1, 4)),
    ]


def test_recipes_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds the pictures of a client, which together may be more than the data set."""
    alive, most = 0, 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def counted(*about: Any) -> Recipe:
        nonlocal alive, most
        recipe = recipe_for(*about)
        weakref.finalize(recipe, gone)
        alive += 1
        most = max(most, alive)
        return recipe

    monkeypatch.setattr("agents.fleet.recipe_for", counted)
    learn(scenario(group(model=model(variants=9))), tmp_path)
    assert most <= 2


def test_frozen_means_frozen(cache: Path) -> None:
    """Hashes of the live models after learning are those of the trained ones; a changed bit would show."""
    with open_fleet(three_kinds(), workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        before = fleet.decide().client_hashes
        assert fleet.client_hashes() == before
        with torch.no_grad():
            next(a_live_model(fleet).parameters()).view(-1)[0] += 1e-3
        assert fleet.client_hashes() != before


def a_live_model(fleet: Fleet) -> torch.nn.Module:
    return fleet._backend._shard._models[Variant(1, 0)]


@pytest.mark.parametrize("name", [name for name, score in SCORES.items() if not score.is_given])
def test_every_score_can_be_a_policy(name: str, cache: Path) -> None:
    policy = {"score": name, "price": {"kind": "threshold", "at": 0.0}}
    learned = learn(scenario(group(policy=policy, model=model(variants=2))), cache)
    score = learned.tables.groups[0].score
    assert (score is None) == (name == "random")
    assert score is None or len(score) == (3 if is_trained(name) else 2)
    trained = {one for one in learned.deferral["score"] if is_trained(one)}
    assert trained == ({name} if is_trained(name) else set())
    assert ("rejector" in learned.learning["stage"]) == is_trained(name)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_learns(form: str, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        learned = learn(scenario(form=form), cache)
    assert np.isfinite(learned.deferral["risk"]).all()
    assert caplog.text.count("released") == (form == "released")


def test_a_rejector_per_variant_gives_a_row_per_variant(cache: Path) -> None:
    asked = scenario(group(clients=500, model=model(variants=2), rejector={"per": "variant"}))
    score = learn(asked, cache).tables.groups[0].score
    assert score is not None
    assert len(score) == 2


def test_a_group_does_not_change_its_neighbour(cache: Path) -> None:
    """The frozen clients of a group are the same alone and in company; so are rejectors, as long as the
    server is: a neighbour that sends the same view does not move it."""
    alone = learn(scenario(group("a", partition=MISSING)), cache)
    summed = learn(scenario(group("a", partition=MISSING), group("b", clients=5)), cache)
    assert alone.client_hashes[0] == summed.client_hashes[0]
    assert np.array_equal(alone.tables.groups[0].score, summed.tables.groups[0].score)


def test_a_noisy_group_is_judged_on_noisy_pictures(cache: Path) -> None:
    learned = learn(scenario(group(partition=NOISY, traffic={"mix": "own"}), epochs=20), cache)
    right = learned.tables.server_label == learned.samples.label
    clean, noisy = (
        right[learned.samples.held_out & (learned.samples.view == view)].mean() for view in (0, 1)
    )
    curve = zip(
        learned.deferral["score"],
        learned.deferral["deferral_rate"],
        learned.deferral["accuracy"],
        strict=True,
    )
    all_remote = [accuracy for score, rate, accuracy in curve if score == "random" and rate == 1.0]
    assert clean > noisy
    assert all_remote == [pytest.approx(noisy)] * 2


def test_threads_are_given_back(cache: Path) -> None:
    torch.set_num_threads(2)
    with open_fleet(scenario(), workers=0, cache=cache):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_threads_are_given_back_even_if_the_hosts_cannot_be_closed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise OSError("not today")

    torch.set_num_threads(2)
    monkeypatch.setattr(InProcess, "close", broken)
    with pytest.raises(OSError, match="not today"), open_fleet(scenario(), workers=0, cache=cache):
        pass
    assert torch.get_num_threads() == 2


def test_order_of_calls_is_checked(cache: Path) -> None:
    with open_fleet(scenario(), workers=0, cache=cache) as fleet:
        fleet.build()
        with pytest.raises(RuntimeError, match="comes after learn"):
            fleet.decide()


@pytest.mark.slow
def test_without_workers_ray_is_not_imported() -> None:
    code = "import sys, agents.fleet; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.slow
def test_l2h_beats_confidence_where_a_class_is_missing(cache: Path) -> None:
    """At a deferral rate of 0.2: a client is sure of its wrong answers for classes that it never saw."""
    asked = scenario(
        group(clients=16, partition=MISSING, model=model(train_samples=200, epochs=30)),
        epochs=60,
        server="small_cnn",
    )
    deferral = learn(asked, cache).deferral
    columns = (deferral[name] for name in ("score", "group", "deferral_rate", "accuracy"))
    at = {
        score: accuracy
        for score, name, rate, accuracy in zip(*columns, strict=True)
        if (name, rate) == ("all", 0.2)
    }
    assert at["oracle"] > at["l2h"] > at["confidence"] + 0.01 > at["random"]
