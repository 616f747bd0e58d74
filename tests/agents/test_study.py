"""Studies: every setting of the grid, on one server, and in agreement with the run's own tables."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_fleets import MISSING, group, learn, model, scenario, three_kinds

from agents.evaluation import answers
from agents.evaluation.policy_evaluation import PolicyEvaluation, evaluate
from agents.plan import Block, Plan
from agents.rejectors import block_answers
from agents.rejectors.scores import OF_CLIENTS, is_trained
from agents.rejectors.settings import Setting, networks_of, own_setting, settings_of
from sim.messages import Learned
from sim.registry.scores import SCORES
from sim.results.columns import STUDY, STUDY_CURVES, STUDY_LOSSES

MADE = [name for name in OF_CLIENTS if not SCORES[name].is_given]  # a given one needs a table of answers
GRID = {"c_e": (0.1, 0.4), "c_1": (1.0, 1.5), "sync_every": (1, "epoch"), "score": ("l2h", "plug_in")}


@pytest.fixture(scope="module")
def learned(cache: Path) -> Learned:
    fleet = group(clients=3, partition=MISSING, model=model(variants=2))
    return learn(scenario(fleet, study=GRID, epochs=6), cache)


def frame(columns: dict[str, list[object]]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_settings_are_the_own_one_and_the_grid_each_once() -> None:
    asked = scenario(study=GRID)
    settings = settings_of(asked, asked.fleet[0])
    assert settings[0] == own_setting(asked, "l2h")
    assert len(settings) == len(set(settings)) == 2 * 2 * 2 * 2
    assert {each.form for each in settings if each.score == "plug_in"} == {""}


def test_a_network_serves_all_settings_that_train_alike() -> None:
    asked = scenario(study=GRID)
    networks = networks_of(asked, asked.fleet[0])
    assert Counter(network.score for network in networks) == {"l2h": 8, "plug_in": 2}  # this knows no costs
    served = [each for settings in networks.values() for each in settings]
    assert sorted(served, key=str) == sorted(settings_of(asked, asked.fleet[0]), key=str)


def test_without_a_study_there_is_the_own_setting_alone() -> None:
    asked = scenario()
    assert settings_of(asked, asked.fleet[0]) == (own_setting(asked, "l2h"),)
    policy = {"score": "random", "price": {"kind": "threshold", "at": 0.5}}
    untrained = scenario(group(policy=policy))
    assert settings_of(untrained, untrained.fleet[0]) == ()


def test_every_setting_has_its_row_its_curve_and_its_losses(learned: Learned) -> None:
    assert set(learned.study) == set(STUDY.names)
    assert set(learned.study_curves) == set(STUDY_CURVES.names)
    assert set(learned.study_losses) == set(STUDY_LOSSES.names)
    study = frame(learned.study)
    trained = study[study["score"].map(is_trained)]
    assert len(trained) == 16
    assert len(study) == 16 + len(MADE) * 4
    assert len(frame(learned.study_curves)) == 21 * len(study)
    assert len(frame(learned.study_losses)) == 6 * len(trained)
    assert trained["final_loss"].notna().all()


def test_a_dearer_send_is_sent_less(learned: Learned) -> None:
    study = frame(learned.study).query("score == 'plug_in' and sync_every == '1' and c_1 == 1.0")
    rates = study.set_index("c_e")["deferral_rate"]
    assert rates[0.1] > rates[0.4]


def test_the_oracle_bounds_every_setting_and_has_no_excess(learned: Learned) -> None:
    study = frame(learned.study)
    assert (study["excess_over_oracle"] >= -1e-9).all()
    oracle = study[study["score"] == "oracle"]
    np.testing.assert_allclose(oracle["excess_over_oracle"], 0.0, atol=1e-9)
    assert oracle["c_1"].nunique() == 2  # with each c_1 it decides anew


def test_copies_of_an_epoch_ago_are_stale_and_fresh_ones_are_not(learned: Learned) -> None:
    behind = frame(learned.study_losses).groupby("sync_every")["staleness"].unique()
    assert behind["1"].tolist() == [0.0]
    assert behind["epoch"].tolist() == [pytest.approx(4.0)]  # 9 steps an epoch: (1 + ... + 8 + 0) / 9


def test_the_own_setting_is_the_score_in_force(learned: Learned) -> None:
    """Decided at its Bayes price, recomputed from what requests look up."""
    positions = learned.traffic[0][0].positions
    held_out = positions[learned.samples.held_out[positions]]
    sent = (learned.tables.groups[0].score[:, held_out] > 0.0).mean()
    own = frame(learned.study).iloc[0]
    assert (own["score"], own["c_e"], own["sync_every"]) == ("l2h", 0.1, "1")
    assert own["deferral_rate"] == pytest.approx(sent)


def test_tables_of_a_study_judge_nothing_twice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a setting does not walk through all the others: a block asks for its networks a few times."""
    evaluated, asked = [], []

    def counted(*arguments: Any) -> PolicyEvaluation:
        evaluated.append(1)
        return evaluate(*arguments)

    def networks(plan: Plan, block: Block) -> tuple[Setting, ...]:
        asked.append(1)
        return given(plan, block)

    given = Plan.networks
    monkeypatch.setattr(answers, "evaluate", counted)
    monkeypatch.setattr(block_answers, "evaluate", counted)
    monkeypatch.setattr(Plan, "networks", networks)
    for prices in (4, 16):
        evaluated.clear(), asked.clear()
        study = {
            "c_e": tuple(0.03 * n + 0.001 for n in range(prices))
        }  # 0.1, the run's own, is not among them
        learn(scenario(group(clients=2), study=study), cache)
        assert len(evaluated) == (1 + prices) * (1 + len(MADE))
        assert len(asked) <= 8


def test_a_study_changes_nothing_of_the_run_itself(cache: Path) -> None:
    plain, studied = (
        learn(three_kinds(), cache),
        learn(three_kinds().model_copy(update={"study": scenario(study=GRID).study}), cache),
    )
    for one, other in zip(plain.tables.groups, studied.tables.groups, strict=True):
        assert np.array_equal(one.score, other.score)
    assert np.array_equal(plain.tables.server_label, studied.tables.server_label)
    assert str(plain.learning) == str(studied.learning)


def test_a_group_without_a_trained_policy_can_be_studied(cache: Path) -> None:
    policy = {"score": "confidence", "price": {"kind": "threshold", "at": 0.5}}
    learned = learn(scenario(group(policy=policy), study={"score": ("l2h", "margin")}), cache)
    assert "l2h" in learned.study["score"]
    assert "l2h" in learned.deferral["score"]
    assert "rejector" not in learned.learning["stage"]
    assert learned.tables.groups[0].score.shape[0] == 1
