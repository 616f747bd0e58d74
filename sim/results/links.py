"""The shared links second by second: payloads on them, how busy they are, how much they let pass.
Computed from when each payload came and when it had passed, as the loop noted it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.engine.passages import Passages
from sim.results.timeline import Stays, bin_of, seconds_of

BYTE = 8


def of_links(
    passages: Passages, names: tuple[str, ...], start: float, end: float
) -> dict[str, NDArray[np.generic]]:
    """The rows of `links` for [start, end): second after second, link after link."""
    edges = seconds_of(start, end)
    each = [_of_link(passages.of(place), edges) for place in range(len(names))]
    found: dict[str, NDArray[np.generic]] = {
        "at_s": np.repeat(edges[:-1], len(names)),
        "link": np.tile(names, len(edges) - 1),
    }
    for name in each[0]:
        found[name] = np.stack([one[name] for one in each], axis=1).reshape(-1)
    return found


def _of_link(passages: Passages, edges: NDArray[np.float64]) -> dict[str, NDArray[np.generic]]:
    stays = Stays(passages.joined, passages.left, edges)
    begins, ends, _ = busy_periods(passages)
    bytes_of = np.rint(passages.bits / BYTE)
    passed = np.bincount(bin_of(edges, passages.left), bytes_of, minlength=len(edges) + 1)[1:-1]
    return {
        "payloads": stays.number_before(),
        "payloads_mean": stays.mean(),
        "busy_mean": Stays(begins, ends, edges).mean(),
        "passed_bytes": passed.astype(np.int64),
    }


def busy_periods(
    passages: Passages,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """When a link has something to do, from and until, in order; and in which of them each payload passes."""
    order = np.argsort(passages.joined, kind="stable")
    joined, latest = passages.joined[order], np.maximum.accumulate(passages.left[order])
    opens = np.append(True, joined[1:] > latest[:-1])[: len(joined)]
    number = np.empty(len(joined), dtype=np.int64)
    number[order] = np.cumsum(opens) - 1
    last = np.append(np.flatnonzero(opens)[1:] - 1, len(joined) - 1) if len(joined) else opens.nonzero()[0]
    return joined[opens], latest[last], number
