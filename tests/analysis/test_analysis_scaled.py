"""Load, shares and validity of whole small runs whose right values are known by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import MadeUpLearner, group_of, made_up, scenario_of

import analysis
from analysis.reports.sentences import sentences
from analysis.reports.tables import of_parts, windows
from sim.results.learned_files import write_learned
from sim.scenario import Scenario, write
from sim.simulation import simulate
from sim.world.world import World

ALWAYS = {"score": "random", "price": {"kind": "always_remote"}}
GREEN_BUT = "too few"  # made-up models have few samples; what is said of that is not the point


def summary_of(folder: Path, scenario: Scenario) -> dict[str, Any]:
    learned = made_up(scenario, samples=120)
    simulate(World(scenario), learned, folder, learner=MadeUpLearner(scenario, learned))
    write_learned(World(scenario), learned, learned.client_hashes, folder)
    (folder / "scenario.yaml").write_text(write(scenario))
    return analysis.summarise(analysis.load_run(folder))


def trace(folder: Path, instants: np.ndarray) -> dict[str, Any]:
    file = folder / "trace.csv"
    file.write_text("\n".join(["time", *(f"{at:.6f}" for at in instants)]) + "\n")
    return {"process": {"kind": "trace", "file": str(file)}}


def devices(**parts: Any) -> Any:
    return group_of(group="devices", clients=10, policy=ALWAYS, **parts)


def test_an_autoscaled_run_that_keeps_up_is_valid(tmp_path: Path) -> None:
    """30 requests a second of 0.1 s keep three replicas busy; a target of 0.6 asks for five."""
    scaling = {"target_utilisation": 0.6, "interval_s": 5, "provisioning_s": 2, "min": 1, "max": 10}
    scenario = scenario_of(
        horizon_s=300,
        warm_up_s=60,
        fleet=(devices(arrivals=trace(tmp_path, np.arange(9000) / 30)),),
        server={"replicas": 1, "autoscaling": scaling, "service": {"kind": "per_batch", "time": 0.1}},
    )
    found = summary_of(tmp_path / "run", scenario)
    assert found["load"]["offered"] == pytest.approx(0.6, abs=0.01)
    assert found["load"]["utilisation"] == pytest.approx(0.6, abs=0.01)
    assert found["availability"]["replica_share"] == 1.0
    assert [reason for reason in found["invalid_because"] if GREEN_BUT not in reason] == []


def test_an_autoscaled_server_with_an_outage_of_two_has_the_rest(tmp_path: Path) -> None:
    scaling = {"target_utilisation": 0.6, "interval_s": 5, "provisioning_s": 2, "min": 5, "max": 5}
    outage = {
        "when": {"kind": "intervals", "at": ((100.0, 200.0),)},
        "target": {"kind": "replicas", "count": 2},
    }
    server = {"replicas": 5, "autoscaling": scaling, "service": {"kind": "per_batch", "time": 0.1}}
    scenario = scenario_of(horizon_s=300, fleet=(devices(),), server=server | {"outages": (outage,)})
    found = summary_of(tmp_path / "run", scenario)
    assert found["availability"]["replica_share"] == pytest.approx((200 * 5 + 100 * 3) / 1500)


def test_a_saturated_server_with_measured_times_is_not_valid(tmp_path: Path) -> None:
    """Half a second and one and a half, so one on average: five requests a second are five times too many."""
    (tmp_path / "emp.csv").write_text("seconds\n0.5\n1.5\n")
    time = {"kind": "empirical", "file": str(tmp_path / "emp.csv")}
    arrivals = {"process": {"kind": "poisson", "rate_hz": 0.5}}
    server = {"queue_limit": 5, "service": {"kind": "per_batch", "time": time}}
    scenario = scenario_of(horizon_s=600, warm_up_s=60, fleet=(devices(arrivals=arrivals),), server=server)
    found = summary_of(tmp_path / "run", scenario)
    assert found["load"]["offered"] == pytest.approx(5, rel=0.05)
    assert any(reason.startswith("offered load") for reason in found["invalid_because"])


def test_replicas_that_only_end_their_batches_are_usable_time(tmp_path: Path) -> None:
    """Busy all the time, down half of it, and `finish`: at most all of the time that replicas worked."""
    outage = {
        "when": {"kind": "intervals", "at": tuple((s, s + 5.0) for s in np.arange(5.0, 300.0, 10.0).tolist())}
    }
    server = {
        "in_flight": "finish",
        "when_down": "queue",
        "service": {"kind": "per_batch", "time": 4.9},
        "outages": (outage,),
    }
    arrivals = {"process": {"kind": "poisson", "rate_hz": 1.0}}
    found = summary_of(
        tmp_path / "run", scenario_of(horizon_s=300, fleet=(devices(arrivals=arrivals),), server=server)
    )
    assert 0.9 < found["load"]["utilisation"] <= 1.0


@pytest.mark.parametrize(
    ("parts", "service"),
    [
        ({"deadline_s": 1.0}, {"kind": "affine", "base_s": 50.0}),
        ({"deadline_s": 5.0, "link": {"latency": 30.0}}, {"kind": "affine", "base_s": 0.01}),
        (
            {"deadline_s": 5.0, "link": {"latency": 0.03, "bandwidth_bps": 5.0, "payload_bytes": 3072}},
            {"kind": "affine", "base_s": 0.01},
        ),
    ],
)
def test_a_run_in_which_nothing_is_answered_says_so(tmp_path: Path, parts: Any, service: Any) -> None:
    scenario = scenario_of(horizon_s=100, fleet=(devices(**parts),), server={"service": service})
    reasons = summary_of(tmp_path / "run", scenario)["invalid_because"]
    assert any(reason.startswith("nothing is answered: devices sent ") for reason in reasons)


def test_a_crowd_after_the_horizon_is_told(tmp_path: Path) -> None:
    shape = {"kind": "flash_crowd", "factor": 4.0, "at_s": 600.0, "for_s": 60.0}
    arrivals = {"process": {"kind": "poisson", "rate_hz": 0.5}, "shape": shape}
    scenario = scenario_of(horizon_s=100, fleet=(devices(arrivals=arrivals),))
    reasons = summary_of(tmp_path / "run", scenario)["invalid_because"]
    assert "the flash crowd of devices never comes: it begins at 600 s, after the horizon" in reasons


@pytest.mark.parametrize("rule", ["send", "accept", "answer"])
@pytest.mark.parametrize("when_down", ["refuse", "silent", "queue"])
def test_what_is_charged_does_not_depend_on_what_it_costs(tmp_path: Path, rule: str, when_down: str) -> None:
    """Retries, a full queue, and an outage that loses it: with c_e 0 the same attempts are charged."""
    found = []
    for c_e in (0.5, 0.0):
        server = {
            "service": {"kind": "affine", "base_s": 0.3},
            "when_down": when_down,
            "queue_limit": 3,
            "queue_survives": False,
            "outages": ({"when": {"kind": "intervals", "at": ((20.0, 30.0), (50.0, 55.0))}},),
        }
        group = devices(
            arrivals={"process": {"kind": "poisson", "rate_hz": 0.3}},
            timeout_s=1.0,
            retry={"attempts": 2, "backoff_s": 0.1},
            budget={"kind": "money", "per_s": 60.0, "limit": 50.0, "price": 0.25},
        )
        costs = {"c_e": c_e, "charge_on": rule}
        scenario = scenario_of(horizon_s=80, fleet=(group,), server=server, costs=costs)
        found.append(summary_of(tmp_path / f"{c_e}", scenario)["cost"])
    assert found[0]["charged_attempts"] == found[1]["charged_attempts"] > 0
    assert found[0]["spend"] == found[1]["spend"] == 0.25 * found[0]["charged_attempts"]


def test_a_fallback_at_the_deadline_is_answered_and_not_served(tmp_path: Path) -> None:
    parts = {"deadline_s": 1.0, "fallback": "client"}
    server = {"service": {"kind": "affine", "base_s": 50.0}}
    found = summary_of(tmp_path, scenario_of(horizon_s=100, fleet=(devices(**parts),), server=server))
    assert found["goodput"]["answered_in_time_share"] == 1.0
    assert found["goodput"]["served_in_time_share"] == 0.0


def test_recovery_waits_for_the_breakers(tmp_path: Path) -> None:
    """The queue is empty at once; the clients, which opened their breakers, ask again 240 s later."""
    group = devices(
        arrivals={"process": {"kind": "poisson", "rate_hz": 0.3}},
        timeout_s=1.0,
        breaker={"failures": 1, "cooldown_s": 240.0},
    )
    server = {
        "service": {"kind": "affine", "base_s": 0.02},
        "when_down": "refuse",
        "outages": ({"when": {"kind": "intervals", "at": ((100.0, 150.0),)}},),
    }
    found = summary_of(tmp_path, scenario_of(horizon_s=600, fleet=(group,), server=server))
    (outage,) = found["outages"]["each"]
    assert outage["queue_recovery_s"] == 0.0
    assert 170 <= outage["recovery_s"] == outage["service_recovery_s"] <= 245
    assert "answered as before only" in " ".join(sentences(found))


def test_outages_of_single_links_count(tmp_path: Path) -> None:
    """Each link is up 20 s and down 10 s on average, on its own; the second group has none of it."""
    links = {"kind": "links", "groups": ("devices",), "share": 1.0, "correlated": False}
    when = {
        "kind": "renewal",
        "up": {"kind": "exponential", "mean_s": 20.0},
        "down": {"kind": "exponential", "mean_s": 10.0},
    }
    server = {"service": {"kind": "affine", "base_s": 0.01}, "outages": ({"when": when, "target": links},)}
    whole = group_of(group="whole", clients=10, policy=ALWAYS)
    fleet = (devices(timeout_s=1.0), whole | {"timeout_s": 1.0})
    found = summary_of(tmp_path, scenario_of(horizon_s=600, fleet=fleet, server=server))
    outages, availability = found["outages"], found["availability"]
    assert outages["each"] == []
    assert availability["outages"] == outages["of_single_links"] > 100
    assert availability["outage_share"] == pytest.approx(0.5 * (1 - availability["targets"][0]["observed"]))
    assert availability["outage_share"] == pytest.approx(1 / 6, abs=0.03)
    inside = outages["own_links"]["requests"]
    assert inside == outages["during_any"]["requests"] == outages["affected"]["requests"]
    assert inside / outages["whole_run"]["requests"] == pytest.approx(1 / 6, abs=0.03)
    assert outages["own_links"]["answered_by_server_share"] == 0.0
    assert outages["outside"]["answered_by_server_share"] > 0.95
    groups = found["groups"]
    assert groups["whole"]["affected"]["requests"] == 0
    assert groups["devices"]["affected"]["requests"] == inside
    assert groups["devices"]["whole_run"]["not_sent_share"] == pytest.approx(1 / 3, abs=0.05)
    assert windows(found)[-1][0] == "with own link out"
    assert [row[0] for row in of_parts(found, 5)] == ["by devices", "by whole"]
    found["cells"] = {"west": found["groups"]["whole"], "east": found["groups"]["devices"]}
    assert [row[0] for row in of_parts(found, 5)] == ["by devices", "by whole", "in west", "in east"]
    assert [row[0] for row in of_parts(found, 3)] == ["by devices", "by whole"]
    assert "Links failed one by one" in " ".join(sentences(found))


def test_an_outage_of_links_touches_its_groups_alone(tmp_path: Path) -> None:
    links = {"kind": "links", "groups": ("devices",), "share": 1.0, "correlated": True}
    outage = {"when": {"kind": "intervals", "at": ((50.0, 80.0),)}, "target": links}
    fleet = (devices(), group_of(group="whole", clients=10, policy=ALWAYS))
    server = {"service": {"kind": "affine", "base_s": 0.01}, "outages": (outage,)}
    found = summary_of(tmp_path, scenario_of(horizon_s=100, fleet=fleet, server=server))
    groups, outages = found["groups"], found["outages"]
    assert groups["whole"]["affected"]["requests"] == 0
    assert outages["affected"]["requests"] == groups["devices"]["affected"]["requests"]
    assert outages["during_any"]["requests"] > 1.8 * outages["affected"]["requests"]


def test_parts_add_up_to_the_whole(tmp_path: Path) -> None:
    budget = {"kind": "money", "per_s": 60.0, "limit": 9.0, "price": 0.25, "shared_by": "group"}
    fleet = (devices(budget=budget), group_of(group="whole", clients=5, policy=ALWAYS))
    server = {"service": {"kind": "affine", "base_s": 0.01}}
    found = summary_of(tmp_path, scenario_of(horizon_s=100, fleet=fleet, server=server))
    one, two = (found["groups"][name]["whole_run"] for name in ("devices", "whole"))
    assert one["requests"] + two["requests"] == found["counts"]["requests"]
    assert one["spend"] == found["cost"]["spend"] > 0 == two["spend"]
    total = one["requests"] * one["cost_per_request"] + two["requests"] * two["cost_per_request"]
    assert total == pytest.approx(found["cost"]["total"])
