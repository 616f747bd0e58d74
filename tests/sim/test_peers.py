"""Clients that answer for others: their devices are a server's replicas while they can be had."""

from __future__ import annotations

from typing import Any

import pytest
from stories import Story, devices
from worlds import scenario_of

from sim.scenario.rules import checks
from sim.world.world import World

EVERYTHING = {"score": "random", "price": {"kind": "always_remote"}}
HELPERS = devices(
    "helpers", clients=4, model={"variants": 2}, policy={"price": {"kind": "always_local"}, "score": "random"}
)
ASKING = devices("asking", clients=3, policy=EVERYTHING, options=({"option": "peer", "server": "peers"},))


def peers(replicas: int = 2, **parts: Any) -> dict[str, Any]:
    service = {"kind": "affine", "base_s": 1.0}
    return {
        "server": "peers",
        "peers_of": "helpers",
        "replicas": replicas,
        "service": service,
        "when_down": "refuse",
    } | parts


def world(helpers: Any = HELPERS, server: Any = None, outages: Any = (), model: Any = None) -> dict[str, Any]:
    of = {"of_group": "helpers", "variant": 1} if model is None else model
    return {
        "fleet": [helpers, ASKING],
        "servers": (server or peers(),),
        "models": {"helper": of},
        "outages": outages,
    }


def cut(*at: tuple[float, float], **target: Any) -> dict[str, Any]:
    links = {"kind": "links", "groups": ("helpers",)} | target
    return {"when": {"kind": "intervals", "at": at}, "target": links}


def test_devices_serve_side_by_side():
    story = Story((0.0, 4), (0.0, 5), (0.0, 6), **world())
    assert story["finished_at_s"] == [1.0, 1.0, 2.0]
    assert story["replica"] == [0, 1, 0]


def test_an_outage_of_their_links_takes_devices():
    """Of all of them nobody is left, and who asks is refused; what they were at is lost."""
    story = Story((1.25, 4), (2.0, 5), (4.0, 6), **world(outages=(cut((1.5, 3.0)),)))
    assert story["outcome"] == ["in_flight", "refused", "remote"]
    assert story["server_cause"] == ["lost", "down", "none"]


def test_who_is_away_serves_nobody():
    """Variant 1 is that of clients 1 and 3. All are there from 2 s on."""
    there = HELPERS | {"presence": {"at": ((2.0, 9.0),)}}
    story = Story((1.0, 4), (2.5, 5), **world(there))
    assert story["outcome"] == ["refused", "remote"]
    plan = scenario_of(horizon_s=20.0, server=None, **(world(there) | {"fleet": (there, ASKING)}))
    capacity = World(plan).capacities[0]
    assert capacity.at_s.tolist() == [0.0, 2.0, 9.0]
    assert capacity.usable.tolist() == [0, 2, 0]


def test_who_is_away_and_cut_off_is_missing_once():
    there = HELPERS | {"presence": {"at": ((2.0, 9.0),)}}
    parts = world(there, outages=(cut((1.0, 4.0)),)) | {"fleet": (there, ASKING)}
    capacity = World(scenario_of(horizon_s=20.0, server=None, **parts)).capacities[0]
    assert capacity.at_s.tolist() == [0.0, 4.0, 9.0]
    assert capacity.usable.tolist() == [0, 2, 0]


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({}, None),
        ({"model": {"of_group": "helper"}}, "models.helper.of_group"),
        ({"model": {"of_group": "helpers", "variant": 2}}, "models.helper.variant"),
        ({"model": {"variant": 1}}, "models.helper.variant"),
        ({"model": {"of_group": "helpers", "file": "a.onnx"}}, "models.helper.of_group"),
        ({"model": {}}, "servers.0.peers_of"),
        ({"model": {"of_group": "asking"}}, "servers.0.peers_of"),
        ({"server": peers(3)}, "servers.0.replicas"),
        ({"server": peers(peers_of="nobody")}, "servers.0.peers_of"),
        ({"server": peers(serverless={"keep_alive_s": 1, "cold_start_s": 1})}, "servers.0.serverless"),
        ({"server": peers(stages=2)}, "servers.0.stages"),
        ({"model": {"of_group": "helpers", "variant": 1, "family": "wide_cnn"}}, "models.helper.family"),
    ],
)
def test_what_are_no_peers_is_refused_in_one_line(parts, path):
    described = world(**parts)
    plan = scenario_of(server=None, **(described | {"fleet": tuple(described["fleet"])}))
    found = [".".join(map(str, finding.path)) for finding in checks.findings(plan)]
    assert (path in found) if path else found == []
    assert len(found) <= 2
