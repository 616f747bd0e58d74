"""The devices: each serves its client's requests one at a time, first come, first served.
Gives for whole chunks the instants at which local answers and scores exist."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def done_at(
    arrived: NDArray[np.float64],
    client: NDArray[np.int32],
    inference_s: NDArray[np.float64],
    free_at: NDArray[np.float64],
) -> NDArray[np.float64]:
    """When each request is done, float64 (n,): max(arrived, done of the one before) + inference.

    arrived, client, inference_s: (n,), sorted by client and then by arrival. free_at: per client, when its
    device is done with what came earlier (-inf = at once). Lindley's recursion, taken for all clients in
    step: each pass settles one more request of every busy period, with the arithmetic of a plain loop.
    """
    done = arrived + inference_s
    if not len(done):
        return done
    first = np.concatenate([[True], client[1:] != client[:-1]])
    heads = np.flatnonzero(first & (free_at[client] > arrived))
    done[heads] = free_at[client[heads]] + inference_s[heads]
    followers = np.flatnonzero(~first)
    delayed = np.zeros(len(done), dtype=bool)
    delayed[heads] = True
    # The first of a busy period that must wait is one whose predecessor did not have to.
    waits = done[followers - 1] > arrived[followers]
    delayed[followers[waits]] = True
    front = followers[waits & ~delayed[followers - 1]]
    front = np.union1d(front, _next(heads, first, done, arrived))
    while len(front):
        done[front] = done[front - 1] + inference_s[front]
        front = _next(front, first, done, arrived)
    return done


def _next(
    settled: NDArray[np.int64],
    first: NDArray[np.bool_],
    done: NDArray[np.float64],
    arrived: NDArray[np.float64],
) -> NDArray[np.int64]:
    """The requests right behind the settled ones that must wait for them."""
    behind = settled + 1
    behind = behind[behind < len(done)]
    behind = behind[~first[behind]]
    return behind[done[behind - 1] > arrived[behind]]
