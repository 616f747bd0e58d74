"""Whole runs of clients whose heads learn, told again from their rows with torch's own gradients.

Five clients with two models, each of which meets digits in a mix of its own; the server is away twice.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_fleets import SKEWED, group, model, scenario
from torch.nn import functional

from agents.checks import validate
from agents.fleet import Fleet, open_fleet
from agents.head_rounds import HeadRounds
from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.errors import BadInput, RunFailed
from sim.messages import Merge
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.scenario.schema.fleet import Option
from sim.streams import stream
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

RATE, BATCH, STEPS = 0.2, 8, 6
DOWN = ((22.0, 26.0), (43.0, 47.0))


def personal(reply_bytes: int = 256, learning_rate: float = RATE, **federation: Any) -> Scenario:
    devices = group(
        clients=5,
        model=model(variants=2),
        partition=SKEWED,
        traffic={"mix": "dirichlet", "alpha": 0.3},
        arrivals={"process": {"kind": "poisson", "rate_hz": 0.7}},
        policy={"score": "confidence", "price": {"kind": "threshold", "at": -0.4}},
        timeout_s=2.0,
        reply="features",
        link={"latency": 0.02, "bandwidth_bps": 1e5, "reply_bytes": reply_bytes},
    )
    server = {
        "model": {"family": "mlp"},
        "service": {"kind": "affine", "base_s": 0.02},
        "outages": ({"when": {"kind": "intervals", "at": DOWN}, "target": {"kind": "server"}},),
    }
    own = {"learns": "heads", "every_s": 10.0, "steps": STEPS, "step_s": 0.05, "wait_s": 4.0}
    own |= {
        "label_delay_s": 0.5,
        "heads": {"learning_rate": learning_rate, "batch": BATCH, "personalise_at_s": 35.0},
    }
    plain = scenario(devices, epochs=15, federation=own | federation).model_dump()
    return Scenario.model_validate(plain | {"server": server, "fleet": (devices,)})


def run_of(fleet: Fleet, asked: Scenario, window_s: float = 60.0) -> Run:
    learned = fleet.decide()
    world = World(asked)
    source = ScenarioArrivals(world)
    return Run(world, learned, source, fleet, EnginePath("simpy", ""), EvenWindows(window_s))


def play(run: Run) -> tuple[pd.DataFrame, dict[str, list[object]]]:
    parts, told = [], dict[str, list[object]]()
    while not run.is_over:
        chunk = run.advance()
        parts.append(chunk.requests.to_pandas())
        for name, values in chunk.heads.items():
            told.setdefault(name, []).extend(values)
    run.finish()
    return pd.concat(parts).sort_values("request_id", ignore_index=True), told


class Played:
    def __init__(self, asked: Scenario, cache: Path, workers: int = 0, window_s: float = 60.0) -> None:
        with open_fleet(asked, workers=workers, cache=cache) as fleet:
            fleet.build()
            fleet.learn()
            run = run_of(fleet, asked, window_s)
            self.rows, self.told = play(run)
            self.layer = fleet._backend.ask_server("last_layer")
            self.samples, self.numbers = fleet.decide().samples, fleet._heads.shared_numbers()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def played(cache: Path) -> Played:
    return Played(personal(), cache)


def test_every_answer_is_that_of_heads_told_again_from_the_rows(played: Played):
    """Steps by torch's gradients on what rows say clients were told; averages by how much that was."""
    asked, rows, samples = personal(), played.rows, played.samples
    world = World(asked).sharing(played.numbers)
    place = {one: at for at, one in enumerate(samples.sample_id.tolist())}
    at = rows["sample_id"].map(place).to_numpy()
    inputs = torch.tensor(np.hstack([played.layer.features, np.ones((len(samples.label), 1))]))
    labels = torch.tensor(samples.label.astype(np.int64))
    heads = {client: torch.tensor(played.layer.numbers(), dtype=torch.float64) for client in range(5)}
    by_version: dict[int, dict[int, torch.Tensor]] = {0: dict(heads)}
    told = rows[(rows["outcome"] == "remote") & ~rows["held_out"]].sort_values(
        ["answered_at_s", "request_id"]
    )
    known: dict[int, list[int]] = {client: [] for client in range(5)}
    for version, update in enumerate(world.federated.updates, start=1):
        due = update.of.due_at_s
        if not update.merges:
            for client in range(5):
                mine = told[(told["client_id"] == client) & (told["answered_at_s"] + 0.5 <= due)]
                known[client] = at[mine.index].tolist()
            for client in update.of.trains.tolist():
                if not known[client]:
                    continue
                draw = stream(asked.seed, "head batches", update.of.number, client)
                for drawn in draw.integers(len(known[client]), size=(STEPS, BATCH)):
                    head = heads[client].clone().requires_grad_()
                    batch = np.array(known[client])[drawn]
                    functional.cross_entropy(inputs[batch] @ head.T, labels[batch]).backward()
                    heads[client] = (head - RATE * head.grad).detach()
        else:
            for models in range(2):
                sent = [one for one in update.of.uploads.tolist() if one % 2 == models]
                weights = [len(known[one]) for one in sent]
                for client in (one for one in update.of.receives.tolist() if one % 2 == models and sent):
                    by_version.setdefault(version, {})[client] = sum(
                        w * heads[one] for w, one in zip(weights, sent, strict=True)
                    ) / sum(weights)
            heads |= by_version[version]
        by_version[version] = dict(heads)
    answered = rows[rows["outcome"] == "remote"]
    versions = world.federated.heads
    assert answered["head_version"].max() >= 7
    for index, row in answered.iterrows():
        client, when = int(row["client_id"]), float(row["answered_at_s"])
        version = versions.one(client, when)
        assert row["head_version"] == version
        if version:
            logits = inputs[at[index]] @ by_version[version][client].T
            first, second = logits.topk(2)[0].tolist()
            if first - second > 1e-4:  # else a rounding may decide
                assert row["head_label"] == int(logits.argmax())
        assert row["answer_label"] == row["head_label"]
    assert (answered["head_label"] != answered["server_label"]).sum() > 5


