"""Given answers: what is learned from them, what they come to, and that nothing else is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from brought_files import answers, graded, write
from small_fleets import group, learn, scenario

from agents.backends.client_shard import ClientShard
from agents.checks import validate
from agents.evaluation.cost_model import CostModel
from agents.fleet import open_fleet
from agents.models import frozen
from agents.models.given import GivenAnswers, untrained_clients
from agents.plan import make_plan
from agents.rejectors.blocks import RejectorBlock
from agents.rejectors.client_predictions import ClientPredictions
from agents.rejectors.losses import outcome_weights, rejector_weights, slope_of_cost
from agents.rejectors.surrogates import OwnCosts, Targets
from agents.server.model import ServerModel
from sim.errors import BadInput
from sim.messages import Learned
from sim.scenario import POOLS, Scenario
from sim.scenario.rules.checks import findings
from sim.scenario.schema.server import Server

POOLED = [0.0, 0.0, 0.4, 0.2, 0.4]
C_1 = 1.5


def asked(path: Path, *groups: dict[str, Any], server: str | None = None, **changes: Any) -> Scenario:
    data = {"set": "table", "file": str(path), "pools": tuple(POOLED)} | changes.pop("data", {})
    model = {"answers": server}
    served = {"model": model, "service": {"kind": "affine", "base_s": 0.05}}
    costs = {"c_e": 0.1, "c_1": C_1} | changes.pop("costs", {})
    return scenario(*groups, data=data, costs=costs, **changes).model_copy(
        update={"server": Server.model_validate(served)}
    )


def clients(*variants: str, **changes: Any) -> dict[str, Any]:
    model = {"variants": len(variants), "answers": variants}
    return group(model=model, clients=4, rejector={"input": "raw", "per": "variant"}, **changes)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write(answers(), folder / "labels.parquet")
    write(graded(), folder / "graded.parquet")
    return folder


def study(learned: Learned, score: str) -> dict[str, Any]:
    table = pd.DataFrame(learned.study)
    return table[table["score"] == score].iloc[0].to_dict()


def held_out(learned: Learned) -> np.ndarray:
    return learned.samples.base_id[learned.samples.held_out]


def test_what_answers_come_to_is_what_their_columns_say(files: Path, cache: Path) -> None:
    """Grades, and a cost of each sample's own: every mean of the study and of the curve, by hand."""
    columns = graded()
    learned = learn(asked(files / "graded.parquet", clients("small", "tiny"), server="large/4.1"), cache)
    rows = held_out(learned)
    m = np.stack([columns[f"client_quality.{one}"] for one in ("small", "tiny")])[:, rows].astype(np.float32)
    e = columns["server_quality.large/4.1"][rows].astype(np.float32).astype(float)
    c_e = columns["cost.large/4.1"][rows]
    local, remote = 1.0 - m.astype(float), c_e + C_1 * (1 - e)
    oracle = study(learned, "oracle")
    assert oracle["risk_all_local"] == pytest.approx(local.mean())
    assert oracle["risk_all_remote"] == pytest.approx(remote.mean())
    assert oracle["risk_oracle"] == pytest.approx(np.minimum(local, remote).mean())
    assert oracle["risk"] == pytest.approx(oracle["risk_oracle"], abs=1e-6)
    sent = learned.tables.groups[0].score[:, learned.samples.held_out] > 0.0
    trained = study(learned, "l2h")
    assert trained["deferral_rate"] == pytest.approx(sent.mean())
    assert trained["risk"] == pytest.approx(np.where(sent, remote, local).mean())
    assert trained["accuracy"] == pytest.approx(np.where(sent, e, m).mean())
    assert trained["server_accuracy_remote"] == pytest.approx((sent * e).sum() / sent.sum())
    curve = pd.DataFrame(learned.deferral).query("score == 'l2h' and group == 'sensors'")
    assert curve["risk"].iloc[0] == pytest.approx(local.mean())
    assert curve["risk"].iloc[-1] == pytest.approx(remote.mean())
    assert learned.tables.server_label.tolist() == [-1] * len(learned.samples.label)


def test_grades_of_zero_and_one_are_labels(files: Path, tmp_path: Path, cache: Path) -> None:
    """The same learning and the same tables, whether a file says which class or whether that is right."""
    columns = answers()
    label = columns.pop("label")
    as_grades = {name: value for name, value in columns.items() if name.startswith("features")}
    as_grades |= {"client_quality.small": (columns["client_label.small"] == label).astype(float)}
    as_grades |= {"server_quality.large": (columns["server_label.large"] == label).astype(float)}
    write(as_grades, tmp_path / "grades.parquet")
    for score in ("l2h", "plug_in", "l2h_priced"):
        one, other = (
            learn(asked(path, clients("small", policy={"score": score, "price": PRICE})), cache)
            for path in (files / "labels.parquet", tmp_path / "grades.parquet")
        )
        np.testing.assert_allclose(
            one.tables.groups[0].score, other.tables.groups[0].score, rtol=1e-4, atol=1e-5
        )
        for name in ("risk", "accuracy", "risk_oracle", "client_accuracy_local", "final_loss"):
            assert study(one, score)[name] == pytest.approx(study(other, score)[name], rel=1e-5), name


