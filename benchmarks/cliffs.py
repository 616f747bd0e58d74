"""What cost might explode by: for each size the CPU seconds of `check` and of the whole run with its pictures,
and the peak of memory, or the line that refuses it. Twice the size should cost no more than twice.

Each in a process of its own, forked once all is imported. `python -m benchmarks.cliffs [--only WORDS] [--limit-s S]`
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import analysis  # noqa: F401
from agents.fleet import open_fleet  # noqa: F401
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
RETRY = {"attempts": 1_000, "backoff_s": 0.001}
UP_DOWN = ("up", "down")


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


def outages(number: int, **changes: Any) -> Document:
    """So many, ten minutes apart, of which it is down for a tenth, beside the same 600 requests."""
    horizon_s = 600.0 * number
    when = {"kind": "renewal", "up": 540.0, "down": {"kind": "exponential", "mean_s": 60.0}}
    rate = {"kind": "poisson", "rate_hz": 60 / horizon_s}
    changes = {"server__outages": [{"when": when}], "fleet__arrivals__process": rate} | changes
    return with_changes(horizon_s=horizon_s, **changes)


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


EXPONENTIAL = {"kind": "exponential", "mean_s": 0.05}
WEIBULL = {"kind": "weibull", "mean_s": 100.0, "shape": 0.1}
SLOW = {
    "when": {"kind": "renewal", "up": 30.0, "down": {"kind": "exponential", "mean_s": 5.0}},
    "effect": {"kind": "slowdown", "factor": 2.0},
}
CLIFFS: dict[str, tuple[Document, ...]] = {
    "the smallest run": (with_changes(),),
    "outages: 10^3, 10^4, 10^5, 10^6": tuple(outages(10**n) for n in (3, 4, 5, 6)),
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
