"""Random small scenarios: half of them on a lattice of times, where everything happens at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from worlds import WrittenArrivals, group_of, scenario_of

from sim.registry.prices import PRICES
from sim.registry.scores import SCORES
from sim.scenario import Group, Scenario
from sim.world.population import population

LATTICE_S = 0.25
BANDWIDTHS = Path(__file__).parent / "bandwidths"
TO_AND_FRO = Path(__file__).parent / "moves" / "to_and_fro.csv"


def spans(lattice: bool, low: int, high: int) -> st.SearchStrategy[float]:
    """Spans of time between low and high quarters of a second."""
    ticks = st.integers(low, high).map(lambda n: n * LATTICE_S)
    free = st.floats(low * LATTICE_S, high * LATTICE_S).map(lambda s: round(s, 3))
    return ticks if lattice else free.filter(lambda s: s == 0 or s >= 1e-6)


def durations(lattice: bool, low: int, high: int) -> st.SearchStrategy[Any]:
    constant = spans(lattice, low, high)
    if lattice:
        return constant
    mean = spans(False, max(low, 1), high)
    random = st.sampled_from(["exponential", "lognormal", "gamma", "weibull"])
    extra = {"lognormal": {"cv": 0.5}, "gamma": {"cv": 0.7}, "weibull": {"shape": 1.5}}
    return constant | st.tuples(random, mean).map(
        lambda drawn: {"kind": drawn[0], "mean_s": drawn[1]} | extra.get(drawn[0], {})
    )


@st.composite
def groups(draw: st.DrawFn, name: str, lattice: bool) -> dict[str, Any]:
    retry = st.fixed_dictionaries(
        {
            "attempts": st.sampled_from([1, 2, 3, 4, 4]),
            "backoff_s": spans(lattice, 0, 3),
            "factor": st.sampled_from([1.0, 2.0]),
            "jitter": st.just("none") if lattice else st.sampled_from(["none", "full"]),
            "allowance": st.sampled_from([None, None, 0.0, 0.3, 0.5, 1.0]),
            "cap_s": st.sampled_from([None, 0.5]),
            "allowance_by": st.sampled_from(["client", "client", "group", "fleet"]),
        }
    )
    device, policy = draw(devices(lattice)), draw(policies(lattice))
    if device.get("battery") and not draw(st.integers(0, 3)):
        policy["price"] = {"kind": "energy_aware", "at": draw(st.sampled_from([-0.5, 0.1])), "weight": 0.8}
    return group_of(
        name,
        arrivals={"process": draw(processes(lattice))},
        clients=draw(st.integers(1, 3)),
        model={"variants": draw(st.integers(1, 3))},
        rejector={"per": draw(st.sampled_from(["client", "variant"]))},
        policy=policy,
        traffic=draw(traffics(lattice)),
        device={"inference_s": draw(st.just(0.0) | spans(lattice, 0, 2))} | device,
        link={
            # Links without delay are where most happens at once.
            "latency": draw(st.just(0.0) | durations(lattice, 0, 3)),
            "payload_bytes": draw(st.sampled_from([0, 1000])),
            "bandwidth_bps": draw(st.sampled_from([None, 32_000.0])),
        }
        | draw(radios(lattice)),
        deadline_s=draw(st.none() | spans(lattice, 4, 24)),
        timeout_s=draw(spans(lattice, 1, 8) if draw(st.integers(0, 2)) else st.none()),
        retry=draw(retry if draw(st.integers(0, 3)) else st.none()),
        fallback=draw(st.sampled_from(["client", "none"])),
        service_factor=draw(st.sampled_from([1.0, 1.0, 2.0])),
        priority=draw(st.integers(0, 2)),
        provisional_after_s=draw(seldom(spans(lattice, 0, 4))),
        breaker=draw(seldom(breakers(lattice))),
        budget=draw(seldom(budgets(lattice))),
    )


@st.composite
def devices(draw: st.DrawFn, lattice: bool) -> dict[str, Any]:
    """Mostly nobody says what they draw; some run empty, and of those some work again."""
    if draw(st.integers(0, 3)):
        return {}
    found: dict[str, Any] = {
        "inference_j": draw(st.sampled_from([0.0, 0.2, 0.25, 0.7])),
        "idle_w": draw(st.sampled_from([0.0, 0.25, 0.3])),
        "battery": None,
    }
    if draw(st.integers(0, 3)):
        capacity = draw(st.sampled_from([1.0, 1.5, 3.3]))
        profile = {
            "kind": "profile",
            "watts": tuple(draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.1]), min_size=1, max_size=4))),
            "each_s": draw(spans(lattice, 1, 12)),
        }
        trace = {"kind": "trace", "file": str(BANDWIDTHS.parent / "harvests" / "sun.csv")}
        harvest = draw(st.sampled_from([None, None, profile, trace]))
        watts = draw(st.sampled_from([0.0, 0.25, 0.7])) if harvest is None else 0.0
        charges = bool(watts or (harvest and any(harvest.get("watts", (1.0,)))))
        found["battery"] = {
            "capacity_j": capacity,
            "start_j": draw(st.sampled_from([None, 0.5, 1.0])),
            "restart_j": draw(st.sampled_from([None, 0.5, 0.5, 1.0])) if charges else None,
            "harvest_w": watts,
            "harvest": harvest,
        }
    return found


def radios(lattice: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly nothing is said of them."""
    drawing = st.fixed_dictionaries(
        {
            "tx_w": st.sampled_from([0.0, 1.0, 2.2]),
            "rx_w": st.sampled_from([0.0, 0.5]),
            "tail_s": spans(lattice, 0, 8),
        }
    )
    return st.one_of(*[st.just(dict[str, Any]())] * 4, drawing)


