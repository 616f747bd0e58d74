"""What researchers bring, against what does without: a table of answers, a price over floats, a policy in
Python, an agent.

`table`: seconds and growth of memory to read a table of answers and to check every cell, against pandas that
only reads the file; each in a process of its own. `price`: nanoseconds a decision that a price of one's own
takes more than a threshold on the compiled clock, whose decisions are a column, and than a price of the tool
that hears replies, too; `policy`: microseconds a decision that one in plain Python takes more than a price
that decides the same, on SimPy's clock, and requests per second of both. `agent`: requests that an
environment of Gymnasium plays at a step a second, against a run in the same windows. CPU seconds, least of
several rounds; the last line is one JSON object.

`python -m benchmarks.brought [--rows N] [--requests N] [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import TESTS
from benchmarks.peers import in_memory
from benchmarks.workloads import Drawn, priced
from sim.engine.run import Run
from sim.scenario import Scenario
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

READERS = ("ours", "pandas")
PROBABILITIES = 10
CLIENTS, STEPS = 5000, 60  # of `intermittent`, with as many replicas as they need, and seconds


def write_table(path: Path, rows: int) -> None:
    """A table of so many samples: a label, two answers, the client's probabilities, a score, a cost."""
    draw = np.random.default_rng(1)
    raw = draw.random((rows, PROBABILITIES), dtype=np.float32)
    probability = raw / raw.sum(axis=1, keepdims=True)
    columns: dict[str, Any] = {
        "label": draw.integers(0, PROBABILITIES, rows),
        "client_label.small": probability.argmax(axis=1),
        "server_label.large": draw.integers(0, PROBABILITIES, rows),
        "score.own": draw.random(rows),
        "cost.large": draw.random(rows),
    }
    columns |= {f"probability.small.{k}": probability[:, k] for k in range(PROBABILITIES)}
    pd.DataFrame(columns).to_parquet(path)


def read_table(by: str, path: Path) -> dict[str, float]:
    """Seconds of CPU and MiB of growth to read it."""
    from sim.scenario.files.answers import answer_table  # noqa: PLC0415  (imports are not timed)

    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    _ = answer_table(str(path)) if by == "ours" else pd.read_parquet(path)
    took = time.process_time() - began
    return {
        "cpu_s": round(took, 2),
        "mib": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
    }


def table(rows: int) -> dict[str, Any]:
    """What either reader takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.parquet"
        write_table(path, rows)
        command = [sys.executable, "-m", "benchmarks.brought", "--read"]
        told = {
            by: subprocess.run([*command, by, str(path)], check=True, capture_output=True, text=True).stdout
            for by in READERS
        }
    return {"rows": rows} | {by: json.loads(line) for by, line in told.items()}


def under(price: dict[str, Any], requests: int) -> Drawn:
    """The traffic of `workloads.priced` under another price."""
    document = priced("threshold", requests).model_dump()
    for group in document["fleet"]:
        group["policy"] |= {"price": price}
    return Drawn(Scenario.model_validate(document))


def least(play: Callable[[], Any], rounds: int) -> float:
    """The CPU seconds of the fastest of so many."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        play()
        found.append(time.process_time() - began)
    return min(found)


def deciding(requests: int, rounds: int) -> dict[str, Any]:
    """What prices and policies of one's own take more than the tool's."""
    import l2h_fleet  # noqa: PLC0415

    l2h_fleet.load_plugin(TESTS / "plugins/backoff.py")
    kinds: dict[str, dict[str, Any]] = {
        "threshold": {"kind": "threshold", "at": 0.85},
        "queue_aware": {"kind": "queue_aware", "weight": 0.0},
        "doubling": {"kind": "doubling"},
        "doubling_in_python": {"kind": "doubling_in_python"},
    }
    compiled = {name: under(kinds[name], requests) for name in ("threshold", "queue_aware", "doubling")}
    for world in compiled.values():
        in_memory(world, "compiled")  # compiles, or loads what was
    took = {name: least(lambda w=world: in_memory(w, "compiled"), rounds) for name, world in compiled.items()}
    short = requests // 10
    slow = {name: under(kinds[name], short) for name in ("doubling", "doubling_in_python")}
    plain = {name: least(lambda w=world: in_memory(w, "simpy"), rounds) for name, world in slow.items()}
    more_s = plain["doubling_in_python"] - plain["doubling"]
    count, few = compiled["threshold"].count, slow["doubling"].count
    return {
        "price": {
            "decisions": count,
            "ns_more_than": {
                name: round(1e9 * (took["doubling"] - took[name]) / count)
                for name in ("threshold", "queue_aware")
            },
        },
        "policy": {
            "decisions": few,
            "us_more_than_the_price": round(1e6 * more_s / few, 1),
            "requests_per_s": {name: round(few / seconds) for name, seconds in plain.items()},
        },
    }


def agent(rounds: int) -> dict[str, Any]:
    """An agent that always asks for half, at a step a second, against a run in windows of a second."""
    from commands.learnings import learned_for  # noqa: PLC0415
    from l2h_fleet import Scenario as Door  # noqa: PLC0415
    from l2h_fleet.gym import make_env  # noqa: PLC0415

    plan = Door("intermittent").set(
        {"fleet.*.clients": CLIENTS, "server.replicas": 100, "horizon_s": STEPS, "warm_up_s": 0}
    )
    env = make_env(plan)
    learned, played = learned_for(plan.document), dict[str, int]()

    def with_agent() -> None:
        env.reset(seed=1)
        count, is_over = 0, False
        while not is_over:
            _, _, _, is_over, told = env.step(np.full(env.action_space.shape or 1, 0.5))
            count += int(told["requests"])
        played["env"] = count

    def alone() -> None:
        world = World(plan.document)
        run = Run(world, learned, ScenarioArrivals(world), windows=EvenWindows(1.0))
        while not run.is_over:
            played["run"] = run.advance().arrived
        run.finish()

    plays = {"env": with_agent, "run": alone}
    rates = {name: least(play, rounds) for name, play in plays.items()}
    return {"requests": played["env"]} | {
        f"{name}_requests_per_s": round(played[name] / seconds) for name, seconds in rates.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--read", nargs=2, metavar=("BY", "TABLE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.read:
        print(json.dumps(read_table(chosen.read[0], Path(chosen.read[1]))))
        return
    results = {"table": table(chosen.rows), **deciding(chosen.requests, chosen.rounds)}
    results["agent"] = agent(chosen.rounds)
    for name, told in results.items():
        print(name, told)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
