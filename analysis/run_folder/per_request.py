"""Numbers of each request that are derived of several columns, without what they are derived by lying there.
Between the traffic and the metrics that are means over many requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from analysis.run_folder.traffic import Traffic
from analysis.statistics.pieces import AT_ONCE
from analysis.statistics.room import laid_beside


def per_request(traffic: Traffic, number: Callable[[Traffic], NDArray[Any]]) -> NDArray[Any]:
    """A number of each request, (n,), by a function that gives those of any part of the traffic from the
    requests of that part alone."""
    return numbers_per_request(traffic, lambda part: [number(part)])[0]


def numbers_per_request(
    traffic: Traffic, numbers: Callable[[Traffic], Sequence[NDArray[Any]]]
) -> Sequence[NDArray[Any]]:
    """The same of several numbers that are found together."""
    count = traffic.count
    if count <= AT_ONCE:
        return numbers(traffic)

    def some(places: slice) -> Sequence[NDArray[Any]]:
        return numbers(replace(traffic, columns={name: of[places] for name, of in traffic.columns.items()}))

    found = laid_beside(some, count, [each.dtype for each in some(slice(0, 1))])
    traffic.let_go()
    return found
