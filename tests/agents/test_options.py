"""Several models of the servers and options among them: trained, brought, given; learned about and judged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_fleets import group, learn, model

from agents.fleet import open_fleet
from agents.options import options_of
from agents.plan import make_plan
from agents.server.model import ServerModel
from agents.server.several import ServerModels
from agents.server.specialising import FLOOR, sent_to
from sim.messages import Learned, hash_of
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.world.parameters import parameters_of
from sim.world.world import World

SERVICE = {"kind": "affine", "base_s": 0.05}
MODELS = {"small": {"family": "linear"}, "large": {"family": "mlp"}}
OPTIONS = (
    {"option": "near", "server": "edge", "model": "small", "c_e": 0.02},
    {"option": "far", "server": "cloud", "model": "large", "c_e": 0.3},
    {"option": "spare", "server": "cloud", "model": "small"},
)
PER_OPTION = ("l2h", "plug_in", "l2h_priced", "compare_confidence", "mozannar_sontag", "oracle")


def two_servers(*groups: dict[str, Any], models: Any = None, epochs: int = 4, **changes: Any) -> Scenario:
    """An edge and a cloud with both models, and a group that has three options."""
    training = {"pretrain": {"epochs": epochs}} | changes.pop("training", {})
    return Scenario.model_validate(
        {
            "name": "small",
            "seed": 7,
            "horizon_s": 60.0,
            "costs": {"c_e": 0.1, "c_1": 1.2},
            "fleet": groups or (asking(),),
            "models": models or MODELS,
            "servers": ({"server": "edge", "service": SERVICE}, {"server": "cloud", "service": SERVICE}),
            "training": training,
            **changes,
        }
    )


def asking(score: str = "l2h", options: Any = OPTIONS, **changes: Any) -> dict[str, Any]:
    return group(
        clients=3,
        model=model(variants=2),
        options=options,
        policy={"score": score, "price": {"kind": "threshold", "at": 0.0}},
        **changes,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def learned(cache: Path) -> Learned:
    return learn(two_servers(), cache)


def costs_by_hand(asked: Scenario, found: Learned, variant: int) -> np.ndarray:
    """What each choice costs a variant's clients on the held-out samples of its traffic, (1 + options, h)."""
    held = found.traffic[0][0].positions
    held = np.sort(held[found.samples.held_out[held]])
    label, tables = found.samples.label[held], found.tables
    costs = [tables.groups[0].client_label[variant, held] != label]
    for option in options_of(asked, 0):
        c_e = asked.costs.c_e if option.c_e is None else option.c_e
        costs.append(c_e + asked.costs.c_1 * (tables.server_label[option.model, held] != label))
    return np.stack(costs)


def risk_by_hand(asked: Scenario, found: Learned, price: float) -> float:
    """The mean cost of asking the option of the largest net score, if that is above the price."""
    held = found.traffic[0][0].positions
    held = np.sort(held[found.samples.held_out[held]])
    more, total = np.array(parameters_of(World(asked)).surcharges[0]), []
    for client in range(asked.fleet[0].clients):
        rows = found.tables.groups[0].score
        row = client if len(rows) > 2 else client % 2
        net = rows[row][:, held] - more[:, None]
        choice = np.where(net.max(axis=0) > price, 1 + net.argmax(axis=0), 0)
        total.append(costs_by_hand(asked, found, client % 2)[choice, np.arange(len(held))].mean())
    return float(np.mean(total))


def test_every_model_answers_every_sample(learned: Learned) -> None:
    n = len(learned.samples.label)
    assert learned.tables.server_label.shape == (2, n)
    assert learned.tables.groups[0].score.shape == (3, 3, n)
    right = (learned.tables.server_label == learned.samples.label).mean(axis=1)
    assert (right > 0.4).all()
    assert right[0] != right[1]


def test_learning_names_the_models_of_the_servers(learned: Learned) -> None:
    table = pd.DataFrame(learned.learning)
    server = table[table["stage"] == "server"]
    assert server["group"].tolist() == ["small"] * 4 + ["large"] * 4
    assert (server.groupby("group")["loss"].last() < server.groupby("group")["loss"].first()).all()


