"""Sessions as the handlers read them: rules by group, what clients are at, and their next items, drawn ahead.
Items are keyed by client and number, so they are the same whatever becomes of the blocks that they are in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.parameters import Flags, Floats, Ints
from sim.engine.decisions import ask
from sim.engine.learning import Learning
from sim.engine.state import State
from sim.results.items import labels_of, samples_of
from sim.world.parameters import Parameters
from sim.world.population import CLIENT_SHIFT

FEWEST = 256  # items of a client that are drawn at once


class Sessions(NamedTuple):
    """Per group items (0: its clients have no sessions), draft, backlog, again_s; per client the state's
    columns; and what was drawn ahead, `each` items of a client from its `base` on. Empty without sessions.

    score: of the item, NaN where it is drawn by the request; matches: whether m = e.
    """

    items: Ints
    draft: Ints
    backlog: Ints
    again_s: Floats
    final: Ints
    drafted: Ints
    is_alone: Flags
    each: int
    base: Ints
    sample: NDArray[np.int32]
    score: NDArray[np.float32]
    matches: Flags


class KeptItems:
    """What one stretch did not use up is there for the next, unless a restored state is behind it."""

    def __init__(self) -> None:
        self._last: Sessions | None = None

    def of(self, parameters: Parameters, learning: Learning, state: State) -> Sessions:
        """The sessions of a run as its state has them, with the next items of every client."""
        last = self._last or _nothing_drawn(parameters, state)
        columns: Any = state.sessions
        self._last = last._replace(**columns)
        draw_items(self._last, parameters, learning)
        return self._last


def _nothing_drawn(parameters: Parameters, state: State) -> Sessions:
    rules = parameters.sessions if parameters.has_sessions else ()
    clients = parameters.clients.size if rules else 0
    columns: Any = state.sessions
    each = max([FEWEST, *(8 * (rule.draft + 1) for rule in rules if rule)])
    return Sessions(
        items=np.array([rule.items if rule else 0 for rule in rules], dtype=np.int64),
        draft=np.array([rule.draft if rule else 0 for rule in rules], dtype=np.int64),
        backlog=np.array([rule.most_drafts if rule else 0 for rule in rules], dtype=np.int64),
        again_s=np.array([rule.again_s if rule else 0.0 for rule in rules], dtype=np.float64),
        **columns,
        each=each,
        base=np.full(clients, -each, dtype=np.int64),  # as if all before the first were used up
        sample=np.zeros(clients * each, dtype=np.int32),
        score=np.zeros(clients * each, dtype=np.float32),
        matches=np.zeros(clients * each, dtype=bool),
    )


def draw_items(to: Sessions, parameters: Parameters, learning: Learning) -> None:
    """Draws the next items of each client that has used up most, or has none yet."""
    used = to.final - to.base
    for g in np.flatnonzero(to.items):
        which = np.flatnonzero(
            (parameters.clients.group == g)[: len(used)] & ((used < 0) | (used >= to.each - to.each // 4))
        )
        if not len(which):
            continue
        to.base[which] = to.final[which]
        client = np.repeat(which, to.each).astype(np.int32)
        item = (to.base[which][:, None] + np.arange(to.each)).ravel()
        sample = samples_of(learning, int(g), client, item)
        here = (which[:, None] * to.each + np.arange(to.each)).ravel()
        own, of_server = labels_of(parameters, learning, int(g), client, sample)
        to.sample[here], to.matches[here] = sample, own == of_server
        if learning.learned.tables.groups[g].score is None:
            to.score[here] = np.nan
        else:
            name = client.astype(np.int64) << CLIENT_SHIFT | item
            found, _ = ask(parameters, learning, int(g), name, client, sample, np.zeros_like(client))
            to.score[here] = found.score
