"""The plan of a fleet: which samples each learner gets, and how the work is cut into blocks.
Pure index arithmetic without torch; making it is also how a scenario is checked against its data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.brought_names import files_of, name_of, server_names
from agents.data.datasets import DataSet, load
from agents.data.mixes import calibration_of, phases_of, traffic_class_weights
from agents.data.partitions import known_classes, traffic_of, training_sets
from agents.data.pools import Pools, sample_axis, split, with_server
from agents.data.sample_mix import held_out_of
from agents.data.views import Images, Shift, seen, views_of
from agents.rejectors.settings import Setting, networks_of
from sim.messages import Phase, Samples
from sim.scenario import POOLS, Group, Scenario
from sim.scenario.files.answers import AnswerTable

CLIENT_BATCH = 32  # samples in a step of a frozen client's training
BLOCK = 64  # rejectors that are trained as one; a fixed size, so results do not know the number of shards


@dataclass(frozen=True, order=True)
class Variant:
    """One frozen model: the place of its group in the fleet, and its number within the group."""

    group: int
    number: int


@dataclass(frozen=True, order=True)
class Block:
    """Rejectors `first` to `first + rows - 1` of a group and a score, which are trained together.

    Counted are the owners, clients or (`rejector.per`) variants, setting after setting: with n owners,
    rejector i belongs to owner i % n and is trained in setting i // n of `networks_of`.
    """

    group: int
    score: str
    first: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """Who learns from what. Sample ids are `view * N + index in the data set`.

    shifts: the views; view_of: the one that each group's models train on; trains_on: per group and
    variant, sample_ids int32; traffic: per group, positions on the sample axis that its requests are drawn
    from before any drift; phases: per group, how they are drawn; blocks: in order of group, then score, then
    row. untrained: the models that are brought (`agents.brought_names`); said: what these say, once asked.
    """

    scenario: Scenario
    data: DataSet
    pools: Pools
    shifts: tuple[Shift, ...]
    view_of: tuple[int, ...]
    trains_on: tuple[tuple[NDArray[np.int32], ...], ...]
    samples: Samples
    traffic: tuple[NDArray[np.int32], ...]
    phases: tuple[tuple[Phase, ...], ...]
    blocks: tuple[Block, ...]
    untrained: frozenset[str] = frozenset()
    said: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)

    @property
    def has_given_server(self) -> bool:
        """Whether no model of the servers is trained."""
        return all(self.is_given(model) for model in range(len(self.scenario.server_models)))

    def is_given(self, model: int) -> bool:
        """Whether a model of the servers is not trained: its answers are given, or it is brought."""
        return self.given is not None or server_names(self.scenario)[model] in self.untrained

    def is_brought(self, place: int) -> bool:
        """Whether the models of a group are brought, so that nothing is trained on its partition."""
        return name_of(self.scenario.fleet[place]) in self.untrained

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every frozen model of the fleet, in order."""
        return tuple(Variant(g, v) for g, ids in enumerate(self.trains_on) for v in range(len(ids)))

    @property
    def sent_views(self) -> tuple[int, ...]:
        """The views that the server is trained on: the clean one and those in which requests reach it."""
        return tuple(sorted({0}.union(*(np.unique(self.samples.view[at]).tolist() for at in self.traffic))))

    @cached_property
    def weight_of_view(self) -> NDArray[np.float32]:
        """What a sample weighs in the server's loss by its view, float32 (views,): the mean weight of the
        groups whose requests come in it, 1 where none do.
        """
        weights = np.ones(len(self.shifts), dtype=np.float32)
        for view in range(len(self.shifts)):
            senders = [
                group.weight
                for place, group in enumerate(self.scenario.fleet)
                if self.traffic_view(place) == view
            ]
            if senders:
                weights[view] = np.mean(senders)
        return weights

    @cached_property
    def rejector_views(self) -> tuple[int, ...]:
        """The views in which some rejector trains, ascending."""
        return tuple(sorted({self.traffic_view(block.group) for block in self.blocks}))

    @cached_property
    def server_pool(self) -> NDArray[np.int32]:
        """What the server pretrains on; with `shared_batch` the server's and the rejectors' pool in one."""
        if self.scenario.training.shared_batch:
            return np.sort(np.concatenate([self.pools.server, self.pools.rejector]))
        return self.pools.server

    @property
    def rejector_pool(self) -> NDArray[np.int32]:
        """What rejectors pretrain on; with `shared_batch` the same as the server's."""
        return self.server_pool if self.scenario.training.shared_batch else self.pools.rejector

    @property
    def given(self) -> AnswerTable | None:
        """What models answer where that is given, so that neither clients nor the server are trained."""
        return self.data.given

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the server's pool, or the rejectors' where no server is trained."""
        pool = self.rejector_pool if self.has_given_server else self.server_pool
        return -(-len(pool) // self.scenario.training.pretrain.batch)

    @property
    def steps(self) -> int:
        """Steps of pretraining, of the server and of every rejector."""
        return self.scenario.training.pretrain.epochs * self.steps_per_epoch

    @cached_property
    def intervals(self) -> tuple[int, ...]:
        """The distinct numbers of batches after which some rejector's copy of the server is refreshed."""
        return tuple(sorted({one.interval(self.steps_per_epoch) for each in self.served for one in each}))

    @cached_property
    def images(self) -> Images:
        """All images in all views: `images[sample_ids]`; made when first asked for."""
        return seen(self.data, self.shifts, self.scenario.seed)

    def prepare(self) -> Plan:
        """This plan with its images made, so that they are made once and travel with it."""
        _ = self.images
        return self

    def traffic_view(self, place: int) -> int:
        """The view that a group's requests come in, so also the one its rejectors train on: its own under
        mix `own`, else the clean one. What its frozen models were trained on is another matter, `view_of`.
        """
        return self.view_of[place] if self.scenario.fleet[place].traffic.mix == "own" else 0

    @cached_property
    def served(self) -> tuple[dict[Setting, tuple[Setting, ...]], ...]:
        """Per group `networks_of`: how its rejectors are trained, and the settings that each way serves."""
        return tuple(networks_of(self.scenario, group) for group in self.scenario.fleet)

    @cached_property
    def _networks(self) -> dict[tuple[int, str], tuple[Setting, ...]]:
        """By group and score."""
        results: dict[tuple[int, str], list[Setting]] = {}
        for place, served in enumerate(self.served):
            for network in served:
                results.setdefault((place, network.score), []).append(network)
        return {key: tuple(networks) for key, networks in results.items()}

    def phase_at(self, place: int, at_s: float) -> Phase:
        """How a group's requests are drawn at an instant of the run, or before it."""
        return [phase for phase in self.phases[place] if phase.at_s <= max(at_s, 0.0)][-1]

    def class_weights_at(self, place: int, at_s: float) -> NDArray[np.float64] | None:
        """What a sample of the rejector pool weighs by its class for each owner of a group, float64 (owners,
        classes), so that they learn on what their clients meet at an instant; None where all weigh the same.
        """
        group, labels = self.scenario.fleet[place], self.labels(self.rejector_pool)
        phase = self.phase_at(place, at_s)
        return traffic_class_weights(group, phase, self.data, labels, self.owners_in(place))

    def networks(self, block: Block) -> tuple[Setting, ...]:
        """How the rejectors of a block's group and score are trained, the run's own setting first."""
        return self._networks[block.group, block.score]

    def owners(self, block: Block) -> NDArray[np.int64]:
        """The owner of each row, a number of a client of the group or of a variant; (rows,)."""
        return np.arange(block.first, block.first + block.rows) % self.owners_in(block.group)

    def network_of_row(self, block: Block) -> NDArray[np.int64]:
        """Which of `networks` each row is; (rows,)."""
        return np.arange(block.first, block.first + block.rows) // self.owners_in(block.group)

    def owners_in(self, place: int) -> int:
        """How many rejectors a group has in each setting."""
        return owners_of(self.scenario.fleet[place])

    def variants_of(self, block: Block) -> tuple[Variant, ...]:
        """The frozen models of a block's rows, owner i using number i % variants; (rows,)."""
        count = len(self.trains_on[block.group])
        return tuple(Variant(block.group, int(owner) % count) for owner in self.owners(block))

    def held_out(self, place: int) -> NDArray[np.int32]:
        """The positions on the sample axis of a group's held-out traffic during the run, ascending."""
        return held_out_of(self.phases[place], self.scenario.horizon_s, self.samples)

    def calibration(self, place: int) -> NDArray[np.int64]:
        """The positions on the sample axis of the calibration pool as a group's requests show it."""
        samples, pool, group = self.samples, POOLS.index("calibration"), self.scenario.fleet[place]
        met = (samples.pool == pool) & (samples.view == self.traffic_view(place))
        if group.traffic.mix == "own":
            met &= known_classes(group, self.data)[samples.label]
        return np.flatnonzero(met)

    @cached_property
    def calibration_phases(self) -> tuple[Phase, ...]:
        """Per group the calibration pool as its requests show it, classes weighed as clients meet them."""
        pools = (self.calibration(place).astype(np.int32) for place in range(len(self.traffic)))
        return tuple(
            calibration_of(self.scenario, place, self.data, self.samples, traffic, pool)
            for place, (traffic, pool) in enumerate(zip(self.traffic, pools, strict=True))
        )

    def shares(self, place: int, owners: int) -> NDArray[np.float64]:
        """The part of a group's clients that each of `owners` stands for, in turn; they sum to 1."""
        clients = self.scenario.fleet[place].clients
        return np.bincount(np.arange(clients) % owners, minlength=owners) / clients

    def in_view(self, base_ids: NDArray[np.int32], view: int) -> NDArray[np.int32]:
        """The sample_ids of samples as seen in `view`."""
        return base_ids + np.int32(view * self.data.size)

    def labels(self, sample_ids: NDArray[np.int32]) -> NDArray[np.int16]:
        """The true labels of samples in whatever view."""
        return self.data.labels[sample_ids % self.data.size]


