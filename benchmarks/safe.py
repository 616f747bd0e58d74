"""Does a trained rejector cost more than never asking? Candidates for the default, on held-out samples.

Digits and a Gaussian mixture, small and large pools, IID clients and clients without three classes, c_1 from
0.5 to 128, c_e 0 to 0.5. Every candidate is a score with its loss, and a rule that chooses each rejector's
threshold; all of a score are judged on the same trained rejectors. Alarms: settings in which it pays more
than the better constant decision by a paired test. Prints the tables of docs/learning.md; its last line is
one JSON object.
`python -m benchmarks.safe [--seeds 1,2,3,4,5] [--worlds digits-small-iid,...]`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from ruamel.yaml import YAML

from agents.evaluation.answers import server_right
from agents.evaluation.cost_model import cost_model_of
from agents.evaluation.judged import calibrated_on, judged_on
from agents.evaluation.policy_evaluation import evaluate, known_of, measures
from agents.evaluation.thresholds import Known, least_risk, safe
from agents.models.frozen import live_model, recipe_for, train
from agents.plan import Plan, make_plan
from agents.rejectors.block_answers import Scored
from agents.rejectors.blocks import RejectorBlock
from agents.rejectors.client_predictions import ClientPredictions
from agents.rejectors.scores import bayes_price
from agents.server.model import ServerModel
from sim.registry.prices import Safe
from sim.scenario import read

C_1 = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
C_E = (0.0, 0.1, 0.5)
POOLS = {
    "digits-small": {"set": "digits", "pools": [0.2, 0.4, 0.1, 0.05, 0.25]},
    "digits-large": {"set": "digits", "pools": [0.1, 0.25, 0.25, 0.2, 0.2]},
    "mixture-small": {"set": "gaussian_mixture", "samples": 2_000, "pools": [0.1, 0.3, 0.1, 0.05, 0.45]},
    "mixture-large": {"set": "gaussian_mixture", "samples": 10_000, "pools": [0.05, 0.15, 0.4, 0.1, 0.3]},
}
PARTITIONS = {"iid": {"kind": "iid"}, "missing": {"kind": "missing_classes", "classes": [7, 8, 9]}}
WORLDS = tuple(f"{pool}-{partition}" for pool, partition in product(POOLS, PARTITIONS))
RULES: dict[str, Callable[[Known], float]] = {
    "own price": lambda known: known.bayes,
    "least risk on the pool": least_risk,
    "safe": lambda known: safe(Safe(), known),
    "safe, 1 standard error": lambda known: safe(Safe(standard_errors=1.0), known),
}
BEFORE, AFTER = ("l2h, nonnegative", "own price"), ("l2h, cost_sensitive", "safe")


def document(world: str) -> dict[str, Any]:
    """Four linear clients with a rejector each, as a user would write it."""
    pool, _, partition = world.rpartition("-")
    data = POOLS[pool]
    mixture = {"mixture": {"separation": 4.0}} if data["set"] == "gaussian_mixture" else {}
    group = {
        "group": "clients",
        "clients": 4,
        "model": {"family": "linear", "train_samples": 100, "epochs": 20, "variants": 4},
        "partition": PARTITIONS[partition],
        "rejector": {"family": "mlp", "input": "features"},
        "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
    }
    return {
        "name": "safe",
        "horizon_s": 0,
        "warm_up_s": 0,
        "data": data | mixture,
        "fleet": [group],
        "server": {
            "model": {"family": "mlp"},
            "service": {"kind": "affine", "base_s": 0.01, "per_item_s": 0.001},
        },
        "study": {
            "c_1": list(C_1),
            "c_e": list(C_E),
            "form": ["nonnegative", "cost_sensitive"],
            "score": ["l2h", "plug_in"],
        },
    }


def planned(world: str, seed: int) -> Plan:
    """The scenario's plan, read as the command line reads one."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "safe.yaml"
        YAML(typ="safe", pure=True).dump(document(world), path)
        return make_plan(read(path, seed=seed)).prepare()


