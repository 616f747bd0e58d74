"""More tables of docs/paper.md, on Fashion-MNIST: the grid of costs, single classes, bounds, copies, inputs.

`python -m benchmarks.paper [--worlds grid,copies,plain,centred,pretrained] [--set path=value]...`: each world
is `paper_fashion_mnist` with the changes below, learned in this process; prints its tables, and ends in one
JSON object. `pretrained` needs the packages of `benchmarks.backbone`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from agents.checks import checked_plan
from agents.evaluation.bounded_rate import BOUNDS, coin
from agents.fleet import Fleet, new_backend
from agents.models.client_cache import cache_folder
from benchmarks import backbone
from benchmarks.deferral import table
from sim.messages import Learned
from sim.scenario import Scenario, read

Floats = NDArray[np.float64]
SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "paper_fashion_mnist.yaml"
CLASSES = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
PRICES = tuple(round(0.025 * step, 3) for step in range(21))
ONE_COPY = "study.sync_every=[1]"
FOUR_PRICES = ("study.c_e=[0.0, 0.125, 0.25, 0.5]", "study.c_1=[1.0]", ONE_COPY)
WORLDS: dict[str, tuple[str, ...]] = {
    "grid": (f"study.c_e={list(PRICES)}", "study.c_1=[1.0, 1.25]", ONE_COPY),
    "copies": ("study.c_e=[0.0, 0.25]", "study.c_1=[1.25]", "study.sync_every=[1, 100, 1000, epoch]"),
    "plain": FOUR_PRICES,
    "centred": FOUR_PRICES,
    "pretrained": (
        *FOUR_PRICES,
        f"server.model.family={backbone.NAME}",
        f"server.model.image_size={backbone.PIXELS}",
        "training.pretrain.server_lr=0.001",
    ),
}


def learned(scenario: Scenario, centred: bool) -> Learned:
    """What the fleet learns; centred: from pixels in [-1, 1], as the public scripts show them, not [0, 1]."""
    plan = checked_plan(scenario)
    if centred:
        assert plan.data.levels is not None, "pictures are bytes"
        plan = replace(plan, data=replace(plan.data, levels=2 * plan.data.levels - 1))
    with one_thread():
        backend = new_backend(0, None)
        fleet = Fleet(plan, backend, cache_folder(None), lambda *_: None)
        try:
            fleet.build()
            fleet.learn()
            return fleet.decide()
        finally:
            backend.close()


@contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def by_costs(found: Learned) -> str:
    """What each pair of costs comes to, beside the client and the server alone; a table per group."""
    study, parts = pd.DataFrame(found.study), []
    study = study[(study["score"] == "l2h") & (study["sync_every"] == "1")]
    for name, rows in study.groupby("group", sort=False):
        first = rows.iloc[0]
        client, server = (1 - first["risk_all_local"], server_alone(first))
        parts.append(f"{name}: the client alone {percent(client)}%, the server alone {percent(server)}%\n")
        by_price = {c_1: part.set_index("c_e") for c_1, part in rows.groupby("c_1")}
        head = [f"{what}, c_1 = {c_1:g}" for c_1 in by_price for what in ("sent %", "right %", "risk")]
        lines = [
            (f"{c_e:g}", *(cell for part in by_price.values() for cell in _cells(part.loc[c_e])))
            for c_e in sorted(set(rows["c_e"]))
        ]
        parts.append(table(("c_e", *head), *lines))
    return "\n".join(parts)


def _cells(row: pd.Series) -> tuple[str, str, str]:
    return percent(row["deferral_rate"]), percent(row["accuracy"]), f"{row['risk']:.3f}"


def server_alone(row: pd.Series) -> float:
    """The server's accuracy, had it answered everything."""
    return float(1 - (row["risk_all_remote"] - row["c_e"]) / row["c_1"])


