"""What learners do while a run goes on: rounds of the server, rounds of clients that learn together, merges.
Between `agents.fleet`, the door, and the backend where learners live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.backends.client_shard import BlockUpdate, ModelAnswers
from agents.backends.in_process import Backend
from agents.backends.scattering import gather, scatter
from agents.evaluation.answers import Answers, server_right
from agents.federation.broken import wrong
from agents.federation.merging import Numbers, Uploads, gathered, merged, set_of_owners
from agents.head_rounds import HeadRounds
from agents.plan import Block, Plan, Variant
from agents.prototype_rounds import PrototypeRounds
from agents.rejectors.block_answers import BlockAnswers
from agents.rejectors.scores import is_trained
from agents.server.model import ServerUpdate
from agents.server.online import own_blocks, own_rows
from agents.server.updates import after_round, update_of
from sim.messages import Merge, Tables, TrainingRound, Update

Item = TypeVar("Item")


class Rounds:
    """Goes on from what was decided before t = 0. answers: all models on the sample axis, as they are now;
    shared: what clients learn together in place of rejectors."""

    def __init__(
        self,
        plan: Plan,
        backend: Backend,
        answers: Answers,
        shared: PrototypeRounds | HeadRounds | None = None,
    ) -> None:
        self._plan, self._backend, self._answers = plan, backend, answers
        self._shared = shared
        self._blocks = own_blocks(plan)

    def shared_numbers(self) -> tuple[int, ...]:
        """How many numbers a client of each group shares; nothing where they do not learn together."""
        if self._plan.scenario.federation is None:
            return ()
        if self._shared is not None:
            return self._shared.shared_numbers()
        found = [0] * len(self._plan.scenario.fleet)
        for block, uploads in self._uploads(self._blocks).items():
            found[block.group] = uploads.numbers.shape[1]
        return tuple(found)

    def train_round(self, training_round: TrainingRound) -> Update:
        """See `sim.ports`."""
        server: ServerUpdate = self._backend.ask_server("train_round", training_round)
        self._answers = replace(self._answers, server_label=server.label)
        updates = self._trained(training_round, self._backend.share(server.correct))
        return update_of(self._plan, training_round, self._answers, server, updates)

    def train_rejectors(self, training_round: TrainingRound) -> Update:
        """See `sim.ports`."""
        if self._shared is not None:
            return self._shared.hear(training_round)
        updates = self._trained(training_round, {})
        return update_of(self._plan, training_round, self._answers, None, updates)

    def merge(self, merge: Merge) -> Update:
        """See `sim.ports`."""
        if self._shared is not None:
            return self._shared.merge(merge)
        plan = self._plan
        uploads, fleet = self._uploads(self._blocks), plan.scenario.fleet
        changes: dict[Block, tuple[NDArray[np.bool_], Numbers]] = {}
        first = 0
        for place, group in enumerate(fleet):
            mine = [block for block in self._blocks if block.group == place]
            for block in mine:
                uploads[block] = self._as_uploaded(merge, block, first, uploads[block])
            sends, gets = (
                np.isin(np.arange(first, first + group.clients), who)
                for who in (merge.uploads, merge.receives)
            )
            cluster = np.arange(first, first + group.clients)
            if len(merge.clusters):
                of_group = (first <= merge.uploads) & (merge.uploads < first + group.clients)
                cluster[merge.uploads[of_group] - first] = merge.clusters[of_group]
            first += group.clients
            if mine:
                changes |= _changes(plan, mine, [uploads[block] for block in mine], sends, gets, cluster)
        calls = [
            (share, [changes[block] for block in share], right)
            for share, right in self._with_server(self._blocks)
        ]
        made = gather(self._blocks, self._backend.ask_shards("take_merged", calls))
        updates = self._after(made)
        return update_of(plan, None, self._answers, None, updates)

    def _as_uploaded(self, merge: Merge, block: Block, first: int, uploads: Uploads) -> Uploads:
        """With the numbers of broken clients as they send them. first: the group's first client."""
        plan, federation = self._plan, self._plan.scenario.federation
        clients = first + plan.owners(block)
        broken = np.flatnonzero(np.isin(clients, merge.broken))
        if not len(broken) or federation is None or federation.broken is None:
            return uploads
        numbers = uploads.numbers.copy()
        for row in broken.tolist():
            known = plan.scenario.seed, merge.number, int(clients[row])
            numbers[row] = wrong(federation.broken, numbers[row], *known)
        return replace(uploads, numbers=numbers)

    def restored(self) -> None:
        """Looks anew at learners that were given another state."""
        label = self._backend.ask_server("labels")
        self._answers = replace(self._answers, server_label=label)
        made = gather(self._blocks, self._backend.ask_shards("own_scores", self._with_server(self._blocks)))
        self._after({block: BlockUpdate(score, 0.0, 0) for block, score in made.items()})

    def _trained(self, training_round: TrainingRound, correct: Any) -> dict[Block, BlockUpdate]:
        if not self._blocks:
            return {}
        calls = [(share, training_round, correct, right) for share, right in self._with_server(self._blocks)]
        return self._after(gather(self._blocks, self._backend.ask_shards("train_round", calls)))

    def _after(self, made: dict[Block, BlockUpdate | None]) -> dict[Block, BlockUpdate]:
        """Takes the blocks that changed, and gives them."""
        updates = {block: answer for block, answer in made.items() if answer is not None}
        self._answers = after_round(self._answers, self._answers.server_label, updates)
        return updates

    def _uploads(self, blocks: Sequence[Block]) -> dict[Block, Uploads]:
        calls = [(share,) for share in scatter(blocks, self._backend.shards)]
        return gather(blocks, self._backend.ask_shards("uploads", calls)) if blocks else {}

    def _with_server(self, items: Sequence[Item]) -> list[tuple[Sequence[Item], Any]]:
        """Items in turn to the shards, and whether the server is right on the sample axis."""
        right = self._backend.share(server_right(self._plan, self._answers.server_label))
        return [(share, right) for share in scatter(items, self._backend.shards)]


