"""What became of the items of sessions, recounted from the blocks that ended: the table `items`.
A law of its own: each block begins where the one before it left off. Shares nothing with the handlers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.engine.learning import Learning
from sim.engine.state import Columns, Ended
from sim.errors import RunFailed
from sim.results.columns import OUTCOMES
from sim.results.columns_by_run import ITEMS
from sim.results.items import labels_of, samples_of
from sim.scenario.schema.sessions import Session
from sim.world.population import CLIENT_SHIFT
from sim.world.world import World

REMOTE, LOCAL, IN_FLIGHT = (OUTCOMES.index(name) for name in ("remote", "local", "in_flight"))
BY_NOBODY, BY_CLIENT, BY_SERVER = range(3)
ROUNDING = 1e-9

# Number k, first item, drafts, outcome, accepted, arrived, decided, completed.
Block = tuple[int, int, int, int, int, float, float, float]


class Open(NamedTuple):
    """An item: how often it was drafted and taken back, when it was begun and first shown, and whether by the
    server."""

    item: int
    drafts: int
    taken_back: int
    begun: float
    shown: float
    by_server: bool


# Client, the item, when it was final, whose answer that is, by which request.
Told = tuple[int, Open, float, int, int]


@dataclass
class Progress:
    """Where a client is, after so many blocks: items that are final, items that were drafted and not taken
    back, whether the last block came to nothing and when. early: blocks that ended before one that is before
    them. open: items that were begun and are not final."""

    blocks: int = 0
    final: int = 0
    drafted: int = 0
    is_alone: bool = False
    ended_at: float = 0.0
    early: list[Block] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)


class SessionBook:
    """The items of a run's sessions, as blocks end; what it depends on is kept with checkpoints."""

    def __init__(self, world: World, learning: Learning) -> None:
        self._parameters, self._learning = world.parameters, learning
        self._group, parameters = world.population.group, world.parameters
        self._names = np.array([group.group for group in world.scenario.fleet])
        self._has = np.array([rule is not None for rule in parameters.sessions])
        clients = np.flatnonzero(self._has[self._group]).tolist()
        self.progress = {str(client): Progress() for client in clients}

    def add(self, ended: Ended, last: bool, horizon_s: float) -> Columns | None:
        """Takes the blocks that ended; gives the rows of `items` that are final by them, with `last` all that
        was begun; None where there are no sessions. Raises RunFailed if a block does not follow the one
        before."""
        if not self.progress:
            return None
        rows = ended.rows
        blocks = np.flatnonzero(rows["first_item"] >= 0)
        accepted = self._accepted(rows, blocks)
        number = rows["request_id"][blocks] & ((1 << CLIENT_SHIFT) - 1)
        columns = (rows["client"][blocks], number, rows["first_item"][blocks], rows["drafts"][blocks])
        instants = (rows[name][blocks] for name in ("arrived", "decided", "completed_at"))
        found: list[Told] = []
        for client, *block in zip(
            *(one.tolist() for one in (*columns, rows["outcome"][blocks], accepted, *instants)), strict=True
        ):
            progress = self.progress[str(client)]
            progress.early.append(tuple(block))
            progress.early.sort()
            while progress.early and progress.early[0][0] == progress.blocks:
                found += self._end(client, progress, progress.early.pop(0), horizon_s)
        if last:
            for name, progress in self.progress.items():
                found += [(int(name), Open(*one), np.nan, BY_NOBODY, -1) for one in progress.open]
        return self._columns(found)

    def kept(self) -> dict[str, Any]:
        """What rows to come depend on."""
        return dict(self.progress)

    def restore(self, kept: dict[str, Any]) -> None:
        """Goes on where `kept` was taken."""
        for name, of_client in kept.items():
            self.progress[name] = Progress(**of_client)

    def _accepted(self, rows: Columns, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of each block how many of its items client and server answer alike before the first that they do
        not, (n,)."""
        found = np.zeros(len(blocks), dtype=np.int64)
        client, first = rows["client"][blocks], rows["first_item"][blocks]
        for g in np.flatnonzero(self._has).tolist():
            rule = self._parameters.sessions[g]
            assert rule is not None
            mine = np.flatnonzero(self._group[client] == g)
            item = first[mine][:, None] + np.arange(rule.draft + 1)
            who = np.repeat(client[mine], rule.draft + 1)
            sample = samples_of(self._learning, g, who, item.ravel())
            own, server = labels_of(self._parameters, self._learning, g, who, sample)
            alike = (own == server).reshape(item.shape) & (item // rule.items == item[:, :1] // rule.items)
            found[mine] = np.cumprod(alike, axis=1).sum(axis=1)
        return found

    def _end(self, client: int, progress: Progress, block: Block, horizon_s: float) -> Iterator[Told]:
        g = self._group[client]
        rule, inference_s = self._parameters.sessions[g], self._parameters.inference_s[g]
        assert rule is not None
        number, first, drafts, outcome, accepted, arrived, decided, completed = block
        if (first, drafts) != (progress.final, drafts_after(rule, progress)) or not _is_due(
            rule, progress, drafts, arrived
        ):
            raise RunFailed("run", f"block {number} of client {client} does not follow the one before it")
        if decided - arrived < drafts * inference_s - ROUNDING * (1 + arrived):
            raise RunFailed("run", f"block {number} of client {client} was sent before it was drafted")
        items = min(rule.draft + 1, rule.items - first % rule.items)
        known = {one[0]: Open(*one) for one in progress.open}
        for place in range(drafts):
            item, begun, shown = progress.drafted + place, place * inference_s, (place + 1) * inference_s
            if arrived + shown < horizon_s:
                new = Open(item, 0, 0, arrived + begun, arrived + shown, False)
                known[item] = (before := known.get(item, new))._replace(drafts=before.drafts + 1)
        drafted, final = progress.drafted + drafts, first
        if outcome == LOCAL:
            final = drafted
        elif outcome == REMOTE:
            final = min(first + accepted + 1, first + items)
            for item in range(drafted, final):
                known.setdefault(item, Open(item, 0, 0, decided, completed, True))
            if accepted < items:  # drafts from there on were wrong, or follow one that was
                for item in range(final - 1, drafted):
                    known[item] = known[item]._replace(taken_back=known[item].taken_back + 1)
                drafted = final
        by = BY_CLIENT if outcome == LOCAL else BY_SERVER
        for item in range(first, final):
            yield client, known.pop(item), completed, by, client << CLIENT_SHIFT | number
        progress.open = [known[item] for item in sorted(known)]
        progress.blocks, progress.final, progress.drafted = number + 1, final, max(drafted, final)
        progress.is_alone, progress.ended_at = outcome not in (REMOTE, LOCAL, IN_FLIGHT), completed

    def _columns(self, found: list[Told]) -> Columns:
        """Rows by client and item."""
        found.sort(key=lambda one: (one[0], one[1].item))
        client = np.array([one[0] for one in found], dtype=np.int32)
        item = np.array([one[1].item for one in found], dtype=np.int64)
        by, n = np.array([one[3] for one in found], dtype=np.int8), len(found)
        sample, own, server = (np.zeros(n, dtype=kind) for kind in (np.int32, np.int16, np.int16))
        session = np.zeros(n, dtype=np.int64)
        for g in np.flatnonzero(self._has).tolist():
            mine, rule = np.flatnonzero(self._group[client] == g), self._parameters.sessions[g]
            assert rule is not None
            sample[mine] = samples_of(self._learning, g, client[mine], item[mine])
            own[mine], server[mine] = labels_of(
                self._parameters, self._learning, g, client[mine], sample[mine]
            )
            session[mine] = item[mine] // rule.items
        axis = self._learning.learned.samples
        by_server = np.array([one[1].by_server for one in found], dtype=bool)
        values = (
            *(client, self._names[self._group[client]], session, item),
            *(axis.sample_id[sample], axis.held_out[sample], axis.label[sample], own, server),
            np.array([one[1].begun for one in found], dtype=np.float64),
            np.array([one[1].shown for one in found], dtype=np.float64),
            np.array([one[2] for one in found], dtype=np.float64),
            np.where(by_server, server, own),
            np.select([by == BY_CLIENT, by == BY_SERVER], [own, server], np.int16(-1)),
            np.array([one[1].drafts for one in found], dtype=np.int32),
            np.array([one[1].taken_back for one in found], dtype=np.int32),
            np.array([one[4] for one in found], dtype=np.int64),
        )
        return dict(zip(ITEMS.names, values, strict=True))


def drafts_after(rule: Session, progress: Progress) -> int:
    """How many items the block drafts that begins where a client is."""
    waiting = progress.drafted - progress.final
    session_ends = progress.final - progress.final % rule.items + rule.items
    room = rule.most_drafts - waiting if progress.is_alone else rule.draft - waiting
    return max(0, min(rule.draft, room, session_ends - progress.drafted))


def _is_due(rule: Session, progress: Progress, drafts: int, arrived: float) -> bool:
    """Whether a block may begin at an instant: at once, a while after one that came to nothing where nothing
    can be drafted, and after a thought where a session begins."""
    if not progress.is_alone and progress.final % rule.items == 0:
        return arrived >= progress.ended_at or progress.blocks == 0
    due = progress.ended_at + (rule.again_s if progress.is_alone and drafts == 0 else 0.0)
    return abs(arrived - due) <= ROUNDING * (1 + due)
