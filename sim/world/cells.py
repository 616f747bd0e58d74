"""Where clients are: moves between cells, drawn before the run.
Made once per run; the loop asks it for the way of a send, `sim.results.table` for the column `cell`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.registry.durations import length_biased, quantile
from sim.scenario import Scenario
from sim.scenario.files.moves_of_clients import moves_of_clients
from sim.scenario.schema.moves import Moves
from sim.streams import Draws
from sim.world.population import CLIENT_SHIFT, Population
from sim.world.versions import Versions

Floats = NDArray[np.float64]
Entries = tuple[NDArray[np.int64], Floats, NDArray[np.int32]]  # who is from when on in which cell


@dataclass(frozen=True)
class Cells:
    """Of each client the number of its cell among those of its group, 0 of who does not move. names: of the
    cells of each group, none where nobody moves. group: of each client."""

    in_force: Versions
    names: tuple[tuple[str, ...], ...]
    group: NDArray[np.int16]

    def of(self, client: NDArray[np.int32], at_s: Floats) -> NDArray[np.int32]:
        """Where each client is at its instant, int32 (n,)."""
        return self.in_force.of(client, at_s)

    @cached_property
    def every(self) -> tuple[str, ...]:
        """The names of all; first of all none, of who does not move."""
        return tuple(dict.fromkeys(["", *(cell for cells in self.names for cell in cells)]))

    def told(self, client: NDArray[np.int32], at_s: Floats) -> NDArray[np.int64]:
        """The same as a place in `every`, (n,)."""
        names = [cells or ("",) for cells in self.names]
        code = np.array([self.every.index(cell) for cells in names for cell in cells])
        first = np.cumsum([0, *map(len, names)])[self.group[client]]
        found: NDArray[np.int64] = code[first + self.of(client, at_s)]
        return found

    @property
    def most(self) -> int:
        """Cells of any group, 1 where nobody moves."""
        return max(1, *map(len, self.names))


def cells(scenario: Scenario, clients: Population) -> Cells:
    """The moves of a run. The law: a longer horizon only adds to them."""
    parts: list[Entries] = []
    for group, first in zip(scenario.fleet, clients.first, strict=True):
        mine = np.arange(first, first + group.clients)
        if group.moves is None:
            parts.append((mine, np.full(len(mine), -np.inf), np.zeros(len(mine), dtype=np.int32)))
        elif group.moves.at is not None:
            parts += _written(group.moves, mine)
        elif group.moves.file is not None:
            parts += _replayed(group.moves, mine)
        else:
            parts += _drawn(scenario, group.moves, mine)
    client, at_s, cell = (np.concatenate(column) for column in zip(*parts, strict=True))
    first_of = np.arange(clients.size + 1)
    if len(client) > clients.size:  # some move
        order = np.lexsort((at_s, client))
        client, at_s, cell = client[order], at_s[order], cell[order]
        first_of = np.searchsorted(client, first_of)
    names = tuple(group.moves.cells if group.moves else () for group in scenario.fleet)
    return Cells(Versions(at_s, cell, first_of), names, clients.group)


def chain(moves: Moves) -> Floats:
    """The share of moves from each cell to each, (cells, cells)."""
    found = np.ones((len(moves.cells), len(moves.cells))) - np.eye(len(moves.cells))
    for place, cell in enumerate(moves.cells):
        weights = (moves.next or {}).get(cell)
        if weights is not None:
            found[place] = [weights.get(other, 0.0) for other in moves.cells]
    steps: Floats = found / found.sum(axis=1, keepdims=True)
    return steps


def shares(moves: Moves) -> Floats:
    """The share of time that a client is in each cell in the long run, (cells,): that of its moves, since
    stays are alike everywhere; of a chain that `is_one`."""
    steps = chain(moves)
    equations = np.vstack([steps.T - np.eye(len(steps)), np.ones(len(steps))])
    found: Floats = np.linalg.lstsq(equations, np.append(np.zeros(len(steps)), 1.0), rcond=None)[0]
    return np.maximum(found, 0.0)


def time_shares(moves: Moves, clients: int, horizon_s: float) -> Floats:
    """The share of a run that a client of a group is in each cell, (cells,), mean over its clients: as
    written, or as it is in the long run."""
    if moves.file is not None:
        return _replayed_shares(moves, clients, horizon_s)
    if moves.at is None:
        return shares(moves)
    began = np.array([at_s for at_s, _ in moves.at])
    held = np.diff(np.append(np.minimum(began, horizon_s), horizon_s))
    place = [moves.cells.index(cell) for _, cell in moves.at]
    found: Floats = np.bincount(place, weights=held, minlength=len(moves.cells)) / max(horizon_s, 1e-9)
    return found


def _replayed_shares(moves: Moves, clients: int, horizon_s: float) -> Floats:
    parts = zip(*_replayed(moves, np.arange(clients)), strict=True)
    who, at_s, place = (np.concatenate(part) for part in parts)
    order = np.lexsort((at_s, who))
    who, began = who[order], np.clip(at_s[order], 0.0, horizon_s)
    until = np.where(np.append(np.diff(who) == 0, False), np.append(began[1:], 0.0), horizon_s)
    spent = np.bincount(place[order], weights=until - began, minlength=len(moves.cells))
    found: Floats = spent / max(horizon_s * clients, 1e-9)
    return found


def is_one(moves: Moves) -> bool:
    """Whether in the long run it does not matter where a client began."""
    steps = chain(moves)
    equations = np.vstack([steps.T - np.eye(len(steps)), np.ones(len(steps))])
    return int(np.linalg.matrix_rank(equations)) == len(steps)


def _cumulative(shares: Floats) -> Floats:
    """Sums along the last axis, which end at exactly 1, so that nothing of no share is ever drawn."""
    sums = np.cumsum(shares, axis=-1)
    found: Floats = sums / sums[..., -1:]
    return found


def _written(moves: Moves, mine: NDArray[np.int64]) -> list[Entries]:
    """All clients of the group go together."""
    return [
        (
            mine,
            np.full(len(mine), at_s if place else -np.inf),
            np.full(len(mine), moves.cells.index(cell), dtype=np.int32),
        )
        for place, (at_s, cell) in enumerate(moves.at or ())
    ]


def _replayed(moves: Moves, mine: NDArray[np.int64]) -> list[Entries]:
    """As a file has them. Raises BadFile where it is not sound."""
    assert moves.file is not None
    known = moves_of_clients(moves.file, len(mine), moves.cells)
    is_first = np.append(True, np.diff(known.client) != 0)
    lacking = np.setdiff1d(np.arange(len(mine)), known.client)
    return [
        (mine[known.client], np.where(is_first, -np.inf, known.at_s), known.cell),
        (mine[lacking], np.full(len(lacking), -np.inf), np.zeros(len(lacking), dtype=np.int32)),
    ]


def _drawn(scenario: Scenario, moves: Moves, mine: NDArray[np.int64]) -> list[Entries]:
    """Move after move of all clients at once. In equilibrium at t = 0 each is met in a cell, for what is left
    of a stay that is met, a uniform share of a length-biased one."""
    assert moves.stays is not None
    purposes = "cell", "stay in a cell", "rest of a stay in a cell"
    where, stay, left = (Draws(scenario.seed, purpose) for purpose in purposes)
    stays, upper = quantile(moves.stays), _cumulative(chain(moves))
    key = mine << CLIENT_SHIFT
    if moves.begin is None:
        cell = np.searchsorted(_cumulative(shares(moves)), where.many(key), side="right")
        at_s = length_biased(moves.stays)(stay.many(key)) * left.many(key)
    else:
        cell, at_s = np.full(len(mine), moves.cells.index(moves.begin)), stays(stay.many(key))
    parts = [(mine, np.full(len(mine), -np.inf), cell.astype(np.int32))]
    while len(on := np.flatnonzero(at_s < scenario.horizon_s)):
        mine, key, cell, at_s = mine[on], key[on] + 1, cell[on], at_s[on]
        cell = (upper[cell] <= where.many(key)[:, None]).sum(axis=1)
        parts.append((mine, at_s, cell.astype(np.int32)))
        at_s = at_s + stays(stay.many(key))
    return parts