def everything_asked(plan: Plan, backend: Backend) -> Answers:
    """All models on the sample axis, as they are now."""
    server_label: NDArray[np.int16] = backend.ask_server("labels")
    right = backend.share(server_right(plan, server_label))
    of_models = _of_models(plan, backend, right)
    shares = scatter(plan.blocks, backend.shards)
    of_blocks = gather(plan.blocks, backend.ask_shards("score", [(share, right) for share in shares]))
    confidence: NDArray[np.float32] = backend.ask_server("confidence")
    return Answers(plan, server_label, confidence, of_models, of_blocks)


def answers_in(tables: Tables, plan: Plan, backend: Backend) -> Answers:
    """The same as far as rounds look at it, where the tables that came of it are known: of frozen models only
    if a group's score is made from them, and of blocks the scores."""
    of_blocks, first = {}, [0] * len(tables.groups)
    for block in plan.blocks:
        table, rows = tables.groups[block.group].score, int(own_rows(plan, block).sum())
        begin = first[block.group]
        first[block.group] += rows
        score = np.empty((0, 0), dtype=np.float32) if table is None else table[begin : begin + rows]
        of_blocks[block] = BlockAnswers(score, {}, {})
    of_models = {}
    if not all(is_trained(group.policy.score) for group in plan.scenario.fleet):
        of_models = _of_models(plan, backend, backend.share(server_right(plan, tables.server_label)))
    unasked = np.full(tables.server_label.shape, np.nan, dtype=np.float32)
    return Answers(plan, tables.server_label, unasked, of_models, of_blocks)


def _of_models(plan: Plan, backend: Backend, right: Any) -> dict[Variant, ModelAnswers]:
    shares = scatter(plan.variants, backend.shards)
    return gather(plan.variants, backend.ask_shards("answer", [(share, right) for share in shares]))


def _changes(
    plan: Plan,
    blocks: Sequence[Block],
    uploads: Sequence[Uploads],
    sends: NDArray[np.bool_],
    gets: NDArray[np.bool_],
    cluster: NDArray[np.int64],
) -> dict[Block, tuple[NDArray[np.bool_], Numbers]]:
    """Per block of a group which rows change, and to what, (those rows, n). sends, gets: bool (owners,);
    cluster: (owners,), alike for those whose uploads come as one."""
    federation = plan.scenario.federation
    assert federation is not None
    own = [own_rows(plan, block) for block in blocks]
    known = Uploads(
        *(
            np.concatenate([part[rows] if len(part) else part for part, rows in zip(parts, own, strict=True)])
            for parts in zip(*((one.numbers, one.answers, one.precision) for one in uploads), strict=True)
        )
    )
    owner = np.concatenate([plan.owners(block)[rows] for block, rows in zip(blocks, own, strict=True)])
    belongs, results = set_of_owners(plan, blocks[0].group), dict[int, Numbers]()
    for one in np.unique(belongs[owner]).tolist():
        members = np.flatnonzero((belongs[owner] == one) & sends[owner])
        if len(members):
            of_set = known.of(members)
            if federation.has_one_uplink:
                of_set = gathered(federation.merge, of_set, cluster[owner[members]])
            results[one] = merged(federation.merge, of_set)
    found = {}
    for block, rows in zip(blocks, own, strict=True):
        owners = plan.owners(block)
        changed = rows & gets[owners] & np.isin(belongs[owners], list(results))
        numbers = [results[one] for one in belongs[owners[changed]].tolist()]
        width = uploads[0].numbers.shape[1]
        found[block] = changed, np.stack(numbers) if numbers else np.empty((0, width), np.float32)
    return found
