"""A measured testbed of hierarchical inference beside the scenario `expeca`: what was published of seven
configurations, and what the simulation says.

The testbed is ExPECA at KTH, the figures those of H. Luukkanen's thesis "Batch Hierarchical Inference for
Edge Computing", as `docs/thesis_batch_hi_summary.md` of the public repository
`JustinLungu/Batch-Hierarchical-Inference-GPU` tells them. What is not told there is not in PUBLISHED. Each
configuration is played until it has made 10,000 requests, as many as the testbed had pictures.

Prints the table of `docs/validation.md`; `--write` also makes `scenarios/expeca.csv` anew.

Simulated are means over the seeds.

`python -m benchmarks.expeca [--seeds N] [--write]`
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from commands.learnings import learned_for
from sim.engine.run import chunks
from sim.scenario import read
from sim.scenario.library import FOLDER
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World

REQUESTS = 10_000
SAMPLES = 1_000
FIXED = 0.3888  # the testbed's threshold on the confidence, by which it sent 39%
SENT = 0.39
INFERENCE_S = 0.25  # the average of the configuration that sends nothing
# Where the large model confirms the small one as often as not, and how steeply that changes: assumed, the
# first so that the adaptive rule sends as much as was published. It settles above that confidence, since it
# hears nothing of what it keeps.
EVEN_AT, STEEPNESS = 0.355, 0.06


@dataclass(frozen=True)
class Published:
    """Of a configuration; None: not told. sent: the share of the pictures that the server was asked about, of
    batches the size over the pictures at once; size: of what is sent of them, on average."""

    sent: float | None = None
    latency_s: float | None = None
    transmissions: int | None = None
    size: float | None = None


@dataclass(frozen=True)
class Configuration:
    """How it decides, and how many pictures its controller hands over together."""

    name: str
    price: dict[str, Any]
    at_once: int
    published: Published


NEVER, ALWAYS = {"kind": "always_local"}, {"kind": "always_remote"}
BY_THRESHOLD = {"kind": "threshold", "at": 1 - FIXED}
ADAPTIVE = {"kind": "weighted_median", "levels": 100}  # to a hundredth, as there
CONFIGURATIONS = (
    Configuration("001 never", NEVER, 1, Published(0.0, 0.25)),
    Configuration("002 always", ALWAYS, 1, Published(1.0, 4.16)),
    Configuration("003 fixed", BY_THRESHOLD, 1, Published(0.39)),
    Configuration("004 adaptive", ADAPTIVE, 1, Published(0.39, None, 3900)),
    Configuration("005 adaptive, 5 at once", ADAPTIVE, 5, Published(1.99 / 5, None, 2000, 1.99)),
    Configuration("006 adaptive, 15 at once", ADAPTIVE, 15, Published(6.03 / 15, None, 667, 6.03)),
    Configuration("007 adaptive, 45 at once", ADAPTIVE, 45, Published(18 / 45, None, 225, 18.0)),
)


def answers() -> pd.DataFrame:
    """The table of the scenario, (samples,): confidences of which 39% lie below 0.3888, uniform on either
    side of it, and how often the large model confirms the small one, which grows with it. Assumed.

    The large model is always right: the testbed's rule, too, takes what it says for the truth.
    """
    rank = (np.arange(SAMPLES) + 0.5) / SAMPLES
    confidence = np.where(rank < SENT, rank / SENT * FIXED, FIXED + (rank - SENT) / (1 - SENT) * (1 - FIXED))
    confirmed = np.cumsum(1 / (1 + np.exp((EVEN_AT - confidence) / STEEPNESS)))
    is_right = np.diff(np.floor(confirmed), prepend=0.0) > 0
    label = np.arange(SAMPLES) % 2
    found = pd.DataFrame(
        {
            "label": label,
            "client_label.mobilenet": np.where(is_right, label, 1 - label),
            "server_label.vit": label,
            "score.doubt": (1 - confidence).round(4),
            "pool": np.where(np.arange(SAMPLES) // 7 % 2 == 0, "traffic", "held_out"),
        }
    )
    return pd.concat([found, found.iloc[::100].assign(pool="calibration")])  # which no price here looks at


def changes(one: Configuration, seed: int) -> dict[str, Any]:
    """What makes the scenario this configuration, as `--set` has it."""
    batch = None if one.at_once == 1 else {"size": one.at_once}
    return {
        "seed": seed,
        "horizon_s": longest_s(one),
        "fleet.pi.policy.price": one.price,
        "fleet.pi.arrivals.process.at_once": one.at_once,
        "fleet.pi.device.batch": batch,
    }


def first_requests(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first 10,000, in the order in which they were handed over."""
    rows = rows.sort_values("request_id").head(REQUESTS)
    if len(rows) < REQUESTS or (rows["outcome"] == "in_flight").any():
        raise ValueError("the horizon is too short for 10,000 requests")
    return rows


