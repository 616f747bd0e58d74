"""What ran and what changed, as a person would say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import write_folder

from analysis import load_run
from analysis.figures.deferral import as_the_curves, deferral_rate_and_risk
from analysis.reports.compare_report import differences, scenario_differences
from analysis.reports.outages_in_words import outages_in_words
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


def test_without_traffic_it_is_told_what_learns_and_what_a_study_tries() -> None:
    group = {"clients": 1, "model": {"family": "small_cnn", "train_samples": 1200}}
    alone = scenario(group, model={"family": "mlp"}) | {"horizon_s": 0.0}
    assert setup(alone | {"study": {"c_e": [0.0, 0.25], "sync_every": [1, "epoch"], "form": []}}) == {
        HEADING: [
            ("sensors", "1 client; small cnn from 1,200 samples; l2h above a threshold of 0"),
            ("server", "mlp"),
            ("c_e", "0, 0.25"),
            ("sync_every", "1, epoch"),
        ]
    }


def test_what_ran() -> None:
    assert setup(scenario() | {"horizon_s": 60.0}) == {
        HEADING: [
            ("sensors", "60 clients; l2h above a threshold of 0; deadline 1 s; 3 attempts"),
            ("server", "2 replicas, batches of up to 8, 0.05 s a batch and 0.02 s a request, no outages"),
        ]
    }


def test_what_is_sent_together_is_told() -> None:
    process = {"kind": "closed_loop", "think": 1.0, "at_once": 5}
    batch = {"size": 5, "of": "sends", "wait_s": 2.0}
    changed = scenario({"arrivals": {"process": process}, "device": {"batch": batch}})
    told = str(setup(changed | {"horizon_s": 60.0}))
    assert "5 requests at once; sent together after every 5 sends, or 2 s" in told


def test_who_moves_is_told_with_how_many_there_are() -> None:
    moving = scenario({"moves": {"cells": ["west", "mid", "east"]}})
    ((_, group), _) = setup(moving | {"horizon_s": 60.0})[HEADING]
    assert group.startswith("60 clients that move between 3 cells; l2h above")


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


DOWN = {"kind": "down"}
ONCE = {"kind": "intervals", "at": [[2_592_000.0, 2_592_600.5]]}
DAILY = {"kind": "daily", "at_s": 11_100.0, "for_s": 600.0}


@pytest.mark.parametrize(
    ("outage", "words"),
    [
        ({"when": ONCE}, "server out 30 days–30 days 10 min 0.5 s"),
        (
            {"when": DAILY, "target": {"kind": "replicas", "count": 2}},
            "2 replicas out daily at 03:05 for 10 min",
        ),
        (
            {
                "when": {"kind": "renewal", "up": 300.0, "down": {"kind": "exponential", "mean_s": 20.0}},
                "target": {"kind": "links", "groups": ["a", "b"], "share": 0.5, "correlated": False},
                "effect": {"kind": "slowdown", "factor": 4.0},
            },
            "50% of links of a and b, each on its own, 4 times slower at random, up 300 s, "
            "down exponential (mean 20)",
        ),
        (
            {"when": {"kind": "intermittent", "availability": 0.8, "mean_cycle_s": 30.0}, "effect": DOWN},
            "server out at random, 20% of the time in cycles of 30 s",
        ),
    ],
)
def test_an_outage_in_words(outage: dict[str, Any], words: str) -> None:
    assert outages_in_words([outage]) == words


def test_two_outages_are_told_as_a_person_would() -> None:
    outages = [{"when": {"kind": "intervals", "at": [[at, at + 20.0]]}} for at in (100.0, 200.0)]
    told = scenario_differences(scenario(), scenario(outages=outages))
    assert differences(told) == ["server: no outages → server out 100–120 s; server out 200–220 s"]


def test_a_part_that_one_side_lacks_is_one_line() -> None:
    one = scenario() | {"training": {"online": {"every_s": 60.0, "steps": 100}}}
    told = scenario_differences(one, scenario() | {"training": {"online": None}})
    assert differences(told) == ["training.online: {every_s: 60.0, steps: 100} → absent"]


def test_groups_that_came_and_went() -> None:
    told = scenario_differences(scenario(), scenario({"group": "cameras", "deadline_s": None}))
    assert differences(told) == [
        "cameras: a group that the other has not: 60 clients; l2h above a threshold of 0; 3 attempts",
        "sensors: this group is gone",
    ]


def test_one_server_and_several_are_told_as_servers() -> None:
    edge, cloud = (
        SERVER | {"server": "edge", "replicas": 1, "when_down": "refuse"},
        SERVER | {"server": "cloud"},
    )
    one, two = (
        scenario() | {"server": SERVER},
        {"fleet": [GROUP], "servers": [edge, cloud]},
    )
    what = "batches of up to 8, 0.05 s a batch and 0.02 s a request, no outages"
    assert differences(scenario_differences(one, two)) == [
        f"server: this server is gone: 2 replicas, {what}",
        f"edge: a server that the other has not: 1 replica, {what}",
        f"cloud: a server that the other has not: 2 replicas, {what}",
    ]
    other = {"fleet": [GROUP], "servers": [edge | {"replicas": 3, "when_down": "silent"}, cloud]}
    assert differences(scenario_differences(two, other)) == [
        "edge: 1 replica → 3 replicas",
        "servers.edge.when_down: refuse → silent",
    ]


@pytest.mark.parametrize("service", [{"kind": "per_batch", "time": 0.1}, SERVER["service"]])
def test_what_no_sentence_is_about_stays_a_path(service: dict[str, Any]) -> None:
    """A key that no sentence has is told by its path, though its part is the same in words."""
    one, two = scenario(service=service, queue_limit=1), scenario(service=service, queue_limit=2)
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
