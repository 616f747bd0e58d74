"""Random small scenarios whose clients learn together, out of those of `strategies`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from strategies import spans, worlds
from worlds import WrittenArrivals, made_up

from sim.messages import Learned
from sim.registry.online_prices import OnlineRule
from sim.registry.scores import SCORES
from sim.scenario import Group, Scenario


@st.composite
def federations(draw: st.DrawFn, horizon: float, lattice: bool, learns: str, near: bool) -> dict[str, Any]:
    """Short rounds, so that there are some: what a client learns may be late, lost or overtaken."""
    every_s = draw(spans(lattice, 4, int(2 * horizon)))
    prototypes = learns == "prototypes"
    merges = ["average", "median"] if prototypes else ["none", "average", "average", "laplace", "median"]
    merges = [one for one in merges if learns != "heads" or one != "laplace"]
    found: dict[str, Any] = {
        "every_s": every_s,
        "steps": draw(st.integers(1, 2)),
        "step_s": draw(st.sampled_from([0.0, every_s / 8])),
        "wait_s": draw(st.sampled_from([every_s / 2, every_s * 0.75])),
        "merge": draw(st.sampled_from(merges)),
        "among": "variant" if prototypes else draw(st.sampled_from(["variant", "group"])),
        "absent": draw(st.sampled_from([0.0, 0.0, 0.4])),
        "label_delay_s": draw(spans(lattice, 0, 6)),
        "learns": learns,
    }
    if found["merge"] != "none":
        found["dropout"] = draw(st.sampled_from([0.0, 0.0, 0.4]))
    if learns == "heads":
        own_from = [None] if found["merge"] == "none" else [None, 2 * every_s, horizon / 2]
        found["heads"] = {"personalise_at_s": draw(st.sampled_from(own_from))}
    if found["merge"] != "none" and draw(st.booleans()):
        found["broken"] = {"share": 0.5, "fault": "noise"}
    if learns == "rejectors" and draw(st.booleans()):
        found["unequal"] = {"step": {"kind": "exponential", "mean_s": every_s / 16}}
    if near or draw(st.booleans()):
        found["neighbours"] = draw(neighbours(every_s, found["merge"]))
    return found


@st.composite
def neighbours(draw: st.DrawFn, every_s: float, merge: str) -> dict[str, Any]:
    """Clusters of one or more, over links that may take longer than the wait."""
    latency = draw(st.sampled_from([0.0, every_s / 8, {"kind": "exponential", "mean_s": every_s / 8}]))
    most = draw(st.sampled_from([None, None, 1, 3]))  # fewer than there are classes, too
    hands = {"share": draw(st.sampled_from([1.0, 0.5])), "at_most": most, "sample_bytes": 400}
    return {
        "hand_over": draw(st.sampled_from([hands, hands, None])),
        "size": draw(st.integers(1, 4)),
        "one_uplink": merge in {"average", "laplace"},
        "link": {"latency": latency, "bandwidth_bps": draw(st.sampled_from([None, 16_000.0 / every_s]))},
    }


@st.composite
def together(draw: st.DrawFn, near: bool = False) -> tuple[Scenario, Learned, WrittenArrivals, float]:
    """A scenario, what was learned before it, its arrivals and the length of a chunk. near: of clients that
    have neighbours, and are merged by group."""
    scenario, arrivals, chunk_s = draw(worlds())
    told = scenario.model_dump()
    learns = "rejectors" if near else draw(st.sampled_from(["rejectors", "prototypes", "heads"]))
    told["training"]["online"], told["training"]["feedback"] = None, "full"
    lattice = draw(st.booleans())
    told["federation"] = draw(federations(scenario.horizon_s, lattice, learns, near))
    if near:
        told["federation"] |= {"among": "group", "label_delay_s": 0.0}
        told["federation"]["neighbours"] |= {"size": draw(st.integers(2, 3))}
        if all(group["arrivals"]["process"]["kind"] != "closed_loop" for group in told["fleet"]):
            told["fleet"][0].update(clients=3)
        told["fleet"][0]["policy"]["price"] = {"kind": "always_remote"}
    for place, group in enumerate(told["fleet"]):
        group["device"]["battery"] = None  # which does not go with it yet
        if group["policy"]["price"]["kind"] in {"energy_aware", "always_local"}:
            group["policy"]["price"] = {"kind": "always_remote"}
        if learns == "heads":
            group["reply"] = "features" if place == 0 else draw(st.sampled_from(["features", "label"]))
            group["rejector"]["per"] = "variant"
            group["link"]["reply_bytes"] = draw(st.sampled_from([0, 500]))
            if draw(st.booleans()):  # that some features come back
                group["policy"]["price"] = {"kind": "always_remote"}
                group["budget"] = group["breaker"] = group["timeout_s"] = group["deadline_s"] = None
            if isinstance(Group.model_validate(group).policy.price, OnlineRule):
                group["policy"]["price"] = {"kind": "always_remote"}
        elif learns == "prototypes":
            group["fallback"] = "prototype" if place == 0 else draw(st.sampled_from(["prototype", "none"]))
            group["rejector"]["per"] = "variant"
        else:
            if place == 0 and not SCORES[group["policy"]["score"]].needs_rejector:
                group["policy"]["score"] = "l2h"
            group["rejector"]["per"] = "client"
    asked = Scenario.model_validate(told)
    numbers = tuple(draw(st.sampled_from([0, 500, 4_000])) for _ in asked.fleet)
    return asked, replace(made_up(asked), shared_numbers=numbers), arrivals, chunk_s
