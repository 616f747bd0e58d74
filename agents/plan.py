"""The plan of a fleet: which samples each learner gets, and how the work is cut into blocks.
Pure index arithmetic without torch; making it is also how a scenario is checked against its data set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.datasets import DataSet, load
from agents.mixes import phases_of
from agents.partitions import traffic_of, training_samples
from agents.pools import Pools, sample_axis, split
from agents.views import Shift, seen, views_of
from sim.messages import Phase, Samples
from sim.scenario import Group, Scenario

BLOCK = 64  # rejectors that are trained as one; a fixed size, so results do not know the number of shards


@dataclass(frozen=True, order=True)
class Variant:
    """One frozen model: the place of its group in the fleet, and its number within the group."""

    group: int
    number: int


@dataclass(frozen=True, order=True)
class Block:
    """Rejectors `first` to `first + rows - 1` of a group, which are trained together.

    A row is a client or, where `rejector.per` is variant, a variant; row r uses variant r % variants.
    """

    group: int
    first: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """Who learns from what. Sample ids are `view * N + index in the data set`.

    shifts: the views; view_of: the one that each group's models train on; trains_on: per group and
    variant, sample_ids int32; traffic: per group, positions on the sample axis that its requests are drawn
    from before any drift; phases: per group, how they are drawn; blocks: in order of group, then row.
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

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every frozen model of the fleet, in order."""
        return tuple(Variant(g, v) for g, ids in enumerate(self.trains_on) for v in range(len(ids)))

    @property
    def sent_views(self) -> tuple[int, ...]:
        """The views that the server is trained on: the clean one and those in which requests reach it."""
        sent = {int(view) for positions in self.traffic for view in np.unique(self.samples.view[positions])}
        return tuple(sorted(sent | {0}))

    @property
    def rejector_views(self) -> tuple[int, ...]:
        """The views in which some rejector trains, ascending."""
        return tuple(sorted({self.meets_view(block.group) for block in self.blocks}))

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the server pool; pretraining counts its steps in these."""
        return -(-len(self.pools.server) // self.scenario.training.pretrain.batch)

    @cached_property
    def images(self) -> NDArray[np.float32]:
        """All images in all views, indexed by sample_id, made when first asked for."""
        return seen(self.data, self.shifts, self.scenario.seed)

    def prepare(self) -> Plan:
        """This plan with its images made, so that they are made once and travel with it."""
        _ = self.images
        return self

    def meets_view(self, place: int) -> int:
        """The view that a group's requests come in, so also the one its rejectors train on: its own under
        mix `own`, else the clean one. What its frozen models were trained on is another matter, `view_of`.
        """
        return self.view_of[place] if self.scenario.fleet[place].traffic.mix == "own" else 0

    def variants_of(self, block: Block) -> tuple[Variant, ...]:
        """The frozen models of a block's rows, row r using number r % variants; (rows,)."""
        count = len(self.trains_on[block.group])
        return tuple(Variant(block.group, r % count) for r in range(block.first, block.first + block.rows))

    def in_view(self, base_ids: NDArray[np.int32], view: int) -> NDArray[np.int32]:
        """The sample_ids of samples as seen in `view`."""
        return base_ids + np.int32(view * self.data.size)

    def labels(self, sample_ids: NDArray[np.int32]) -> NDArray[np.int16]:
        """The true labels of samples in whatever view."""
        return self.data.labels[sample_ids % self.data.size]


def has_rejector(group: Group) -> bool:
    """Whether a group's policy asks a trained rejector."""
    return group.policy.score == "l2h"


def make_plan(scenario: Scenario) -> Plan:
    """The plan of a scenario, the same for every number of workers.

    Raises BadInput, naming the scenario's path, for whatever does not fit the data set.
    """
    data = load(scenario)
    pools = split(scenario, data)
    shifts, view_of = views_of(scenario)
    samples = sample_axis(data, pools, len(shifts))
    traffic = tuple(
        traffic_of(group, data, samples, view) for group, view in zip(scenario.fleet, view_of, strict=True)
    )
    return Plan(
        scenario=scenario,
        data=data,
        pools=pools,
        shifts=shifts,
        view_of=view_of,
        trains_on=tuple(_draws(scenario, place, data, pools, view) for place, view in enumerate(view_of)),
        samples=samples,
        traffic=traffic,
        phases=tuple(
            phases_of(scenario, place, data, samples, shifts, base) for place, base in enumerate(traffic)
        ),
        blocks=tuple(block for place in range(len(scenario.fleet)) for block in _blocks(scenario, place)),
    )


def _draws(
    scenario: Scenario, place: int, data: DataSet, pools: Pools, view: int
) -> tuple[NDArray[np.int32], ...]:
    group = scenario.fleet[place]
    return tuple(
        training_samples(
            group, data, pools.client, view=view, seed=scenario.seed, place=place, variant=variant
        )
        for variant in range(group.model.variants)
    )


def _blocks(scenario: Scenario, place: int) -> list[Block]:
    group = scenario.fleet[place]
    if not has_rejector(group):
        return []
    rows = group.clients if group.rejector.per == "client" else group.model.variants
    return [Block(place, first, min(BLOCK, rows - first)) for first in range(0, rows, BLOCK)]
