"""The prices that learn from answers, told once more to be read: a learner per client, lists in place of
arrays.

Where this file and `sim.policy.online` disagree, this file is right.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import exp, inf, log, pi, sqrt
from typing import Any

LEAST = 1e-12


@dataclass
class Level:
    """What was heard at one level of the score: how many answers, the share of them that contradicted the
    client, how wide the bound is, and how many requests came at it."""

    heard: float = 0.0
    wrong: float = 1.0
    width: float = 1e9
    came: float = 0.0


@dataclass
class Waiting:
    """A send whose answer is awaited."""

    request: int
    chance: float
    cost: float
    at: float


class Learner:
    """Asked `threshold`, told `decided` and `hears`."""

    draws = False

    def __init__(self, rule: Any, c_e: float) -> None:
        self.rule, self.c_e = rule, c_e
        width = (rule.high - rule.low) / rule.levels
        self.inner = [rule.low + k * width for k in range(1, rule.levels)]
        self.edges = [-inf, *self.inner, inf]
        self.was_failing = False

    def level(self, score: float) -> int:
        return bisect_left(self.inner, score)

    def hears(self, _now: float, outcome: str, request: Any, server_label: int, client_label: int) -> None:
        is_answer = outcome == "remote"
        if self.rule.on_failure == "forget":
            if is_answer and self.was_failing:
                self.forget()
            self.was_failing = not is_answer
        if is_answer or self.rule.on_failure == "count":
            is_wrong = is_answer and server_label != client_label
            self.learn(request, self.level(request.score), is_wrong, client_label)


class Bounds(Learner):
    """Bounds of each level's errors."""

    def __init__(self, rule: Any, c_e: float) -> None:
        super().__init__(rule, c_e)
        self.levels = [self.unknown() for _ in range(rule.levels)]
        self.decisions = 0

    def unknown(self) -> Level:
        return Level()

    def width(self, level: Level) -> float:
        return 1.0 / sqrt(level.heard)

    def reach(self) -> float:
        return sqrt(self.rule.alpha * log(self.decisions + 1))

    def decided(self, _now: float, request: Any, _is_sent: bool) -> None:
        self.decisions += 1
        self.levels[self.level(request.score)].came += 1

    def learn(self, _request: Any, level: int, is_wrong: bool, _client_label: int) -> None:
        one = self.levels[level]
        one.heard += 1
        one.wrong += (is_wrong - one.wrong) / one.heard
        one.width = self.width(one)

    def forget(self) -> None:
        for one in self.levels:
            one.heard *= self.rule.kept
            if one.heard:
                one.width = self.width(one)

    def best(self, reach: float) -> float:
        """The threshold above which there is most to gain."""
        gains = [0.0]  # of sending the topmost k levels
        for one in reversed(self.levels):
            errs = min(max(one.wrong + reach * one.width, 0.0), 1.0)
            gains.append(gains[-1] + one.came * (errs - self.c_e))
        most = max(gains)
        topmost = max(k for k, gain in enumerate(gains) if gain == most)
        return self.edges[len(self.levels) - topmost]


class Lite(Bounds):
    def threshold(self, _now: float, request: Any, _draw: float) -> float:
        one = self.levels[self.level(request.score)]
        return -inf if one.wrong + self.reach() * one.width >= self.c_e else inf


class Monotone(Bounds):
    def threshold(self, _now: float, _request: Any, _draw: float) -> float:
        bounds = [one.wrong + self.reach() * one.width for one in self.levels]
        for k in range(len(bounds)):
            if min(bounds[k:]) >= self.c_e:
                return self.edges[k]
        return inf


class UpperBound(Bounds):
    def threshold(self, _now: float, _request: Any, _draw: float) -> float:
        return self.best(self.reach())


class Sampled(Bounds):
    draws = True

    def unknown(self) -> Level:
        return Level(2.0, 0.5, sqrt(0.5 * 0.5 / 3.0))

    def width(self, level: Level) -> float:
        return sqrt(level.wrong * (1 - level.wrong) / (level.heard + 1))

    def forget(self) -> None:
        for one in self.levels:
            one.heard = 2.0 + self.rule.kept * (one.heard - 2.0)
            one.width = self.width(one)

    def threshold(self, _now: float, _request: Any, draw: float) -> float:
        return self.best(self.rule.scale * (sqrt(3.0) / pi * log(draw / (1 - draw))))


