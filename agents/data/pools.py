"""Five disjoint pools of samples, and the sample axis that every table shares.
What trains never meets what measures: only traffic's held-out half gives the headline accuracy."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agents.data.datasets import DataSet
from agents.data.tables import own_c_e, own_work
from sim.errors import BadInput
from sim.messages import Samples
from sim.scenario import POOLS, Scenario
from sim.scenario.files.answers import AnswerTable
from sim.streams import stream

log = logging.getLogger(__name__)
FAR = 0.05  # of a mean cost: beyond, the price is another one


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
    """The pools of a run: a keyed permutation, cut into floor(share * n) samples, the remainder to traffic;
    or those that a table of answers says itself.

    Raises BadInput if the shares do not sum to one, or a pool would be empty that something is learned from.
    """
    least = (1, 1, 1, 1, 2) if data.given is None else (0, 0, 0, 1, 2)
    if data.given is not None and data.given.pool is not None:
        return _as_written(scenario, data.given, data.given.pool)
    shares = scenario.data.pools
    if abs(sum(shares) - 1.0) > 1e-6:
        raise BadInput(f"data.pools: {list(shares)} sum to {sum(shares):.6g}, the five shares must sum to 1")
    # The small term keeps 0.29 * 100 from being floored to 28.
    sizes = [int(np.floor(share * data.size + 1e-9)) for share in shares[:-1]]
    sizes.append(data.size - sum(sizes))
    for name, size, needed in zip(POOLS, sizes, least, strict=True):
        if size < needed:
            raise BadInput(
                f"data.pools: {list(shares)} of {data.size} samples leave {size} for '{name}', "
                f"it needs at least {needed}"
            )
    order = stream(scenario.seed, "pools").permutation(data.size).astype(np.int32)
    parts = np.split(order, np.cumsum(sizes)[:-1])
    held_out = parts[-1][sizes[-1] // 2 :]
    return Pools(*(np.sort(part) for part in (*parts, held_out)))


def _as_written(scenario: Scenario, given: AnswerTable, pool: NDArray[np.int8]) -> Pools:
    """The pools of a table's column; of the traffic's the held-out half is drawn unless it says that, too."""
    places = [np.flatnonzero(pool == number).astype(np.int32) for number in range(len(POOLS))]
    traffic = places[-1]
    if given.held_out is not None:
        held_out = np.flatnonzero(given.held_out).astype(np.int32)
    else:
        order = stream(scenario.seed, "pools").permutation(len(traffic))
        held_out = np.sort(traffic[order[len(traffic) // 2 :]])
    sizes = {
        "calibration": len(places[3]),
        "traffic": len(traffic) - len(held_out),
        "held_out": len(held_out),
    }
    for name, size in sizes.items():
        if not size:
            half = " beside held_out" if name == "traffic" else ""
            raise BadInput(f"data.file: {scenario.data.file}: pool has no sample of '{name}'{half}")
    client, server, rejector, calibration, _ = places
    return Pools(client, server, rejector, calibration, traffic, held_out)


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


def with_server(samples: Samples, scenario: Scenario, given: AnswerTable) -> Samples:
    """The sample axis with what sends to given models cost, and with their work, where the table says so.

    Warns if the price that policies hold gains against is far from what a send of the calibration pool costs.
    """
    own, work = own_c_e(given, scenario), own_work(given, scenario)
    if own is not None:
        cost = own[..., samples.base_id]
        mean = float(cost[..., samples.pool == POOLS.index("calibration")].mean())
        if abs(mean - scenario.costs.c_e) > FAR * max(mean, scenario.costs.c_e):
            log.warning(
                "costs.c_e: %.4g, which prices hold gains against, but a send of the calibration pool costs "
                "%.4g on average",
                *(scenario.costs.c_e, mean),
            )
        samples = replace(samples, c_e=cost)
    return samples if work is None else replace(samples, work=work[..., samples.base_id])
