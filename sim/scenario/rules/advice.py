"""What a scenario may say and hardly means: told in the log when it is read, and never refused.
Beside `sim.scenario.rules.checks`, whose rules refuse."""

from __future__ import annotations

from collections.abc import Iterator

from sim.registry.budgets import TokenBucket
from sim.registry.durations import mean_s
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.text.draft import Finding


def advice(scenario: Scenario) -> Iterator[Finding]:
    """Every piece of advice. The scenario has passed its checks, so its files can be read."""
    yield from _bursts_cover_what_is_under_way(scenario)
    yield from _studies_count_classes_alike(scenario)


def _bursts_cover_what_is_under_way(scenario: Scenario) -> Iterator[Finding]:
    """A token that may be released keeps its room in the bucket, so a small one never gives its rate."""
    if scenario.costs.charge_on == "send":
        return
    for index, group in enumerate(scenario.fleet):
        budget = group.budget
        if not isinstance(budget, TokenBucket):
            continue
        under_way = budget.rate_hz * _answered_after_s(scenario, group)
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


def _answered_after_s(scenario: Scenario, group: Group) -> float:
    """From a send to its answer at a server without a queue, on average."""
    link, service = group.link, scenario.server.service
    transfer_s = 8.0 * link.payload_bytes / link.bandwidth_bps if link.bandwidth_bps else 0.0
    single_s = service.scale_s(1) * service.mean_factor()
    return 2 * mean_s(link.latency) + transfer_s + single_s
