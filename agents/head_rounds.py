"""Clients whose heads learn during a run: what each was told, its steps, what they upload, what comes of it.
Beside `agents.rounds`, which asks it where heads are what a federation learns; the server is asked about the
sample axis once, and heads live in this process, so no shard takes part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.curves import learning_table
from agents.federation.broken import wrong
from agents.federation.heads import LastLayer, said, stepped, with_one
from agents.federation.merging import Uploads, merged
from agents.models.snapshots import State
from agents.plan import BLOCK, Plan
from sim.errors import RunFailed
from sim.messages import Merge, TrainingRound, Update
from sim.scenario.schema.federation import Heads
from sim.streams import Streams

Clients = NDArray[np.int64]


class HeadRounds:
    """Of the groups whose servers send back features. layer: of the server, which learns nothing in the run;
    every head begins as its last layer."""

    def __init__(self, plan: Plan, layer: LastLayer) -> None:
        federation = plan.scenario.federation
        assert federation is not None
        self._plan, self._learns = plan, federation
        self._how = federation.heads or Heads()
        self._inputs = with_one(layer.features)
        fleet = plan.scenario.fleet
        self._first = np.cumsum([0, *(group.clients for group in fleet)]).tolist()
        self._places = [place for place, group in enumerate(fleet) if group.reply == "features"]
        clients = plan.scenario.clients
        self._begin = layer.numbers()
        self._heads = np.repeat(self._begin[None], clients, axis=0)  # float32 (clients, classes, width + 1)
        self._told: list[list[int]] = [[] for _ in range(clients)]  # places of samples on the axis
        self._said: dict[int, NDArray[np.int16]] = {}
        self._say(np.arange(clients))

    def shared_numbers(self) -> tuple[int, ...]:
        """How many numbers a client of each group shares: all of its head."""
        each, groups = self._heads[0].size, range(len(self._plan.scenario.fleet))
        return tuple(each if place in self._places else 0 for place in groups)

    def hear(self, training_round: TrainingRound) -> Update:
        """Takes note of what clients were told since the round before; then those that take part step.

        Raises RunFailed if a head diverges.
        """
        told = training_round.feedback
        for client, sample in zip(told.client.tolist(), told.sample.tolist(), strict=True):
            self._told[client].append(sample)
        trains = training_round.trains.astype(np.int64)
        able = np.array([client for client in trains.tolist() if self._told[client]], dtype=np.int64)
        losses = dict(zip(able.tolist(), self._stepped(training_round.version, able).tolist(), strict=True))
        self._say(able)
        is_shared = self._learns.merges_at(training_round.at_s)
        return self._update(self._rows(training_round.version, trains, losses, is_shared))

    def merge(self, merge: Merge) -> Update:
        """Who receives gets what the server makes of the uploads of its own set."""
        sets = self._sets()
        uploads, receives = merge.uploads.astype(np.int64), merge.receives.astype(np.int64)
        for one in np.unique(sets[uploads]).tolist():
            members = uploads[sets[uploads] == one]
            made = merged(self._learns.merge, self._uploaded(merge, members))
            gets = receives[sets[receives] == one]
            self._heads[gets] = made.reshape(self._heads[0].shape)
        self._say(receives)
        return self._update({})

    def state(self) -> State:
        """The heads, and what clients were told so far."""
        many = np.array([len(told) for told in self._told], dtype=np.int64)
        every = [sample for told in self._told for sample in told]
        return {"heads": self._heads, "many": many, "samples": np.array(every, dtype=np.int64)}

    def restore(self, state: State) -> None:
        """Goes on where `state` was taken; nothing of it: where the run began."""
        self._heads[:] = state["heads"] if state else self._begin
        self._told = [[] for _ in self._heads]
        if state:
            ends = np.cumsum(state["many"])[:-1]
            self._told = [part.tolist() for part in np.split(state["samples"], ends)]
        self._say(np.arange(len(self._heads)))

    def _stepped(self, number: int, clients: Clients) -> NDArray[np.float64]:
        """All steps of a round, of blocks of heads together; the mean loss of each, (clients,)."""
        draws, labels = Streams(self._plan.scenario.seed, "head batches"), self._plan.samples.label
        found = [np.empty(0)]
        for first in range(0, len(clients), BLOCK):
            block = clients[first : first + BLOCK]
            shape = self._learns.steps, self._how.batch
            drawn = np.stack(
                [
                    np.array(self._told[client])[
                        draws.of(number, client).integers(len(self._told[client]), size=shape)
                    ]
                    for client in block.tolist()
                ]
            )
            heads, losses = self._heads[block].astype(np.float64), np.zeros(len(block))
            for step in range(self._learns.steps):
                batch = drawn[:, step]
                heads, loss = stepped(
                    heads, self._inputs[batch], labels[batch].astype(np.int64), self._how.learning_rate
                )
                losses += loss / self._learns.steps
            is_wrong = ~np.isfinite(heads).all(axis=(1, 2))
            if is_wrong.any():
                client = int(block[is_wrong][0])
                raise RunFailed("learn", f"round {number}: the head of client {client} is not finite")
            self._heads[block] = heads
            found.append(losses)
        return np.concatenate(found)

    def _uploaded(self, merge: Merge, members: Clients) -> Uploads:
        """Their heads as they send them, wrong of those that are broken, and of how many labels each is."""
        numbers, broken = self._heads[members].reshape(len(members), -1), self._learns.broken
        for row in np.flatnonzero(np.isin(members, merge.broken)).tolist():
            assert broken is not None
            known = self._plan.scenario.seed, merge.number, int(members[row])
            numbers[row] = wrong(broken, numbers[row], *known)
        answers = np.array([len(self._told[client]) for client in members.tolist()], dtype=np.int64)
        return Uploads(numbers, answers, np.empty((0, 0), dtype=np.float32))

    def _sets(self) -> Clients:
        """Per client a number that those share whose heads are merged."""
        found, many = np.zeros(len(self._heads), dtype=np.int64), 0
        for place, first, end in self._spans(range(len(self._plan.scenario.fleet))):
            models = len(self._plan.trains_on[place]) if self._learns.among == "variant" else 1
            found[first:end] = many + np.arange(end - first) % models
            many += models
        return found

    def _say(self, clients: Clients) -> None:
        """Asks the heads of some clients anew."""
        for place, first, end in self._spans(self._places):
            mine = clients[(first <= clients) & (clients < end)]
            if place not in self._said:
                self._said[place] = np.zeros((end - first, len(self._inputs)), dtype=np.int16)
            if len(mine):
                self._said[place] = self._said[place].copy()  # versions before keep theirs
                self._said[place][mine - first] = said(self._heads[mine], self._inputs)

    def _spans(self, places: range | list[int]) -> Iterator[tuple[int, int, int]]:
        for place in places:
            yield place, self._first[place], self._first[place + 1]

    def _rows(
        self, number: int, trains: Clients, losses: dict[int, float], is_shared: bool
    ) -> dict[str, list[object]]:
        clients = trains.tolist()
        place = np.searchsorted(self._first, trains, side="right") - 1
        return {
            "round": [number] * len(clients),
            "client_id": clients,
            "group": [self._plan.scenario.fleet[one].group for one in place.tolist()],
            "phase": ["shared" if is_shared else "personal"] * len(clients),
            "labels": [len(self._told[client]) for client in clients],
            "steps": [self._learns.steps if client in losses else 0 for client in clients],
            "loss": [losses.get(client, float("nan")) for client in clients],
        }

    def _update(self, rows: dict[str, list[object]]) -> Update:
        fleet = range(len(self._plan.scenario.fleet))
        tables = tuple(self._said.get(place) for place in fleet)
        return Update(None, (None,) * len(fleet), learning_table([]), heads=tables, head_rows=rows)