def test_a_model_is_the_same_whatever_others_there_are(learned: Learned, cache: Path) -> None:
    """Draws are keyed by name, not by place."""
    turned = {"large": MODELS["large"], "tiny": {"family": "linear"}, "small": MODELS["small"]}
    again = learn(two_servers(models=turned), cache).tables.server_label
    assert np.array_equal(again[[2, 0]], learned.tables.server_label)
    assert not np.array_equal(again[1], again[2])


def test_one_named_model_is_the_one_server(cache: Path) -> None:
    """`servers` of one model gives what `server` does, to the last byte."""
    alone = {"server": {"model": {"family": "mlp"}, "service": SERVICE}, "servers": None, "models": None}
    one = learn(two_servers(asking(options=None), **alone), cache)
    servers = ({"server": "edge", "service": SERVICE},)
    named = learn(two_servers(asking(options=None), models={"e": {"family": "mlp"}}, servers=servers), cache)
    assert hash_of(one.tables) == hash_of(named.tables)
    pd.testing.assert_frame_equal(pd.DataFrame(one.learning), pd.DataFrame(named.learning))


@pytest.mark.parametrize("score", PER_OPTION)
def test_what_the_study_says_is_what_the_options_of_largest_net_score_cost(score: str, cache: Path) -> None:
    """The evaluation before the run against its definition, from the tables alone."""
    asked = two_servers(asking(score, deadline_s=None))
    found = learn(asked, cache)
    study = pd.DataFrame(found.study).set_index("score")
    price = asked.costs.c_e if score in ("plug_in", "l2h_priced", "compare_confidence", "oracle") else 0.0
    assert study.loc[score, "price"] == pytest.approx(price)
    assert study.loc[score, "risk"] == pytest.approx(risk_by_hand(asked, found, price), abs=1e-9)
    least = [costs_by_hand(asked, found, client % 2).min(axis=0).mean() for client in range(3)]
    assert study.loc[score, "risk_oracle"] == pytest.approx(np.mean(least))
    assert study.loc["oracle", "risk"] == pytest.approx(study.loc[score, "risk_oracle"])
    curve = pd.DataFrame(found.deferral).query("score == @score and group == 'sensors'")
    assert curve["risk"].iloc[0] == pytest.approx(study.loc[score, "risk_all_local"])
    assert curve["risk"].iloc[-1] == pytest.approx(study.loc[score, "risk_all_remote"])


def test_a_score_that_ranks_alike_is_judged_at_the_first_option(cache: Path) -> None:
    asked = two_servers(asking("confidence", choose="order"))
    found = learn(asked, cache)
    assert found.tables.groups[0].score.shape[0] == 2
    assert found.tables.groups[0].score.ndim == 2
    costs = [costs_by_hand(asked, found, client % 2)[1].mean() for client in range(3)]
    study = pd.DataFrame(found.study).set_index("score")
    assert study.loc["confidence", "risk_all_remote"] == pytest.approx(np.mean(costs))


def test_one_option_with_a_price_of_its_own_is_learned_at_that_price(cache: Path) -> None:
    """As if it stood in the costs; the run compares gains net of the surcharge."""
    own = two_servers(asking(options=({**OPTIONS[0], "c_e": 0.4},)))
    usual = two_servers(asking(options=(OPTIONS[0] | {"c_e": None},)), costs={"c_e": 0.4, "c_1": 1.2})
    ours, theirs = learn(own, cache), learn(usual, cache)
    assert np.array_equal(ours.tables.groups[0].score, theirs.tables.groups[0].score)
    mine, other = (pd.DataFrame(one.study).set_index("score") for one in (ours, theirs))
    columns = ["risk", "risk_oracle", "price", "risk_all_remote"]
    assert mine.loc["l2h", columns].tolist() == pytest.approx(other.loc["l2h", columns].tolist())


