"""The worlds of docs/fidelity.md: what is played for real, by the cell of a grid.
Played by `benchmarks.fidelity`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from live.calibration import Calibrated
from live.playing import Served

Cell = tuple[float, str, str]  # load, fault, retry
BASE_S, PER_ITEM_S, MAX_BATCH, REPLICAS, CLIENTS = 0.1, 0.04, 4, 2, 40
PERIOD, MODEL_PERIOD = (10, 30), (6, 12)
PATIENT = {"attempts": 3, "backoff_s": 0.2, "factor": 2.0, "jitter": "full"}
RETRIES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "with allowance": PATIENT | {"allowance": 0.2},
    "without": PATIENT,
}


@dataclass(frozen=True)
class Grid:
    """name: of its folder, its rows and its place in the page. at_once: so many real runs side by side.
    scenario: of a cell, and what was measured without load; None: before that."""

    name: str
    served: Served
    loads: tuple[float, ...]
    faults: tuple[str, ...]
    retries: tuple[str, ...]
    at_once: int
    scenario: Callable[[Cell, Calibrated | None], dict[str, Any]]

    def cells(self) -> Iterator[Cell]:
        return product(self.loads, self.faults, self.retries)


def slept(cell: Cell, _found: Calibrated | None = None) -> dict[str, Any]:
    """Everything is sent, so the load is what arrives. Service is slept, so that the machine is not what
    limits it."""
    load, fault, retry = cell
    when = {"kind": "intervals", "at": [PERIOD]}
    faults: dict[str, list[dict[str, Any]]] = {
        "none": [],
        "one replica": [{"when": when, "target": {"kind": "replicas", "count": 1}}],
        "total": [{"when": when}],
    }
    server = {
        "replicas": REPLICAS,
        "batch_wait_s": 0.02,
        "service": {"kind": "affine", "base_s": BASE_S, "per_item_s": PER_ITEM_S},
        "outages": faults[fault],
    }
    rate_hz = load * REPLICAS * MAX_BATCH / (BASE_S + PER_ITEM_S * MAX_BATCH)
    return _scenario(rate_hz, retry, server, horizon_s=60, warm_up_s=4, epochs=1)


def computed(cell: Cell, found: Calibrated | None = None) -> dict[str, Any]:
    """One replica answers by the network that the run has trained; its load is of what was measured."""
    load, fault, retry = cell
    service = {"base_s": 0.002, "per_item_s": 0.015} if found is None else found.changes()
    when = {"kind": "intervals", "at": [MODEL_PERIOD]}
    server = {
        "replicas": 1,
        "batch_wait_s": 0.005,
        "model": {"family": "small_cnn", "image_size": 224},
        "service": {"kind": "affine"} | service,
        "outages": [{"when": when}] if fault == "total" else [],
    }
    rate_hz = load * MAX_BATCH / (service["base_s"] + service["per_item_s"] * MAX_BATCH)
    return _scenario(rate_hz, retry, server, horizon_s=20, warm_up_s=2, epochs=1)


def _scenario(
    rate_hz: float, retry: str, server: dict[str, Any], horizon_s: float, warm_up_s: float, epochs: int
) -> dict[str, Any]:
    group = {
        "group": "devices",
        "clients": CLIENTS,
        "model": {"family": "linear", "train_samples": 100, "epochs": 5},
        "arrivals": {"process": {"kind": "poisson", "rate_hz": rate_hz / CLIENTS}},
        "device": {"inference_s": 0.02},
        "link": {"latency": 0.02},
        "policy": {"score": "random", "price": {"kind": "always_remote"}},
        "deadline_s": 6.0,
        "timeout_s": 2.0,
        "retry": RETRIES[retry],
    }
    return {
        "name": "fidelity",
        "seed": 3,
        "horizon_s": horizon_s,
        "warm_up_s": warm_up_s,
        "costs": {"c_e": 0.1, "c_1": 1.0},
        "fleet": [group],
        "server": {"max_batch": MAX_BATCH, "queue_limit": 64} | server,
        "training": {"pretrain": {"epochs": epochs}},
    }


SLEPT = Grid(
    "slept",
    Served("processes", speed=2.0),
    (0.5, 0.8, 0.95, 1.2),
    ("none", "one replica", "total"),
    tuple(RETRIES),
    5,
    slept,
)
COMPUTED = Grid(
    "computed",
    Served("processes", service="model"),
    (0.5, 0.8),
    ("none", "total"),
    ("with allowance",),
    1,
    computed,
)
GRIDS = {grid.name: grid for grid in (SLEPT, COMPUTED)}
