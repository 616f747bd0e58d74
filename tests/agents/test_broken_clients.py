"""Clients whose uploads are wrong, in whole runs: what merges of each kind make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_fleets import group, model, scenario
from test_rejectors_together import uploads_of

from agents.federation.broken import wrong
from agents.fleet import Fleet, open_fleet
from agents.rounds import Rounds
from analysis import finish
from sim.errors import BadInput
from sim.messages import Learned, Merge, TrainingRound, Update
from sim.results.learned_files import write_learned
from sim.scenario import Scenario, read, write
from sim.scenario.schema.federation import Broken
from sim.simulation import simulate
from sim.world.unequal_devices import broken_clients
from sim.world.world import World

CLIENTS = 6  # who share a model


def with_broken(share: float = 0.4, clients: int = CLIENTS, **keys: Any) -> Scenario:
    """Three rounds; unless said otherwise two of six upload noise of a hundred times their own size."""
    broken = {"share": share, "fault": "noise", "scale": 100.0} | keys.pop("broken", {})
    times = {"every_s": 10.0, "steps": 8, "step_s": 0.05, "wait_s": 5.0, "broken": broken if share else None}
    policy = {"score": "l2h", "price": {"kind": "threshold", "at": -1.0}}
    devices = group(clients=clients, model=model(), policy=policy, rejector={"per": "client"}, timeout_s=2.0)
    return scenario(devices, horizon_s=40.0, federation=times | keys)


class Watched:
    """A fleet that notes of each merge what rejectors were before it, and what each became."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.merges: list[tuple[Merge, np.ndarray, np.ndarray]] = []

    def train_rejectors(self, training_round: TrainingRound) -> Update:
        return self._fleet.train_rejectors(training_round)

    def merge(self, merge: Merge) -> Update:
        before = uploads_of(self._fleet).numbers
        update = self._fleet.merge(merge)
        self.merges.append((merge, before, uploads_of(self._fleet).numbers))
        return update

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fleet, name)


def played(asked: Scenario, folder: Path, cache: Path) -> tuple[Watched, Learned]:
    folder.mkdir()
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        learned, watched = fleet.decide(), Watched(fleet)
        simulate(World(asked), learned, folder, learner=watched)
    write_learned(World(asked), learned, learned.client_hashes, folder)
    (folder / "scenario.yaml").write_text(write(asked))
    return watched, learned


def is_within_honest(watched: Watched, asked: Scenario) -> list[bool]:
    """Of each merge whether all numbers that came of it lie among those of honest clients."""
    honest = ~broken_clients(asked)
    found = []
    for merge, before, after in watched.merges:
        sent = before[[client for client in merge.uploads if honest[client]]]
        result = after[merge.receives]
        slack = 1e-6 * np.abs(sent).max()
        found.append(
            bool(((sent.min(axis=0) - slack <= result) & (result <= sent.max(axis=0) + slack)).all())
        )
    return found


@pytest.mark.parametrize("fault", ["noise", "sign_flip"])
def test_a_median_stays_among_the_honest_while_they_are_more(fault, tmp_path, cache):
    """Two of six, in every round of a run."""
    asked = with_broken(merge="median", broken={"fault": fault})
    watched, _ = played(asked, tmp_path / "run", cache)
    assert [merge.broken.tolist() for merge, *_ in watched.merges] == [
        np.flatnonzero(broken_clients(asked)).tolist()
    ] * 3
    assert broken_clients(asked).sum() == 2
    assert is_within_honest(watched, asked) == [True] * 3


@pytest.mark.parametrize("fault", ["noise", "sign_flip"])
def test_an_average_is_carried_away_by_one(fault, tmp_path, cache):
    asked = with_broken(0.17, merge="average", broken={"fault": fault})
    watched, _ = played(asked, tmp_path / "run", cache)
    assert broken_clients(asked).sum() == 1
    assert not any(is_within_honest(watched, asked))


def test_a_median_is_lost_once_they_are_more(tmp_path, cache):
    asked = with_broken(0.67, merge="median")
    watched, _ = played(asked, tmp_path / "run", cache)
    assert broken_clients(asked).sum() == 4
    assert not any(is_within_honest(watched, asked))


def test_without_broken_clients_an_average_lies_among_its_members(tmp_path, cache):
    asked = with_broken(0, merge="average")
    watched, _ = played(asked, tmp_path / "run", cache)
    assert is_within_honest(watched, asked) == [True] * 3


