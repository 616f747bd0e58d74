"""Clients that share prototypes during a run: what each was told, what they upload, what comes of a merge.
Beside `agents.rounds`, which asks it where prototypes are what a federation learns; frozen models are asked
about the sample axis once, in this process, so no shard takes part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.brought_names import name_of
from agents.evaluation.curves import learning_table
from agents.federation.broken import wrong
from agents.federation.merging import Numbers
from agents.federation.prototypes import ClassMeans, Counts, Prototypes, merged_prototypes, nearest
from agents.models.frozen import FrozenClient, live_model
from agents.models.outputs import output_of
from agents.models.own_models import SaidOnce
from agents.models.snapshots import State
from agents.plan import Plan, Variant
from sim.errors import BadInput
from sim.messages import Merge, TrainingRound, Update

Features = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Sent(NamedTuple):
    """What the server has of each client, from its last upload that came through: means float32 (clients,
    classes, width), and of how many samples, int64 (clients, classes); 0 of who never sent any."""

    means: Numbers
    counts: Counts


class PrototypeRounds:
    """Of the groups that fall back to prototypes: features of the sample axis by each frozen model, the sums
    of each client, and what the server has of them."""

    def __init__(self, plan: Plan, frozen: Mapping[Variant, FrozenClient]) -> None:
        self._plan = plan
        fleet = enumerate(plan.scenario.fleet)
        places = [place for place, group in fleet if group.fallback == "prototype"]
        self._features = {
            variant: _features(plan, variant, frozen) for variant in plan.variants if variant.group in places
        }
        self._known = {
            place: ClassMeans(plan.scenario.fleet[place].clients, plan.data.classes, self._width(place))
            for place in places
        }
        self._sent = {
            place: Sent(np.zeros(known.sums.shape, dtype=np.float32), np.zeros_like(known.counts))
            for place, known in self._known.items()
        }
        bounds = np.cumsum([0, *(group.clients for group in plan.scenario.fleet)]).tolist()
        self._first = dict(enumerate(bounds[:-1]))

    def shared_numbers(self) -> tuple[int, ...]:
        """How many numbers a client of each group shares: a mean of features for each class, and of how many
        samples it is."""
        groups, classes = range(len(self._plan.scenario.fleet)), self._plan.data.classes
        return tuple(classes * (self._width(place) + 1) if place in self._known else 0 for place in groups)

    def hear(self, training_round: TrainingRound) -> Update:
        """Takes note of what clients were told since the round before; nothing comes of that alone."""
        told = training_round.feedback
        label = self._plan.samples.label[told.sample]
        for place, known in self._known.items():
            for variant in self._variants(place):
                client, mine = self._own(variant, told.client)
                known.add(client, label[mine], self._features[variant][told.sample[mine]])
        return self._update((), {})

    def merge(self, merge: Merge) -> Update:
        """What the server makes of the uploads, model by model, and what clients that get it would say of
        every sample."""
        tables: list[NDArray[np.int16] | None] = []
        rows: dict[str, list[object]] = {}
        for place, group in enumerate(self._plan.scenario.fleet):
            if place not in self._known:
                tables.append(None)
                continue
            said = []
            for variant in self._variants(place):
                made = self._merged(merge, variant)
                label = nearest(made, self._features[variant])
                said.append(label)
                columns = self._rows(merge.number, group.group, variant, made, label)
                for name, values in columns.items():
                    rows.setdefault(name, []).extend(values)
            tables.append(np.stack(said))
        return self._update(tuple(tables), rows)

    def state(self) -> State:
        """What clients were told so far, and what of it the server has."""
        return {
            str(place): {
                "sums": one.sums,
                "counts": one.counts,
                "sent": self._sent[place].means,
                "sent_counts": self._sent[place].counts,
            }
            for place, one in self._known.items()
            if one.counts.any()
        }

    def restore(self, state: State) -> None:
        """Goes on where `state` was taken."""
        for place, one in self._known.items():
            known, sent = state.get(str(place)), self._sent[place]
            one.sums[:], one.counts[:] = (known["sums"], known["counts"]) if known else (0.0, 0)
            sent.means[:], sent.counts[:] = (known["sent"], known["sent_counts"]) if known else (0.0, 0)

    def _own(self, variant: Variant, client: NDArray[np.integer]) -> tuple[NDArray[np.int64], Mask]:
        """Of some clients of the fleet (n,) those with one frozen model, as their group numbers them, and
        which these are, (n,)."""
        own = client.astype(np.int64) - self._first[variant.group]
        models = len(self._plan.trains_on[variant.group])
        many = len(self._known[variant.group].counts)
        mine = (own >= 0) & (own < many) & (own % models == variant.number)
        return own[mine], mine

    def _merged(self, merge: Merge, variant: Variant) -> Prototypes:
        """Of the clients with one frozen model: of each what it uploaded last, in this round or before."""
        sent, first = self._sent[variant.group], self._first[variant.group]
        client, _ = self._own(variant, merge.uploads)
        sent.means[client], sent.counts[client] = self._uploaded(merge, variant, client)
        everybody, _ = self._own(variant, np.arange(first, first + len(sent.counts)))
        federation = self._plan.scenario.federation
        assert federation is not None
        return merged_prototypes(federation.merge, sent.means[everybody], sent.counts[everybody])

    def _uploaded(self, merge: Merge, variant: Variant, client: NDArray[np.int64]) -> tuple[Numbers, Counts]:
        """Means and counts as clients send them: wrong are the means of those that are broken."""
        plan, federation = self._plan, self._plan.scenario.federation
        known, first = self._known[variant.group], self._first[variant.group]
        means, counts = known.means(client), known.counts[client]
        if federation is not None and federation.broken is not None:
            for row in np.flatnonzero(np.isin(client + first, merge.broken)).tolist():
                own = means[row].reshape(-1)
                sent = wrong(
                    federation.broken, own, plan.scenario.seed, merge.number, int(client[row]) + first
                )
                means[row] = sent.reshape(means[row].shape)
        return means, counts

    def _rows(
        self, number: int, group: str, variant: Variant, made: Prototypes, label: NDArray[np.int16]
    ) -> dict[str, list[object]]:
        plan, classes = self._plan, self._plan.data.classes
        pool = plan.calibration(variant.group)
        truth, right = plan.samples.label[pool], plan.samples.label[pool] == label[pool]
        met, hits = (np.bincount(truth[among], minlength=classes) for among in (slice(None), right))
        with np.errstate(invalid="ignore"):
            recall = hits / met
        return {
            "round": [number] * classes,
            "group": [group] * classes,
            "variant": [variant.number] * classes,
            "class": list(range(classes)),
            "clients": made.clients.tolist(),
            "samples": made.samples.tolist(),
            "fewest": made.fewest.tolist(),
            "recall": recall.tolist(),
        }

    def _update(self, tables: tuple[NDArray[np.int16] | None, ...], rows: dict[str, list[object]]) -> Update:
        nothing = (None,) * len(self._plan.scenario.fleet)
        return Update(None, nothing, learning_table([]), tables, rows)

    def _variants(self, place: int) -> list[Variant]:
        return [variant for variant in self._features if variant.group == place]

    def _width(self, place: int) -> int:
        return next((one.shape[1] for v, one in self._features.items() if v.group == place), 0)


def _features(plan: Plan, variant: Variant, frozen: Mapping[Variant, FrozenClient]) -> Features:
    """What a frozen model makes of the sample axis, (n, width). Raises BadInput where it tells nothing."""
    group, asked = plan.scenario.fleet[variant.group], plan.samples.sample_id
    if plan.is_brought(variant.group):
        features = SaidOnce(dict(plan.said[name_of(group)])).output(plan, asked).features
    else:
        features = output_of(live_model(plan, variant, frozen[variant].weights), plan, asked).features
    if not features.shape[1]:
        raise BadInput(f"fleet.{group.group}.fallback: prototype: its model tells no features")
    found: Features = features.numpy()
    return found
