"""Sums over requests that are alike, and how long they took: what a run under `detail: none` keeps of them.
Filled window by window by `sim.engine.run`; written as `totals` and `latencies`, which `analysis` reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.engine.events import IN_FLIGHT
from sim.engine.state import Columns
from sim.results.answerers import Answerers
from sim.results.coded import coded_table
from sim.results.columns import CAUSES, OUTCOMES
from sim.results.columns_by_run import LATENCIES, QUALITIES, TOTALS
from sim.world.world import World

KEYS = TOTALS.names[: TOTALS.names.index("requests")]
SUMS = TOTALS.names[len(KEYS) :]
COUNTS = LATENCIES.names[LATENCIES.names.index("first") :]
STEPS_BITS = 16  # of a single's 32: what is left splits each octave into 128 steps


def _codes() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass
class Sums:
    """Rows of sums (rows, columns) by a code each, rising (rows,)."""

    code: NDArray[np.int64] = field(default_factory=_codes)
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, code: NDArray[np.int64], values: list[NDArray[Any]]) -> None:
        """Adds to the rows of these codes (n,) the values (n,) of each column."""
        more, place = np.unique(code, return_inverse=True)
        found = [np.bincount(place, one, more.size) for one in values]
        every = np.union1d(self.code, more)
        sums = np.zeros((every.size, len(values)))
        if self.code.size:
            sums[np.searchsorted(every, self.code)] = self.sums
        sums[np.searchsorted(every, more)] += np.column_stack(found)
        self.code, self.sums = every, sums


@dataclass
class Totals:
    """What is summed up so far of the requests that arrived after the warm-up."""

    alike: Sums = field(default_factory=Sums)
    took: Sums = field(default_factory=Sums)

    def add(self, columns: Columns, world: World) -> None:
        """Adds requests that ended, columns as `sim.results.table` completes them."""
        scenario = world.scenario
        counted = columns["arrived_at_s"] >= scenario.warm_up_s
        rows = {name: values[counted] for name, values in columns.items()}
        rows["is_decided"] = ~np.isnan(rows["decided_at_s"])
        first_s, final_s = (
            (rows[name] - rows["arrived_at_s"]).astype(np.float32)
            for name in ("first_answer_at_s", "answered_at_s")
        )
        self.alike.add(_joined(rows, _sizes(world)), _summed(rows, world, first_s, final_s))
        waited_s = (scenario.horizon_s - rows["arrived_at_s"]).astype(np.float32)
        is_open = rows["outcome"] == IN_FLIGHT
        whose = rows["group"].astype(np.int64) * len(OUTCOMES) + rows["outcome"]
        for place, (took_s, told) in enumerate(
            ((first_s, ~np.isnan(first_s)), (final_s, ~np.isnan(final_s)), (waited_s, is_open))
        ):
            if told.any():
                step = np.maximum(took_s[told], 0).view(np.int32) >> STEPS_BITS
                ones = [np.full(step.size, 1.0 * (which == place)) for which in range(len(COUNTS))]
                self.took.add(whose[told] << STEPS_BITS | step, ones)

    def tables(self, world: World) -> dict[str, pa.Table]:
        """The tables `totals` and `latencies`."""
        names = {
            "group": tuple(group.group for group in world.scenario.fleet),
            "outcome": OUTCOMES,
            "server_cause": CAUSES,
            "answered_by": Answerers.of(world.scenario).names,
        }
        sizes = _sizes(world)
        keys = np.unravel_index(self.alike.code, tuple(sizes.values()))
        alike = dict(zip(KEYS, keys, strict=True)) | _named(SUMS, self.alike.sums)
        step = (self.took.code & ((1 << STEPS_BITS) - 1)).astype(np.int32)
        group, outcome = np.divmod(self.took.code >> STEPS_BITS, len(OUTCOMES))
        ends = {"from_s": step, "until_s": step + 1}
        took = {"group": group, "outcome": outcome} | _named(COUNTS, self.took.sums)
        took |= {name: (one << STEPS_BITS).view(np.float32) for name, one in ends.items()}
        return {
            "totals": coded_table(alike, TOTALS, names),
            "latencies": coded_table(took, LATENCIES, names),
        }


def _sizes(world: World) -> dict[str, int]:
    """How many values each of KEYS may have."""
    named = (len(world.scenario.fleet), len(OUTCOMES), len(CAUSES), len(Answerers.of(world.scenario).names))
    return dict(zip(KEYS, (*named, 2, 2, 2), strict=True))


def _joined(rows: Columns, sizes: dict[str, int]) -> NDArray[np.int64]:
    code: NDArray[np.int64] = np.zeros(len(rows["request_id"]), dtype=np.int64)
    for name, size in sizes.items():
        code = code * size + rows[name]
    return code


def _summed(
    rows: Columns, world: World, first_s: NDArray[np.float32], final_s: NDArray[np.float32]
) -> list[NDArray[Any]]:
    """The values of SUMS."""
    deadline_s = np.array([patience.deadline_s for patience in world.parameters.patience])[rows["group"]]
    if QUALITIES[0].name in rows:
        client, server, right = (np.nan_to_num(rows[one.name].astype(np.float64)) for one in QUALITIES)
    else:
        label = rows["label"]
        client, server = (rows[f"{who}_label"] == label for who in ("client", "server"))
        right = rows["correct"]
    in_time = rows["answered_at_s"] <= rows["arrived_at_s"] + deadline_s
    values = {
        "requests": np.ones(in_time.size),
        "attempts": rows["attempts"],
        "sent": rows["attempts"] > 0,
        "in_time": in_time,
        "right": right,
        "right_in_time": right * in_time,
        "client_right": client,
        "server_right": server,
        "cost": rows["cost"],
        "first_n": ~np.isnan(first_s),
        "first_s": np.nan_to_num(first_s),
        "final_n": ~np.isnan(final_s),
        "final_s": np.nan_to_num(final_s),
    }
    return [values[name] for name in SUMS]


def _named(names: list[str], sums: NDArray[np.float64]) -> Columns:
    """The columns of sums by name."""
    return {name: sums[:, place] if sums.size else np.zeros(0) for place, name in enumerate(names)}
