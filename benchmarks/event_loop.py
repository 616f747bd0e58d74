"""The event loop against plain SimPy, Ciw and its readable definition, and against itself ten times longer
and under every price.

One core. Requests per CPU second, which other work on the machine hardly changes; medians of several rounds,
and in a round everybody runs once. Arrivals are drawn beforehand (Ciw draws its own). `ours` is a run in
memory by SimPy's loop with every column of every table, the time line and all checks, `compiled` the same by
the compiled loop, `compiled_loop` of that the loop alone: from the sends as columns to what became of them.
Ciw runs a tenth of the requests, the reference loop a quarter: rates are what counts. Plain SimPy knows no
prices, disciplines or autoscalers: beside those it plays the same arrivals without. `options` is one load on
one server, and on ten of three models. `end_to_end` draws the arrivals and writes the files as well, and says
where the time goes. The last line is one JSON object.

`python -m benchmarks.event_loop [--requests N] [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.peers import (
    ciw_network,
    compiled,
    compiled_loop,
    ours,
    plain_simpy,
    plain_simpy_batching,
    plain_simpy_thinking,
    reference_loop,
)
from benchmarks.workloads import (
    PRICES,
    Drawn,
    autoscaling,
    busy,
    closed_loops,
    fair,
    hearing,
    many_options,
    mm4,
    mostly_local,
    one_option,
    priced,
)
from sim.scenario import Scenario
from sim.scenario.schema.values import CHUNK_S
from sim.world.windows import EvenWindows, Windows

Contestant = Callable[[Drawn], float | None]  # gives the CPU seconds that count, None: all of them
OURS: tuple[Contestant, ...] = (ours, compiled, compiled_loop)
CONTESTS: dict[str, tuple[Callable[[int], Scenario], tuple[Contestant, ...]]] = {
    "mm4": (mm4, (plain_simpy, ciw_network)),
    "batching_outage_retries": (busy, (plain_simpy_batching, reference_loop)),
    "fifth_deferred": (mostly_local, (plain_simpy,)),
    "price_that_hears": (hearing, (plain_simpy,)),
    "closed_loops": (closed_loops, (plain_simpy_thinking,)),
    "autoscaling": (autoscaling, (plain_simpy,)),
    "fair": (fair, (plain_simpy,)),
}
SHARES: dict[Contestant, float] = {ciw_network: 0.1, reference_loop: 0.25}  # of the requests; 1 for others
WINDOWS: dict[Contestant, Windows] = {reference_loop: EvenWindows(CHUNK_S)}  # of a run for others
LONGER = 10


def contest(
    make: Callable[[int], Scenario], peers: tuple[Contestant, ...], requests: int, rounds: int
) -> Any:
    """Medians of requests per CPU second for everybody, and ours as multiples of each peer's."""
    worlds = {
        one: Drawn(make(int(SHARES.get(one, 1.0) * requests)), WINDOWS.get(one)) for one in (*OURS, *peers)
    }
    rates: dict[Contestant, list[float]] = {one: [] for one in (*OURS, *peers)}
    compiled(Drawn(make(1)))  # compiles, or loads what was
    for _ in range(rounds):
        for one, found in rates.items():
            began = time.process_time()
            took = one(worlds[one])
            found.append(worlds[one].count / (took or time.process_time() - began))
    medians = {one.__name__: round(statistics.median(found)) for one, found in rates.items()}
    ratios = {
        mine.__name__: {
            peer.__name__: round(medians[mine.__name__] / medians[peer.__name__], 2) for peer in peers
        }
        for mine in OURS
    }
    return {"requests": worlds[ours].count, "per_s": medians, "times_as_fast_as": ratios}


def prices(requests: int, rounds: int) -> dict[str, Any]:
    """Ours under every price, about a fifth sent: requests per CPU second, and microseconds more a request
    than a threshold takes."""
    worlds = {kind: Drawn(priced(kind, requests)) for kind in PRICES}
    rates: dict[str, list[float]] = {kind: [] for kind in PRICES}
    for _ in range(rounds):
        for kind, found in rates.items():
            began = time.process_time()
            ours(worlds[kind])
            found.append(worlds[kind].count / (time.process_time() - began))
    per_s = {kind: statistics.median(found) for kind, found in rates.items()}
    more = {kind: round(1e6 / rate - 1e6 / per_s["threshold"], 2) for kind, rate in per_s.items()}
    return {"per_s": {kind: round(rate) for kind, rate in per_s.items()}, "us_more_than_a_threshold": more}


def options(requests: int, rounds: int) -> dict[str, Any]:
    """Compiled: clients of one server, and the same on ten servers of three models each; in memory, and ten
    times as many requests from the first arrival to the last file, each in a process of its own."""
    worlds = {make.__name__: Drawn(make(requests)) for make in (one_option, many_options)}
    rates: dict[str, list[float]] = {name: [] for name in worlds}
    for world in worlds.values():
        compiled(world)
    for _ in range(rounds):
        for name, found in rates.items():
            began = time.process_time()
            compiled(worlds[name])
            found.append(worlds[name].count / (time.process_time() - began))
    per_s = {name: round(statistics.median(found)) for name, found in rates.items()}
    whole = {name: measured(LONGER * requests, name)["us_per_request"] for name in worlds}
    return {
        "per_s": per_s,
        "times_as_long": round(per_s["one_option"] / per_s["many_options"], 2),
        "whole_us_per_request": whole,
        "whole_times_as_long": round(whole["many_options"] / whole["one_option"], 2),
    }


def growth(requests: int, rounds: int) -> dict[str, Any]:
    """A run with its files and one ten times as long, each in a process of its own."""
    runs: dict[int, list[dict[str, float]]] = {requests: [], LONGER * requests: []}
    for _ in range(rounds):
        for length, found in runs.items():
            found.append(measured(length, "mm4"))
    short, long = (
        {
            key: statistics.median(run[key] for run in found)
            for key in found[0]
            if key not in ("path", "stages")
        }
        for found in runs.values()
    )
    grown = {name: run["peak_mib"] - run["start_mib"] for name, run in (("short", short), ("long", long))}
    return {
        "short": short,
        "long": long,
        "cost_per_request_ratio": round(long["us_per_request"] / short["us_per_request"], 2),
        "peak_memory_ratio": round(long["peak_mib"] / short["peak_mib"], 2),
        "memory_of_the_run_mib": {name: round(mib, 1) for name, mib in grown.items()},
    }


def measured(requests: int, world: str) -> dict[str, Any]:
    """What `benchmarks.growth` tells of one run, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", "--requests", str(requests), "--world", world]
    reported = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(reported.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=CONTESTS, help="this contest and nothing else")
    chosen = parser.parse_args()
    results: dict[str, Any] = {}
    for name, (make, peers) in CONTESTS.items():
        if chosen.only in (None, name):
            results[name] = contest(make, peers, chosen.requests, chosen.rounds)
            print(name, results[name])
    if chosen.only:
        print(json.dumps(results))
        return
    results["prices"] = prices(chosen.requests, chosen.rounds)
    print("prices", results["prices"])
    results["options"] = options(chosen.requests, chosen.rounds)
    print("options", results["options"])
    results["end_to_end"] = {
        name: measured(chosen.requests, name) for name in ("mm4", "batching_outage_retries")
    }
    print("end_to_end", results["end_to_end"])
    results["ten_times_longer"] = growth(chosen.requests // 2, chosen.rounds)
    print("ten_times_longer", results["ten_times_longer"])
    print(json.dumps(results))


if __name__ == "__main__":
    main()
