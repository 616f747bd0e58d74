"""Many small learners: ours on shard actors against Flower's simulation engine, and one worker against two.

Three tasks on scikit-learn's digits. `frozen`: every client trains a logistic regression (64→10) of its own
on 200 samples, five epochs of batches of 32, and labels the samples that a run may ask about, with the scores
made from its answers. `flower`: the same in Flower's virtual clients, one round of training and evaluation;
its client is plain NumPy, which costs less than torch, and labels all samples (the objects tell how many).
`rejectors`: every client trains its own linear rejector (64→2) as a fleet does, five epochs, and scores the
samples; its frozen model and the server's course are made before. Ours are the calls that `agents.fleet`
makes, without the cache on disk. Each task is done twice, on the same processes, and the second time is told:
Flower's actors and ours have then imported and set up whatever they keep. Nothing learned is kept.
From one worker to two, each with as many clients as the one: how many times as many clients a second, beside
`apart`, two processes without Ray at once against one of them alone, which is what the machine lets through;
the share of the wall time that the driver computes, which scatters and gathers; and how many times as many
CPU seconds a client costs as alone, since two workers, or two processes, share caches and memory.
Each measurement is a process of its own; memory is the proportional set size (PSS) of all its processes, seen
as they do the same once more, and a client's share the difference of two fleets' over that of clients.
Flower pins its own Ray, so it lives in an environment of its own, made on the first run (0.7 GB).
Prints a line per measurement and as its last line one JSON object.
`python -m benchmarks.fleet [--clients 100,1000] [--no-flower]`
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from agents.backends.in_process import Backend
from agents.backends.scattering import gather, scatter
from agents.checks import checked_plan
from agents.fleet import new_backend
from agents.plan import Plan, Variant
from benchmarks.memory import peak_pss_mib, tree_cpu_s
from commands.entry import COLLECTIONS
from sim.scenario import Scenario

FLOWER = ("flwr[simulation]==1.41.0", "scikit-learn==1.9.1")
TRAIN_SAMPLES, EPOCHS = 200, 5
ROUNDS = 2  # the last one is timed, as Flower's is
LIMIT_S = 1800.0
Told = dict[str, float]


def scenario(task: str, clients: int) -> Scenario:
    """One group: as many frozen models as clients for `frozen`, one for `rejectors`."""
    variants = clients if task == "frozen" else 1
    return Scenario.model_validate(
        {
            "name": "fleet",
            "seed": 7,
            "horizon_s": 0.0,
            "fleet": (
                {
                    "group": "devices",
                    "clients": clients,
                    "model": {
                        "family": "linear",
                        "train_samples": TRAIN_SAMPLES,
                        "epochs": EPOCHS,
                        "variants": variants,
                    },
                    "rejector": {
                        "family": "linear",
                        "input": "raw",
                        "per": "variant" if task == "frozen" else "client",
                    },
                    "policy": {"score": "confidence" if task == "frozen" else "l2h"},
                    "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
                },
            ),
            "server": {"model": {"family": "linear"}, "service": {"kind": "affine", "base_s": 0.05}},
            "training": {"pretrain": {"epochs": EPOCHS, "batch": 32}},
        }
    )


def measure(task: str, clients: int, workers: int) -> Told:
    """Seconds of the task's last round, in `workers` actors or (0) here, and the samples that each client
    answers."""
    plan = checked_plan(scenario(task, clients)).prepare()
    backend = new_backend(workers, None)
    try:
        backend.start(plan)
        work = partial(_frozen, backend, plan) if task == "frozen" else _rejectors(backend, plan)
        for _ in range(ROUNDS):
            cpu_s, driver_s = tree_cpu_s(os.getpid()), time.process_time()
            seconds = _timed(work)
        driver_s, cpu_s = time.process_time() - driver_s, tree_cpu_s(os.getpid()) - cpu_s
    finally:
        backend.close()
    told = {"seconds": seconds, "cpu_s": cpu_s, "driver_cpu_s": driver_s}
    return told | {"samples": len(plan.samples.sample_id)}


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _frozen(backend: Backend, plan: Plan) -> None:
    """Trains and adopts every frozen model, then asks each for the whole sample axis."""
    shares = scatter(plan.variants, backend.shards)
    _adopt(backend, plan, shares)
    label = backend.share(backend.ask_server("labels"))
    backend.ask_shards("answer", [(share, label) for share in shares])


def _rejectors(backend: Backend, plan: Plan) -> Callable[[], None]:
    """The task, its model and course made: trains every rejector along the server's course, and scores."""
    _adopt(backend, plan, [plan.variants] * backend.shards)
    course = backend.ask_server("pretrain")
    label, correct = backend.share(backend.ask_server("labels")), backend.share(course.correct)
    blocks = scatter(plan.blocks, backend.shards)

    def work() -> None:
        backend.ask_shards("learn", [(share, correct) for share in blocks])
        backend.ask_shards("score", [(share, label) for share in blocks])

    return work


def _adopt(backend: Backend, plan: Plan, needed: Sequence[Sequence[Variant]]) -> None:
    """Trains every frozen model; each shard adopts those that it needs."""
    calls = [(share,) for share in scatter(plan.variants, backend.shards)]
    made = gather(plan.variants, backend.ask_shards("train_clients", calls))
    weights = backend.share({variant: frozen.weights for variant, frozen in made.items()})
    backend.ask_shards("adopt", [(share, weights) for share in needed])