def owners_of(group: Group) -> int:
    """How many rejectors of one setting a group has: one per client, or one per frozen model."""
    return group.clients if group.rejector.per == "client" else group.model.variants


def make_plan(scenario: Scenario, objects: Collection[str] = ()) -> Plan:
    """The plan of a scenario, the same for every number of workers. objects: names of models that a caller
    brings. Raises BadInput, naming the scenario's path, for whatever does not fit the data set.
    """
    data, untrained = load(scenario), frozenset(objects) | frozenset(files_of(scenario))
    pools = split(scenario, data)
    shifts, view_of = views_of(scenario)
    samples = sample_axis(data, pools, len(shifts))
    if data.given is not None:
        samples = with_server(samples, scenario, data.given)
    traffic = tuple(
        traffic_of(group, data, samples, view) for group, view in zip(scenario.fleet, view_of, strict=True)
    )
    return Plan(
        scenario=scenario,
        data=data,
        pools=pools,
        shifts=shifts,
        view_of=view_of,
        trains_on=tuple(
            training_sets(scenario, data, pools.client, place, view, untrained)
            for place, view in enumerate(view_of)
        ),
        samples=samples,
        traffic=traffic,
        phases=tuple(
            phases_of(scenario, place, data, samples, shifts, base) for place, base in enumerate(traffic)
        ),
        blocks=tuple(block for place in range(len(scenario.fleet)) for block in _blocks(scenario, place)),
        untrained=untrained,
    )


def _blocks(scenario: Scenario, place: int) -> list[Block]:
    group, blocks = scenario.fleet[place], list[Block]()
    for score, networks in Counter(network.score for network in networks_of(scenario, group)).items():
        rows = owners_of(group) * networks
        blocks += [Block(place, score, first, min(BLOCK, rows - first)) for first in range(0, rows, BLOCK)]
    return blocks
