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
    device is done with what came earlier (-inf = at once). Lindley's recursion: most requests meet an idle
    device and are done in one array operation; the others are walked through, busy period by busy period.
    """
    done = arrived + inference_s
    n = len(done)
    first = np.append(True, client[1:] != client[:-1])[:n]
    heads = np.flatnonzero(first & (free_at[client] > arrived))
    done[heads] = free_at[client[heads]] + inference_s[heads]
    late = np.flatnonzero(~first & (np.append(-np.inf, done[:-1])[:n] > arrived)).tolist()
    starts, takes, ends, opens, upto = arrived.data, inference_s.data, done.data, first.data, 0
    for begin in late:
        if begin < upto:
            continue  # settled with the busy period that it belongs to
        upto = begin
        while upto < n and not opens[upto] and ends[upto - 1] > starts[upto]:
            ends[upto] = ends[upto - 1] + takes[upto]
            upto += 1
    return done