def observed(words: Sequence[str], environment: dict[str, str], is_weighed: bool = False) -> Told:
    """What a measuring process says in its last line; weighed: done once more for the peak of its processes'
    memory, since to look at that takes a fifth of a core and stops them meanwhile."""
    told, _ = _run(words, environment, lambda child: float(child.wait(LIMIT_S)))
    if is_weighed:
        _, peak = _run(words, environment, lambda child: peak_pss_mib(child, LIMIT_S))
        told["peak_mib"] = round(peak, 1)
    return told


def _run(
    words: Sequence[str], environment: dict[str, str], until_over: Callable[[subprocess.Popen[str]], float]
) -> tuple[Told, float]:
    """What a measuring process says in its last line, and what is seen of it until it is over."""
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, text=True, env=environment)
        try:
            seen = until_over(child)
        finally:
            child.kill()  # if it took too long
            child.wait()
        said.seek(0)
        text = said.read()
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if child.returncode or not lines:
        raise RuntimeError(f"{' '.join(words)} ended with {child.returncode}:\n{text[-2000:]}")
    reported: Told = json.loads(lines[-1])
    return reported, seen


def ours(task: str, clients: int, workers: int, is_weighed: bool = False) -> Told:
    words = ["--measure", task, "--clients", str(clients), "--workers", str(workers)]
    words = [sys.executable, "-m", "benchmarks.fleet", *words]
    return _told(task, clients, workers, observed(words, dict(os.environ), is_weighed))


def flower(python: Path, clients: int, workers: int) -> Told:
    """Flower's round with as many actors as we have; it reports to nobody."""
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("flower_peer.py")
    numbers = (clients, workers, TRAIN_SAMPLES, EPOCHS)
    words = [str(python), str(script), *map(str, numbers)]
    return _told("flower", clients, workers, observed(words, os.environ | quiet, is_weighed=True))


def _told(task: str, clients: int, workers: int, reported: Told) -> Told:
    reported["clients_per_s"] = round(clients / reported["seconds"], 1)
    print(f"{task}, {clients} clients, {workers} workers:", reported, flush=True)
    return reported


def flowers_python(cache: Path) -> Path:
    """The interpreter of Flower's own environment, which is made if need be."""
    python = cache / "bin" / "python"
    if not (cache / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache)], check=True, timeout=LIMIT_S)
        words = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *FLOWER]
        subprocess.run(words, check=True, timeout=LIMIT_S)
        (cache / "done").touch()
    return python


def bytes_per_client(few: Told, many: Told, clients: Sequence[int]) -> int:
    """What one more client holds, from the peaks of a small and a large fleet."""
    return round((many["peak_mib"] - few["peak_mib"]) * 2**20 / (clients[-1] - clients[0]))


def compared(clients: Sequence[int], python: Path | None, workers: int) -> dict[str, Any]:
    """Each task for each number of clients, ratios to Flower, bytes a client, and scaling over workers."""
    rows = {
        task: {n: ours(task, n, workers, is_weighed=True) for n in clients}
        for task in ("frozen", "rejectors")
    }
    if python is not None:
        rows["flower"] = {n: flower(python, n, workers) for n in clients}
    found: dict[str, Any] = {
        "clients_per_s": {
            task: {n: reported["clients_per_s"] for n, reported in row.items()} for task, row in rows.items()
        },
        "bytes_per_client": {
            task: bytes_per_client(row[clients[0]], row[clients[-1]], clients) for task, row in rows.items()
        },
    }
    if python is not None:
        found["times_as_fast_as_flower"] = {
            task: {
                n: round(rows[task][n]["clients_per_s"] / rows["flower"][n]["clients_per_s"], 2)
                for n in clients
            }
            for task in ("frozen", "rejectors")
        }
    for task in ("frozen", "rejectors"):
        found[f"scaling_1_to_2_{task}"] = scaling(task, clients[-1], rows[task][clients[-1]])
    return found


def scaling(task: str, clients: int, strong: Told) -> dict[str, float]:
    """From one worker to two: the same clients, and as many each; what limits the latter."""
    alone, twice, here = ours(task, clients, 1), ours(task, 2 * clients, 2), ours(task, clients, 0)
    with ThreadPoolExecutor(2) as both:
        apart = list(both.map(lambda _: ours(task, clients, 0), range(2)))
    learning = [one["cpu_s"] - one["driver_cpu_s"] for one in (alone, twice)]
    return {
        "strong": round(alone["seconds"] / strong["seconds"], 2),
        "weak": round(2 * alone["seconds"] / twice["seconds"], 2),
        "apart": round(2 * here["seconds"] / max(one["seconds"] for one in apart), 2),
        "driver_share_of_wall": round(twice["driver_cpu_s"] / twice["seconds"], 3),
        "learning_cpu_a_client": round(learning[1] / (2 * learning[0]), 2),
        "apart_cpu_a_client": round(sum(one["cpu_s"] for one in apart) / (2 * here["cpu_s"]), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", default="100,1000", help="fleets, the smallest first")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-flower", action="store_true", help="without the peer")
    parser.add_argument("--measure", choices=("frozen", "rejectors"), help="one measurement, in this process")
    chosen = parser.parse_args()
    clients = [int(word) for word in chosen.clients.split(",")]
    if chosen.measure:
        gc.set_threshold(*COLLECTIONS)  # as the command line does
        print(json.dumps(measure(chosen.measure, clients[0], chosen.workers)))
        return
    cache = Path(os.environ.get("L2H_CACHE") or ".cache") / "flower"
    python = None if chosen.no_flower else flowers_python(cache.absolute())
    print(json.dumps(compared(clients, python, chosen.workers)))


if __name__ == "__main__":
    main()