@pytest.mark.ray
@pytest.mark.slow
def test_workers_change_nothing(learned: Learned, cache: Path) -> None:
    asked = two_servers(training={"specialise": True}, costs={"c_e": 0.1, "c_1": 0.3})
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        alone = fleet.decide()
    with open_fleet(asked, workers=2, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        scattered = fleet.decide()
    assert hash_of(alone.tables) == hash_of(scattered.tables)
    pd.testing.assert_frame_equal(pd.DataFrame(alone.learning), pd.DataFrame(scattered.learning))
    assert not np.array_equal(alone.tables.server_label, learned.tables.server_label)


def test_a_round_trip_of_the_state_gives_the_same_tables(cache: Path) -> None:
    with open_fleet(two_servers(), workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        first, state = fleet.decide(), fleet.state()
        fleet.restore(state)
        assert hash_of(fleet.decide().tables) == hash_of(first.tables)


def test_specialising_weighs_what_wrong_clients_would_send_to_a_model() -> None:
    """The weights against their definition, at the models as they are when they are new."""
    asked = two_servers(asking(), group("others", clients=1, weight=2.0), training={"specialise": True})
    plan = make_plan(asked)
    models = [ServerModel(plan, number) for number in range(2)]
    draw = np.random.default_rng(0)
    wrong = [draw.random(len(plan.server_pool)) for _ in asked.fleet]
    sent = sent_to(plan, models, wrong)
    chance = np.stack([one.chances(plan.server_pool) for one in models])
    first = np.stack([0.02 + 1.2 * (1 - chance[0]), 0.3 + 1.2 * (1 - chance[1]), 0.1 + 1.2 * (1 - chance[0])])
    others = 0.1 + 1.2 * (1 - np.stack([chance[0], chance[1], chance[0], chance[1]]))
    expected = np.full((2, len(plan.server_pool)), FLOOR)
    for costs, model_of, share, of in (
        (first, (0, 1, 0), 0.6, wrong[0]),
        (others, (0, 1, 0, 1), 0.4, wrong[1]),
    ):
        for sample, best in enumerate(costs.argmin(axis=0)):
            if costs[best, sample] < 1.0:
                expected[model_of[best], sample] += share * of[sample]
    assert np.allclose(sent, expected)


def test_models_that_specialise_train_by_these_weights_from_the_second_epoch_on() -> None:
    plan = make_plan(two_servers(training={"specialise": True}, costs={"c_e": 0.1, "c_1": 0.3}))
    usual, special = ServerModels(plan), ServerModels(plan)
    special.specialise([np.random.default_rng(0).random(len(plan.server_pool))])
    for learner in (usual, special):
        learner.pretrain(1)
    assert np.array_equal(usual.labels(), special.labels())
    for learner in (usual, special):
        learner.pretrain(1)
    assert not np.array_equal(usual.confidence(), special.confidence(), equal_nan=True)


def said(**changes: Any) -> list[str]:
    """What the rules say of a scenario."""
    return [f"{'.'.join(map(str, path))}: {told}" for path, told in findings(two_servers(**changes))]


def refused() -> Iterator[tuple[dict[str, Any], str]]:
    yield (
        {"fleet": (asking("one_vs_all", choose="order"),)},
        "fleet.0.policy.score: .*learns about one option",
    )
    yield {"training": {"form": "released"}}, "training.form: .*is the loss of one option"
    yield {"study": {"form": ("released",)}}, "study.form: .*is the loss of one option"
    yield {"training": {"feedback": "deferred_only"}}, "training.feedback: .*an answer tells of one option"
    files = {"small": {"file": "a.onnx"}, "large": {"family": "mlp"}}
    yield {"training": {"specialise": True}, "models": files}, "training.specialise: .*is for models that are"


@pytest.mark.parametrize(("changes", "line"), list(refused()))
def test_what_is_of_one_option_is_refused(changes: dict[str, Any], line: str) -> None:
    assert any(re.match(line, one) for one in said(**changes)), said(**changes)


def table_file(path: Path, n: int = 900) -> Path:
    """Two models of unlike cost: `a` cheap and right on even samples, `b` dear and right on all but few."""
    draw = np.random.default_rng(1)
    label, even = draw.integers(0, 4, n), np.arange(n) % 2 == 0
    x = np.where(even, 1.0, -1.0) + 0.1 * draw.normal(size=n)

    def answers(right: np.ndarray) -> np.ndarray:
        return np.where(right, label, (label + 1) % 4)

    columns = {
        "label": label,
        "client_label.c": answers(draw.random(n) < 0.3),
        "server_label.a": answers(even),
        "server_label.b": answers(draw.random(n) < 0.95),
        "cost.a": np.full(n, 0.05),
        "cost.b": 0.3 + 0.1 * draw.random(n),
        "work.b": 1.0 + draw.random(n),
        "features.0": x,
    }
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("score", ["l2h", "plug_in", "oracle"])
def test_models_of_a_table_have_costs_and_work_of_their_own(score: str, tmp_path: Path) -> None:
    """Rejectors learn to ask the cheap model where it is right, and the dear one where it is not."""
    models = {"cheap": {"answers": "a"}, "dear": {"answers": "b"}}
    servers = tuple({"server": name, "models": (name,), "service": SERVICE} for name in models)
    file = str(table_file(tmp_path / "answers.csv"))
    changes = {
        "models": models,
        "servers": servers,
        "data": {"set": "table", "file": file},
        "costs": {"c_e": 0.1, "c_1": 1.0},
    }
    alone = asking(score, options=None, rejector={"family": "mlp", "input": "raw"}) | {
        "model": {"variants": 1}
    }
    asked = two_servers(alone, epochs=60, **changes)
    assert not list(findings(asked))
    found = learn(asked, tmp_path)
    n = len(found.samples.label)
    assert found.samples.c_e.shape == found.samples.work.shape == (2, n)
    assert np.all(found.samples.work[0] == 1.0)
    score_of, even = found.tables.groups[0].score[0], found.samples.base_id % 2 == 0
    price = 0.1 if score != "l2h" else 0.0
    choice = np.where(score_of.max(axis=0) > price, score_of.argmax(axis=0), -1)
    if score != "oracle":
        assert (choice[even] == 0).mean() > 0.9
        assert (choice[~even] == 1).mean() > 0.9
    study = pd.DataFrame(found.study).set_index("score")
    held = found.samples.held_out
    right = found.tables.server_label == found.samples.label
    client = found.tables.groups[0].client_label[0] == found.samples.label
    costs = np.stack([~client, *(found.samples.c_e + ~right)])
    mine = costs[choice + 1, np.arange(n)][held].mean()
    assert study.loc[score, "risk"] == pytest.approx(mine)
    assert study.loc[score, "risk_oracle"] == pytest.approx(costs[:, held].min(axis=0).mean())
    priced = ({"option": "x", "server": "dear", "c_e": 0.2},)
    again = two_servers(alone | {"options": priced}, **changes)
    assert any("each sample of the table has its own cost" in told for _, told in findings(again))


def test_each_model_may_be_brought(cache: Path) -> None:
    """As an object by models.NAME, beside one that is trained."""

    def guesses(images: np.ndarray) -> np.ndarray:
        return np.tile(np.linspace(0.0, 1.0, 10, dtype=np.float32), (len(images), 1))

    asked = two_servers()
    with open_fleet(asked, workers=0, cache=cache, models={"models.small": guesses}) as fleet:
        fleet.build()
        fleet.learn()
        found = fleet.decide()
    assert np.all(found.tables.server_label[0] == 9)
    assert len(np.unique(found.tables.server_label[1])) > 5
    table = pd.DataFrame(found.learning)
    assert table[table["stage"] == "server"]["group"].unique().tolist() == ["large"]


def test_scores_of_all_pairs_are_by_every_model_of_every_server() -> None:
    options = options_of(two_servers(asking(options=None)), 0)
    assert [one.model for one in options] == [model for _, model in product(range(2), range(2))]