def breakers(lattice: bool) -> st.SearchStrategy[dict[str, Any]]:
    common = {"cooldown_s": spans(lattice, 1, 8), "probes": st.sampled_from([1, 1, 2, 3])}
    ratio = {"ratio": st.sampled_from([0.3, 0.5, 1.0]), "window": st.integers(1, 5)}
    return st.fixed_dictionaries({"failures": st.integers(1, 3)} | common) | st.fixed_dictionaries(
        ratio | common
    )


@st.composite
def policies(draw: st.DrawFn, lattice: bool) -> dict[str, Any]:
    """Half of them send everything, so that the server has something to do; the others pay any price."""
    ranks, gains = ["l2h", "l2h", "random", "entropy"], ["plug_in", "oracle"]
    if draw(st.booleans()):
        return {"score": draw(st.sampled_from(ranks + gains)), "price": {"kind": "always_remote"}}
    rate = draw(st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
    that_hear = [
        {
            "kind": "availability_aware",
            "memory_s": draw(spans(lattice, 1, 16)),
            "probe_every_s": draw(spans(lattice, 1, 16)),
        },
        {
            "kind": "queue_aware",
            "weight": draw(st.sampled_from([0.1, 0.5])),
            "memory_s": draw(st.none() | spans(lattice, 1, 16)),
        },
    ]
    of_gains = [
        *that_hear,
        {
            "kind": "drift_plus_penalty",
            "v": draw(st.sampled_from([0.5, 4.0])),
            "rate_hz": draw(st.sampled_from([0.25, 1.0])),
        },
    ]
    of_both = [
        {"kind": "always_local"},
        {"kind": "threshold", "at": draw(st.sampled_from([-0.5, 0.5]))},
        {"kind": "bounded_rate", "rate": rate},
        {"kind": "rate_controller", "rate": rate, "gain": draw(st.sampled_from([0.05, 0.5, 2.0]))},
        draw(learners()),
    ]
    price = draw(st.sampled_from([*of_gains, *of_both, {"kind": "bounded_rate_thinned", "rate": rate}]))
    scores = gains if price in of_gains else ranks + gains
    if price["kind"] == "bounded_rate_thinned":
        scores = ["l2h", "plug_in", "oracle"]
    return {"score": draw(st.sampled_from(scores)), "price": price}


def learners() -> st.SearchStrategy[dict[str, Any]]:
    """Prices that learn from answers, quickly and on few levels."""
    shared = {
        "levels": st.sampled_from([2, 5, 8]),
        "low": st.sampled_from([-1.5, -0.3]),
        "on_failure": st.sampled_from(["ignore", "ignore", "count", "forget"]),
        "kept": st.sampled_from([0.0, 0.1, 1.0]),
    }
    drawing = {
        "eta": st.sampled_from([0.1, 2.0]),
        "epsilon": st.sampled_from([0.05, 0.4]),
        "queue": st.sampled_from([1, 3]),
        "wait_s": st.sampled_from([0.5, 4.0]),
    }
    own: dict[str, dict[str, Any]] = {
        "hi_lcb": {"alpha": st.sampled_from([0.02, 0.5])},
        "hi_lcb_lite": {"alpha": st.sampled_from([0.02, 0.5])},
        "ucb": {"alpha": st.sampled_from([0.02, 0.5])},
        "thompson": {"scale": st.sampled_from([0.5, 1.0])},
        "weighted_median": {"eta": st.sampled_from([0.06, 2.0])},
        "h2t2": {
            **drawing,
            "positive": st.sampled_from([1, 3]),
            "false_negative": st.sampled_from([0.5, 2.0]),
        },
        "hedge_queue": drawing,
        "lyapunov_exp4": {**drawing, "rate": st.sampled_from([0.4, 0.7]), "v": st.sampled_from([2.0, 20.0])},
    }
    return st.sampled_from(list(own)).flatmap(
        lambda kind: st.fixed_dictionaries({"kind": st.just(kind), **shared, **own[kind]})
    )


def processes(lattice: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly arrivals that are written down, whatever the scenario says of them; else a closed loop."""
    thinks = st.tuples(durations(lattice, 1, 8), st.sampled_from([1, 1, 2, 4])).map(
        lambda drawn: {"kind": "closed_loop", "think": drawn[0], "at_once": drawn[1]}
    )
    written = st.just({"kind": "poisson", "rate_hz": 1.0})
    return st.one_of(*[written] * 3, thinks)


def in_loop(group: Group) -> bool:
    return group.arrivals.process.kind == "closed_loop"


@st.composite
def batched(draw: st.DrawFn, group: dict[str, Any], lattice: bool) -> dict[str, Any] | None:
    """How a group's devices send several together, where they may."""
    device, link = group["device"], group["link"]
    draws = device.get("battery") or device.get("inference_j") or device.get("idle_w") or link.get("tx_w")
    if draws or link.get("rx_w") or link["over"] or group.get("options") or draw(st.integers(0, 2)):
        return None
    found = {
        "size": draw(st.integers(1, 4)),
        "of": draw(st.sampled_from(["requests", "sends"])),
        "wait_s": draw(st.none() | spans(lattice, 1, 6)),
    }
    if group["arrivals"]["process"]["kind"] == "closed_loop":
        found["size"] = min(found["size"], group["arrivals"]["process"]["at_once"])
    return found


def seldom(some: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly nothing: what is optional should mostly be off, or every world would have everything."""
    return st.sampled_from([True, False, False]).flatmap(lambda wanted: some if wanted else st.none())


def budgets(lattice: bool, *sharers: str) -> st.SearchStrategy[dict[str, Any]]:
    """Few enough sends that somebody has to do without."""
    shared_by = st.sampled_from(sharers or ["client", "group"])
    period = {"per_s": spans(lattice, 2, 12), "shared_by": shared_by}
    bucket = {"rate_hz": st.sampled_from([0.25, 0.3, 1.0]), "burst": st.sampled_from([1.0, 1.5, 3.0])}
    return (
        st.fixed_dictionaries({"kind": st.just("token_bucket"), "shared_by": shared_by, **bucket})
        | st.fixed_dictionaries({"kind": st.just("count"), "limit": st.integers(0, 4), **period})
        | st.fixed_dictionaries(
            {
                "kind": st.just("money"),
                "limit": st.sampled_from([0.0, 0.3, 1.0]),
                "price": st.sampled_from([0.0, 0.1, 0.3]),
                **period,
            }
        )
    )


@st.composite
def outages(
    draw: st.DrawFn, replicas: int, groups: int, horizon: float, lattice: bool
) -> tuple[dict[str, Any], ...]:
    found = []
    targets: list[dict[str, Any]] = [{"kind": "server"}]
    targets += [{"kind": "replicas", "count": n} for n in range(1, replicas + 1)]
    for target in draw(st.lists(st.sampled_from(targets), max_size=2, unique_by=str)):
        found.append({"when": draw(times(horizon, lattice)), "target": target, "effect": draw(EFFECTS)})
    some = st.sets(st.integers(0, groups - 1), min_size=1)
    # Written outages of one set of groups must not overlap, so none is drawn twice.
    for hit in draw(st.lists(some, max_size=2, unique_by=frozenset)):
        when = draw(times(horizon, lattice))
        correlated = when["kind"] == "intervals" or draw(st.booleans())
        share = draw(st.sampled_from([1.0, 0.5]))
        target = {
            "kind": "links",
            "groups": tuple(f"g{g}" for g in sorted(hit)),
            "share": share,
            "correlated": correlated,
        }
        found.append({"when": when, "target": target, "effect": draw(EFFECTS)})
    return tuple(found)


EFFECTS = st.sampled_from([{"kind": "down"}] * 3 + [{"kind": "slowdown", "factor": 2.0}])


@st.composite
def times(draw: st.DrawFn, horizon: float, lattice: bool) -> dict[str, Any]:
    """When an outage happens: mostly written, which Hypothesis makes simpler where something fails."""
    kind = draw(st.sampled_from(["intervals", "intervals", "renewal", "intermittent"]))
    if kind == "renewal":
        return {"kind": kind, "up": draw(durations(lattice, 2, 16)), "down": draw(durations(lattice, 1, 8))}
    if kind == "intermittent" and not lattice:
        return {"kind": kind, "availability": 0.7, "mean_cycle_s": draw(spans(False, 4, 20))}
    edges = draw(st.lists(spans(lattice, 0, int(horizon / LATTICE_S)), min_size=2, max_size=8, unique=True))
    edges = sorted(edges)[: len(edges) // 2 * 2]
    return {"kind": "intervals", "at": tuple(zip(edges[::2], edges[1::2], strict=True))}


@st.composite
def scalings(draw: st.DrawFn, replicas: int, lattice: bool) -> dict[str, Any]:
    target = draw(
        st.sampled_from([("utilisation", 0.3), ("utilisation", 0.7), ("queue", 1.0), ("queue", 2.5)])
    )
    return {
        f"target_{target[0]}": target[1],
        "tolerance": draw(st.sampled_from([0.0, 0.0, 0.2])),
        "stabilise_s": draw(st.just(0.0) | spans(lattice, 0, 16)),
        "cool_down_s": draw(st.just(0.0) | spans(lattice, 0, 8)),
        "interval_s": draw(spans(lattice, 2, 8)),
        "provisioning_s": draw(spans(lattice, 0, 6)),
        "min": draw(st.integers(0, replicas)),
        "max": draw(st.integers(replicas, 5)),
    }


def calls(replicas: int, lattice: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Instances that are cold soon, and some that never are."""
    return st.fixed_dictionaries(
        {
            "keep_alive_s": spans(lattice, 0, 12),
            "cold_start_s": spans(lattice, 0, 6),
            "provisioned": st.sampled_from([0, 0, min(1, replicas), replicas]),
        }
    )


def admissions() -> st.SearchStrategy[dict[str, Any]]:
    bucket = {"kind": "token_bucket", "rate_hz": 0.8, "burst": 2.0}
    return st.sampled_from([{"kind": "none"}] * 4 + [{"kind": "deadline_feasible"}, bucket])


@st.composite
def traffics(draw: st.DrawFn, lattice: bool) -> dict[str, Any]:
    """A mix, and classes that drift up to three times."""
    found: dict[str, Any] = draw(st.sampled_from([{"mix": "all"}, {"mix": "dirichlet", "alpha": 0.5}]))
    at = sorted(set(draw(st.lists(spans(lattice, 1, 23), max_size=3))))
    # Every class may come to have a weight; in worlds so small some have no sample, and then another has one.
    weights = st.lists(st.sampled_from([0.0, 1.0, 3.0]), min_size=10, max_size=10)
    drift = tuple({"at_s": s, "classes": (*draw(weights)[:-1], 0.5)} for s in at)
    return found | {"drift": drift}


@st.composite
def trainings(draw: st.DrawFn, horizon: float, lattice: bool) -> dict[str, Any]:
    """Training during the run, mostly: short rounds, copies that take their time, labels that come late."""
    found = {
        "exploration": draw(st.sampled_from([0.0, 0.0, 0.3])),
        "feedback": draw(st.sampled_from(["full", "deferred_only"])),
    }
    if not draw(st.integers(0, 3)):
        return found
    every_s = draw(spans(lattice, 1, int(horizon)).filter(lambda s: s > 0))
    steps, rejector_steps = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    step_s = draw(st.sampled_from([0.0, every_s / 8, every_s / 4]))
    rejector_step_s = draw(spans(lattice, 0, 8))
    least_s = max(every_s / 4, steps * step_s, rejector_steps * rejector_step_s)
    adaptive = None
    if least_s <= every_s and draw(st.booleans()):
        adaptive = {"cost": draw(st.sampled_from([0.01, 0.3, 5.0])), "at_least_s": least_s}
    return found | {
        "online": {
            "every_s": every_s,
            "adaptive": adaptive,
            "steps": steps,
            "step_s": step_s,
            "rejector_steps": rejector_steps,
            "rejector_step_s": rejector_step_s,
            "source": draw(st.sampled_from(["pool", "deferred", "deferred", "mix"])),
            "label_delay_s": draw(spans(lattice, 0, 6)),
            "copy_bytes": draw(st.sampled_from([0, 1000, 4000])),
            "capacity_share": draw(st.sampled_from([0.0, 0.0 if adaptive else 0.5])),
        }
    }


@st.composite
def stations(draw: st.DrawFn, lattice: bool, most_in_batch: int = 4) -> dict[str, Any]:
    """A server without outages."""
    replicas, max_batch = draw(st.integers(1, 3)), draw(st.integers(1, most_in_batch))
    limits = st.none() | st.integers(max_batch - 1, 8)
    found = {
        "replicas": replicas,
        "max_batch": max_batch,
        "batch_wait_s": draw(spans(lattice, 0, 3)),
        "queue_limit": draw(limits),
        "service": draw(
            durations(lattice, 1, 6).map(lambda time: {"kind": "per_batch", "time": time})
            | spans(lattice, 1, 4).map(
                lambda s: {
                    "kind": "affine",
                    "base_s": s,
                    "per_item_s": LATTICE_S,
                    "cv": 0.0 if lattice else 0.4,
                }
            )
        ),
        "when_down": draw(st.sampled_from(["refuse", "silent", "queue"])),
        "queue_survives": draw(st.booleans()),
        "discipline": draw(st.sampled_from(["fifo", "fifo", "lifo", "edf", "fair", "priority", "sjf"])),
        "admission": draw(admissions()),
        "drop_expired": draw(st.sampled_from([False, False, True])),
        "autoscaling": draw(seldom(scalings(replicas, lattice))),
        "in_flight": draw(st.sampled_from(["lose", "requeue", "finish", "resume", "restart"])),
    }
    if not draw(st.integers(0, 3)):
        found["stages"], found["stage_overhead"] = draw(st.integers(2, 3)), draw(st.sampled_from([1.0, 1.5]))
        found["in_flight"] = draw(st.sampled_from(["lose", "requeue", "finish"]))
    if found["discipline"] == "priority":  # most of it is what becomes of who waits behind a full queue
        found["queue_limit"] = draw(st.none() | st.integers(max_batch - 1, max_batch + 1))
    if not draw(st.integers(0, 5)):
        found |= {"serverless": draw(calls(replicas, lattice)), "max_batch": 1, "autoscaling": None}
        found |= {"in_flight": draw(st.sampled_from(["lose", "finish"])), "stages": 1, "stage_overhead": 1.0}
    found["queue_survives"] |= found["in_flight"] == "requeue"
    found["queue_survives"] |= bool(found["autoscaling"]) and found["autoscaling"]["min"] == 0
    return found


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Scenario, WrittenArrivals, float]:
    """A scenario, its arrivals and the length of a chunk."""
    lattice = draw(st.booleans())
    horizon = draw(st.sampled_from([6.0, 12.0, 25.0]))
    fleet = tuple(draw(groups(f"g{g}", lattice)) for g in range(draw(st.integers(1, 3))))
    pot = draw(seldom(budgets(lattice, "fleet")))
    if pot:  # some groups draw on it, and it is the same for all of them
        fleet = tuple(group | ({"budget": pot} if draw(st.booleans()) else {}) for group in fleet)
    server = draw(stations(lattice))
    server["outages"] = draw(outages(server["replicas"], len(fleet), horizon, lattice))
    charge_on = draw(st.sampled_from(["send", "accept", "answer"]))
    network = draw(networks(lattice))
    training = draw(trainings(horizon, lattice))
    for group in fleet:
        if part := draw(seldom(parts(lattice))):
            group["options"] = ({"option": "part", "server": "server"} | part,)
        group["link"]["over"] = over_some(draw, network)
        group["link"]["payload_bytes"] += 500 * bool(group["link"]["over"])
        if "online" in training:
            plain_devices(group)
        group["device"]["batch"] = draw(batched(group, lattice))
    scenario = scenario_of(
        seed=draw(st.integers(0, 99)),
        horizon_s=horizon,
        fleet=fleet,
        network=network,
        server=server,
        training=training,
        costs={"charge_on": charge_on, "c_e": draw(st.sampled_from([0.1, 0.35]))},
    )
    return scenario, draw(written(scenario, lattice)), draw(st.sampled_from([2.0, 5.0, 7.25, 60.0]))


@st.composite
def written(draw: st.DrawFn, scenario: Scenario, lattice: bool) -> WrittenArrivals:
    """Arrivals of those who are not in closed loops. A seed and a number give dense traffic; lists drawn one
    by one would mostly be short."""
    horizon = scenario.horizon_s
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    asking = [c for c, g in enumerate(population(scenario).group) if not in_loop(scenario.fleet[g])]
    n = draw(st.integers(0, 80))
    at = random.random(n) * horizon
    at = np.floor(at / LATTICE_S) * LATTICE_S if lattice else at
    who = random.choice(asking, n).tolist() if asking else []
    pairs = tuple(zip(at.tolist(), who, strict=False))
    return WrittenArrivals(pairs)


@st.composite
def several(draw: st.DrawFn) -> tuple[Scenario, WrittenArrivals, float]:
    """A world of several servers and models, among which some clients choose."""
    lattice = draw(st.booleans())
    horizon = draw(st.sampled_from([6.0, 12.0, 25.0]))
    models = [f"m{n}" for n in range(draw(st.integers(1, 3)))]
    servers = [draw(named(f"s{n}", models, horizon, lattice)) for n in range(draw(st.integers(1, 3)))]
    servers[-1]["models"] = tuple(models)  # so that each has a server
    servers[-1]["max_batch"] = 1 if len(models) > 1 else servers[-1]["max_batch"]
    works = [draw(st.sampled_from([1.0, 1.0, 2.0])) for _ in models]
    if len(models) > 1 and draw(st.booleans()):  # the server that has all of them chooses itself
        works = [0.5, 1.0, 2.5][: len(models)]
        most = 1 if servers[-1].get("serverless") else 4
        servers[-1] |= {"switch": draw(switches(lattice)), "max_batch": draw(st.integers(1, most))}
        if servers[-1]["queue_limit"] is not None:
            servers[-1]["queue_limit"] = max(servers[-1]["queue_limit"], servers[-1]["max_batch"] - 1)
    pairs = [
        (one["server"], model)
        for one in servers
        for model in ([None] if one.get("switch") else one["models"])
    ]
    fleet = tuple(draw(choosers(f"g{g}", pairs, lattice)) for g in range(draw(st.integers(1, 3))))
    network = draw(networks(lattice))
    for group in fleet:
        group["link"]["over"] = over_some(draw, network)
        group["link"]["payload_bytes"] += 500
        for option in group.get("options") or ():
            if option["link"]:
                option["link"] |= {"payload_bytes": draw(st.sampled_from([500, 2000]))}
            option["over"] = draw(st.sampled_from([None, over_some(draw, network)]))
    of_models: dict[str, dict[str, Any]] = {
        name: {"work": work, "memory_bytes": draw(st.sampled_from([1.0, 1.0, 1.0, 2.0, 0.0]))}
        for name, work in zip(models, works, strict=True)
    }
    for one in servers:
        if len(one["models"]) > 1 and draw(st.integers(0, 3)):
            one.update(draw(swaps(one, [of_models[name]["memory_bytes"] for name in one["models"]], lattice)))
    training = {"exploration": draw(st.sampled_from([0.0, 0.0, 0.3]))}
    if draw(st.booleans()):
        training = learned_by_several(draw, horizon, lattice, models, fleet)
    elif not draw(st.integers(0, 3)):
        ask_peers(draw, servers[0], fleet[0], of_models)
    scenario = scenario_of(
        seed=draw(st.integers(0, 99)),
        horizon_s=horizon,
        network=network,
        fleet=fleet,
        server=None,
        servers=tuple(servers),
        models=of_models,
        outages=draw(shared_outages([one["server"] for one in servers], len(fleet), horizon, lattice)),
        training=training,
        costs={
            "charge_on": draw(st.sampled_from(["send", "accept", "answer"])),
            "c_e": draw(st.sampled_from([0.1, 0.35])),
        },
    )
    return scenario, draw(written(scenario, lattice)), draw(st.sampled_from([2.0, 5.0, 7.25, 60.0]))


def learned_by_several(
    draw: st.DrawFn, horizon: float, lattice: bool, models: list[str], fleet: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    """Training during the run of all models, or of some; leaves out of the fleet what does not go with it."""
    found = draw(trainings(horizon, lattice))
    if "online" in found:
        found["online"]["adaptive"] = None
        if len(models) > 1:
            some = st.lists(st.sampled_from(models), min_size=1, unique=True).map(tuple)
            found["online"]["models"] = draw(st.none() | some)
        for group in fleet:
            plain_devices(group)
    if any(SCORES[group["policy"]["score"]].needs_rejector for group in fleet):
        found["feedback"] = "full"  # an answer tells of one option
    return found


def plain_devices(group: dict[str, Any]) -> None:
    """Without a battery, and without a price that asks for one."""
    if group["device"].get("battery"):
        group["device"]["battery"] = None
        if group["policy"]["price"]["kind"] == "energy_aware":
            group["policy"]["price"] = {"kind": "always_remote"}


def ask_peers(
    draw: st.DrawFn, server: dict[str, Any], group: dict[str, Any], models: dict[str, dict[str, Any]]
) -> None:
    """Devices of a group are a server's replicas, if it has one model; its clients may come and go."""
    if len(server["models"]) > 1:
        return
    models[server["models"][0]] |= {"of_group": group["group"], "variant": 0}
    server |= {"peers_of": group["group"], "autoscaling": None, "serverless": None}
    server |= {"stages": 1, "stage_overhead": 1.0}
    devices = -(-group["clients"] // group["model"]["variants"])
    server["replicas"] = draw(st.integers(1, devices))
    if group["arrivals"]["process"]["kind"] != "closed_loop" and draw(st.booleans()):
        group["presence"] = {"join_hz": 0.05, "stay": draw(st.sampled_from([2.0, 5.0]))}


@st.composite
def swaps(draw: st.DrawFn, server: dict[str, Any], takes: list[float], lattice: bool) -> dict[str, Any]:
    """Models that take turns in the memory of a server's replicas; `takes`: of each. A pipeline or instances
    have room for all."""
    if server.get("serverless") or server.get("stages", 1) > 1:
        return {"memory_bytes": sum(takes) or 1.0}
    load_s = draw(st.just(0.0) | spans(lattice, 1, 6))
    return {
        "load_s": load_s,
        "memory_bytes": draw(st.sampled_from([max(*takes, 1.0)] * 2 + [max(takes) + 1.0])),
    }


def switches(lattice: bool) -> st.SearchStrategy[dict[str, Any]]:
    above = st.integers(1, 3)
    return (
        above.flatmap(
            lambda n: st.fixed_dictionaries(
                {"kind": st.just("backlog"), "above": st.just(n), "below": st.integers(0, n - 1)}
            )
        )
        | st.just({"kind": "deadline"})
        | st.fixed_dictionaries(
            {
                "kind": st.just("gear"),
                "every_s": spans(lattice, 2, 12),
                "most_load": st.sampled_from([0.3, 1.0]),
            }
        )
    )


@st.composite
def networks(draw: st.DrawFn, lattice: bool) -> tuple[dict[str, Any], ...]:
    """Shared links: some so slow that they fill, and some whose bandwidth changes."""
    found = []
    for place in range(draw(st.sampled_from([0, 0, 1, 2]))):
        bandwidth: dict[str, Any] = {"bandwidth_bps": draw(st.sampled_from([16_000.0, 32_000.0, 1e6]))}
        if draw(st.booleans()):
            file = str(BANDWIDTHS / draw(st.sampled_from(["mahimahi", "pensieve"])))
            bandwidth = {"bandwidth": {"kind": "trace", "file": file, "format": file.rpartition("/")[2]}}
        found.append(
            {
                "link": f"l{place}",
                "discipline": draw(st.sampled_from(["fifo", "ps"])),
                "latency": draw(st.just(0.0) | durations(lattice, 0, 2)),
            }
            | bandwidth
        )
    return tuple(found)


def over_some(draw: st.DrawFn, links: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    names = [one["link"] for one in links]
    return tuple(draw(st.lists(st.sampled_from(names), unique=True))) if names else ()


@st.composite
def named(draw: st.DrawFn, name: str, models: list[str], horizon: float, lattice: bool) -> dict[str, Any]:
    """One of several servers, with its own outages, and replicas that fail each on their own."""
    has = draw(st.lists(st.sampled_from(models), min_size=1, unique=True))
    found = draw(stations(lattice, 1 if len(has) > 1 else 4)) | {"server": name, "models": tuple(has)}
    own = list(draw(outages(found["replicas"], 1, horizon, lattice)))
    own = [one for one in own if one["target"]["kind"] != "links"]
    if draw(st.booleans()):
        when = {
            "kind": "renewal",
            "up": draw(durations(lattice, 2, 16)),
            "down": draw(durations(lattice, 1, 8)),
        }
        target = {"kind": "replicas", "count": found["replicas"], "each": True}
        own.append({"when": when, "target": target})
    return found | {"outages": tuple(own)}


@st.composite
def parts(draw: st.DrawFn, lattice: bool) -> dict[str, Any]:
    """What the device and the server have to do of an option, and what goes between them."""
    found = {
        "payload_bytes": draw(st.sampled_from([None, 500, 2000])),
        "device_s": draw(st.just(0.0) | spans(lattice, 1, 4)),
        "work": draw(st.sampled_from([0.5, 1.0, 1.5])),
    }
    return found | {"device_j": draw(st.sampled_from([0.0, 0.5, 3.0])) if found["device_s"] else 0.0}


def moves(lattice: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Between two or three cells: all together, or each for itself."""
    cells = ("a", "b", "c")
    later = st.lists(st.tuples(spans(lattice, 1, 9), st.sampled_from(cells)), max_size=4, unique_by=_instant)
    together = {"cells": st.just(cells), "at": later.map(lambda at: ((0.0, "a"), *sorted(at)))}
    alone = {
        "cells": st.sampled_from([cells, cells[:2]]),
        "stays": durations(lattice, 1, 5),
        "next": st.none() | st.just({"a": {"b": 1.0}}),
        "begin": st.sampled_from([None, "a", "b"]),
    }
    from_file = {"cells": st.sampled_from([cells, cells[:2]]), "file": st.just(str(TO_AND_FRO))}
    return st.one_of(map(st.fixed_dictionaries, (together, alone, from_file)))


def _instant(of: tuple[float, str]) -> float:
    return of[0]


@st.composite
def choosers(draw: st.DrawFn, name: str, pairs: list[tuple[str, str]], lattice: bool) -> dict[str, Any]:
    """A group with options of its own, or with all that there are."""
    group = draw(groups(name, lattice))
    chosen = draw(st.none() | st.lists(st.sampled_from(pairs), min_size=1, max_size=4))
    if chosen is not None:
        group["options"] = tuple(
            {
                "option": f"o{n}",
                "server": server,
                "model": model,
                "link": draw(st.none() | st.just({"latency": draw(durations(lattice, 0, 3))})),
                "c_e": draw(st.sampled_from([None, 0.05, 0.2])),
            }
            | (draw(seldom(parts(lattice))) or {})
            for n, (server, model) in enumerate(chosen)
        )
    if chosen is not None and draw(st.booleans()):
        group["moves"] = draw(moves(lattice))
        cells = st.sampled_from(group["moves"]["cells"])
        for option in group["options"]:
            here = st.dictionaries(cells, durations(lattice, 0, 3), min_size=1)
            option["latency_in"] = draw(st.none() | here)
    if group["retry"]:
        group["retry"] = group["retry"] | {"next": draw(st.sampled_from(["same", "other"]))}
    score, price = group["policy"]["score"], group["policy"]["price"]
    after = st.fixed_dictionaries(
        {"after_s": spans(lattice, 0, 2), "cancel": st.sampled_from([True, True, False])}
    )
    if len(pairs if chosen is None else chosen) > 1:
        group["hedge"] = draw(st.none() | after)
    has_several, has_own = len(pairs if chosen is None else chosen) > 1, SCORES[score].is_per_option
    ways = ["best"] * has_own + ["order", "least_backlog", "two_choices", "round_robin", "home", "nearest"]
    group["choose"] = draw(st.sampled_from(ways))
    names = [one["option"] for one in group.get("options") or ()]
    if has_several and group["choose"] == "home" and names:
        homes = st.lists(st.sampled_from(names), min_size=group["clients"], max_size=group["clients"])
        group["homes"] = draw(st.none() | homes.map(tuple))
    if has_several and has_own and PRICES[price["kind"]].needs_calibration:
        group["policy"] = {"score": score, "price": {"kind": "threshold", "at": 0.0}}
    return group


@st.composite
def shared_outages(
    draw: st.DrawFn, servers: list[str], groups: int, horizon: float, lattice: bool
) -> tuple[dict[str, Any], ...]:
    """Several servers at once, and links."""
    found = [one for one in draw(outages(1, groups, horizon, lattice)) if one["target"]["kind"] == "links"]
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(servers), min_size=1, unique=True))
        target = {"kind": "servers", "names": tuple(names)}
        found.append({"when": draw(times(horizon, lattice)), "target": target, "effect": draw(EFFECTS)})
    return tuple(found)
