"""Rules of policies: which prices go with which scores, and targets that nothing could reach.
Part of the rules between fields in `sim.scenario.rules.checks`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from sim.scenario.files.rows import BadFile
from sim.scenario.rules.rates import mean_rate_hz
from sim.scenario.schema.arrivals import ClosedLoop
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import (
    AvailabilityAware,
    Budget,
    CountBudget,
    DriftPlusPenalty,
    RateController,
    TokenBucket,
)
from sim.scenario.schema.training import RANKS, WITHOUT_BAYES_PRICE
from sim.scenario.text.draft import Path

Breach = tuple[Path, Any, str]

PRICES_OF_GAINS = ("availability_aware", "queue_aware", "drift_plus_penalty")
HOLD_A_RATE = ("bounded_rate", "bounded_rate_thinned", "rate_controller")
GAIN_LIKE = {"l2h": "l2h_priced"} | dict.fromkeys(("confidence", "entropy", "margin"), "compare_confidence")


def prices_suit_their_scores(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        score, price = group.policy.score, group.policy.price.kind
        path: Path = ("fleet", index, "policy", "price", "kind")
        if price in PRICES_OF_GAINS and score in RANKS:
            instead = GAIN_LIKE.get(score, "plug_in")
            rule = f"needs a score in cost units, and {score} only ranks: did you mean score: {instead}?"
            yield path, price, rule
        elif price == "bounded_rate_thinned" and score in WITHOUT_BAYES_PRICE:
            rule = f"tosses its coin on a rule, and {score} has none of its own: did you mean bounded_rate?"
            yield path, price, rule


def rates_leave_room_for_exploration(scenario: Scenario) -> Iterator[Breach]:
    explored = scenario.training.exploration
    for index, group in enumerate(scenario.fleet):
        price = group.policy.price
        if isinstance(price, RateController) and price.rate < explored:
            rule = f"training.exploration alone sends more: must be at least {explored:.12g}"
            yield ("fleet", index, "policy", "price", "rate"), price.rate, rule


def failures_are_heard_of(scenario: Scenario) -> Iterator[Breach]:
    """A price that follows availability needs a timer, or a server that says no."""
    server = scenario.server
    refuses = (
        server.queue_limit is not None
        or server.admission.kind != "none"
        or (server.when_down == "refuse" and len(server.outages) > 0)
    )
    for index, group in enumerate(scenario.fleet):
        has_timer = group.timeout_s is not None or group.deadline_s is not None
        if isinstance(group.policy.price, AvailabilityAware) and not has_timer and not refuses:
            rule = "would hear of no failure: needs timeout_s or deadline_s, or a server that refuses"
            yield ("fleet", index, "policy", "price", "kind"), group.policy.price.kind, rule


def rates_fit_their_budgets(scenario: Scenario) -> Iterator[Breach]:
    """Retries and refunds left out: what every request that is to be sent takes once, over the whole run."""
    if not scenario.horizon_s:
        return
    wanted = {
        index: sends
        for index, group in enumerate(scenario.fleet)
        if group.budget is not None and (sends := _wanted_hz(scenario, index)) is not None
    }
    for index, sends_hz in wanted.items():
        budget, price = scenario.fleet[index].budget, scenario.fleet[index].policy.price
        assert budget is not None
        sharers = [i for i in wanted if i == index or _both_share(budget, scenario.fleet[i].budget)]
        heads = {i: 1 if budget.shared_by == "client" else scenario.fleet[i].clients for i in sharers}
        allowed_hz = allowed_in(budget, scenario.horizon_s) / scenario.horizon_s
        needs_hz = math.fsum(wanted[i] * heads[i] for i in sharers)
        if needs_hz <= allowed_hz * (1 + 1e-9):
            continue
        is_limit = isinstance(price, DriftPlusPenalty)
        name, most = ("rate_hz", sends_hz) if is_limit else ("rate", price.rate)  # type: ignore[union-attr]
        rule = (
            f"would send {needs_hz:.4g} a second where the budget of the {budget.shared_by} allows "
            f"{allowed_hz:.4g}: must be at most {most * allowed_hz / needs_hz:.4g}"
        )
        yield ("fleet", index, "policy", "price", name), getattr(price, name), rule


def allowed_in(budget: Budget, horizon_s: float) -> float:
    """The most sends that a budget allows in a run."""
    if isinstance(budget, TokenBucket):
        return budget.burst + budget.rate_hz * horizon_s
    periods = math.ceil(horizon_s / budget.per_s)
    if isinstance(budget, CountBudget):
        return periods * budget.limit
    bought = Fraction(str(budget.limit)) // Fraction(str(budget.price)) if budget.price else math.inf
    return periods * bought


def _wanted_hz(scenario: Scenario, index: int) -> float | None:
    """Sends a second that the price of a group aims at, per client; None where it aims at no rate, or where
    how often its clients ask depends on the run."""
    group = scenario.fleet[index]
    if isinstance(group.arrivals.process, ClosedLoop):
        return None
    try:
        asks_hz = mean_rate_hz(scenario, index)
    except BadFile:
        return None  # another rule says so
    price = group.policy.price
    if isinstance(price, DriftPlusPenalty):
        return min(price.rate_hz, asks_hz)
    return price.rate * asks_hz if price.kind in HOLD_A_RATE else None  # type: ignore[union-attr]


def _both_share(one: Budget, other: Budget | None) -> bool:
    return other is not None and one.shared_by == other.shared_by == "fleet"


PRICE_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    prices_suit_their_scores,
    rates_leave_room_for_exploration,
    failures_are_heard_of,
    rates_fit_their_budgets,
)
