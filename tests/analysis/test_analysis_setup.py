"""What ran and what changed, as a person would say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import write_folder

from analysis import load_run
from analysis.figures.deferral import as_the_curves, deferral_rate_and_risk
from analysis.reports.compare_report import differences
from analysis.reports.setup import HEADING, changes, setup
from analysis.run_folder.traffic import traffic_of

GROUP = {
    "group": "sensors",
    "clients": 60,
    "policy": {"score": "l2h", "price": {"kind": "threshold", "at": 0.0}},
    "arrivals": {"process": {"kind": "poisson", "rate_hz": 0.5}},
    "deadline_s": 1.0,
    "timeout_s": None,
    "retry": {"attempts": 3},
}
SERVER = {
    "replicas": 2,
    "max_batch": 8,
    "service": {"kind": "affine", "base_s": 0.05, "per_item_s": 0.02, "cv": 0.0},
    "outages": [],
}


def scenario(group: dict[str, Any] | None = None, **server: Any) -> dict[str, Any]:
    return {"fleet": [GROUP | (group or {})], "server": SERVER | server}


def test_what_ran() -> None:
    assert setup(scenario()) == {
        HEADING: [
            ("sensors", "60 clients; l2h above a threshold of 0; deadline 1 s; 3 attempts"),
            ("server", "2 replicas, batches of up to 8, 0.05 s a batch and 0.02 s a request, no outages"),
        ]
    }


def test_what_changed_is_a_sentence_a_part() -> None:
    controller = {"score": "confidence", "price": {"kind": "rate_controller", "rate": 0.4, "gain": 0.1}}
    told = changes(scenario(), scenario({"policy": controller, "clients": 80}, replicas=1))
    assert told == {
        "fleet.sensors.policy": "sensors: policy: l2h above a threshold of 0 → "
        "confidence by rate_controller (rate 0.4, gain 0.1)",
        "fleet.sensors.clients": "sensors: clients: 60 → 80",
        "server.replicas": "server: 2 replicas → 1 replica",
    }
    paths = [
        ("fleet.sensors.policy.score", "l2h", "confidence"),
        ("fleet.sensors.policy.price.kind", "threshold", "rate_controller"),
        ("server.replicas", 2, 1),
        ("server.queue_limit", 64, 32),
    ]
    shown = differences({"scenario": paths, "told": told})
    assert shown == [*told.values(), "server.queue_limit: 64 → 32"]


@pytest.mark.parametrize("service", [{"kind": "per_batch", "time": 0.1}, SERVER["service"]])
def test_what_no_sentence_is_about_stays_a_path(service: dict[str, Any]) -> None:
    """A key that no sentence has is told by its path, though its part is the same in words."""
    one, two = scenario(service=service, outages=[{"at": 1}]), scenario(service=service, outages=[{"at": 2}])
    assert changes(one, two) == {}


def test_points_beside_curves_are_of_the_same_version(tmp_path: Path) -> None:
    """A new version comes into force within the run; requests after that are no point of the curves."""
    run = load_run(write_folder(tmp_path))
    traffic = traffic_of(run)
    later = run.events[(run.events["kind"] == "model_in_force") & (run.events["value"] > 0)]["at_s"].min()
    among, when = as_the_curves(traffic)
    assert when == f"version 0, 20–{later:g} s, before version 1"
    assert (among == (traffic.arrived_at_s < later)).all()
    rate, paid = deferral_rate_and_risk(traffic, among)
    mine = among & traffic.held_out
    assert rate == pytest.approx(traffic.requests.loc[mine, "deferred"].mean())
    assert paid["n"] < deferral_rate_and_risk(traffic)[1]["n"]


def test_points_beside_curves_come_before_the_drift(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    text = (folder / "scenario.yaml").read_text()
    drifting = text.replace("drift: []", "drift: [{at_s: 25.0, noise: 0.5}]", 1)
    (folder / "scenario.yaml").write_text(drifting)
    among, when = as_the_curves(traffic_of(load_run(folder)))
    assert when == "version 0, 20–25 s, before the drift"
    assert 0 < np.count_nonzero(among) < among.size
