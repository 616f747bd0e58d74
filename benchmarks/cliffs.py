"""What cost might explode by: CPU seconds of `check` and of the whole run without its pictures, the memory
that it adds, or the line that refuses it. The table of docs/cliffs.md.

Each size in a process of its own, forked once all is imported. Those whose name has one of the words are
tried; one that takes longer is ended and told. `python -m benchmarks.cliffs [WORDS ...] [--limit-s S]`
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from agents.fleet import open_fleet
from analysis import finish
from benchmarks.growth import resident_mib
from commands.checking import load
from commands.one_run import execute
from commands.progress import reporting
from sim.errors import BadInput

MOST_BYTES = 12 * 2**30
Document = dict[str, Any]
GROUP: Document = {
    "group": "g",
    "clients": 10,
    "model": {"family": "linear", "train_samples": 50, "epochs": 1},
    "rejector": {"per": "variant"},
    "policy": {"score": "confidence", "price": {"kind": "threshold", "at": -1.0}},
    "arrivals": {"process": {"kind": "poisson", "rate_hz": 0.1}},
    "link": {"latency": 0.02},
    "timeout_s": 1.0,
}
BASE: Document = {
    "name": "cliff",
    "horizon_s": 600,
    "fleet": [GROUP],
    "server": {
        "model": {"family": "linear"},
        "replicas": 2,
        "service": {"kind": "affine", "base_s": 0.05},
    },
    "training": {"pretrain": {"epochs": 1}},
}


def with_changes(**changes: Any) -> Document:
    """The smallest run with other values, by keys with __ for dots."""
    document = deepcopy(BASE)
    for name, value in changes.items():
        *way, last = name.split("__")
        place: Any = document
        for key in way:
            place = place[0] if isinstance(place, list) else place
            place = place.setdefault(key, {})
        (place[0] if isinstance(place, list) else place)[last] = value
    return document


def outages(number: int, each_s: float = 60.0) -> Document:
    """So many, one after the other, a tenth of the time down, beside the same 600 requests."""
    horizon_s = each_s * number
    when = {"kind": "renewal", "up": 0.9 * each_s, "down": {"kind": "exponential", "mean_s": 0.1 * each_s}}
    process = {"kind": "poisson", "rate_hz": 60 / horizon_s}
    return with_changes(
        horizon_s=horizon_s, server__outages=[{"when": when}], fleet__arrivals__process=process
    )


def rounds(number: int) -> Document:
    every = {"every_s": 600.0 / number, "steps": 1, "rejector_steps": 1}
    document = with_changes(fleet__policy__score="l2h")
    document["training"]["online"] = every | {"step_s": 0.0, "rejector_step_s": 0.0}
    return document


def settings(number: int) -> Document:
    """So many prices times as many weights."""
    steps = [one / number for one in range(number)]
    return with_changes(fleet__policy__score="l2h", study={"c_e": steps, "c_1": steps})


def groups(number: int) -> Document:
    document = with_changes()
    slow = {"arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0 / number}}, "clients": 1}
    document["fleet"] = [GROUP | slow | {"group": f"g{one}"} for one in range(number)]
    return document


REMOTE = {"price": {"kind": "always_remote"}}
BURST = {"arrivals": {"process": {"kind": "poisson", "rate_hz": 10.0}}, "policy": REMOTE}
MM1 = {"service": {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.05}}, "replicas": 1}
SLOW = {
    "when": {"kind": "renewal", "up": 30.0, "down": {"kind": "exponential", "mean_s": 5.0}},
    "effect": {"kind": "slowdown", "factor": 2.0},
}


def overload(requests: int) -> Document:
    """A hundred a second where twenty can be served, and nobody is turned away."""
    return with_changes(horizon_s=requests / 100, fleet=[GROUP | BURST | {"timeout_s": None}], server=MM1)


def retries(number: int) -> Document:
    """So many, a hundred of each request, a thousandth of a second apart, at a server that refuses."""
    rate = {"process": {"kind": "poisson", "rate_hz": number / 100 / 600}}
    retry = {"attempts": 100, "backoff_s": 0.001, "factor": 1.0}
    group = GROUP | {"policy": REMOTE, "arrivals": rate, "retry": retry, "clients": 1}
    down = {"when": {"kind": "intervals", "at": [[0, 600]]}}
    return with_changes(fleet=[group], server__outages=[down], server__when_down="refuse")


def of_service(**changes: Any) -> Document:
    return with_changes(fleet__policy=REMOTE, **{f"server__{name}": value for name, value in changes.items()})


def idle(clients: int) -> Document:
    process = {"kind": "poisson", "rate_hz": 0.001 / clients}
    return with_changes(fleet__clients=clients, fleet__arrivals__process=process)


def thoughtless(clients: int) -> Document:
    process = {"kind": "closed_loop", "think": 1e-6}
    return with_changes(
        horizon_s=60,
        fleet__clients=clients,
        fleet__arrivals__process=process,
        fleet__device={"inference_s": 0.01},
    )


def slowed(replicas: int) -> Document:
    target = {"kind": "replicas", "count": replicas}
    return with_changes(server__replicas=replicas, server__outages=[SLOW | {"target": target}])


def keys(number: int) -> Document:
    return with_changes(server__model={f"k{one}": 1 for one in range(number)})


CLIFFS: dict[str, Callable[[], Document]] = {
    "the smallest run": with_changes,
    "1,000 outages": lambda: outages(1_000),
    "10,000 outages": lambda: outages(10_000),
    "100,000 outages": lambda: outages(100_000, 1.0),
    "10,000,000 outages": lambda: outages(10_000_000, 1.0),
    "100 rounds of training": lambda: rounds(100),
    "1,000 rounds of training": lambda: rounds(1_000),
    "100,000 rounds of training": lambda: rounds(100_000),
    "1,000,000 rounds of training": lambda: rounds(1_000_000),
    "10 x 10 settings of a study": lambda: settings(10),
    "30 x 30 settings of a study": lambda: settings(30),
    "1,000 x 1,000 settings of a study": lambda: settings(1_000),
    "queue_limit 10,000,000, M/M/1": lambda: of_service(queue_limit=10_000_000, **MM1),
    "queue_limit 2,147,483,647, M/M/1": lambda: of_service(queue_limit=2**31 - 1, **MM1),
    "max_batch 32,767, queue_limit 2,147,483,647, M/M/1": lambda: of_service(
        max_batch=32_767, queue_limit=2**31 - 1, **MM1
    ),
    "max_batch 32,767": lambda: of_service(max_batch=32_767),
    "batch_wait_s 1e-6": lambda: of_service(max_batch=8, batch_wait_s=1e-6),
    "10,000 replicas, slowdowns drawn": lambda: slowed(10_000),
    "service weibull, shape 0.1": lambda: of_service(
        service={"kind": "per_batch", "time": {"kind": "weibull", "mean_s": 0.05, "shape": 0.1}}
    ),
    "overload, no limit, 10,000 requests": lambda: overload(10_000),
    "overload, no limit, 40,000 requests": lambda: overload(40_000),
    "overload, no limit, 400,000 requests": lambda: overload(400_000),
    "overload, no limit, 1,600,000 requests": lambda: overload(1_600_000),
    "100,000 retries": lambda: retries(100_000),
    "1,000,000 retries": lambda: retries(1_000_000),
    "closed loops without thought, 10 clients": lambda: thoughtless(10),
    "closed loops without thought, 40 clients": lambda: thoughtless(40),
    "1,000,000 clients that ask nothing": lambda: idle(1_000_000),
    "10,000,000 clients that ask nothing": lambda: idle(10_000_000),
    "100 groups": lambda: groups(100),
    "300 groups": lambda: groups(300),
    "80,000 groups": lambda: groups(80_000),
    "50,000 keys that there are not": lambda: keys(50_000),
    "500,000 keys that there are not": lambda: keys(500_000),
}


def tried(document: Document, limit_s: float) -> dict[str, Any]:
    """In a process of its own; what it told, or how it ended."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(document, its))
    process.start()
    its.close()
    told: dict[str, Any] = {}
    ends = time.monotonic() + limit_s
    while mine.poll(max(0.0, ends - time.monotonic())):
        try:
            told |= mine.recv()
        except EOFError:
            break
    else:
        told["ended"] = f"more than {limit_s:g} s"
        process.kill()
    process.join()
    return told


