"""Who decides best what to send, on Fashion-MNIST: L2H against thresholds, baselines and the public loss.

Judged on samples that trained and calibrated nothing, by seed, with paired differences and their 95%
intervals (Student's t over the seeds). Prints the tables of docs/paper.md; its last line is one JSON object.
`python -m benchmarks.deferral [--seeds 7,8,9] [--set path=value]...`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from ruamel.yaml import YAML
from scipy import stats

from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import EvaluationSet
from agents.evaluation.policy_evaluation import prices
from agents.fleet import open_fleet
from sim.messages import Learned
from sim.scenario import read

THRESHOLDS = ("confidence", "entropy", "margin")
RATES = (0.1, 0.2, 0.3, 0.4)
PRICES = (0.02, 0.1, 0.2, 0.35, 0.5)
EPOCHS = 35  # the server is then right in 84% of samples of the set that are in no pool of the run
COSTS = {"c_e": 0.25, "c_1": 1.0}
MISSING = {"nine": [9], "complete": [], "seven": [7, 8, 9]}  # classes that a group's clients never saw
BY_FORM: dict[str, Any] = {
    "form": ["nonnegative", "cost_sensitive", "released"],
    "score": ["l2h", "plug_in", "l2h_priced", "compare_confidence", "mozannar_sontag", "one_vs_all"],
}
BY_PRICE: dict[str, Any] = {"c_e": list(PRICES), "score": ["l2h", "plug_in", "l2h_priced"]}

Table = dict[str, Any]


def document(score: str, groups: list[str], study: Table | None) -> Table:
    """The scenario as one would write it: four clients of each kind, all decide by `score`.

    Models and samples are keyed by a group's place: `nine` comes first in all, so it is the same clients.
    """
    return {
        "name": "deferral",
        "horizon_s": 0,
        "warm_up_s": 0,
        "data": {"set": "fashion_mnist", "samples": 30_000, "pools": [0.04, 0.1, 0.3, 0.1, 0.46]},
        "costs": COSTS,
        "fleet": [group(name, score) for name in groups],
        "server": {
            "model": {"family": "lenet5"},
            "service": {"kind": "affine", "base_s": 0.05, "per_item_s": 0.02},
        },
        "training": {
            "form": "nonnegative",
            "pretrain": {"epochs": EPOCHS, "batch": 64, "server_lr": 1e-3, "rejector_lr": 1e-3},
        },
        "study": study,
    }


def group(name: str, score: str) -> Table:
    """Four clients with a model and a rejector each."""
    missing = MISSING[name]
    return {
        "group": name,
        "clients": 4,
        "model": {"family": "lenet5", "train_samples": 400, "epochs": 25, "variants": 4},
        "partition": {"kind": "missing_classes", "classes": missing} if missing else {"kind": "iid"},
        "rejector": {"family": "mlp", "input": "raw+features"},
        "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
        "policy": {"score": score, "price": {"kind": "threshold", "at": 0.0}},
    }


def learned(seed: int, overrides: list[str], written: Table) -> Learned:
    """What a fleet learns from a scenario of this seed, read as the command line reads one."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "deferral.yaml"
        YAML(typ="safe", pure=True).dump(written, path)
        asked = read(path, overrides=overrides, seed=seed)
    with open_fleet(asked, workers=0) as fleet:
        fleet.build()
        fleet.learn()
        return fleet.decide()


def best_in_hindsight(found: Learned) -> float:
    """The least risk of any threshold on the score in force, each client's own and chosen on the very samples
    that it is judged by: no rule that a device could have does better with this score."""
    cost_model, tables = CostModel(**COSTS), found.tables.groups[0]
    positions = found.traffic[0][0].positions
    held_out = positions[found.samples.held_out[positions]]
    label = found.samples.label[held_out]
    server = found.tables.server_label[held_out] == label
    client, score = tables.client_label[:, held_out] == label, tables.score[:, held_out]
    clients = len(client)
    met = EvaluationSet(client, server, np.arange(clients), np.full(clients, 1 / clients))
    sent = score > prices("confidence", cost_model, score, met)[:, None]  # which has no price of its own
    return float(np.where(sent, COSTS["c_e"] + COSTS["c_1"] * ~server, ~client).mean())