class Weights(Learner):
    """Weights of the thresholds, in `self.sides` by whom they are for."""

    draws = True

    def __init__(self, rule: Any, c_e: float, sides: int = 1) -> None:
        super().__init__(rule, c_e)
        kinds = rule.levels + 1
        self.sides = [[1.0 / kinds] * kinds for _ in range(sides)]
        self.waiting: list[Waiting | None] = [None] * rule.queue

    def chance(self, level: int, side: int = 0) -> float:
        share = 0.0
        for weight in self.sides[side][: level + 1]:
            share += weight
        return self.rule.epsilon + (1 - self.rule.epsilon) * min(share, 1.0)

    def await_answer(self, one: Waiting) -> None:
        if None in self.waiting:
            self.waiting[self.waiting.index(None)] = one
        else:
            oldest = min(range(len(self.waiting)), key=lambda k: self.waiting[k].at)
            self.waiting[oldest] = one

    def take(self, request: int) -> Waiting | None:
        """The send that was awaited, which then is no longer."""
        for k, one in enumerate(self.waiting):
            if one and one.request == request:
                self.waiting[k] = None
                return one
        return None

    def learn(self, request: Any, level: int, is_wrong: bool, _client_label: int) -> None:
        send = self.take(request.request_id)
        if send:
            factor = exp(-self.rule.eta * (send.cost - is_wrong) / send.chance)
            (weights,) = self.sides
            self.sides[0] = scaled([w * factor if k <= level else w for k, w in enumerate(weights)])

    def forget(self) -> None:
        self.sides = [scaled([exp(self.rule.kept * log(w)) for w in weights]) for weights in self.sides]


class Hedge(Weights):
    def threshold(self, now: float, request: Any, draw: float) -> float:
        awaited = sum(one is not None and now - one.at < self.rule.wait_s for one in self.waiting)
        self.p = 0.0 if awaited >= self.rule.queue else self.chance(self.level(request.score))
        return -inf if draw < self.p else inf

    def decided(self, now: float, request: Any, is_sent: bool) -> None:
        if is_sent:
            self.await_answer(Waiting(request.request_id, self.p, self.c_e, now))


class Lyapunov(Weights):
    debt = 0.0

    def threshold(self, _now: float, request: Any, draw: float) -> float:
        self.p = self.chance(self.level(request.score))
        return -inf if draw < self.p else inf

    def decided(self, now: float, request: Any, is_sent: bool) -> None:
        if is_sent:
            self.await_answer(Waiting(request.request_id, self.p, self.debt / self.rule.v, now))
        self.debt = max(self.debt + is_sent - self.rule.rate, 0.0)


class TwoThresholds(Weights):
    def __init__(self, rule: Any, c_e: float) -> None:
        super().__init__(rule, c_e, sides=2)

    def threshold(self, _now: float, request: Any, draw: float) -> float:
        self.side = int(request.client_label != self.rule.positive)
        self.is_explored = draw < self.rule.epsilon
        return -inf if draw < self.chance(self.level(request.score), self.side) else inf

    def decided(self, now: float, request: Any, is_sent: bool) -> None:
        level, shrunk = self.level(request.score), exp(-self.rule.eta * self.c_e)
        weights = self.sides[self.side]
        self.sides[self.side] = scaled([w * shrunk if k <= level else w for k, w in enumerate(weights)])
        if is_sent and self.is_explored:
            self.await_answer(Waiting(request.request_id, self.rule.epsilon, 0.0, now))

    def learn(self, request: Any, level: int, is_wrong: bool, client_label: int) -> None:
        if not self.take(request.request_id):
            return
        side = int(client_label != self.rule.positive)
        dear = (self.rule.false_positive, self.rule.false_negative)[side]
        factor = exp(-self.rule.eta * dear * is_wrong / self.rule.epsilon)
        self.sides[side] = scaled([w * factor if k > level else w for k, w in enumerate(self.sides[side])])


class Median(Learner):
    def __init__(self, rule: Any, c_e: float) -> None:
        super().__init__(rule, c_e)
        self.weights, self.median = [1.0] * (rule.levels + 1), rule.levels // 2

    def threshold(self, _now: float, _request: Any, _draw: float) -> float:
        return self.edges[self.median]

    def decided(self, _now: float, _request: Any, _is_sent: bool) -> None:
        """Nothing follows from it."""

    def learn(self, _request: Any, level: int, is_wrong: bool, _client_label: int) -> None:
        factor = exp(-self.rule.eta * self.rule.beta)
        erred = [(k > level) == is_wrong for k in range(len(self.weights))]
        self.weights = scaled([w * factor if err else w for w, err in zip(self.weights, erred, strict=True)])
        so_far, total = 0.0, sum_of(self.weights)
        for k, weight in enumerate(self.weights):
            so_far += weight
            if so_far >= 0.5 * total:
                self.median = k
                return

    def forget(self) -> None:
        self.weights = scaled([exp(self.rule.kept * log(w)) for w in self.weights])


def sum_of(weights: list[float]) -> float:
    """In order: `sum` of Python corrects its rounding, as no clock does."""
    total = 0.0
    for weight in weights:
        total += weight
    return total


def scaled(weights: list[float]) -> list[float]:
    total = sum_of(weights)
    return [max(weight / total, LEAST) for weight in weights]


LEARNERS: dict[str, type[Learner]] = {
    "hi_lcb": Monotone,
    "hi_lcb_lite": Lite,
    "ucb": UpperBound,
    "thompson": Sampled,
    "weighted_median": Median,
    "h2t2": TwoThresholds,
    "hedge_queue": Hedge,
    "lyapunov_exp4": Lyapunov,
}