def test_what_is_told_of_heads_is_what_the_rows_say(played: Played):
    """Law 4: all who are there, and know a label, take as many steps."""
    told = pd.DataFrame(played.told)
    assert told["round"].value_counts().to_dict() == dict.fromkeys(range(1, 6), 5)
    assert (told["steps"] == np.where(told["labels"] > 0, STEPS, 0)).all()
    assert told.groupby("round")["phase"].first().tolist() == ["shared"] * 3 + ["personal"] * 2
    assert (told.pivot_table(index="round", columns="client_id", values="labels").diff().iloc[1:] >= 0).all(
        axis=None
    )
    total = told.groupby("client_id")["steps"].sum().to_numpy(dtype=float)
    assert total.sum() ** 2 / (len(total) * np.square(total).sum()) == pytest.approx(1.0, abs=0.02)


def test_nothing_else_depends_on_what_is_sent_back(cache: Path):
    """With labels in place of features, in as many bytes: decisions, times and costs are the same. Rejectors
    learn as without heads, too, whosever heads are merged."""
    asked = l2h(personal(among="group"))
    plain = asked.model_dump() | {"federation": None}
    plain["fleet"][0]["reply"] = "label"
    other = played_without(Scenario.model_validate(plain), cache)
    own = {"answer_label", "correct", "head_label", "head_version", "copy_version"}
    same = [name for name in other if name not in own]
    ours = played_without(asked, cache)
    assert 0.1 < ours["deferred"].mean() < 0.9
    pd.testing.assert_frame_equal(ours[same], other[same])


def l2h(asked: Scenario) -> Scenario:
    """The same with a learned score."""
    plain = asked.model_dump()
    plain["costs"]["c_e"] = 0.5
    plain["fleet"][0]["policy"] = {"score": "l2h", "price": {"kind": "threshold", "at": 0.0}}
    plain["fleet"][0]["rejector"] = {"family": "mlp", "input": "features", "per": "variant"}
    return Scenario.model_validate(plain)


