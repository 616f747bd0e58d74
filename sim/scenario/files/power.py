"""Files of power over time, as pieces of constant power: lines of a time and the watts since the line before.
Read for `sim.registry.harvests`; the rules refuse what is not sound."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.bandwidth import numbers_of, since_the_line_before
from sim.scenario.files.rows import identity

Floats = NDArray[np.float64]


class Pieces(NamedTuple):
    """Power over a period: `watts[i]` from `at_s[i]` on; at_s[0] is 0."""

    at_s: Floats
    watts: Floats
    period_s: float


def power_of(path: str) -> Pieces:
    """What a file says. Raises BadFile where it is not of the format."""
    return _read(*identity(path))


@lru_cache(maxsize=16)
def _read(path: str, _changed_ns: int, _bytes: int) -> Pieces:
    rows = numbers_of(path, 2, "a time and a power")
    return Pieces(*since_the_line_before(rows, "a power of {:g} W"))
