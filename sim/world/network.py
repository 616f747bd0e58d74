"""Shared links: how much each lets pass by an instant, and when it has let so much pass.
Made once per run; functions of plain arrays, asked by the loop for each message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.scenario.files.bandwidth import bandwidth_of
from sim.scenario.schema.network import SharedLink as Written

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Bandwidths(NamedTuple):
    """Of link l the pieces first[l] to first[l + 1] - 1: `bps` from `at_s` on, by which `bits` have passed.

    They come again after period_s, in which period_bits pass; inf: they do not.
    """

    first: Ints
    at_s: Floats
    bps: Floats
    bits: Floats
    period_s: Floats
    period_bits: Floats


def bits_by(lines: Any, link: Any, t: Any) -> Any:
    """Bits that a link lets pass in [0, t] if it always has some."""
    begun, within = 0.0, t
    if lines.period_s[link] < inf:
        periods = floor(t / lines.period_s[link]) * 1.0
        begun, within = periods * lines.period_bits[link], t - periods * lines.period_s[link]
    low, high = lines.first[link], lines.first[link + 1] - 1
    while low < high:  # the last piece that begins by then
        middle = (low + high + 1) // 2
        if lines.at_s[middle] <= within:
            low = middle
        else:
            high = middle - 1
    return begun + (lines.bits[low] + lines.bps[low] * (within - lines.at_s[low]))


def passed_at(lines: Any, link: Any, bits: Any) -> Any:
    """The first instant by which a link has let so many bits pass."""
    begun, left = 0.0, bits
    if lines.period_s[link] < inf:
        periods = floor(bits / lines.period_bits[link]) * 1.0
        left = bits - periods * lines.period_bits[link]
        if left <= 0.0 and periods > 0.0:  # it may have been the end of a period, or before
            periods, left = periods - 1.0, lines.period_bits[link]
        begun = periods * lines.period_s[link]
    low, high = lines.first[link], lines.first[link + 1] - 1
    while low < high:  # the last piece before which fewer had passed
        middle = (low + high + 1) // 2
        if lines.bits[middle] < left:
            low = middle
        else:
            high = middle - 1
    if lines.bps[low] <= 0.0:  # only where nothing is left
        return begun + lines.at_s[low]
    return begun + (lines.at_s[low] + (left - lines.bits[low]) / lines.bps[low])


@dataclass(frozen=True)
class Network:
    """The shared links of a run. names: in the scenario's order; is_shared: whether payloads pass at once."""

    names: tuple[str, ...]
    is_shared: NDArray[np.bool_]
    lines: Bandwidths


def network(scenario: Scenario) -> Network:
    """Unfolds those of a scenario."""
    return Network(
        names=tuple(one.link for one in scenario.network),
        is_shared=np.array([one.discipline == "ps" for one in scenario.network], dtype=bool),
        lines=lines_of([_pieces(one) for one in scenario.network]),
    )


def lines_of(pieces: Sequence[tuple[Floats, Floats, float]]) -> Bandwidths:
    """Rates by piece: when each piece begins, its rate, and after which time all come again."""
    passed = [np.append(0.0, np.cumsum(bps[:-1] * np.diff(at_s))) for at_s, bps, _ in pieces]
    periods = np.array([period_s for _, _, period_s in pieces], dtype=np.float64)
    lasts = [
        bits[-1] + bps[-1] * (period_s - at_s[-1]) if period_s < inf else inf
        for (at_s, bps, period_s), bits in zip(pieces, passed, strict=True)
    ]
    return Bandwidths(
        first=np.append(0, np.cumsum([len(bits) for bits in passed], dtype=np.int64)),
        at_s=np.concatenate([np.zeros(0), *(at_s for at_s, _, _ in pieces)]),
        bps=np.concatenate([np.zeros(0), *(bps for _, bps, _ in pieces)]),
        bits=np.concatenate([np.zeros(0), *passed]),
        period_s=periods,
        period_bits=np.array(lasts, dtype=np.float64),
    )


def _pieces(link: Written) -> tuple[Floats, Floats, float]:
    if link.bandwidth is not None:
        return bandwidth_of(link.bandwidth.file, link.bandwidth.format)
    return np.zeros(1), np.array([link.bandwidth_bps], dtype=np.float64), inf
