"""Several options, judged on what their clients meet, with thresholds chosen on the calibration pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_fleets import learn
from test_options import OPTIONS, asking, two_servers

from agents.data.sample_mix import SampleMix
from agents.evaluation.judged import calibrated_on, judged_on
from agents.options import options_of
from agents.plan import make_plan
from sim.messages import Learned
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.world.parameters import parameters_of
from sim.world.world import World

OWN_MIX = {"partition": {"kind": "dirichlet", "alpha": 0.3}, "traffic": {"mix": "own"}}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def chosen(asked: Scenario, found: Learned, met: SampleMix, price: float) -> np.ndarray:
    """Whom each client asks, 0 for none, (clients, h): of the largest net score, if above the price."""
    more = np.array(parameters_of(World(asked)).surcharges[0])
    net = found.tables.groups[0].score[..., met.positions] - more[:, None]
    return np.where(net.max(axis=1) > price, 1 + net.argmax(axis=1), 0)


def paid(asked: Scenario, found: Learned, met: SampleMix, choice: np.ndarray) -> np.ndarray:
    """The mean cost of a client's choices on what it meets, (clients,)."""
    label, tables = found.samples.label[met.positions], found.tables
    means = []
    for client, own in enumerate(choice):
        costs = [tables.groups[0].client_label[client % 2, met.positions] != label]
        for option in options_of(asked, 0):
            c_e = asked.costs.c_e if option.c_e is None else option.c_e
            right = tables.server_label[option.model, met.positions] == label
            costs.append(c_e + asked.costs.c_1 * ~right)
        weight = None if met.weight is None else met.weight[client]
        means.append(np.average(np.stack(costs)[own, np.arange(len(own))], weights=weight))
    return np.array(means)


def risk(found: Learned, score: str) -> float:
    return float(pd.DataFrame(found.study).set_index("score").loc[score, "risk"])


@pytest.mark.parametrize("score", ["l2h", "plug_in"])
def test_options_are_judged_on_what_their_clients_meet(score: str, cache: Path) -> None:
    asked = two_servers(asking(score, **OWN_MIX))
    found, met = learn(asked, cache), judged_on(make_plan(asked), 0, 3)
    assert met.weight is not None
    choice = chosen(asked, found, met, asked.costs.c_e if score == "plug_in" else 0.0)
    assert risk(found, score) == pytest.approx(paid(asked, found, met, choice).mean(), abs=1e-9)


@pytest.mark.parametrize("price", [{"kind": "safe"}, {"kind": "risk_controlled", "alpha": 0.4}])
@pytest.mark.parametrize("score", ["l2h", "plug_in"])
def test_a_chosen_threshold_is_held_against_the_best_option(score: str, price: Any, cache: Path) -> None:
    """What the run decides, at 0 and net of surcharges, comes to what the study says."""
    asked = two_servers(asking(score, **OWN_MIX) | {"policy": {"score": score, "price": price}})
    assert not list(findings(asked))
    found, met = learn(asked, cache), judged_on(make_plan(asked), 0, 3)
    choice = chosen(asked, found, met, 0.0)
    assert risk(found, score) == pytest.approx(paid(asked, found, met, choice).mean(), abs=1e-9)


@pytest.mark.parametrize("dear", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("score", ["l2h", "plug_in"])
def test_safe_pays_no_more_than_to_keep_all_or_to_send_all_to_the_best_by_score(
    score: str, dear: float, cache: Path
) -> None:
    """On the calibration pool, of rejectors that hardly learned; sends are free, fair and too dear."""
    options = tuple(option | {"c_e": dear * (1 + place)} for place, option in enumerate(OPTIONS))
    unsure = {"policy": {"score": score}, "rejector": {"family": "mlp", "input": "raw"}}
    asked = two_servers(asking(score, options=options, **OWN_MIX) | unsure, epochs=1)
    found, met = learn(asked, cache), calibrated_on(make_plan(asked), 0, 3)
    by_price = [paid(asked, found, met, chosen(asked, found, met, at)) for at in (0.0, np.inf, -np.inf)]
    mine, keeps, sends = by_price
    assert (mine <= np.minimum(keeps, sends) + 1e-9).all()
    if dear == 3.0:
        assert not chosen(asked, found, met, 0.0).any()


@pytest.mark.parametrize(("score", "choose"), [("oracle", "best"), ("confidence", "order")])
def test_safe_of_a_score_that_needs_no_rejector_keeps_what_is_too_dear_to_send(
    score: str, choose: str, cache: Path
) -> None:
    dear = tuple(option | {"c_e": 3.0 + place} for place, option in enumerate(OPTIONS))
    asked = two_servers(asking(score, options=dear, choose=choose) | {"policy": {"score": score}})
    found, more = learn(asked, cache), np.array(parameters_of(World(asked)).surcharges[0])
    made = found.tables.groups[0].score
    assert (made - more[:, None] if made.ndim == 3 else made).max() < 0
    study = pd.DataFrame(found.study).set_index("score").loc[score]
    assert study["risk"] == pytest.approx(study["risk_all_local"])


@pytest.mark.parametrize("score", ["l2h", "plug_in"])
def test_where_nothing_may_be_kept_all_is_sent_whatever_it_costs(score: str, cache: Path) -> None:
    dear = tuple(option | {"c_e": 30.0 + place} for place, option in enumerate(OPTIONS))
    price = {"kind": "risk_controlled", "alpha": 1e-6}
    asked = two_servers(asking(score, options=dear) | {"policy": {"score": score, "price": price}})
    found = learn(asked, cache)
    assert chosen(asked, found, judged_on(make_plan(asked), 0, 3), 0.0).all()