def measured(seed: int, overrides: list[str]) -> Table:
    """All that one seed says: a number per name."""
    found = learned(seed, overrides, document("l2h", list(MISSING), BY_FORM))
    study, curves = pd.DataFrame(found.study), pd.DataFrame(found.study_curves)
    own = study.set_index(["group", "score", "form"])
    reported: Table = {
        "server accuracy": 1.0 - own.loc[("nine", "oracle", "")]["risk_all_remote"] + COSTS["c_e"]
    }
    for name in MISSING:
        reported[f"client accuracy, {name}"] = 1.0 - own.loc[(name, "oracle", "")]["risk_all_local"]
    for form in BY_FORM["form"]:
        reported[f"risk, {form}"] = own.loc[("nine", "l2h", form)]["risk"]
    for score in THRESHOLDS:
        reported[f"risk, {score}, calibrated"] = own.loc[("nine", score, "")]["risk"]
        prices = BY_PRICE if score == "confidence" else None
        alone = learned(seed, overrides, document(score, ["nine"], prices))
        reported[f"risk, {score}, hindsight"] = best_in_hindsight(alone)
        if prices is not None:
            reported |= _priced(pd.DataFrame(alone.study))
    reported["risk, oracle"] = own.loc[("nine", "oracle", "")]["risk"]
    return reported | _accuracies(curves) | _areas(pd.DataFrame(found.deferral))


def _accuracies(curves: pd.DataFrame) -> Table:
    """Accuracy at fixed deferral rates of both forms and of the best threshold at each."""
    table = curves.round({"deferral_rate": 6})
    reported = {}
    for name, rates in (("complete", RATES), ("seven", (0.2,))):
        for rate in rates:
            here = table[(table["group"] == name) & (table["deferral_rate"] == rate)]
            of = here.set_index(["score", "form"])["accuracy"]
            peer = max(float(of[score, ""]) for score in THRESHOLDS)
            for form in ("nonnegative", "cost_sensitive"):
                reported[f"lead at {rate:.0%}, {name}, {form}"] = float(of["l2h", form]) - peer
    return reported


def _areas(table: pd.DataFrame) -> Table:
    """The mean accuracy over all deferral rates, of every score with a curve; `random` is the straight
    line."""
    reported = {}
    for (name, score), curve in table.groupby(["group", "score"], observed=True, sort=False):
        if name in MISSING:
            reported[f"area, {name}, {score}"] = float(
                np.trapezoid(curve["accuracy"], curve["deferral_rate"])
            )
    return reported


def _priced(study: pd.DataFrame) -> Table:
    """Risks at prices that one rejector was told at decision time, and that others were trained for."""
    reported = {}
    for price in PRICES:
        of = study[study["c_e"] == price].set_index(["score", "form"])["risk"]
        for name, key in (
            ("priced", ("l2h_priced", "")),
            ("retrained", ("l2h", "nonnegative")),
            ("plug_in", ("plug_in", "")),
        ):
            reported[f"risk at {price:g}, {name}"] = float(of[key])
    return reported


def interval(values: NDArray[np.float64]) -> Table:
    """Mean, and the 95% interval of Student's t over the seeds; its ends are None for one seed."""
    mean = float(values.mean())
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def is_above_0(values: NDArray[np.float64]) -> bool:
    low = interval(values)["low"]
    return low is not None and low > 0