def told(rows: pd.DataFrame, at_once: int) -> dict[str, float]:
    """The numbers of a configuration, of its first 10,000 requests.

    latency_s as the testbed has it, from when the device begins with a picture; since_s: from when the
    picture was handed over; per_s: requests over the time until the last is answered. calls: how often
    pictures were handed over; per_call: of those of a call how many were sent, on average.
    """
    sent = rows["attempts"] > 0
    made = int(sent.sum()) if "transmission" not in rows else rows.loc[sent, "transmission"].nunique()
    began = rows["decided_at_s"] - INFERENCE_S
    return {
        "sent": float(sent.mean()),
        "latency_s": float((rows["answered_at_s"] - began).mean()),
        "since_s": float((rows["answered_at_s"] - rows["arrived_at_s"]).mean()),
        "per_s": REQUESTS / float(rows["answered_at_s"].max() - rows["arrived_at_s"].min()),
        "transmissions": made,
        "calls": float(-(-REQUESTS // at_once)),
        "per_call": float(sent.mean()) * at_once,
    }


def longest_s(one: Configuration) -> float:
    """Enough for 10,000 requests: a tenth more than they take."""
    share = {"always_local": 0.0, "always_remote": 1.0}.get(one.price["kind"], 0.45)
    return 1.1 * REQUESTS * (INFERENCE_S + share * 3.95 + 0.5 / one.at_once)


def simulated(one: Configuration, seed: int = 1) -> dict[str, float]:
    """Plays a configuration, without a run folder."""
    plan = read("expeca", [f"{path}={json.dumps(value)}" for path, value in changes(one, seed).items()])
    world = World(plan)
    parts = chunks(world, learned_for(plan), ScenarioArrivals(world), plan.horizon_s)
    return told(first_requests(pd.concat([part.requests.to_pandas() for part in parts])), one.at_once)


def row(one: Configuration, found: dict[str, float]) -> str:
    """A line of the table: published, simulated."""
    of = one.published

    def pair(published: float | None, value: float, digits: int) -> str:
        return f"{'-' if published is None else f'{published:.{digits}f}'} | {value:.{digits}f}"

    sent = pair(None if of.sent is None else 100 * of.sent, 100 * found["sent"], 1)
    latency = pair(of.latency_s, found["latency_s"], 2)
    made = pair(of.transmissions, found["transmissions"], 0)
    size = pair(of.size, found["per_call"], 2)
    since = f"{found['since_s']:.2f}"
    calls = f"{found['calls']:.0f}"
    return f"| {one.name} | {sent} | {latency} | {since} | {made} | {calls} | {size} | {found['per_s']:.3f} |"


HEAD = """\
| configuration | sent, %: published | simulated | latency, s: published | simulated | from the call | \
transmissions: published | simulated | calls | sent per call: published | simulated | requests/s: simulated |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="make scenarios/expeca.csv anew")
    asked = parser.parse_args()
    if asked.write:
        answers().to_csv(FOLDER / "expeca.csv", index=False)
    print(HEAD, flush=True)
    for one in CONFIGURATIONS:
        found = pd.DataFrame([simulated(one, seed) for seed in range(1, asked.seeds + 1)])
        print(row(one, found.mean().to_dict()), flush=True)


if __name__ == "__main__":
    main()
