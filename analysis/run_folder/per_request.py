"""Numbers of each request that are derived of several columns, without what they are derived by lying there.
Between the traffic and the metrics that are means over many requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from analysis.run_folder.traffic import Traffic
from analysis.statistics.pieces import AT_ONCE
from analysis.statistics.room import laid_down


def per_request(traffic: Traffic, number: Callable[[Traffic], NDArray[Any]]) -> NDArray[Any]:
    """A number of each request, (n,), by a function that gives those of any part of the traffic from the
    requests of that part alone."""
    count = traffic.count
    if count <= AT_ONCE:
        return number(traffic)

    def some(places: slice) -> NDArray[Any]:
        return number(replace(traffic, columns={name: of[places] for name, of in traffic.columns.items()}))

    return laid_down(some, count, some(slice(0, 1)).dtype)
