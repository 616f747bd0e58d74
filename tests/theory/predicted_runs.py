"""Runs of shipped scenarios at a reduced size, with made-up models, and what the laws say about them.
Used by the tests of the laws alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from worlds import MadeUpLearner, made_up

import analysis
from analysis.run_folder.traffic import traffic_of
from analysis.theory import predicted
from analysis.theory.prediction import Prediction
from sim.messages import Learned
from sim.results.columns import STUDY
from sim.results.learned_files import write_learned
from sim.scenario import Scenario, read, write
from sim.simulation import simulate
from sim.world.world import World

WIDER = 2.0  # times the 95% interval: a right law fails one comparison in about ten thousand


def predict_run(
    folder: Path,
    name: str,
    *changes: str,
    right: tuple[float, float] | None = None,
    scores: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Laws:
    """Runs the scenario `name`, changed by `path=value`; the laws' predictions beside what was simulated.

    right: how often the made-up models of clients and server are right, if not by chance alone. scores: what
    to make of the scores (owners, samples) of the first group.
    """
    scenario = read(name, changes)
    learned = made_up(scenario, samples=120)
    if scores is not None:
        first, *others = learned.tables.groups
        groups = (replace(first, score=scores(first.score)), *others)
        learned = replace(learned, tables=replace(learned.tables, groups=groups))
    learned = learned if right is None else made_right(scenario, learned, *right)
    simulate(World(scenario), learned, folder, learner=MadeUpLearner(scenario, learned))
    write_learned(World(scenario), learned, learned.client_hashes, folder)
    (folder / "scenario.yaml").write_text(write(scenario))
    return Laws(predicted(traffic_of(analysis.load_run(folder))))


class Laws:
    """The predictions by law; a question about one that is not there fails."""

    def __init__(self, by_law: dict[str, list[Prediction]]) -> None:
        self.by_law = by_law

    def of(self, law: str, quantity: str) -> list[Prediction]:
        """The judged predictions of a law with this name; at least one."""
        those = [one for one in self.by_law.get(law, []) if one.quantity == quantity and one.simulated]
        assert those, f"{law} says nothing about {quantity!r}: {sorted(self.by_law)}"
        return those

    def one(self, law: str, quantity: str, where: str = "") -> Prediction:
        (only,) = [one for one in self.of(law, quantity) if where in one.where]
        return only

    def assert_agree(self, law: str) -> None:
        """All numbers of a law lie in the simulation's interval, made WIDER, and the formula's own error."""
        judged = [one for one in self.by_law[law] if one.agrees is not None]
        assert judged
        print(*judged, sep="\n")
        assert [one for one in judged if not agrees(one)] == []


def laws_of(folder: Path, scenario: Scenario) -> Laws:
    """Of a run of this scenario with made-up tables, in this folder."""
    learned = made_up(scenario)
    simulate(World(scenario), learned, folder)
    write_learned(World(scenario), learned, learned.client_hashes, folder)
    (folder / "scenario.yaml").write_text(write(scenario))
    return Laws(predicted(traffic_of(analysis.load_run(folder))))


def agrees(one: Prediction) -> bool:
    assert one.simulated is not None
    if np.isinf([one.predicted, one.simulated.value]).any():
        return one.predicted == one.simulated.value
    half = max(one.simulated.high - one.simulated.value, one.simulated.value - one.simulated.low)
    return abs(one.predicted - one.simulated.value) <= WIDER * half + one.margin + 1e-12


def made_right(scenario: Scenario, learned: Learned, client: float, server: float) -> Learned:
    """The same with models that are right on so many of the samples, scores in the unit of a gain that know
    something of it, and the study's rows for the groups' own prices, counted sample by sample."""
    draw, axis = np.random.default_rng(1), learned.samples
    n = len(axis.label)

    def answers(right: np.ndarray) -> np.ndarray:
        return np.where(right, axis.label, (axis.label + 1) % 10).astype(np.int16)

    server_right, groups, rows = draw.random(n) < server, [], []
    for group, table, phases in zip(scenario.fleet, learned.tables.groups, learned.traffic, strict=True):
        m = draw.random(table.client_label.shape) < client
        assert table.score is not None
        gain = (1.0 * server_right - m)[: len(table.score)]
        score = (0.3 * gain + draw.normal(0.0, 0.15, gain.shape)).astype(np.float32)
        groups.append(replace(table, client_label=answers(m), score=score))
        sent_from = phases[0].positions[axis.held_out[phases[0].positions]]
        rows.append(study_row(scenario, group, m[:, sent_from], server_right[sent_from], score[:, sent_from]))
    tables = replace(learned.tables, groups=tuple(groups), server_label=answers(server_right))
    study = {name: [row[name] for row in rows] for name in rows[0]}
    return replace(learned, tables=tables, study=study)


def study_row(
    scenario: Scenario, group: Any, m: np.ndarray, e: np.ndarray, score: np.ndarray
) -> dict[str, Any]:
    """One row of the table, where every variant has as many clients; m and score (variants, n), e (n,)."""
    assert group.clients % group.model.variants == 0
    assert len(score) == len(m), "rejectors per variant"
    price = group.policy.price.at
    sides = pd.DataFrame({"m": m.ravel(), "e": np.tile(e, len(m)), "sent": (score > price).ravel()})
    reported: dict[str, Any] = {field.name: np.nan for field in STUDY} | {
        "group": group.group,
        "score": group.policy.score,
        "form": scenario.training.form,
        "sync_every": str(scenario.training.pretrain.sync_every),
        "c_e": scenario.costs.c_e,
        "c_1": scenario.costs.c_1,
        "price": price,
        "price_from": "bayes",
        "deferral_rate": float(sides["sent"].mean()),
    }
    for side, sent in (("local", False), ("remote", True)):
        those = sides[sides["sent"] == sent]
        reported |= {
            f"client_accuracy_{side}": those["m"].mean(),
            f"server_accuracy_{side}": those["e"].mean(),
        }
    return reported
