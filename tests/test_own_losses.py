"""Losses of rejectors that researchers bring: a copy of the tool's own gives its bytes, another learns, and what
is none is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from here import forget_what_was_brought

import l2h_fleet
from commands.plugins import loading
from commands.plugins.loading import take
from sim.registry import brought
from sim.registry.losses import LOSSES

ROOT = Path(__file__).resolve().parents[1]
ONLINE = {"every_s": 20, "steps": 2, "step_s": 0.1, "rejector_steps": 3, "rejector_step_s": 0.1}
GROUP: dict[str, Any] = {
    "group": "devices",
    "clients": 6,
    "model": {"family": "linear", "train_samples": 100, "epochs": 2, "variants": 3},
    "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
    "policy": {"score": "l2h"},
}
TINY: dict[str, Any] = {
    "name": "tiny",
    "horizon_s": 60,
    "data": {"set": "gaussian_mixture", "samples": 2000},
    "costs": {"c_e": 0.1, "c_1": 1.0},
    "training": {"pretrain": {"epochs": 3}},
    "fleet": [GROUP],
    "server": {"service": {"kind": "affine", "base_s": 0.05}},
}
FILE = """
import l2h_fleet
import torch

@l2h_fleet.register("loss", "mine")
def mine(scores, client_correct, server_correct, costs):
    return (costs * torch.softmax(scores, dim=-1)).sum(dim=-1)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    forget_what_was_brought()
    yield tmp_path
    forget_what_was_brought()


def copy(scores: Any, client_correct: Any, server_correct: Any, costs: Any) -> Any:
    """`cost_sensitive`, written anew: each share weighs what all others cost."""
    weights = costs @ (1.0 - torch.eye(costs.shape[-1]))
    return -(weights * torch.log_softmax(scores, dim=-1)).sum(dim=-1)


def exponential(scores: Any, client_correct: Any, server_correct: Any, costs: Any) -> Any:
    """exp of how far whoever costs more is ahead, times what they cost more."""
    ahead = scores - scores.mean(dim=-1, keepdim=True)
    return ((costs - costs.amin(dim=-1, keepdim=True)) * torch.exp(ahead)).sum(dim=-1)


def trained(form: str, **training: Any) -> dict[str, Any]:
    return TINY | {"training": TINY["training"] | {"form": form} | training}


def two_servers(document: dict[str, Any]) -> dict[str, Any]:
    models = {"near": "linear", "far": "mlp"}
    servers = [{"server": name, **TINY["server"], "model": {"family": of}} for name, of in models.items()]
    options = [{"option": name, "server": name, "c_e": c_e} for name, c_e in (("near", 0.05), ("far", 0.2))]
    rest = {name: value for name, value in document.items() if name != "server"}
    return rest | {"servers": servers, "fleet": [GROUP | {"options": options}]}


def requests_of(document: dict[str, Any], out: Path) -> pd.DataFrame:
    run = l2h_fleet.run(document, out=out)
    return pd.read_parquet(run.path / "requests")


ONE, SEVERAL = (lambda document: document), two_servers
WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "before the run": (ONE, {}),
    "in rounds": (ONE, {"online": ONLINE}),
    "on what was sent": (ONE, {"feedback": "deferred_only", "exploration": 0.2}),
    "two options": (SEVERAL, {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_the_tools_own_loss_gives_its_bytes(way: str, here: Path) -> None:
    world, training = WAYS[way]
    l2h_fleet.register("loss", "copy", copy)
    l2h_fleet.register("loss", "exponential", exponential)
    own, mine, another = (
        requests_of(world(trained(form, **training)), here / form)
        for form in ("cost_sensitive", "copy", "exponential")
    )
    pd.testing.assert_frame_equal(own, mine, check_exact=True)
    assert not own["score"].equals(another["score"])


def test_rejectors_of_own_and_other_losses_are_trained_as_one_stack(here: Path) -> None:
    """A study of four forms: each row learns what it would alone, and the tables tell the own ones, too."""
    l2h_fleet.register("loss", "copy", copy)
    l2h_fleet.register("loss", "exponential", exponential)
    forms = ["paper", "copy", "cost_sensitive", "exponential"]
    run = l2h_fleet.run(trained("nonnegative") | {"study": {"form": forms}}, out=here / "study")
    risks = run.study.set_index("form")
    assert set(risks.index) == {"nonnegative", *forms}
    numbers = risks.select_dtypes("number")
    pd.testing.assert_frame_equal(
        numbers.loc[["copy"]].reset_index(drop=True), numbers.loc[["cost_sensitive"]].reset_index(drop=True)
    )
    alone = l2h_fleet.run(trained("nonnegative") | {"study": {"form": ["exponential"]}}, out=here / "alone")
    there = alone.study.set_index("form").select_dtypes("number")
    pd.testing.assert_frame_equal(numbers.loc[["exponential"]], there.loc[["exponential"]])
    assert "exponential" in (run.path / "report.html").read_text()


@pytest.mark.parametrize("world", [ONE, SEVERAL], ids=["one option", "two options"])
def test_another_surrogate_learns_a_rejector_of_lower_risk_than_any_constant(world: Any, here: Path) -> None:
    """On a mixture, for one client model: the risk on held-out samples is below that of always and never."""
    l2h_fleet.register("loss", "exponential", exponential)
    group = GROUP | {"clients": 2, "model": GROUP["model"] | {"variants": 1}}
    document = trained("exponential", pretrain={"epochs": 25}) | {"fleet": [group]}
    document["data"] = {"set": "gaussian_mixture", "samples": 6000}
    run = l2h_fleet.run(world(document), out=here / "run")
    print(run.summary.keys(), run.study.columns, run.study.T)
    raise AssertionError