def by_copy(found: Learned) -> str:
    """What each interval between copies of the server comes to."""
    study = pd.DataFrame(found.study)
    rows = study[study["score"] == "l2h"].sort_values(["group", "c_e"], kind="stable")
    lines = [
        (str(row["group"]), f"{row['c_e']:g}", f"{row['c_1']:g}", str(row["sync_every"]), *_cells(row))
        for _, row in rows.iterrows()
    ]
    return table(("group", "c_e", "c_1", "S", "sent %", "right %", "risk"), *lines)


class Held(dict[str, Any]):
    """One group's held-out samples: label, client and server (right or not), score, and the scores of the
    calibration pool."""

    def __init__(self, found: Learned, place: int) -> None:
        samples, tables = found.samples, found.tables.groups[place]
        positions = found.traffic[place][0].positions
        held = positions[samples.held_out[positions]]
        label = samples.label[held]
        assert tables.score is not None, "trained"
        super().__init__(
            label=label,
            client=tables.client_label[0, held] == label,
            server=found.tables.server_label[held] == label,
            score=tables.score[0, held],
            calibration=tables.score[0, found.calibration[place].positions],
        )


def by_class(found: Learned, groups: list[str]) -> str:
    """Who is right on each class, and what is sent of it, by the rejector of the scenario's own costs."""
    parts = []
    for place, name in enumerate(groups):
        of = Held(found, place)
        sent = of["score"] > 0
        right = np.where(sent, of["server"], of["client"])
        lines = [
            (
                f"{number} {said}",
                str(int(mine.sum())),
                *(
                    percent(float(of_all[mine].mean()))
                    for of_all in (of["client"], of["server"], sent, right)
                ),
            )
            for number, said in enumerate(CLASSES)
            if (mine := of["label"] == number).any()
        ]
        head = (f"{name}: class", "samples", "client %", "server %", "sent %", "right %")
        parts.append(table(head, *lines))
    return "\n".join(parts)


def by_bound(found: Learned, groups: list[str]) -> str:
    """A bounded deferral rate by the coin and without chance: the highest scores are sent, from the threshold
    above which that share of the calibration pool lies."""
    lines = []
    for place, name in enumerate(groups):
        of = Held(found, place)
        says = of["score"] > 0
        add, keep = coin(np.array([(of["calibration"] > 0).mean()]))
        for bound, to_local, to_remote in zip(BOUNDS, add[0], keep[0], strict=True):
            chance = np.where(says, to_remote, to_local)
            coins = float((chance * of["server"] + (1 - chance) * of["client"]).mean())
            threshold = np.quantile(of["calibration"], 1 - bound, method="inverted_cdf")
            sent = of["score"] > threshold
            sure = float(np.where(sent, of["server"], of["client"]).mean())
            rates = percent(float(chance.mean())), percent(float(sent.mean()))
            both = percent(coins), percent(sure), f"{100 * (sure - coins):+.1f}"
            lines.append((name, f"{bound:.1f}", *rates, *both))
    head = ("sent %, coin", "sent %, threshold", "right %, coin", "right %, threshold", "lead")
    return table(("group", "bound", *head), *lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def tables(world: str, found: Learned, groups: list[str]) -> str:
    """The tables of one world."""
    if world == "copies":
        return by_copy(found)
    both = [by_costs(found), by_class(found, groups)]
    return "\n".join(both + [by_bound(found, groups)] * (world == "grid"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--set", action="append", default=[], help="a path of the scenario, path=value")
    chosen, results = parser.parse_args(), {}
    for world in chosen.worlds.split(","):
        if world == "pretrained":
            backbone.register()
        changes = ["study.form=[nonnegative]", *WORLDS[world], *chosen.set]
        scenario = read(SCENARIO, overrides=changes)
        found = learned(scenario, centred=world == "centred")
        print(f"## {world}\n\n{tables(world, found, [group.group for group in scenario.fleet])}", flush=True)
        study = pd.DataFrame(found.study)
        results[world] = study[study["score"] == "l2h"].to_dict("records")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