PRICE = {"kind": "threshold", "at": 0.1}


@pytest.mark.parametrize("form", ["nonnegative", "paper", "cost_sensitive"])
def test_a_rejector_learns_which_samples_are_dear(form: str, tmp_path: Path, cache: Path) -> None:
    """Sends gain .5 of quality; every other sample costs more than that, as its feature tells."""
    count = 400
    dear = np.arange(count) % 2
    columns = {
        "client_quality.small": np.full(count, 0.4),
        "server_quality.large": np.full(count, 0.9),
        "cost.large": np.where(dear, 0.9, 0.1),
        "features.dear": dear,
    }
    write(columns, tmp_path / "a.parquet")
    plan = asked(
        tmp_path / "a.parquet", clients("small"), costs={"c_1": 1.0, "c_e": 0.5}, epochs=120, form=form
    )
    learned = learn(plan, cache)
    sent = learned.tables.groups[0].score[0] > 0
    assert sent.tolist() == (dear[learned.samples.base_id] == 0).tolist()


def test_nothing_is_trained_where_scores_are_given(
    files: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_arguments: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(frozen, "train", never)
    monkeypatch.setattr(ServerModel, "__init__", never)
    monkeypatch.setattr(RejectorBlock, "__init__", never)
    policy = {"score": "given", "column": "cheat", "price": {"kind": "bounded_rate", "rate": 0.3}}
    learned = learn(
        asked(files / "graded.parquet", clients("small", "tiny", policy=policy), server="medium"), cache
    )
    columns, at = graded(), learned.samples.base_id
    wanted = np.stack([columns["score.cheat.small"][at], columns["score.cheat.tiny"][at]])
    np.testing.assert_array_equal(learned.tables.groups[0].score, wanted.astype(np.float32))
    assert learned.learning["stage"] == []
    assert learned.samples.c_e is None  # this server has no costs
    assert set(pd.DataFrame(learned.study)["score"]) == {"oracle", "given"}


def test_pools_may_be_written(tmp_path: Path, cache: Path) -> None:
    columns = answers()
    words = np.array(["rejector", "calibration", "traffic", "held_out"])[np.arange(400) % 4]
    write(columns | {"pool": words}, tmp_path / "a.csv")
    learned = learn(asked(tmp_path / "a.csv", clients("small")), cache)
    told = [POOLS[pool] for pool in learned.samples.pool]
    there = words[learned.samples.base_id]
    assert told == ["traffic" if word == "held_out" else word for word in there]
    assert learned.samples.held_out.tolist() == (there == "held_out").tolist()


@pytest.mark.slow
@pytest.mark.ray
def test_the_law_of_workers_holds_for_given_answers(files: Path, cache: Path) -> None:
    plan = asked(files / "graded.parquet", clients("small", "tiny"), server="large/4.1")
    tables = []
    for workers in (0, 2):
        with open_fleet(plan, workers=workers, cache=cache) as fleet:
            fleet.build()
            fleet.learn()
            learned = fleet.decide()
            tables.append(
                (learned.tables.groups[0].score.tobytes(), fleet.client_hashes(), repr(learned.study))
            )
    assert tables[0] == tables[1]


def test_answers_that_change_are_found_out_by_their_hash(files: Path, cache: Path) -> None:
    with open_fleet(asked(files / "labels.parquet", clients("small")), workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        before = fleet.decide().client_hashes
        assert fleet.client_hashes() == before
        shard: ClientShard = fleet._backend._shard
        (model,) = shard._models.values()
        model.weights["label"] = model.weights["label"] + 1
        assert fleet.client_hashes() != before


def test_an_unknown_variant_or_server_is_one_line(files: Path) -> None:
    for plan, told in (
        (
            asked(files / "graded.parquet", clients("smal"), server="medium"),
            "no such variant: did you mean small?",
        ),
        (
            asked(files / "graded.parquet", clients("small"), server="mediun"),
            "no such server: did you mean medium?",
        ),
        (asked(files / "graded.parquet", clients("small")), "must be named: large/4.1, medium"),
    ):
        said = [str(finding) for finding in findings(plan)]
        assert any(told in one for one in said), said


def test_a_pool_without_samples_is_one_line(tmp_path: Path) -> None:
    write(answers() | {"pool": np.array(["rejector", "traffic"])[np.arange(400) % 2]}, tmp_path / "a.csv")
    with pytest.raises(BadInput, match="pool has no sample of 'calibration'"):
        validate(asked(tmp_path / "a.csv", clients("small")))


def test_a_price_far_from_the_mean_cost_is_told(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_plan(asked(files / "graded.parquet", clients("small"), server="large/4.1", costs={"c_e": 0.05}))
    assert "a send of the calibration pool costs 0.19" in caplog.text


def test_reliability_is_told_of_what_probabilities_there_are(
    files: Path, tmp_path: Path, cache: Path
) -> None:
    """Of both models where the file has them; grades take the place of being right."""
    columns = answers()
    server = np.full((400, 4), 0.02)
    server[np.arange(400), columns["server_label.large"]] = 0.94
    more = {f"probability.large.{one}": server[:, one] for one in range(4)}
    write(columns | more, tmp_path / "a.parquet")
    told, without = (
        pd.DataFrame(learn(asked(path, clients("small")), cache).reliability)
        for path in (tmp_path / "a.parquet", files / "labels.parquet")
    )
    said = told.groupby(["source", "model"])["estimated"].mean()
    assert said["softmax", "server"] == pytest.approx(0.94, abs=1e-3)
    assert said["softmax", "client"] == pytest.approx(0.7, abs=1e-3)
    assert ("softmax", "server") not in without.groupby(["source", "model"]).groups
    policy = {"score": "plug_in", "price": PRICE}
    learned = learn(asked(files / "graded.parquet", clients("small", policy=policy), server="medium"), cache)
    rows = pd.DataFrame(learned.reliability)
    assert set(zip(rows["source"], rows["model"], strict=True)) == {
        ("plug_in", "client"),
        ("plug_in", "server"),
    }
    for model, column in (("client", "client_quality.small"), ("server", "server_quality.medium")):
        mine = rows[rows["model"] == model]
        right = np.average(mine["right"], weights=mine["weight"])
        assert right == pytest.approx(graded()[column][held_out(learned)].mean())


@pytest.mark.parametrize("form", ["nonnegative", "paper", "cost_sensitive"])
@pytest.mark.parametrize("availability", [None, 0.7])
def test_weights_of_grades_and_own_costs_are_those_of_the_formula(
    form: str, availability: float | None
) -> None:
    """w and cost of a sample with its own grades and c_e, beside the loss's own definition; K aside."""
    draw = np.random.default_rng(1)
    m, e, c_e = (torch.tensor(draw.random(50)) for _ in range(3))
    dearest = float(c_e.max())
    model = CostModel(dearest, C_1, availability)
    own = OwnCosts((model.charged * (dearest - c_e)).float(), torch.tensor([[slope_of_cost(form)]]))
    weights = outcome_weights(model, form)[None]
    targets = Targets(
        m[None].float(),
        e[None, None].float(),
        torch.zeros(50, dtype=torch.int64),
        weights,
        torch.tensor([[C_1]]),
        draw,
        own,
    )
    batch = targets.batch(0, torch.arange(50))
    cost = model.cost_remote(m, e, c_e)
    given = None if availability is None else model.cost_remote(m, e, c_e)
    told = rejector_weights(m, e, dearest, C_1, form, cost if given is None else given)
    at_most = max(1.0, dearest + C_1) if given is None else None
    torch.testing.assert_close(batch.cost_remote[0], cost.float(), rtol=1e-4, atol=1e-5)
    if form == "nonnegative" and at_most is not None:
        told = at_most - (1 - m), at_most - cost
    for made, wanted in zip((batch.w_local, batch.w_remote), told, strict=True):
        torch.testing.assert_close(made[0], wanted.float(), rtol=1e-4, atol=1e-5)


def test_graded_answers_have_no_labels_to_fit_a_temperature_to(tmp_path: Path) -> None:
    """Even where a column label is there: it is a kind of sample then, and there may be more than classes."""
    columns = graded()
    sure = columns["client_quality.small"]
    columns |= {"label": np.arange(400) % 7, "probability.small.0": sure, "probability.small.1": 1 - sure}
    path = write(columns, tmp_path / "a.parquet")
    mine = clients("small", policy={"score": "compare_confidence"})
    plan = make_plan(asked(path, mine, server="large/4.1"))
    (variant,) = plan.variants
    answers = GivenAnswers(untrained_clients(plan)[variant].weights)
    told = ClientPredictions(plan, {variant: answers}).of([variant], plan.samples.sample_id[:9])
    seen = np.minimum(sure, 1 - sure)[plan.samples.sample_id[:9]]
    np.testing.assert_allclose(told.uncertainty[0], seen, atol=1e-6)


def test_shares_of_pools_may_be_0_where_the_table_has_its_own(tmp_path: Path) -> None:
    columns = answers() | {"pool": np.array(["rejector", "calibration", "traffic", "held_out"] * 100)}
    path = write({name: list(values) for name, values in columns.items()}, tmp_path / "a.parquet")
    shares = {"pools": (0.5, 0.5, 0.0, 0.0, 0.0)}
    assert list(findings(asked(path, clients("small"), data=shares))) == []
    without = write(answers(), tmp_path / "b.parquet")
    assert len(list(findings(asked(without, clients("small"), data=shares)))) == 3
