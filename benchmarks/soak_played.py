"""A random world played in memory, without learners: both clocks, windows, checkpoints, the oracle, liveness.
Used by `benchmarks.soak` for every world that is not refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from worlds import MadeUpLearner, brought, differences, frame, made_up, reference

from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.messages import Learned
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.world.arrivals.source import ArrivalSource, ScenarioArrivals
from sim.world.population import population
from sim.world.windows import EvenWindows, Windows
from sim.world.world import World

TOLD = ("requests", "attempts", "timeline", "totals", "latencies")
MOST_FOR_THE_ORACLE = 3_000  # requests: it is written to be read, and slow


class Broken(Exception):
    """A promise that does not hold, in a line."""


def played(
    scenario: Scenario,
    learned: Learned,
    path: str,
    windows: Windows | None = None,
    broken_off: int | None = None,
    arrivals: ArrivalSource | None = None,
) -> list[Any]:
    """What a run in memory gives: requests, attempts, seconds, beside them those of servers and links, items
    and accounts of energy, and the sums that `detail: none` keeps; broken_off: after which window it is kept,
    and goes on in another `Run`. arrivals: in place of the scenario's own."""

    def begun() -> Run:
        world = World(scenario)
        learner = MadeUpLearner(scenario, learned) if scenario.learns_in_run else None
        return Run(
            world, learned, arrivals or ScenarioArrivals(world), learner, EnginePath(path, ""), windows
        )

    run, parts = begun(), []
    while not run.is_over:
        if broken_off == run.chunks:
            kept = unpack(pack(run.kept()))
            run = begun()
            run.restore(kept)
            broken_off = None
        parts.append(run.advance())
    run.finish()
    if not parts:
        return []
    tables = [
        pa.concat_tables([getattr(part, name) for part in parts])
        .combine_chunks()
        .unify_dictionaries()
        .sort_by([("request_id", "ascending")] + ([("attempt", "ascending")] if name == "attempts" else []))
        for name in ("requests", "attempts")
    ]
    seconds = {name: np.concatenate([part.seconds[name] for part in parts]) for name in parts[0].seconds}
    for table in ("of_servers", "of_links"):
        for name in getattr(parts[0], table) or ():
            seconds[f"{table}.{name}"] = np.concatenate([getattr(part, table)[name] for part in parts])
    if parts[0].items is not None:
        items = {name: np.concatenate([part.items[name] for part in parts]) for name in parts[0].items}
        order = np.lexsort((items["item"], items["client_id"]))
        seconds |= {f"items.{name}": column[order] for name, column in items.items()}
    seconds |= {f"energy.{name}": np.asarray(column) for name, column in (run.energy() or {}).items()}
    return [*tables, seconds, *run.totals().values()]


def require_same(one: list[Any], other: list[Any], what: str) -> None:
    for name, (first, second) in zip(TOLD, zip(one, other, strict=True), strict=False):
        if isinstance(first, dict):
            differ = [key for key in first if first[key].tobytes() != second[key].tobytes()]
        else:
            columns = ((column, first[column], second[column]) for column in first.column_names)
            differ = [column for column, left, right in columns if not are_same(left, right)]
        if differ:
            raise Broken(f"{what}: {name} differs in {', '.join(differ)}")


def are_same(left: pa.ChunkedArray, right: pa.ChunkedArray) -> bool:
    """To the bit; lists, and numbers that may be missing, as they are written."""
    if left.type != right.type or left.null_count or pa.types.is_nested(left.type):
        return repr(left.to_pylist()) == repr(right.to_pylist())
    if pa.types.is_floating(left.type):
        return bool(left.to_numpy().tobytes() == right.to_numpy().tobytes()) and not right.null_count
    return bool(left.equals(right)) or repr(left.to_pylist()) == repr(right.to_pylist())


def require_oracle(scenario: Scenario, learned: Learned, ours: list[Any]) -> None:
    """Every column of both tables as the readable loop has it."""
    told = reference(scenario, learned, ScenarioArrivals(World(scenario)), 60.0)
    for name, table, expected in zip(("requests", "attempts"), ours, told, strict=False):
        found = differences(frame(table), in_order(expected))
        if found:
            raise Broken(f"the oracle has other {name}: {found[0]}")


def in_order(table: Any) -> Any:
    """Rows of the oracle by request, and by attempt."""
    return table.sort_values([*table.columns[:2]], ignore_index=True)


def require_alive(scenario: Scenario, requests: pa.Table) -> None:
    """Every request has ended, or something may still end it: a timer that has not fired, or an answer."""
    rows = frame(requests)
    if rows["outcome"].isna().any():
        raise Broken("a request without an outcome")
    rows = rows[(rows["outcome"] == "in_flight") & (rows["decided_at_s"] < scenario.horizon_s)]
    for request in rows.itertuples():
        group = scenario.fleet[int(population(scenario).group[request.client_id])]
        until = math.inf if group.deadline_s is None else request.arrived_at_s + group.deadline_s
        if group.timeout_s is not None and group.retry is None and group.hedge is None:
            until = min(until, request.sent_at_s + group.timeout_s)
        batch = group.device.batch
        if batch is not None and batch.wait_s is not None and request.attempts == 0:
            until = min(until, request.decided_at_s + batch.wait_s)
        is_lost = until == math.inf and group.timeout_s is None and request.server_cause == "lost"
        if until < scenario.horizon_s or is_lost:
            raise Broken(f"request {request.request_id} is in flight, and nothing will end it")


def require_less(scenario: Scenario, learned: Learned, full: list[Any]) -> None:
    """What is kept of a run in less detail is what the full one tells, by both clocks and after a stop."""
    less = played(scenario, learned, "simpy")
    other = played(scenario, learned, "compiled", broken_off=1)
    require_same(less, other, f"the compiled clock, kept after a window, {scenario.detail}")
    shown = [full[0].select(less[0].column_names), *full[1:]]
    require_same(shown, less[: len(full)], f"detail: {scenario.detail}")
    for totals in less[len(full) : len(full) + 1]:
        counted, told = sum(totals["requests"].to_pylist()), frame(full[0])["arrived_at_s"]
        if counted != (told >= scenario.warm_up_s).sum():
            raise Broken(f"the sums are of {counted:g} requests")


def try_in_memory(asked: Scenario, draw: np.random.Generator) -> bool:
    """All promises of a run that need no learners; gives whether the oracle was asked, too."""
    scenario = asked.model_copy(update={"detail": "full"})
    learned = made_up(scenario)
    if scenario.federation is not None:
        learned = replace(learned, shared_numbers=(500,) * len(scenario.fleet))
    if draw.random() < 0.2 and not scenario.learns_in_run:
        learned = brought(learned)
    simpy = played(scenario, learned, "simpy")
    require_same(simpy, played(scenario, learned, "compiled"), "the compiled clock")
    length_s = float(draw.choice([1.0, 7.0, 60.0]))
    path = str(draw.choice(["simpy", "compiled"], p=[0.25, 0.75]))  # the slow one is held above, too
    after = int(draw.integers(0, max(1, math.ceil(scenario.horizon_s / length_s))))
    other = played(scenario, learned, path, EvenWindows(length_s), after)
    require_same(simpy, other, f"{path}, kept after {after} windows of {length_s:g} s")
    if not simpy:
        return False
    require_alive(scenario, simpy[0])
    if asked.detail != "full":
        require_less(asked, learned, simpy)
    is_asked = len(simpy[0]) <= MOST_FOR_THE_ORACLE and bool(draw.random() < 0.5)
    if is_asked:
        require_oracle(scenario, learned, simpy)
    return is_asked
