"""Rules about clients that move between cells. Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from sim.registry.durations import mean_s
from sim.scenario.files.moves_of_clients import MOST_MOVES, moves_of_clients
from sim.scenario.files.rows import BadFile
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.moves import Moves
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest
from sim.world.cells import is_one

Breach = tuple[Path, Any, str]


def clients_may_move(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        moves, path = group.moves, ("fleet", index, "moves")
        if moves is None:
            continue
        if len(set(moves.cells)) < len(moves.cells):
            yield (*path, "cells"), moves.cells, "each needs a name of its own"
        elif sum(one is not None for one in (moves.stays, moves.at, moves.file)) != 1:
            yield path, "...", "give stays, or at, or file"
        elif moves.file is not None:
            yield from _written_in_a_file(moves, moves.file, group, path)
        elif moves.at is not None:
            yield from _written_ones_follow(moves, path)
        else:
            yield from _drawn_ones_end(scenario, group, moves, path)


def cells_are_there(scenario: Scenario) -> Iterator[Breach]:
    """Of options, which need not be of a group that moves where they say nothing of cells."""
    for index, group in enumerate(scenario.fleet):
        cells = group.moves.cells if group.moves else ()
        for number, option in enumerate(group.options or ()):
            path: Path = ("fleet", index, "options", number, "latency_in")
            if option.latency_in is not None and not cells:
                yield path, "...", "clients of this group do not move: must be null, or give the group moves"
                continue
            for cell in option.latency_in or {}:
                if cell not in cells:
                    yield path, cell, f"is no cell of its group: {nearest(cell, cells)}"


def _written_in_a_file(moves: Moves, file: str, group: Group, path: Path) -> Iterator[Breach]:
    yield from _drawn_alone(moves, path)
    try:
        moves_of_clients(file, group.clients, moves.cells)
    except BadFile as error:
        yield (*path, "file"), file, f"{PurePath(file).name}: {error}"


def _drawn_alone(moves: Moves, path: Path) -> Iterator[Breach]:
    for name in ("next", "begin"):
        if getattr(moves, name) is not None:
            yield (*path, name), "...", "goes with stays: must be null"


def _written_ones_follow(moves: Moves, path: Path) -> Iterator[Breach]:
    written = moves.at or ()
    yield from _drawn_alone(moves, path)
    if written[0][0] != 0:
        yield (*path, "at", 0), written[0], "the first must be at 0"
    for place, (before, after) in enumerate(pairwise(written), start=1):
        if after[0] <= before[0]:
            yield (*path, "at", place), after, "must be later than the one before"
    for place, (_, cell) in enumerate(written):
        if cell not in moves.cells:
            yield (*path, "at", place), cell, f"is no cell: {nearest(cell, moves.cells)}"


def _drawn_ones_end(scenario: Scenario, group: Group, moves: Moves, path: Path) -> Iterator[Breach]:
    named = dict.fromkeys([*(moves.next or {}), *(to for row in (moves.next or {}).values() for to in row)])
    unknown = [cell for cell in named if cell not in moves.cells]
    for cell in unknown:
        yield (*path, "next"), cell, f"is no cell: {nearest(cell, moves.cells)}"
    for cell, weights in (moves.next or {}).items():
        if weights.get(cell, 0.0) > 0:
            yield (*path, "next", cell), cell, "nobody goes from a cell to itself: must be another"
        elif not sum(weights.values()) > 0:
            yield (*path, "next", cell), "...", "some cell needs a weight greater than 0"
    if moves.begin is not None and moves.begin not in moves.cells:
        yield (*path, "begin"), moves.begin, f"is no cell: {nearest(moves.begin, moves.cells)}"
    assert moves.stays is not None
    try:
        stay_s = mean_s(moves.stays)
    except BadFile:  # which another rule tells
        return
    if group.clients * scenario.horizon_s > MOST_MOVES * stay_s:
        yield (*path, "stays"), moves.stays, f"comes to more than {MOST_MOVES:,} moves in the run"
    leads_nowhere = any(not sum(row.values()) for row in (moves.next or {}).values())
    if moves.begin is None and not unknown and not leads_nowhere and not is_one(moves):
        rule = "where clients are in the long run depends on where they began: say where all begin"
        yield (*path, "begin"), None, rule


MOVE_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (clients_may_move, cells_are_there)
"""Rules about cells."""