def played_without(asked: Scenario, cache: Path) -> pd.DataFrame:
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        return play(run_of(fleet, asked))[0]


def test_windows_change_no_row_and_a_run_goes_on_to_the_same(played: Played, cache: Path):
    cut = Played(personal(), cache, window_s=7.0)
    pd.testing.assert_frame_equal(played.rows, cut.rows)
    assert str(played.told) == str(cut.told)
    with open_fleet(personal(), workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        run = run_of(fleet, personal(), 22.0)
        parts = [run.advance().requests.to_pandas()]
        state = unpack(pack(run.kept()))
    with open_fleet(personal(), workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        run = run_of(fleet, personal(), 22.0)
        run.restore(state)
        parts.append(play(run)[0])
    again = pd.concat(parts).sort_values("request_id", ignore_index=True)
    pd.testing.assert_frame_equal(played.rows, again)


@pytest.mark.ray
def test_workers_change_no_row(played: Played, cache: Path):
    pd.testing.assert_frame_equal(played.rows, Played(personal(), cache, workers=1).rows)


def test_a_broken_client_carries_an_average_away_and_no_median(cache: Path):
    with open_fleet(personal(), workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        fleet.decide()
        layer = fleet._backend.ask_server("last_layer")
        moved = {}
        for merge in ("average", "median"):
            sick = {"share": 0.2, "fault": "noise", "scale": 100.0}
            asked = personal(merge=merge, broken=sick, among="group")
            rounds = HeadRounds(replace(fleet._plan, scenario=asked), layer)
            for client in range(5):
                rounds._told[client] = [0, 1]
            everybody = np.arange(5, dtype=np.int32)
            rounds.merge(Merge(1, everybody, everybody, np.array([2], dtype=np.int32)))
            moved[merge] = float(np.abs(rounds._heads - layer.numbers()).max())
    assert moved["average"] > 1.0
    assert moved["median"] == 0.0


def test_restored_to_nothing_heads_are_as_the_run_began(cache: Path):
    with open_fleet(personal(), workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        fleet.decide()
        rounds = HeadRounds(fleet._plan, fleet._backend.ask_server("last_layer"))
    began = rounds.state()["heads"].copy()
    said = rounds._said[0].copy()
    rounds._heads[3] = -rounds._heads[3]
    rounds._told[3] = [0, 1]
    rounds._say(np.array([3]))
    assert (rounds._said[0] != said).any()
    rounds.restore({})
    assert (rounds.state()["heads"] == began).all()
    assert not rounds.state()["many"].any()
    assert (rounds._said[0] == said).all()


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
def test_a_head_that_is_no_number_any_more_is_named(cache: Path):
    """Merges with uploads of a million times the size, round after round, end in infinity."""
    sick = {"share": 0.2, "fault": "noise", "scale": 1e6}
    asked = personal(broken=sick, merge="average", among="group", every_s=4.0, wait_s=1.0, heads=None)
    with pytest.raises(RunFailed, match=r"round \d+: the head of client \d is not finite"):
        Played(asked, cache)


def test_bytes_that_do_not_hold_the_features_are_refused():
    with pytest.raises(
        BadInput, match=r"fleet\.sensors\.link\.reply_bytes: 0: must be 256: the features of "
    ):
        validate(personal(reply_bytes=0))


def test_bytes_of_an_options_own_link_must_hold_them_too():
    own = {"option": "own", "server": "server", "link": {"latency": 0.01, "bandwidth_bps": 1e5}}
    asked = personal()
    fleet = tuple(
        group.model_copy(update={"options": (Option.model_validate(own),)}) for group in asked.fleet
    )
    with pytest.raises(BadInput, match=r"fleet\.sensors\.options\.0\.link\.reply_bytes: 0: must be 256"):
        validate(asked.model_copy(update={"fleet": fleet}))


def test_a_server_that_is_brought_sends_no_features():
    asked = personal()
    with (
        pytest.raises(BadInput, match=r"fleet\.sensors\.reply: features: is for a server that is trained"),
        open_fleet(asked, workers=0, models={"server": lambda pictures: np.zeros((len(pictures), 10))}),
    ):
        pass
