"""Training during the run: what each round looks at, and how the clients' requests come by then.
Draws are keyed by version, so that a round is the same wherever it is worked out; without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.plan import Block, Plan
from agents.rejectors.feedback_buffer import Condensing
from agents.server.steps import labelled
from sim.messages import TrainingRound
from sim.streams import Draws, stream

Ids = NDArray[np.int32]


def traffic_view_at(plan: Plan, place: int, at_s: float) -> int:
    """The view that a group's requests come in at an instant of the run."""
    return int(plan.samples.view[plan.phase_at(place, at_s).positions[0]])


def trained_views(plan: Plan, training_round: TrainingRound) -> tuple[int, ...]:
    """The views in which some rejector trains on its pool after this round, ascending: its sensor's, as it is
    then. None where rejectors learn from their clients' answers.
    """
    if plan.scenario.learns_from_answers:
        return ()
    places = {block.group for block in own_blocks(plan)}
    return tuple(sorted({traffic_view_at(plan, place, training_round.in_force_at_s) for place in places}))


@dataclass(frozen=True)
class ReplayBuffer:
    """All deferred samples so far, to be drawn again: sample_id int32 and weight in the server's loss
    float32, both (d,)."""

    sample_id: Ids
    weight: NDArray[np.float32]

    @staticmethod
    def nothing() -> ReplayBuffer:
        return ReplayBuffer(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))

    def with_round(self, plan: Plan, training_round: TrainingRound, model: int) -> ReplayBuffer:
        """With those that a model learns from in a training round; each weighs as much as the group of the
        client that sent it."""
        fleet, deferred = plan.scenario.fleet, training_round.deferred.of(model)
        weights = np.repeat([group.weight for group in fleet], [group.clients for group in fleet])
        sample_id = plan.samples.sample_id[deferred.sample]
        weight = weights[deferred.client].astype(np.float32)
        return ReplayBuffer(
            np.concatenate([self.sample_id, sample_id]), np.concatenate([self.weight, weight])
        )


def server_round(
    plan: Plan, version: int, replay: ReplayBuffer, *model: str
) -> Iterator[tuple[Ids, NDArray[np.float32]]]:
    """The sample_ids of each step of a round of the server, and their weights, drawn with replacement. model:
    its name, where there are several.

    `pool`: of the server's pool what has a label, in the views that it was pretrained on. `deferred`: of the
    replay buffer, in the views in which samples came; no step while it is empty. `mix`: half a batch of each,
    or all of the pool while the buffer is empty.
    """
    training, known = plan.scenario.training, len(replay.sample_id)
    assert training.online is not None
    draw = stream(plan.scenario.seed, "online server", version, *model)
    batch = min(training.pretrain.batch, len(plan.server_pool))  # as before the run
    of_replay = {"pool": 0, "deferred": batch, "mix": batch // 2}[training.online.source] if known else 0
    of_pool = 0 if training.online.source == "deferred" else batch - of_replay
    pool, sent_views = plan.server_pool[labelled(plan)], np.array(plan.sent_views, dtype=np.int32)
    for _ in range(training.online.steps if of_replay + of_pool else 0):
        again = draw.integers(known, size=of_replay) if of_replay else np.empty(0, dtype=np.int64)
        views = draw.choice(sent_views, of_pool)
        base = draw.choice(pool, of_pool)
        sample_ids = np.concatenate([replay.sample_id[again], base + views * np.int32(plan.data.size)])
        weights = np.concatenate([replay.weight[again], plan.weight_of_view[views]])
        yield sample_ids.astype(np.int32), weights


def rejector_round(plan: Plan, version: int) -> NDArray[np.int64]:
    """The batch of each step of the rejectors against a version: positions in `Plan.rejector_pool`, drawn
    with replacement, int64 (steps, batch). As before the run, one batch serves all rejectors.
    """
    training = plan.scenario.training
    assert training.online is not None
    draw = stream(plan.scenario.seed, "online rejectors", version)
    batch = min(training.pretrain.batch, len(plan.rejector_pool))
    return draw.integers(len(plan.rejector_pool), size=(training.online.rejector_steps, batch))


def steps_in_round(plan: Plan) -> int:
    """Steps of each rejector in a round of the run."""
    online, federation = plan.scenario.training.online, plan.scenario.federation
    if federation is not None:
        return federation.steps
    return 0 if online is None else online.rejector_steps


def steps_of_rows(plan: Plan, block: Block, training_round: TrainingRound) -> NDArray[np.int64] | None:
    """Steps of each row of a block in a round, (rows,); None where all do as many as the scenario says."""
    if not len(training_round.steps):
        return None
    steps = np.full(block.rows, steps_in_round(plan), dtype=np.int64)
    row = row_of_client(plan, block)[training_round.trains]
    steps[row[row >= 0]] = training_round.steps[row >= 0]
    return steps


def own_blocks(plan: Plan) -> list[Block]:
    """The blocks with rejectors that the run itself asks; those of a study alone do not train in it."""
    fleet = plan.scenario.fleet
    owners = plan.owners_in
    return [b for b in plan.blocks if b.score == fleet[b.group].policy.score and b.first < owners(b.group)]


def own_rows(plan: Plan, block: Block) -> NDArray[np.bool_]:
    """Which rows of a block the run itself asks, bool (rows,)."""
    is_own: NDArray[np.bool_] = plan.network_of_row(block) == 0
    return is_own & (block.score == plan.scenario.fleet[block.group].policy.score)


def training_rows(plan: Plan, block: Block, training_round: TrainingRound) -> NDArray[np.bool_]:
    """Which rows of a block train in a training round, bool (rows,): a rejector that clients share trains
    if one of them does."""
    group = plan.scenario.fleet[block.group]
    first = sum(other.clients for other in plan.scenario.fleet[: block.group])
    members = (
        training_round.trains[
            (first <= training_round.trains) & (training_round.trains < first + group.clients)
        ]
        - first
    )
    return own_rows(plan, block) & np.isin(plan.owners(block), members % plan.owners_in(block.group))


def condensing(plan: Plan, block: Block) -> Condensing | None:
    """How the answers of a block's rejectors are condensed; None where all are held."""
    scenario = plan.scenario
    if scenario.federation is None or scenario.federation.holds is None:
        return None
    draws = Draws(scenario.seed, f"held/{block.group}")
    return Condensing(scenario.federation.holds, plan.samples.label, draws, plan.owners(block))


def row_of_client(plan: Plan, block: Block) -> NDArray[np.int64]:
    """Per client of the fleet the row of a block that it asks in the run, -1 where it asks none of them."""
    fleet = plan.scenario.fleet
    first = sum(group.clients for group in fleet[: block.group])
    asks = np.full(plan.scenario.clients, -1, dtype=np.int64)
    row = np.arange(fleet[block.group].clients) % plan.owners_in(block.group) - block.first
    own = own_rows(plan, block)
    here = (row >= 0) & (row < block.rows)
    here[here] = own[row[here]]
    asks[first : first + len(row)] = np.where(here, row, -1)
    return asks