def judged(world: str, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each setting and rule: what it comes to on the held-out samples."""
    plan = planned(world, seed)
    trained = train([recipe_for(plan, variant) for variant in plan.variants])
    models = {
        variant: live_model(plan, variant, client.weights)
        for variant, client in zip(plan.variants, trained, strict=True)
    }
    server = ServerModel(plan)
    course = server.pretrain(plan.scenario.training.pretrain.epochs)
    right = server_right(plan, server.labels())
    held_out, pool = (of(plan, 0, plan.owners_in(0)) for of in (judged_on, calibrated_on))
    for block in plan.blocks:
        rejectors = RejectorBlock(plan, block, ClientPredictions(plan, models))
        rejectors.learn(course.correct)
        positions = np.union1d(held_out.positions, pool.positions)
        scored = Scored.of(plan, block, rejectors, positions, right)
        at, known_at = (np.searchsorted(positions, met.positions) for met in (held_out, pool))
        network_of_row, owners = plan.network_of_row(block), plan.owners(block)
        for number in np.unique(network_of_row):
            rows = network_of_row == number
            asked, known = (scored.evaluation_set(rows, met.of(owners[rows])) for met in (held_out, pool))
            for setting in plan.served[0][plan.networks(block)[number]]:
                costs = cost_model_of(plan.scenario, setting.c_e, setting.c_1)
                score = scored.score(rows, setting.c_1)
                bayes = bayes_price(setting.score, costs.bayes_price)
                pools = list(known_of(score[:, known_at], known, costs, bayes))
                named = {"world": world, "seed": seed, "c_e": setting.c_e, "c_1": setting.c_1}
                named["candidate"] = ", ".join(filter(None, (setting.score, setting.form)))
                for rule, choose in RULES.items():
                    price = np.array([choose(of_row) for of_row in pools])
                    evaluation = evaluate(score[:, at], price, asked, costs, np.zeros(len(price)))
                    told = measures(evaluation, costs)
                    yield named | {
                        "rule": rule,
                        "risk": told["risk"],
                        "constant": min(told["risk_all_local"], told["risk_all_remote"]),
                        "alarm": told["above_constant_low"] > 0,
                    }


def markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of text."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def candidates(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over all settings, of each candidate and rule, and the worst excess over the constant."""
    rows = rows.assign(ratio=rows["risk"] / rows["constant"], excess=rows["risk"] - rows["constant"])
    of = rows.groupby(["candidate", "rule"], sort=False)
    return of.agg(
        risk=("risk", "mean"),
        constant=("constant", "mean"),
        ratio=("ratio", "mean"),
        worst=("excess", "max"),
        alarms=("alarm", "mean"),
    ).reset_index()


def by_cost(rows: pd.DataFrame) -> list[tuple[str, ...]]:
    """Before and after, for each c_1: risk and share of alarms, means over c_e, worlds and seeds."""
    made = []
    for c_1, part in rows.groupby("c_1"):
        of = part.groupby(["candidate", "rule"])[["risk", "constant", "alarm"]].mean()
        cells = [f"{c_1:g}", f"{of.loc[AFTER, 'constant']:.3f}"]
        for which in (BEFORE, AFTER):
            cells += [f"{of.loc[which, 'risk']:.3f}", f"{100 * of.loc[which, 'alarm']:.1f}"]
        made.append(tuple(cells))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    made: list[dict[str, Any]] = []
    for world, seed in product(chosen.worlds.split(","), chosen.seeds.split(",")):
        made += judged(world, int(seed))
        print(f"{world}, seed {seed}: {len(made)} rows", flush=True)
    rows = pd.DataFrame(made)
    table = candidates(rows)
    head = ("score, form", "rule", "risk", "of the constant's", "worst excess", "alarms %")
    told = [
        (c, r, f"{risk:.4f}", f"{ratio:.3f}", f"{worst:.3f}", f"{100 * alarms:.1f}")
        for c, r, risk, _, ratio, worst, alarms in table.itertuples(index=False)
    ]
    print(markdown(head, told))
    print(markdown(("c_1", "constant", "before", "alarms %", "after", "alarms %"), by_cost(rows)))
    print(json.dumps(table.to_dict("records")))


if __name__ == "__main__":
    main()
