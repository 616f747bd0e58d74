"""The policies of the reference loop: what one client makes of its score, its own past and what it is told.

One object per client, in plain Python. Where this file and `sim.policy.prices`, `sim.policy.controllers` or
`sim.policy.calibration` disagree, this file is right.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf
from typing import Any

import numpy as np
from reference_online import LEARNERS

from sim.messages import Phase
from sim.scenario import Group, Scenario
from sim.streams import Draws
from sim.world.options import Option
from sim.world.world import World

Calibration = list[tuple[float, int]]  # scores and how much each weighs
RANKS = (
    "l2h",
    "confidence",
    "confidence_calibrated",
    "energy",
    "entropy",
    "margin",
    "mozannar_sontag",
    "one_vs_all",
    "random",
)


class Client:
    """What a client decides by. calibration: its group's scores, by a version of its rejector.

    `price()` is what a fixed price or one that remembers comes to now; what it remembers is below.
    """

    def __init__(
        self,
        scenario: Scenario,
        group: Group,
        calibration: Callable[[int], Calibration],
        options: tuple[Option, ...],
    ) -> None:
        self.options = options
        self.scenario, self.c_e, self.charge_on = scenario, scenario.costs.c_e, scenario.costs.charge_on
        self.policy, self.rule, self.calibration = group.policy, group.policy.price, calibration
        self.controlled = 1.0 - getattr(self.rule, "rate", 0.0)
        self.queue = self.queue_at = 0.0
        self.answered = self.charged = 1.0
        self.heard_at = self.sent_at = 0.0
        self.backlog = self.told_at = 0.0
        self.learner = LEARNERS[self.rule.kind](self.rule, self.c_e) if self.rule.kind in LEARNERS else None

    def decide(self, request: Any, scores: list[float]) -> None:
        """Sets the price, whether the request is sent, and how likely that was; of several scores, one of
        each option, by the largest."""
        request.score = max(scores)
        if self.learner:
            draw = Draws(self.scenario.seed, "policy").one(request.request_id)
            self.controlled = self.learner.threshold(request.decided, request, draw)
        is_coin = self.rule.kind == "bounded_rate_thinned"
        request.threshold = self.bayes_price() if is_coin else self.price(request.decided)
        request.scores = scores
        sends, chance = self.weigh(request)
        if self.rule.kind == "weighted_median" or not (self.learner or self.rule.kind == "always_local"):
            share = self.scenario.training.exploration
            lucky = Draws(self.scenario.seed, "exploration").one(request.request_id) < share
            sends, chance = sends or lucky, np.float32(chance) + (1 - np.float32(chance)) * np.float32(share)
        request.deferred, request.propensity = sends, float(np.float32(chance))
        request.worth = [j for j, score in enumerate(scores) if score > request.threshold]
        if len(scores) == 1:
            request.worth = list(range(len(self.options)))
        elif not request.worth:
            request.worth = [scores.index(max(scores))]
        self.notes(request.decided, sends)
        if self.learner:
            self.learner.decided(request.decided, request, sends)

    def weigh(self, request: Any) -> tuple[bool, float]:
        """Whether it would be sent, and P(that), without exploration."""
        if self.policy.score == "random":  # the score is a draw from (0, 1)
            price = self.price(request.decided)
            return request.score > price, min(1.0, max(0.0, 1.0 - price))
        luck = Draws(self.scenario.seed, "price").one(request.request_id)
        if self.rule.kind in ("bounded_rate", "rate_controller"):
            price, (below, through) = self.price(request.decided), self.standing(request)
            if below == through:
                return below > price, float(below > price)
            chance = min(1.0, max(0.0, (through - price) / (through - below)))
            return below + luck * (through - below) > price, chance
        if self.rule.kind == "bounded_rate_thinned":
            chance = self.coin(request)
            return luck < chance, chance
        sends = request.score > self.price(request.decided)
        return sends, float(sends)

    def standing(self, request: Any) -> tuple[float, float]:
        """The shares of calibration scores that lie below the request's, and that do not lie above it."""
        scores = self.calibration(request.rejector_version)
        total = sum(weight for _, weight in scores)
        below = sum(weight for score, weight in scores if score < request.score)
        through = sum(weight for score, weight in scores if score <= request.score)
        return below / total, through / total

    def coin(self, request: Any) -> float:
        """P(sent): a rule that sends too much loses some sends, one that sends too little gains some."""
        bayes, rate = self.bayes_price(), self.rule.rate
        scores = self.calibration(request.rejector_version)
        kept = sum(weight for score, weight in scores if score <= bayes)
        share = 1.0 - kept / sum(weight for _, weight in scores)
        if share > rate:
            return rate / share if request.score > bayes else 0.0
        if request.score > bayes:
            return 1.0
        return (rate - share) / (1.0 - share) if share < 1.0 else 0.0

    def bayes_price(self) -> float:
        if self.policy.score in RANKS:
            return 0.0
        a = self.scenario.training.availability
        a = World(self.scenario).availabilities[0] if a == "observed" else a
        c_e = self.options[0].c_e
        if a is None or self.charge_on != "send":
            return c_e
        return c_e / a if a else inf

    # What a price is now, and what it remembers.

    def price(self, now: float) -> float:  # noqa: PLR0911  (one line for each kind)
        if self.learner:
            return self.controlled
        match self.rule.kind:
            case "threshold":
                return self.rule.at
            case "safe" | "risk_controlled":
                return 0.0  # the learners' scores are told less the threshold
            case "always_local":
                return inf
            case "always_remote":
                return -inf
            case "bounded_rate" | "rate_controller":
                return self.controlled
            case "drift_plus_penalty":
                return self.drained(now) / self.rule.v
            case "queue_aware":
                faded = 1.0 if self.rule.memory_s is None else exp(-(now - self.told_at) / self.rule.memory_s)
                return self.c_e + self.rule.weight * (self.backlog * faded)
            case "availability_aware":
                return self.price_of_an_answer(now)
        raise ValueError(self.rule.kind)

    def price_of_an_answer(self, now: float) -> float:
        is_probe = now - self.sent_at >= self.rule.probe_every_s
        if is_probe or self.c_e == 0.0 or self.charge_on == "answer":
            return self.c_e
        if self.answered == 0.0:
            return inf if self.charged else self.c_e
        return self.c_e * (self.charged / self.answered)

    def drained(self, now: float) -> float:
        return max(0.0, self.queue - self.rule.rate_hz * (now - self.queue_at))

    def notes(self, now: float, sends: bool) -> None:
        """Its own decision."""
        match self.rule.kind:
            case "rate_controller":
                self.controlled += self.rule.gain * ((1.0 if sends else 0.0) - self.rule.rate)
            case "drift_plus_penalty":
                self.queue, self.queue_at = self.drained(now) + (1.0 if sends else 0.0), now
            case "availability_aware" if sends:
                self.sent_at = now

    def hears(self, now: float, outcome: str, backlog: int, request: Any, server_label: int) -> None:
        """How an attempt ended: remote and refused say how many wait at the server, timed_out nothing."""
        if self.learner:
            self.learner.hears(now, outcome, request, server_label, request.client_label)
        if outcome != "timed_out":
            self.backlog, self.told_at = float(backlog), now
        if self.rule.kind == "availability_aware":
            old = exp(-(now - self.heard_at) / self.rule.memory_s)
            not_charged = self.charge_on != "send" and outcome == "refused"
            self.answered = self.answered * old + (1.0 - old) * (1.0 if outcome == "remote" else 0.0)
            self.charged = self.charged * old + (1.0 - old) * (0.0 if not_charged else 1.0)
            self.heard_at = now


def weighed(table: Any, row: int, met: Phase, member: int) -> Calibration:
    """One client's calibration scores: each weighs its share of the client's requests, in whole 2^-32."""
    upto = met.upto[member if len(met.upto) > 1 else 0].tolist()
    found: Calibration = []
    for stratum, (first, end) in enumerate(zip(met.first[:-1].tolist(), met.first[1:].tolist(), strict=True)):
        share = upto[stratum] - (upto[stratum - 1] if stratum else 0.0)
        for position in met.positions[first:end].tolist():
            found.append((float(table[row, position]), round(share / (end - first) * 2**32)))
    return found
