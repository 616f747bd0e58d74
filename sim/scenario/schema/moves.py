"""What a scenario says about clients that move between cells: how long they stay, and where they go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.registry.durations import PositiveDuration
from sim.scenario.schema.values import Instant, Name, Part

Weight = Annotated[float, Field(ge=0, le=1e6)]


class Moves(Part):
    """Clients that move between cells: the latency of a way may be another in each."""

    cells: Annotated[tuple[Name, ...], Field(min_length=2, max_length=60)]
    """Names of the cells."""
    stays: PositiveDuration | None = None
    """How long a client stays in a cell before it goes to another, drawn anew each time."""
    next: dict[Name, dict[Name, Weight]] | None = None
    """Where clients go from each cell, by weight; null, or of a cell that is left out: to any other alike."""
    begin: Name | None = None
    """Where all are at t = 0, new there; null: each where such clients are met at any time."""
    at: Annotated[tuple[tuple[Instant, Name], ...], Field(min_length=1)] | None = None
    """In place of `stays`: when all of them are where, pairs of an instant and a cell; the first at 0."""
    file: str | None = None
    """In place of both: rows of a `client` (its number in the group, from 0), a `time` in seconds and the
    `cell` that it goes to. A client is in the cell of its first row from t = 0 on, one without a row in the
    first of `cells`. Where relative, it begins in the scenario's folder."""