@pytest.mark.slow
def test_a_run_tells_how_many_uploads_were_broken(tmp_path, cache):
    asked = with_broken(merge="median")
    played(asked, tmp_path / "run", cache)
    rows = pd.read_parquet(tmp_path / "run/federation.parquet")
    assert rows["broken"].tolist() == [2] * 3
    assert rows["uploaded"].tolist() == [6] * 3
    assert finish(tmp_path / "run")["federation"]["broken"] == 6
    played(with_broken(0, merge="median"), tmp_path / "honest", cache)
    assert "broken" not in pd.read_parquet(tmp_path / "honest/federation.parquet")
    assert "broken" not in finish(tmp_path / "honest")["federation"]


def test_who_is_broken_goes_on_deciding_by_its_own(cache):
    """It uploads what is wrong, and keeps what it learned where nothing comes back."""
    asked = with_broken(merge="median")
    sick = int(np.flatnonzero(broken_clients(asked))[0])
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        fleet.decide()
        before = uploads_of(fleet).numbers
        everybody = np.arange(CLIENTS, dtype=np.int32)
        fleet.merge(Merge(1, everybody, everybody[everybody != sick], np.array([sick], np.int32)))
        assert uploads_of(fleet).numbers[sick].tobytes() == before[sick].tobytes()


def test_a_larger_share_breaks_those_of_a_smaller_one_too():
    few, more, every = (broken_clients(with_broken(share, 50)) for share in (0.1, 0.5, 1.0))
    assert (few.sum(), more.sum(), every.sum()) == (5, 25, 50)
    assert (few <= more).all()
    assert not broken_clients(with_broken(0, 50)).any()
    assert (broken_clients(with_broken(0.5, 50).model_copy(update={"seed": 8})) != more).any()


def test_faults_are_what_they_are_called():
    own = np.random.default_rng(0).normal(3.0, 1.0, 20_000).astype(np.float32)
    flipped = wrong(Broken(share=1.0, fault="sign_flip", scale=2.0), own, 7, 1, 3)
    assert flipped == pytest.approx(-2.0 * own)
    noise = Broken(share=1.0, fault="noise", scale=2.0)
    drawn = wrong(noise, own, 7, 1, 3)
    size = 2.0 * np.sqrt(np.mean(own.astype(float) ** 2))
    assert abs(drawn.mean()) < 4 * size / np.sqrt(len(own))
    assert drawn.std() == pytest.approx(size, rel=0.03)
    assert (drawn == wrong(noise, own, 7, 1, 3)).all()
    others = [wrong(noise, own, *of) for of in ((8, 1, 3), (7, 2, 3), (7, 1, 4))]
    assert all((drawn != other).all() for other in others)


def test_blocks_do_not_matter_to_who_is_broken(cache):
    """Seventy clients are two blocks; the one that is broken is in the second."""
    asked = with_broken(0.01, 70, merge="average")
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        fleet.decide()
        rounds: Rounds = fleet._during_run
        told = Merge(1, *[np.arange(70, dtype=np.int32)] * 2, np.array([66], np.int32))
        sent = rounds._uploads(rounds._blocks)
        changed = [
            np.flatnonzero(
                (rounds._as_uploaded(told, b, 0, sent[b]).numbers != sent[b].numbers).any(axis=1)
            ).tolist()
            for b in rounds._blocks
        ]
    assert changed == [[], [2]]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (["federation.broken={share: 0.2, fault: sign_flop}"], "sign_flip"),
        (["federation.broken={share: 0, fault: noise}"], "federation.broken.share"),
        (["federation.broken={fault: noise}"], "federation.broken.share"),
        (["federation.broken={share: 0.2, fault: noise, scale: 0}"], "federation.broken.scale"),
        (["federation.broken={share: 0.2, fault: noise, size: 2}"], "federation.broken.size"),
        (["federation.broken={share: 0.01, fault: noise}"], "breaks no client of 24, the largest group"),
        (
            ["federation.broken={share: 0.2, fault: noise}", "federation.merge=none"],
            "nothing is uploaded with merge: none: must be null",
        ),
    ],
)
def test_what_cannot_be_broken_is_refused_in_one_line(changes, line):
    with pytest.raises(BadInput, match=line) as refused:
        read("learning_together", changes)
    assert "\n" not in str(refused.value)
