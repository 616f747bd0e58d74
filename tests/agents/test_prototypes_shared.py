"""Whole runs of clients that share prototypes, told again from their rows.

Four clients with two models that know seven digits of ten; the server is away twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_fleets import MISSING, group, model, scenario

from agents.fleet import Fleet, open_fleet
from agents.models.frozen import live_model
from agents.models.outputs import output_of
from agents.plan import Variant
from agents.prototype_rounds import PrototypeRounds
from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.errors import BadInput
from sim.results.federation import rounds_together
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.scenario.rules import checks
from sim.scenario.rules.federation import prototypes_have_users
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

TIMES = {"learns": "prototypes", "every_s": 10.0, "steps": 1, "step_s": 0.1, "wait_s": 4.0}
DOWN = ((28.0, 36.0), (45.0, 52.0))


def sharing(fallback: str = "prototype", **federation: Any) -> Scenario:
    devices = group(
        clients=4,
        model=model(variants=2, family="mlp"),
        partition=MISSING,
        traffic={"mix": "all"},
        policy={"score": "confidence", "price": {"kind": "threshold", "at": 0.3}},
        timeout_s=2.0,
        fallback=fallback,
    )
    server = {
        "model": {"family": "linear"},
        "service": {"kind": "affine", "base_s": 0.05},
        "outages": ({"when": {"kind": "intervals", "at": DOWN}, "target": {"kind": "server"}},),
    }
    shared = TIMES | {"label_delay_s": 0.5} | federation if fallback == "prototype" else None
    plain = scenario(devices, federation=shared).model_dump()
    return Scenario.model_validate(plain | {"server": server, "fleet": (devices,)})


class Played:
    """A run by a real fleet, its rows, and what it was made of."""

    def __init__(self, fleet: Fleet, asked: Scenario, window_s: float = 60.0) -> None:
        self.fleet, self.asked = fleet, asked
        self.learned = fleet.decide()
        run = self.run(window_s)
        parts, self.prototypes = [], dict[str, list[object]]()
        while not run.is_over:
            chunk = run.advance()
            parts.append(chunk.requests.to_pandas())
            for name, values in chunk.prototypes.items():
                self.prototypes.setdefault(name, []).extend(values)
        run.finish()
        self.rows = joined(parts)

    def run(self, window_s: float) -> Run:
        world, learner = World(self.asked), self.fleet if self.asked.learns_in_run else None
        path = EnginePath("simpy", "")
        return Run(world, self.learned, ScenarioArrivals(world), learner, path, EvenWindows(window_s))


def joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts).sort_values("request_id", ignore_index=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def learned_by(asked: Scenario, cache: Path) -> Iterator[Fleet]:
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        yield fleet


@pytest.fixture(scope="module")
def shared(cache: Path) -> Iterator[Played]:
    for fleet in learned_by(sharing(), cache):
        yield Played(fleet, fleet._plan.scenario)


def features_of(fleet: Fleet, variant: int) -> np.ndarray:
    weights = fleet._frozen[Variant(0, variant)].weights
    plan = fleet._plan
    return output_of(
        live_model(plan, Variant(0, variant), weights), plan, plan.samples.sample_id
    ).features.numpy()


def test_every_answer_is_that_of_means_told_again_from_the_rows(shared):
    """From requests alone: who was answered what by when, means of it by class, the nearest of them."""
    rows, samples = shared.rows, shared.learned.samples
    place = {one: at for at, one in enumerate(samples.sample_id.tolist())}
    at = rows["sample_id"].map(place).to_numpy()
    known = World(shared.asked).sharing(shared.learned.shared_numbers).federated
    by_round = {held.merged: held for held in known.rounds if held.merged}
    fell = rows[(rows["answered_by"] == "prototype") | rows["outcome"].isin(["timed_out", "refused"])]
    assert (fell["answered_by"] == "prototype").sum() >= 20
    assert {1, 2, 3} & set(rows["prototype_label"])
    assert {7, 8, 9} & set(rows["prototype_label"])
    for index, row in fell.iterrows():
        client, when = int(row["client_id"]), float(row["answered_at_s"])
        version = known.copies.one(client, when)
        said, age = -1, math.nan
        if version:
            held = by_round[version]
            heard = rows["client_id"].isin([c for c in held.uploads.tolist() if c % 2 == client % 2])
            heard &= (rows["answered_by"] == "server") & ~rows["held_out"]
            heard &= rows["answered_at_s"] + 0.5 < held.due_at_s
            features = features_of(shared.fleet, client % 2)
            classes = sorted(set(rows["label"][heard]))
            if classes:
                means = [features[at[heard & (rows["label"] == one)]].mean(axis=0) for one in classes]
                gaps = [float(np.square(features[at[index]] - mean).sum()) for mean in means]
                said, age = classes[int(np.argmin(gaps))], when - held.merges_at_s
        assert row["prototype_label"] == said
        assert row["answered_by"] == ("prototype" if said >= 0 else "client")
        assert row["answer_label"] == (said if said >= 0 else row["client_label"])
        assert row["prototype_age_s"] == pytest.approx(age, nan_ok=True)
    others = rows.drop(fell.index)
    assert (others["prototype_label"] == -1).all()
    assert others["prototype_age_s"].isna().all()


def test_nothing_else_depends_on_what_one_falls_back_to(shared, cache):
    """Decisions, times and costs are those of clients that fall back to their own models."""
    own = {"answered_by", "answer_label", "correct", "prototype_label", "prototype_age_s", "copy_version"}
    for fleet in learned_by(sharing("client"), cache):
        other = Played(fleet, fleet._plan.scenario).rows
    same = [name for name in other if name not in own]
    pd.testing.assert_frame_equal(shared.rows[same], other[same])


def test_bytes_are_those_of_means_and_counts_whatever_the_server(shared, cache):
    """Law 1: 4·C·(d' + 1) a client each way: a mean of d' = 64 numbers and a count for each class."""
    each = 4 * 10 * (64 + 1)
    rows = pd.DataFrame(rounds_together(World(shared.asked).sharing(shared.learned.shared_numbers)))
    assert (rows["bytes_up"] == each * rows["uploaded"]).all()
    assert (rows["bytes_down"] == each * rows["received"]).all()
    assert set(rows["fate"]) == {"merged", "lost"}
    large = shared.asked.model_copy(update={"server": scenario(server="small_cnn").one_server})
    with open_fleet(large, workers=0, cache=cache) as fleet:
        fleet.build()
        assert fleet._prototypes.shared_numbers() == shared.learned.shared_numbers


def test_windows_change_no_row_and_a_run_goes_on_to_the_same(shared, cache):
    for fleet in learned_by(shared.asked, cache):
        cut = Played(fleet, shared.asked, 7.0)
    pd.testing.assert_frame_equal(shared.rows, cut.rows)
    assert shared.prototypes == cut.prototypes
    for fleet in learned_by(shared.asked, cache):
        begun = Played.__new__(Played)
        begun.fleet, begun.asked, begun.learned = fleet, shared.asked, fleet.decide()
        first = begun.run(22.0)
        parts = [first.advance().requests.to_pandas()]
        state = unpack(pack(first.kept()))
    for fleet in learned_by(shared.asked, cache):
        begun.fleet, begun.learned = fleet, fleet.decide()
        then = begun.run(22.0)
        then.restore(state)
        while not then.is_over:
            parts.append(then.advance().requests.to_pandas())
    pd.testing.assert_frame_equal(shared.rows, joined(parts))


def test_noise_carries_an_average_away_and_no_median(cache):
    """One of three with a model uploads noise: of a hundred times the size its numbers have."""
    sick = {"share": 0.34, "fault": "noise", "scale": 100.0}
    recalls = {}
    for merge in ("average", "median"):
        asked = sharing(merge=merge, broken=sick)
        fleet = asked.fleet[0].model_copy(update={"clients": 6})
        one_model = fleet.model.model_copy(update={"variants": 1})
        asked = asked.model_copy(update={"fleet": (fleet.model_copy(update={"model": one_model}),)})
        for learner in learned_by(asked, cache):
            told_of = pd.DataFrame(Played(learner, asked).prototypes)
        recalls[merge] = told_of[told_of["round"] == told_of["round"].max()]["recall"].mean()
    assert recalls["median"] > recalls["average"] + 0.2


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({}, None, ""),
        ({"merge": "laplace"}, "merge", "average or median"),
        ({"merge": "none"}, "merge", "average or median"),
        ({"among": "group"}, "among", "must be variant"),
        ({"share": "head"}, "share", "must be all"),
        ({"learns": "rejectors"}, "fallback", "needs federation with learns: prototypes"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_one_line(changes, path, words):
    found = [one for one in checks.findings(sharing(**changes)) if one.path[-1] != "federation"]
    assert [one.path[-1] for one in found] == ([path] if path else [])
    assert all(words in one.sentence for one in found)


def test_prototypes_that_nobody_falls_back_to_are_refused():
    plain = scenario(group(), federation=TIMES)
    assert [one.path for one in checks.findings(plain)] == [("federation", "learns")]


def test_a_model_that_tells_no_features_is_named(cache):
    for fleet in learned_by(sharing("client"), cache):
        plan = fleet._plan
    blind = {
        "sample_id": plan.samples.sample_id,
        "features": np.empty((len(plan.samples.label), 0), np.float32),
    }
    blind |= {"logits": np.zeros((len(plan.samples.label), 10), np.float32)}
    brought = replace(
        plan,
        scenario=sharing(),
        untrained=frozenset({"fleet.sensors"}),
        said={"fleet.sensors": blind},
    )
    with pytest.raises(BadInput, match=r"fleet\.sensors\.fallback: prototype: its model tells no features"):
        PrototypeRounds(brought, {})


def test_what_the_server_was_sent_it_keeps(cache):
    """Where few take part in a round, and none of one frozen model in some, no class is forgotten."""
    for fleet in learned_by(sharing(absent=0.8, every_s=6.0, wait_s=3.0), cache):
        told = pd.DataFrame(Played(fleet, fleet._plan.scenario).prototypes)
    samples = told.pivot_table(index="round", columns=["variant", "class"], values="samples").sort_index()
    assert (samples.diff().iloc[1:] >= 0).all(axis=None)
    assert samples.iloc[-1].sum() > samples.iloc[0].sum()
    clients = told.groupby(["round", "variant"])["clients"].max()
    assert (clients == 0).any(), "of one model nobody had sent any"


def test_who_never_asks_has_no_prototypes_to_fall_back_to():
    asked = sharing()
    silent = {"price": {"kind": "always_local"}}
    plain = asked.model_dump()
    plain["fleet"][0]["policy"] |= silent
    (breach,) = prototypes_have_users(Scenario.model_validate(plain))
    assert breach[0] == ("fleet", 0, "fallback")
