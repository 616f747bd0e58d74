"""Five disjoint pools of samples, and the sample axis that every table shares.
What trains never meets what measures: only traffic's held-out half gives the headline accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.data.datasets import DataSet
from sim.errors import BadInput
from sim.messages import Samples
from sim.scenario import POOLS, Scenario
from sim.streams import stream


@dataclass(frozen=True)
class Pools:
    """Indices in the data set, int32, ascending within a pool; `held_out` is the larger half of `traffic`."""

    client: NDArray[np.int32]
    server: NDArray[np.int32]
    rejector: NDArray[np.int32]
    calibration: NDArray[np.int32]
    traffic: NDArray[np.int32]
    held_out: NDArray[np.int32]


def split(scenario: Scenario, data: DataSet) -> Pools:
    """The pools of a run: a keyed permutation, cut into floor(share * n) samples, the remainder to traffic.

    Raises BadInput if the shares do not sum to one or a pool would be empty.
    """
    shares = scenario.data.pools
    if abs(sum(shares) - 1.0) > 1e-6:
        raise BadInput(f"data.pools: {list(shares)} sum to {sum(shares):.6g}, the five shares must sum to 1")
    # The small term keeps 0.29 * 100 from being floored to 28.
    sizes = [int(np.floor(share * data.size + 1e-9)) for share in shares[:-1]]
    sizes.append(data.size - sum(sizes))
    for name, size, least in zip(POOLS, sizes, (1, 1, 1, 1, 2), strict=True):
        if size < least:
            raise BadInput(
                f"data.pools: {list(shares)} of {data.size} samples leave {size} for '{name}', "
                f"it needs at least {least}"
            )
    order = stream(scenario.seed, "pools").permutation(data.size).astype(np.int32)
    parts = np.split(order, np.cumsum(sizes)[:-1])
    held_out = parts[-1][sizes[-1] // 2 :]
    return Pools(*(np.sort(part) for part in (*parts, held_out)))


def sample_axis(data: DataSet, pools: Pools, views: int) -> Samples:
    """The rows of every table: calibration and traffic samples in each of `views` views, by sample_id."""
    base = np.sort(np.concatenate([pools.calibration, pools.traffic]))
    base_id = np.tile(base, views)
    view = np.repeat(np.arange(views, dtype=np.int32), len(base))
    is_traffic = np.isin(base_id, pools.traffic)
    return Samples(
        sample_id=view * np.int32(data.size) + base_id,
        base_id=base_id,
        view=view,
        label=data.labels[base_id],
        pool=np.where(is_traffic, POOLS.index("traffic"), POOLS.index("calibration")).astype(np.int8),
        held_out=np.isin(base_id, pools.held_out),
    )
