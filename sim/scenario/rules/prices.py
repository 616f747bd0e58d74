"""Rules of policies: which prices go with which scores, and targets that nothing could reach.
Part of the rules between fields in `sim.scenario.rules.checks`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from sim.registry.brought import BROUGHT
from sim.registry.budgets import Budget
from sim.registry.online_prices import LyapunovExp4, OnlineRule
from sim.registry.prices import AvailabilityAware, RateController
from sim.registry.scores import SCORES
from sim.scenario.files.rows import BadFile
from sim.scenario.rules.rates import mean_rate_hz
from sim.scenario.schema.document import Scenario
from sim.scenario.text.draft import Path

Breach = tuple[Path, Any, str]
NARROWEST = 1e-9  # of a level: beside it, scores in float32 are points


def prices_suit_their_scores(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        score, price = SCORES[group.policy.score], group.policy.price
        path: Path = ("fleet", index, "policy", "price", "kind")
        if price.unit == "cost" and score.unit == "rank":
            instead = f"did you mean score: {score.gain_like}?"
            yield path, price.kind, f"needs a score in cost units, and {score.name} only ranks: {instead}"
        elif price.is_chosen and score.made_from == "draw":
            rule = f"is found on calibration scores, and {score.name} is drawn per request"
            yield path, price.kind, f"{rule}: did you mean bounded_rate?"
        elif price.needs_bayes_price and not score.has_bayes_price:
            instead = "did you mean bounded_rate?"
            yield (
                path,
                price.kind,
                f"tosses its coin on a rule, and {score.name} has none of its own: {instead}",
            )


def rates_leave_room_for_exploration(scenario: Scenario) -> Iterator[Breach]:
    explored = scenario.training.exploration
    for index, group in enumerate(scenario.fleet):
        price = group.policy.price
        if isinstance(price, RateController) and price.rate < explored:
            rule = f"training.exploration alone sends more: must be at least {explored:.12g}"
            yield ("fleet", index, "policy", "price", "rate"), price.rate, rule


def levels_and_rates_of_learners(scenario: Scenario) -> Iterator[Breach]:
    """Prices that learn from answers: their levels have a width, and what they explore fits into their
    rate."""
    for index, group in enumerate(scenario.fleet):
        price, path = group.policy.price, ("fleet", index, "policy", "price")
        if isinstance(price, OnlineRule) and (price.high - price.low) / price.levels < NARROWEST:
            yield (*path, "high"), price.high, f"must be above low ({price.low:.12g})"
        if isinstance(price, LyapunovExp4) and price.rate < price.epsilon:
            rule = f"epsilon alone sends more: must be at least {price.epsilon:.12g}"
            yield (*path, "rate"), price.rate, rule


def failures_are_heard_of(scenario: Scenario) -> Iterator[Breach]:
    """A price that follows failures needs a timer, or a server that says no."""
    refuses = any(
        server.queue_limit is not None
        or server.admission.refuses
        or (server.when_down == "refuse" and len(scenario.all_outages) > 0)
        for server in scenario.stations
    )
    for index, group in enumerate(scenario.fleet):
        has_timer = group.timeout_s is not None or group.deadline_s is not None
        if has_timer or refuses:
            continue
        price, path = group.policy.price, ("fleet", index, "policy", "price")
        rule = "would hear of no failure: needs timeout_s or deadline_s, or a server that refuses"
        if isinstance(price, AvailabilityAware):
            yield (*path, "kind"), price.kind, rule
        elif isinstance(price, OnlineRule) and price.on_failure != "ignore":
            yield (*path, "on_failure"), price.on_failure, rule


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
        allowed_hz = budget.allowed_in(scenario.horizon_s) / scenario.horizon_s
        needs_hz = math.fsum(wanted[i] * heads[i] for i in sharers)
        if needs_hz <= allowed_hz * (1 + 1e-9):
            continue
        name = price.aims_at
        most = sends_hz if name == "rate_hz" else getattr(price, name)
        rule = (
            f"would send {needs_hz:.4g} a second where the budget of the {budget.shared_by} allows "
            f"{allowed_hz:.4g}: must be at most {most * allowed_hz / needs_hz:.4g}"
        )
        yield ("fleet", index, "policy", "price", name), getattr(price, name), rule


def _wanted_hz(scenario: Scenario, index: int) -> float | None:
    """Sends a second that the price of a group aims at, per client; None where it aims at no rate, or where
    how often its clients ask depends on the run."""
    group = scenario.fleet[index]
    if not group.arrivals.process.is_open:
        return None
    try:
        asks_hz = mean_rate_hz(scenario, index)
    except BadFile:
        return None  # another rule says so
    price = group.policy.price
    aim = float(getattr(price, price.aims_at)) if price.aims_at else None
    if aim is None:
        return None
    return min(aim, asks_hz) if price.aims_at == "rate_hz" else aim * asks_hz


def _both_share(one: Budget, other: Budget | None) -> bool:
    return other is not None and one.shared_by == other.shared_by == "fleet"


def own_prices_can_be_made(scenario: Scenario) -> Iterator[Breach]:
    """A price or policy that somebody brings is tried before anything is learned."""
    from sim.policy.controllers import moving_price  # noqa: PLC0415  (which is made of the schema)

    own = {one.name for one in BROUGHT if one.family in ("price", "policy")}
    for index, group in enumerate(scenario.fleet):
        if group.policy.price.kind not in own:
            continue
        path: Path = ("fleet", index, "policy", "price", "kind")
        try:
            price: Any = moving_price(scenario, group)
            price.parameters(), price.begin(), getattr(price, "make", dict)()
        except Exception as error:
            yield path, group.policy.price.kind, f"cannot be made: {type(error).__name__}: {error}"


PRICE_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    prices_suit_their_scores,
    rates_leave_room_for_exploration,
    levels_and_rates_of_learners,
    failures_are_heard_of,
    rates_fit_their_budgets,
    own_prices_can_be_made,
)
