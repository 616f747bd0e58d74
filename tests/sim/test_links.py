"""Links as outages leave them: several outages of one link are one, and slowdowns multiply."""

from __future__ import annotations

from worlds import group_of, scenario_of

from sim.world.outages.links import Links
from sim.world.world import World


def links_of(*outages: dict[str, object]) -> Links:
    fleet = (group_of("near", clients=2), group_of("far", clients=2), group_of("safe"))
    server = {"service": {"kind": "affine", "base_s": 1.0}, "outages": outages}
    return Links(World(scenario_of(horizon_s=100.0, fleet=fleet, server=server)).outage_times)


def outage(
    groups: tuple[str, ...], *at: tuple[float, float], factor: float | None = None
) -> dict[str, object]:
    effect = {"kind": "down"} if factor is None else {"kind": "slowdown", "factor": factor}
    target = {"kind": "links", "groups": groups}
    return {"when": {"kind": "intervals", "at": at}, "target": target, "effect": effect}


def test_a_link_is_cut_whenever_one_of_its_outages_says_so():
    links = links_of(outage(("near", "far"), (1, 3)), outage(("far",), (2, 5), (7, 8)))
    assert [list(links.downtime(client)) for client in range(5)] == [
        *[[(1.0, 3.0)]] * 2,
        *[[(1.0, 5.0), (7.0, 8.0)]] * 2,
        [],
    ]
    assert links.hit(5).tolist() == [True, True, True, True, False]


def test_clients_that_are_cut_off_together_share_one_time_line():
    links = links_of(outage(("near", "far"), (1, 3)), outage(("far",), (2, 5)))
    assert links.downtime(0) is links.downtime(1)
    assert links.downtime(2) is links.downtime(3)


def test_slowdowns_of_a_link_multiply_and_cut_nothing():
    links = links_of(outage(("near",), (1, 3), factor=2.0), outage(("near", "far"), (2, 4), factor=3.0))
    assert [links.factor(0, t) for t in (0.5, 1.0, 2.0, 3.0, 4.0)] == [1.0, 2.0, 6.0, 3.0, 1.0]
    assert [links.factor(2, t) for t in (1.0, 2.0)] == [1.0, 3.0]
    assert links.downtime(0).is_up(2.0)
    assert links.hit(5).tolist() == [True, True, True, True, False]
