"""What a scenario may say and hardly means: told in the log when it is read, and never refused.
Beside `sim.scenario.rules.checks`, whose rules refuse."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from sim.registry.budgets import TokenBucket
from sim.registry.durations import mean_s
from sim.registry.outage_targets import LinksTarget
from sim.registry.shapes import FlashCrowd
from sim.scenario.asking import inference_s
from sim.scenario.rules.estimates import estimate, fastest_answer_s, most_sent
from sim.scenario.rules.rates import mean_rate_hz
from sim.scenario.rules.servers import stations
from sim.scenario.schema.document import Scenario
from sim.scenario.text.draft import Finding


def advice(scenario: Scenario) -> Iterator[Finding]:
    """Every piece of advice. The scenario has passed its checks, so its files can be read."""
    yield from _bursts_cover_what_is_under_way(scenario)
    yield from _studies_count_classes_alike(scenario)
    if scenario.horizon_s > 0:
        yield from _answers_can_come_in_time(scenario)
        yield from _sessions_do_not_ask_all_the_time(scenario)
        yield from _batches_of_devices_fill_in_time(scenario)
        yield from _neighbours_gather_in_time(scenario)
        yield from _crowds_come_before_the_horizon(scenario)
        yield from _servers_can_keep_up(scenario)
    yield from _a_full_server_orders_more(scenario)


def _bursts_cover_what_is_under_way(scenario: Scenario) -> Iterator[Finding]:
    """A token that may be released keeps its room in the bucket, so a small one never gives its rate."""
    if scenario.costs.charge_on == "send":
        return
    for index, group in enumerate(scenario.fleet):
        budget = group.budget
        if not isinstance(budget, TokenBucket):
            continue
        under_way = budget.rate_hz * fastest_answer_s(scenario, group)
        if budget.burst < under_way:
            what = (
                f"{under_way:.3g} sends are under way at {budget.rate_hz:g} a second, and each holds a token"
            )
            sentence = f"{budget.burst:g} is small: {what} until it is heard of, so fewer will be sent"
            yield Finding(("fleet", index, "budget", "burst"), sentence)


def _studies_count_classes_alike(scenario: Scenario) -> Iterator[Finding]:
    """Rejectors learn by what their clients meet; tables made before any traffic do not judge them by it."""
    if scenario.study is None:
        return
    for index, group in enumerate(scenario.fleet):
        mix = group.traffic.mix
        if mix == "dirichlet" or (mix == "own" and group.partition.is_per_variant):
            sentence = (
                f"{mix} gives each client classes in a mix of its own, by which its rejector learns; the "
                "study counts every held-out sample alike, so the run, and not it, tells what clients get"
            )
            yield Finding(("fleet", index, "traffic", "mix"), sentence)


def _answers_can_come_in_time(scenario: Scenario) -> Iterator[Finding]:
    """A group whose timer ends before an answer can be there has a slip of units somewhere."""
    for index, group in enumerate(scenario.fleet):
        deadline_s = inf if group.deadline_s is None else group.deadline_s - inference_s(group)
        waits_s = min(deadline_s, inf if group.timeout_s is None else group.timeout_s)
        takes_s = fastest_answer_s(scenario, group)
        if most_sent(group) > 0 and takes_s > waits_s:
            key = "deadline_s" if waits_s == deadline_s else "timeout_s"
            sentence = (
                f"an answer takes {takes_s:.3g} s on average where nobody else asks (link and service), and "
                f"a client waits {waits_s:.3g} s after the decision: few or none will be in time"
            )
            yield Finding(("fleet", index, key), sentence)


def _sessions_do_not_ask_all_the_time(scenario: Scenario) -> Iterator[Finding]:
    """Who is cut off at once, and asks again far sooner than an answer takes, makes more requests than are
    expected."""
    links = [one.outage.target for one in scenario.all_outages if isinstance(one.outage.target, LinksTarget)]
    for index, group in enumerate(scenario.fleet):
        is_cut = any(group.group in one.groups for one in links) or group.breaker or group.budget
        if group.session is None or most_sent(group) == 0 or not is_cut:
            continue
        again_s, takes_s = group.session.again_s, inference_s(group) + fastest_answer_s(scenario, group)
        if 2 * again_s < takes_s:
            sentence = (
                f"{again_s:g} is small: who is cut off and may draft no more asks {takes_s / again_s:.3g} "
                "times as often as who is answered, so there will be more requests than expected"
            )
            yield Finding(("fleet", index, "session", "again_s"), sentence)


def _batches_of_devices_fill_in_time(scenario: Scenario) -> Iterator[Finding]:
    """Whoever collects for longer than its requests may wait sends most of them in vain. Closed loops send
    what they have once they have asked everything."""
    for index, group in enumerate(scenario.fleet):
        batch, process = group.device.batch, group.arrivals.process
        rate_hz = mean_rate_hz(scenario, index) if process.is_open else inf
        if batch is None or group.deadline_s is None or not rate_hz or most_sent(group) == 0:
            continue
        share = most_sent(group) if batch.of == "sends" else 1.0
        fills_s = (batch.size - 1) / (rate_hz * share)
        waits_s = min(fills_s, inf if batch.wait_s is None else batch.wait_s)
        left_s = group.deadline_s - group.device.inference_s - fastest_answer_s(scenario, group)
        if waits_s / 2 > left_s > 0:
            sentence = (
                f"a batch of {batch.size} takes {fills_s:.3g} s to fill on average, and its requests have "
                f"{left_s:.3g} s for that: few will be in time"
            )
            yield Finding(("fleet", index, "device", "batch"), sentence)


def _neighbours_gather_in_time(scenario: Scenario) -> Iterator[Finding]:
    """A cluster waits for the last of its members before it uploads."""
    federation = scenario.federation
    if federation is None or federation.neighbours is None or not federation.has_one_uplink:
        return
    takes_s = mean_s(federation.neighbours.link.latency)
    left_s = federation.wait_s - federation.steps * federation.step_s
    if takes_s > left_s > 0:
        sentence = (
            f"what neighbours gather takes {takes_s:.3g} s on average, and {left_s:.3g} s are left of wait_s "
            "after steps * step_s: few uploads or none will be in time"
        )
        yield Finding(("federation", "neighbours", "link", "latency"), sentence)


def _crowds_come_before_the_horizon(scenario: Scenario) -> Iterator[Finding]:
    for index, group in enumerate(scenario.fleet):
        shape = group.arrivals.shape
        if isinstance(shape, FlashCrowd) and shape.at_s >= scenario.horizon_s:
            sentence = (
                f"{shape.at_s:g} is not before horizon_s, {scenario.horizon_s:g}: the crowd never comes"
            )
            yield Finding(("fleet", index, "arrivals", "shape", "at_s"), sentence)


def _servers_can_keep_up(scenario: Scenario) -> Iterator[Finding]:
    """Told only where neither policies nor closed loops leave a doubt of what is sent."""
    is_plain = all(
        group.arrivals.process.is_open and group.policy.price.kind in ("always_remote", "always_local")
        for group in scenario.fleet
    )
    offered = estimate(scenario).offered
    if offered > 1 and is_plain:
        sentence = f"the offered load is {offered:.3g}: more is sent than full batches can serve"
        yield Finding((*scenario.station_paths[0], "service"), sentence)


def _a_full_server_orders_more(scenario: Scenario) -> Iterator[Finding]:
    for path, server in stations(scenario):
        scaling = server.autoscaling
        if scaling is not None and scaling.target_utilisation == 1 and scaling.max > scaling.min:
            sentence = (
                "1 is never exceeded, since no replica is busier than always: no replica is ever ordered"
            )
            yield Finding((*path, "autoscaling", "target_utilisation"), sentence)
