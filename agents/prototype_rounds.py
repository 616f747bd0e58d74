"""Clients that share prototypes during a run: what each was told, what they upload, what comes of a merge.
Beside `agents.rounds`, which asks it where prototypes are what a federation learns; frozen models are asked
about the sample axis once, in this process, so no shard takes part."""

from __future__ import annotations

from collections.abc import Mapping

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


class PrototypeRounds:
    """Of the groups that fall back to prototypes: features of the sample axis by each frozen model, and the
    sums of each client."""

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
            client = told.client.astype(np.int64) - self._first[place]
            for variant in self._variants(place):
                count = len(self._plan.trains_on[place])
                mine = (client >= 0) & (client < len(known.counts)) & (client % count == variant.number)
                known.add(client[mine], label[mine], self._features[variant][told.sample[mine]])
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
        """What clients were told so far."""
        return {
            str(place): {"sums": one.sums, "counts": one.counts}
            for place, one in self._known.items()
            if one.counts.any()
        }

    def restore(self, state: State) -> None:
        """Goes on where `state` was taken."""
        for place, one in self._known.items():
            known = state.get(str(place))
            one.sums[:], one.counts[:] = (known["sums"], known["counts"]) if known else (0.0, 0)

    def _merged(self, merge: Merge, variant: Variant) -> Prototypes:
        """Of the clients with one frozen model whose uploads there are."""
        known, first = self._known[variant.group], self._first[variant.group]
        count = len(self._plan.trains_on[variant.group])
        client = merge.uploads.astype(np.int64) - first
        client = client[(client >= 0) & (client < len(known.counts)) & (client % count == variant.number)]
        means, counts = self._uploaded(merge, known, client, first)
        federation = self._plan.scenario.federation
        assert federation is not None
        return merged_prototypes(federation.merge, means, counts)

    def _uploaded(
        self, merge: Merge, known: ClassMeans, client: NDArray[np.int64], first: int
    ) -> tuple[Numbers, Counts]:
        """Means and counts as clients send them: wrong are the means of those that are broken."""
        plan, federation = self._plan, self._plan.scenario.federation
        means, counts = known.means()[client], known.counts[client]
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
