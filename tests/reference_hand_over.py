"""Labelled samples that go from neighbour to neighbour, told one by one beside `reference_federation`."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from reference_learning import COPY, Life

from sim.engine.events import Kind
from sim.messages import Feedback, HandedOver
from sim.streams import Draws

if TYPE_CHECKING:
    from reference_federation import Together


class Told(NamedTuple):
    """An answer that its client was told; draw: by which it is chosen."""

    draw: float
    sample: int
    was_right: bool
    propensity: np.float32


class Sent(NamedTuple):
    """One that has come from a neighbour."""

    at: float
    taker: int
    sample: int
    was_right: bool
    propensity: np.float32
    stands_for: float


class Box:
    """What each client was told and has not handed over, and what has come to whom since the last round."""

    def __init__(self, school: Together) -> None:
        self.school = school
        clients = school.scenario.clients
        self.told: list[list[Told]] = [[] for _ in range(clients)]
        self.decided, self.heard = [0] * clients, [0] * clients
        self.come: list[Sent] = []

    def hold(self, number: int, present: list[int], feedback: Feedback) -> HandedOver:
        neighbours = self.school.scenario.federation.neighbours
        if neighbours is None or neighbours.hand_over is None or neighbours.size == 1:
            return HandedOver.nothing()
        came, self.come = sorted(self.come, key=lambda one: one[:3]), []
        self.hear(feedback)
        for cluster in self.school.clusters(self.school.env.now):
            there = [client for client in cluster if client in present]
            for place, giver in enumerate(there):
                if len(there) > 1:
                    self.give(number, giver, there[(place + 1) % len(there)])
        columns = [[one[place] for one in came] for place in range(1, 6)]
        kinds = ("i4", "i4", "?", "f4", "f8")
        return HandedOver(*(np.array(one, dtype=kind) for one, kind in zip(columns, kinds, strict=True)))

    def hear(self, feedback: Feedback) -> None:
        draws = Draws(self.school.scenario.seed, "handed over")
        rows = (feedback.client, feedback.sample, feedback.server_correct, feedback.propensity)
        for client, sample, was_right, propensity in zip(*rows, strict=True):
            draw = draws.one(int(client), self.heard[client])
            self.told[client].append(Told(draw, int(sample), bool(was_right), propensity))
            self.heard[client] += 1
        for client, many in enumerate(feedback.decided.tolist()):
            self.decided[client] += many

    def give(self, number: int, giver: int, taker: int) -> None:
        how, known = self.school.scenario.federation.neighbours.hand_over, self.told[giver]
        least = sorted(known)[: floor(how.share * len(known) + 0.5)]
        by_class: dict[int, list[Told]] = {}
        for one in least:
            by_class.setdefault(int(self.school.learned.samples.label[one.sample]), []).append(one)
        fit = max([1, *(most for most in range(len(least) + 1) if self.fits(by_class, most, how.at_most))])
        chosen = {one.draw: fit / len(of) for of in by_class.values() for one in of[:fit]}
        if not chosen:
            return
        requests = self.decided[giver] / len(known)
        size = len(chosen) * how.sample_bytes
        at = self.school.env.now + self.school.between("hand-over", giver, number, size)
        for one in known:
            if one.draw in chosen:
                chance = min(1.0, chosen[one.draw])
                propensity = np.float32(float(one.propensity) * chance)
                sent = Sent(at, taker, one.sample, one.was_right, propensity, requests / chance)
                self.school.env.process(self.arrives(sent))
        self.told[giver], self.decided[giver] = [], 0

    def fits(self, by_class: dict[int, list[Told]], most: int, at_most: int | None) -> bool:
        return at_most is None or sum(min(most, len(of)) for of in by_class.values()) <= at_most

    def arrives(self, sent: Sent) -> Life:
        yield self.school.env.at(sent.at, Kind.MODEL, COPY, sent.taker)
        self.come.append(sent)