def _measured(document: Document, tell: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    Path("/proc/self/clear_refs").write_text("5")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cliff.yaml"
        file.write_text(json.dumps(document))
        began, start = time.process_time(), resident_mib("VmRSS")
        try:
            plan = load(str(file), [], 1)
            tell.send({"check_s": time.process_time() - began})
            with reporting(quiet=True) as progress:
                execute(plan, "", Path(folder) / "out", True, 0, None, progress, pictures=False)
            stages = json.loads((Path(folder) / "out/timing.json").read_text())["stages_s"]
            tell.send({"stages": stages})
        except BadInput as error:
            tell.send({"refused": str(error)})
        except BaseException as error:
            tell.send({"ended": f"{type(error).__name__}: {error}"[:300]})
        tell.send({"cpu_s": time.process_time() - began, "mib": resident_mib("VmHWM") - start})


def row(name: str, told: dict[str, Any]) -> str:
    """A line of the table."""
    if "refused" in told:
        why = told["refused"].partition(": ")[2]
        return f"| {name} | {told['cpu_s']:.1f} | | | refused: `{why if len(why) < 160 else why[-110:]}` |"
    check_s, cpu_s, mib = (told.get(key, float("nan")) for key in ("check_s", "cpu_s", "mib"))
    return f"| {name} | {check_s:.1f} | {cpu_s:.1f} | {mib:.0f} | {told.get('ended', '')} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--limit-s", type=float, default=600.0)
    chosen = parser.parse_args()
    assert open_fleet, finish  # both take a while to import, which no size is to pay
    print("| tried | check, CPU s | in all, CPU s | memory, MiB | |\n| --- | --- | --- | --- | --- |")
    for name, document in CLIFFS.items():
        if not chosen.words or any(word in name for word in chosen.words):
            print(row(name, tried(document(), chosen.limit_s)), flush=True)


if __name__ == "__main__":
    main()
