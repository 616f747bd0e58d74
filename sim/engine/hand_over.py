"""Labelled samples that clients hand over to neighbours: who gives which to whom, and when they arrive.
Between `sim.engine.learning`, which holds the rounds, and the links between devices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.messages import Feedback, HandedOver
from sim.registry.condensing import level, representatives
from sim.streams import Draws
from sim.world.federation import FederationRound
from sim.world.neighbours import BetweenTimes
from sim.world.world import World

Columns = dict[str, NDArray[Any]]
TYPES = {"client": "i4", "sample": "i4", "correct": "?", "propensity": "f4"}
OF_TOLD = TYPES | {"number": "i8"}  # of the client's, from 0: what draws are keyed by
UNDER_WAY = TYPES | {"stands_for": "f8", "at_s": "f8"}  # client: who gets it; at_s: when


class HandOver:
    """What clients were told and have not handed over yet, and what is under way.

    At a round each that takes part hands over to the next of its cluster that does, and the last to the
    first: of the f answers that it was told since it last did so a share, drawn, and of these at most so many
    representatives. With the D requests that it decided in that time each stands for D/f of them, a
    representative for those of its class, too. They train whoever gets them from the first round on that is
    due after they have come.
    """

    def __init__(self, world: World, label: NDArray[np.integer]) -> None:
        scenario = world.scenario
        self._label, self._group = label, world.population.group
        self._names = [group.group for group in scenario.fleet]
        neighbours = scenario.federation.neighbours if scenario.federation else None
        self._how = neighbours.hand_over if neighbours is not None and neighbours.size > 1 else None
        self._classes = int(label.max(initial=0)) + 1
        self._told, self._under_way = _nothing(OF_TOLD), _nothing(UNDER_WAY)
        self._numbers = np.zeros(scenario.clients, dtype=np.int64)
        self._decided = np.zeros(scenario.clients, dtype=np.int64)
        if self._how is not None:
            self._draws = Draws(scenario.seed, "handed over")
            self._times = BetweenTimes(scenario, "hand-over")

    def hold(self, held: FederationRound, told: Feedback) -> tuple[HandedOver, dict[str, list[object]]]:
        """What has come to whom before a round is due, and the rows of the table `hand_over` of what leaves
        then. told: since the round before."""
        if self._how is None:
            return HandedOver.nothing(), {}
        has_come = self._under_way["at_s"] < held.due_at_s
        came = {name: values[has_come] for name, values in self._under_way.items()}
        self._under_way = {name: values[~has_come] for name, values in self._under_way.items()}
        self._hear(told)
        bounds = np.searchsorted(self._told["client"], np.arange(len(self._numbers) + 1)).tolist()
        leaves = {
            giver: self._given(held, giver, taker, slice(bounds[giver], bounds[giver + 1]))
            for giver, taker in _pairs(held)
        }
        given = {giver: sent for giver, sent in leaves.items() if len(sent["client"])}
        rows: dict[str, list[object]] = {}
        for place, name in enumerate(self._names):
            mine = [giver for giver in given if self._group[giver] == place]
            if mine:
                samples = sum(len(given[giver]["client"]) for giver in mine)
                told_of = sum(bounds[giver + 1] - bounds[giver] for giver in mine)
                last_s = max(float(given[giver]["at_s"][0]) for giver in mine)
                size = samples * self._how.sample_bytes
                row = held.number, name, len(mine), told_of, samples, size, last_s
                for column, value in zip(HAND_OVER_ROW, row, strict=True):
                    rows.setdefault(column, []).append(value)
        parts = [self._under_way, *given.values()]
        self._under_way = {name: np.concatenate([part[name] for part in parts]) for name in UNDER_WAY}
        stays = ~np.isin(self._told["client"], list(given))
        self._told = {name: values[stays] for name, values in self._told.items()}
        self._decided[list(given)] = 0
        return _handed(came), rows

    def kept(self) -> dict[str, Any]:
        """What the rounds to come depend on."""
        return {
            "told": self._told,
            "under_way": self._under_way,
            "numbers": self._numbers.copy(),
            "decided": self._decided.copy(),
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Goes on where `kept` was taken."""
        self._told, self._under_way = kept["told"], kept["under_way"]
        self._numbers, self._decided = kept["numbers"].copy(), kept["decided"].copy()

    def _hear(self, told: Feedback) -> None:
        """Keeps it by client and then in order."""
        order = np.argsort(told.client, kind="stable")
        client = told.client[order]
        many = np.bincount(client, minlength=len(self._numbers))
        first = np.cumsum(many) - many
        new = {
            "client": client,
            "sample": told.sample[order],
            "correct": told.server_correct[order],
            "propensity": told.propensity[order],
            "number": self._numbers[client] + np.arange(len(client)) - first[client],
        }
        every = {name: np.concatenate([self._told[name], new[name]]) for name in OF_TOLD}
        order = np.argsort(every["client"], kind="stable")
        self._told = {name: values[order] for name, values in every.items()}
        self._numbers += many
        self._decided += told.decided

    def _given(self, held: FederationRound, giver: int, taker: int, mine: slice) -> Columns:
        """What a client gives of what it was told, as it is under way, (h,) each."""
        assert self._how is not None
        told = {name: values[mine] for name, values in self._told.items()}
        many = len(told["number"])
        priority = self._draws.many(np.full(many, giver), told["number"])
        drawn = int(np.floor(self._how.share * many + 0.5))
        chosen = np.sort(np.argsort(priority, kind="stable")[:drawn])
        if not len(chosen):
            return _nothing(UNDER_WAY)
        label = self._label[told["sample"][chosen]]
        counts = np.bincount(label, minlength=self._classes)
        most = len(chosen) if self._how.at_most is None else self._how.at_most
        kept = representatives(label, priority[chosen], counts, most)
        each = np.minimum(1.0, level(counts, most) / counts[label[kept]])  # the chance to be among them
        size = len(each) * self._how.sample_bytes
        at_s = held.due_at_s + float(self._times.of(np.array([giver]), held.number, size)[0])
        sent = {name: told[name][chosen[kept]] for name in TYPES}
        return sent | {
            "client": np.full(len(each), taker, dtype=np.int32),
            "propensity": (sent["propensity"] * each).astype(np.float32),
            "stands_for": self._decided[giver] / many / each,
            "at_s": np.full(len(each), at_s),
        }


HAND_OVER_ROW = ("round", "group", "clients", "told", "samples", "bytes", "last_came_at_s")


def _pairs(held: FederationRound) -> list[tuple[int, int]]:
    """Who gives to whom in a round: each to the next of its cluster that takes part."""
    found = []
    for cluster in np.unique(held.near):
        there = held.trains[held.near == cluster].tolist()
        if len(there) > 1:
            found += list(zip(there, [*there[1:], there[0]], strict=True))
    return sorted(found)


def _nothing(types: dict[str, str]) -> Columns:
    return {name: np.empty(0, dtype=kind) for name, kind in types.items()}


def _handed(came: Columns) -> HandedOver:
    """In the order in which it came, by whom it came to and by sample."""
    order = np.lexsort((came["sample"], came["client"], came["at_s"]))
    names = ("client", "sample", "correct", "propensity", "stands_for")
    return HandedOver(*(came[name][order] for name in names))
