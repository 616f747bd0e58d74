"""How long clients take to learn together: rounds of stacked rejectors, beside a plain network per client.
`python -m benchmarks.federation [--clients 1000] [--rounds 20]` prints seconds and their ratio; the last line
is one JSON object."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agents.fleet import open_fleet
from sim.messages import Deferred, Feedback, Learned, Merge, TrainingRound
from sim.scenario import Scenario

STEPS, ANSWERS, BATCH = 20, 12, 64
NOBODY = Deferred(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))


def scenario_of(clients: int, merge: str) -> Scenario:
    """Digits, ten frozen models, an mlp rejector for each client."""
    devices = {
        "group": "devices",
        "clients": clients,
        "model": {"family": "linear", "train_samples": 60, "epochs": 2, "variants": 10},
        "rejector": {"family": "mlp", "input": "features"},
        "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
        "policy": {"score": "l2h", "price": {"kind": "threshold", "at": 0.0}},
    }
    return Scenario.model_validate(
        {
            "name": "federation",
            "horizon_s": 600.0,
            "fleet": (devices,),
            "server": {"model": {"family": "mlp"}, "service": {"kind": "affine", "base_s": 0.01}},
            "training": {"pretrain": {"epochs": 1, "batch": BATCH}},
            "federation": {"every_s": 20.0, "steps": STEPS, "step_s": 0.0, "wait_s": 5.0, "merge": merge},
        }
    )


def ours(clients: int, rounds: int, merge: str) -> tuple[float, float]:
    """Seconds that rounds of training take, and merges, both with the scores of all samples."""
    everybody = np.arange(clients, dtype=np.int32)
    with (
        tempfile.TemporaryDirectory() as cache,
        open_fleet(scenario_of(clients, merge), workers=0, cache=Path(cache)) as fleet,
    ):
        fleet.build()
        fleet.learn()
        learned, trains_s, merges_s = fleet.decide(), 0.0, 0.0
        for number in range(1, rounds + 1):
            began = time.perf_counter()
            fleet.train_rejectors(
                TrainingRound(number, 0.0, 0.0, NOBODY, answers(learned, clients, number), everybody)
            )
            trained = time.perf_counter()
            fleet.merge(Merge(number, everybody, everybody))
            trains_s, merges_s = trains_s + trained - began, merges_s + time.perf_counter() - trained
    return trains_s, merges_s


def answers(learned: Learned, clients: int, number: int) -> Feedback:
    """Some of each client's own samples, half of them answered right."""
    draw = np.random.default_rng(number)
    n, places = clients * ANSWERS, learned.traffic[0][0].positions
    allowed = places[~learned.samples.held_out[places]]
    return Feedback(
        client=np.repeat(np.arange(clients, dtype=np.int32), ANSWERS),
        sample=draw.choice(allowed, n).astype(np.int32),
        server_correct=draw.random(n) < 0.5,
        propensity=np.ones(n, np.float32),
        answered_at_s=np.zeros(n),
        decided=np.full(clients, 2 * ANSWERS),
    )


def plain(clients: int, rounds: int, width: int) -> float:
    """Seconds that a network per client takes for the same steps, with averages of their weights, and no
    scores of anything: the least that one by one could take."""
    torch.set_num_threads(1)
    networks = [
        torch.nn.Sequential(torch.nn.Linear(width, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
        for _ in range(clients)
    ]
    optimisers = [torch.optim.Adam(one.parameters(), fused=True) for one in networks]
    inputs, weights = torch.randn(BATCH, width), torch.rand(BATCH, 2)
    began = time.perf_counter()
    for _ in range(rounds):
        for network, optimiser in zip(networks, optimisers, strict=True):
            for _step in range(STEPS):
                loss = -(weights * torch.log_softmax(network(inputs), dim=1)).sum(dim=1).mean()
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        with torch.no_grad():
            for alike in zip(*(one.parameters() for one in networks), strict=True):
                mean = torch.stack(list(alike)).mean(dim=0)
                for one in alike:
                    one.copy_(mean)
    return time.perf_counter() - began


def main() -> None:
    """Prints one line for each way to merge, and one for the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=20)
    chosen = parser.parse_args()
    clients, rounds = chosen.clients, chosen.rounds
    few: NDArray[np.int64] = np.array([max(1, clients // 20), max(1, rounds // 4)])
    scale = clients * rounds / int(few.prod())
    peer_s = plain(int(few[0]), int(few[1]), 20) * scale
    print(f"{clients:,} clients, {rounds} rounds of {STEPS} steps")
    results: dict[str, dict[str, float]] = {}
    for merge in ("average", "laplace", "median"):
        trains_s, merges_s = ours(clients, rounds, merge)
        total = trains_s + merges_s
        results[merge] = {
            "seconds": total,
            "merging": merges_s,
            "one_by_one": peer_s,
            "ratio": peer_s / total,
        }
        print(
            f"{merge:8} {total:6.1f} s, of it merging {merges_s:5.1f} s; one by one, without scores, takes "
            f"{peer_s:.1f} s, {peer_s / total:.1f} times as long"
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
