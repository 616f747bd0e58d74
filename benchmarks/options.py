"""Who decides best among options, on digits: learned, the best single option, thresholds of confidence.

A client with a linear model of 60 samples may ask a small model nearby, or a large one that costs more. All
are judged on samples that trained and calibrated nothing, at the same clients and models, by seed. Prints
risks (the generalised 0-1 loss, mean over seeds) with the paired difference to `l2h` and its 95% interval
(Student's t over seeds); the last line is one JSON object. `python -m benchmarks.options [--seeds 7,8,9]`
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from agents.fleet import open_fleet
from sim.scenario import Scenario

NEAR = {"option": "near", "server": "edge", "model": "small", "c_e": 0.03}
FAR = {"option": "far", "server": "cloud", "model": "large", "c_e": 0.15}
LEARNED = ("l2h", "l2h_priced", "plug_in", "compare_confidence", "mozannar_sontag")
RANKS = ("confidence", "entropy", "margin")
SERVICE = {"kind": "affine", "base_s": 0.01}


def scenario(seed: int, options: tuple[dict[str, Any], ...], specialise: bool = False) -> Scenario:
    """Clients that may ask these options; models, samples and clients are the same whichever they are."""
    return Scenario.model_validate(
        {
            "name": "options",
            "seed": seed,
            "horizon_s": 0.0,
            "data": {"set": "digits", "pools": (0.1, 0.2, 0.3, 0.1, 0.3)},
            "costs": {"c_e": 0.1, "c_1": 1.0},
            "models": {"small": {"family": "linear"}, "large": {"family": "mlp"}},
            "servers": (
                {"server": "edge", "models": ("small",), "service": SERVICE},
                {"server": "cloud", "models": ("large",), "service": SERVICE},
            ),
            "fleet": (
                {
                    "group": "devices",
                    "clients": 4,
                    "model": {"family": "linear", "train_samples": 60, "epochs": 20, "variants": 4},
                    "partition": {"kind": "missing_classes", "classes": (8, 9)},
                    "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
                    "options": options,
                    "policy": {"score": "l2h", "price": {"kind": "threshold", "at": 0.0}},
                },
            ),
            "study": {"score": LEARNED},
            "training": {"specialise": specialise, "pretrain": {"epochs": 40}},
        }
    )


def study(asked: Scenario) -> pd.DataFrame:
    """The study of a scenario, a row per score."""
    with open_fleet(asked, workers=0) as fleet:
        fleet.build()
        fleet.learn()
        return pd.DataFrame(fleet.decide().study).set_index("score")


def risks(seed: int) -> dict[str, float]:
    """Of each way to decide the risk at one seed."""
    both, special = (study(scenario(seed, (NEAR, FAR), specialise)) for specialise in (False, True))
    single = {option["option"]: study(scenario(seed, (option,))) for option in (NEAR, FAR)}
    found = {f"{score}, best of both": float(both.loc[score, "risk"]) for score in LEARNED}
    found["l2h, best of both, models specialised"] = float(special.loc["l2h", "risk"])
    for name, one in single.items():
        found[f"l2h, {name} alone"] = float(one.loc["l2h", "risk"])
        found |= {f"{score}, order: {name} first": float(one.loc[score, "risk"]) for score in RANKS}
        found[f"everything to {name}"] = float(one.loc["l2h", "risk_all_remote"])
    found["everything local"] = float(both.loc["l2h", "risk_all_local"])
    found["oracle"] = float(both.loc["oracle", "risk"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="7,8,9,10,11")
    seeds = [int(seed) for seed in parser.parse_args().seeds.split(",")]
    table = pd.DataFrame([risks(seed) for seed in seeds])
    reference = f"{LEARNED[0]}, best of both"
    more = table.sub(table[reference], axis=0)
    width = stats.t.ppf(0.975, len(seeds) - 1) / np.sqrt(len(seeds)) if len(seeds) > 1 else np.nan
    print(f"{'decided by':<42} {'risk':>7} {'more than l2h, 95% interval':>32}")
    for name in table.columns:
        half = width * float(more[name].std())
        told = "" if name == reference else f"{more[name].mean():+.4f} ± {half:.4f}"
        print(f"{name:<42} {table[name].mean():7.4f} {told:>32}")
    print(json.dumps({"seeds": seeds, "risks": {name: table[name].tolist() for name in table.columns}}))


if __name__ == "__main__":
    main()
