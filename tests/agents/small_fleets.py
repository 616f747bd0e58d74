"""Scenarios small enough to learn in a test: a few clients, a few epochs, on real digits.
Written as dictionaries, as a user would, so that the tests also meet the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agents.fleet import open_fleet
from agents.plan import Plan
from sim.messages import Learned
from sim.scenario import Scenario

MISSING = {"kind": "missing_classes", "classes": (7, 8, 9)}
FEW = {"kind": "few_samples", "per_class": 2}
NOISY = {"kind": "domain_shift", "noise": 0.4}
SKEWED = {"kind": "dirichlet", "alpha": 0.5}
PARTITIONS = {"iid": {"kind": "iid"}, "missing": MISSING, "few": FEW, "noisy": NOISY, "skewed": SKEWED}
SMALL_FAMILIES = ("linear", "mlp", "small_cnn", "lenet5")  # those that a test can train in seconds


def group(name: str = "sensors", *, clients: int = 3, **changes: Any) -> dict[str, Any]:
    """A group whose models train for two epochs; `changes` replace whole parts."""
    arrivals = {"process": {"kind": "poisson", "rate_hz": 1.0}}
    return {
        "group": name,
        "clients": clients,
        "model": model(),
        "arrivals": arrivals,
        **changes,
    }


def model(**changes: Any) -> dict[str, Any]:
    """A linear client model trained for two epochs, with `changes`."""
    return {"family": "linear", "train_samples": 100, "epochs": 2, "variants": 1, **changes}


def scenario(
    *groups: dict[str, Any], epochs: int = 2, server: str = "mlp", form: str = "nonnegative", **changes: Any
) -> Scenario:
    """A scenario of `groups` (default: one) whose server is pretrained for `epochs`."""
    return Scenario.model_validate(
        {
            "name": "small",
            "seed": 7,
            "horizon_s": 60.0,
            "fleet": groups or (group(),),
            "server": {"model": {"family": server}, "service": {"kind": "affine", "base_s": 0.05}},
            "training": {"form": form, "pretrain": {"epochs": epochs}},
            **changes,
        }
    )


def model_of(family: str, **changes: Any) -> dict[str, Any]:
    """A client model of a family that takes digits; LeNet-5 needs more pixels than they have."""
    return model(family=family, image_size=16 if family == "lenet5" else None, **changes)


def spoil(plan: Plan, sample_ids: np.ndarray, value: float) -> None:
    """Puts `value` in place of some of a plan's pictures, which otherwise stay the bytes that they are."""
    images = plan.images[np.arange(len(plan.images))]
    images[sample_ids] = value
    plan.__dict__["images"] = images


def three_kinds(clients: int = 3, variants: int = 2, epochs: int = 2) -> Scenario:
    """Clients that miss classes, clients with few samples, and clients that send noisy pictures."""
    shared = {"clients": clients, "model": model(variants=variants)}
    return scenario(
        group("sensors", partition=MISSING, **shared),
        group("novices", partition=FEW, **shared),
        group("noisy", partition=NOISY, traffic={"mix": "own"}, **shared),
        epochs=epochs,
    )


def learn(asked: Scenario, cache: Path) -> Learned:
    """What a fleet in this process gives a run."""
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        return fleet.decide()