def bars(rows: pd.DataFrame) -> Table:
    """The promises, each with what was measured. rows: one a seed, a column per number of `measured`."""
    ours, hindsight = rows["risk, nonnegative"], [f"risk, {score}, hindsight" for score in THRESHOLDS]
    over = {
        "released": rows["risk, released"] - ours,
        "best threshold in hindsight": rows[hindsight].min(axis=1) - ours,
    }
    leads = {name: rows[name] for name in rows if name.startswith("lead at") and "nonneg" in name}
    complete = {name: lead for name, lead in leads.items() if "complete" in name}
    server = rows["server accuracy"]
    return {
        "server at 83-85%": {
            "mean": bool(0.83 <= server.mean() <= 0.85),
            "every seed": bool(server.between(0.83, 0.85).all()),
        },
        "a": {
            "holds": all(is_above_0(lead.to_numpy()) for lead in over.values()),
            **{f"risk of {peer} less ours": interval(lead.to_numpy()) for peer, lead in over.items()},
        },
        "b": {
            "holds": all(lead.mean() >= -0.003 for lead in complete.values()),
            "holds in every seed": all((lead >= -0.003).all() for lead in complete.values()),
        },
        "c": {"holds": bool(leads["lead at 20%, seven, nonnegative"].mean() >= 0.04)},
        "e": {
            f"{name} less retrained at {price:g}": interval(
                (rows[f"risk at {price:g}, {name}"] - rows[f"risk at {price:g}, retrained"]).to_numpy()
            )
            for name in ("priced", "plug_in")
            for price in PRICES
        },
    }


def shown(values: pd.Series, digits: int = 4, scale: float = 1.0, sign: str = "") -> str:
    """Mean and interval as docs/paper.md writes them."""
    of = interval(scale * values.to_numpy(dtype=float))
    mean, low, high = (None if end is None else f"{end:{sign}.{digits}f}" for end in of.values())
    return str(mean) if low is None else f"{mean} [{low}, {high}]"


def table(*rows: tuple[str, ...]) -> str:
    """Markdown; the first row is the head."""
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "| --- " * len(rows[0]) + "|", *body, ""])


def tables(rows: pd.DataFrame) -> str:
    """The tables of docs/paper.md. rows: as `bars` takes them."""
    ours = rows["risk, nonnegative"]
    risks = [name for name in rows if name.startswith("risk, ") and name != "risk, nonnegative"]
    leads = [name.rpartition(",")[0] for name in rows if "lead at" in name and "nonnegative" in name]
    scores = list(dict.fromkeys(name.split(", ")[2] for name in rows if name.startswith("area")))
    of_price = {
        p: [rows[f"risk at {p:g}, {how}"] for how in ("priced", "retrained", "plug_in")] for p in PRICES
    }
    return "\n".join(
        [
            table(
                ("clients without class 9", "risk", "more than `nonnegative`, paired"),
                ("nonnegative", shown(ours), ""),
                *((name[6:], shown(rows[name]), shown(rows[name] - ours, sign="+")) for name in risks),
            ),
            table(
                ("points above the best of confidence, entropy, margin", "`nonnegative`", "`cost_sensitive`"),
                *(
                    (lead, *(shown(rows[f"{lead}, {form}"], 2, 100.0, "+") for form in BY_FORM["form"][:2]))
                    for lead in leads
                ),
            ),
            table(
                ("area under the deferral curve, %", *MISSING),
                *((s, *(shown(rows[f"area, {name}, {s}"], 1, 100.0) for name in MISSING)) for s in scores),
            ),
            table(
                ("c_e", "l2h_priced", "retrained", "plug_in", "priced - retrained, paired"),
                *(
                    (f"{p:g}", *map(shown, risks_at), shown(risks_at[0] - risks_at[1], sign="+"))
                    for p, risks_at in of_price.items()
                ),
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="7,8,9")
    parser.add_argument("--set", action="append", default=[], help="a path of the scenario, path=value")
    chosen = parser.parse_args()
    seeds = [int(seed) for seed in chosen.seeds.split(",")]
    reported = []
    for seed in seeds:
        reported.append(measured(seed, chosen.set))
        print(f"seed {seed}:", json.dumps(reported[-1]), flush=True)
    rows = pd.DataFrame(reported, index=seeds)
    numbers = {name: interval(rows[name].to_numpy(dtype=float)) for name in rows}
    print(tables(rows))
    result = {"seeds": seeds, "bars": bars(rows), "numbers": numbers}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
