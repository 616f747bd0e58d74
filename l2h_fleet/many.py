"""Many runs from Python: sweeps, studies and comparisons as frames, from the same store as the commands'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.metrics.measures import MEASURES
from analysis.metrics.naming import all_named
from analysis.reports.compare_report import write_comparison
from analysis.reports.placement_report import Found
from analysis.run_folder.run import Run
from commands.cells import table_of
from commands.checking import validate_all, variants_of
from commands.placing import Placing
from commands.placing import searched as placed_best
from commands.progress import Reporter
from commands.run_cache import Cell, How, cells_of, compute_all
from commands.search import Runs, searched, slos_of, span_of
from l2h_fleet.one import STORE, reporter_of
from l2h_fleet.scenario import Scenario, as_yaml
from sim.errors import BadInput, RunFailed
from sim.scenario.schema.policy_study import read_study
from sim.scenario.text.grid import Variant, axes_of, combinations, variants


def sweep(
    scenario: str | PathLike[str] | Mapping[str, Any] | Scenario,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 1,
    changes: Mapping[str, Any] | None = None,
    jobs: int = 1,
    store: str | PathLike[str] = STORE,
    progress: bool | Reporter = False,
) -> pd.DataFrame:
    """Runs a scenario once per combination of values and seed.

    vary: values by path. jobs: runs at a time, on Ray if more than 1. Gives a row for each run: a column for
    each path, `seed`, the folder `run`, `valid` and every number of its summary by its path, whose units
    docs/metrics.md has.
    Raises BadInput before anything runs; RunFailed if a run breaks, once the others are finished.
    """
    asked = Scenario(scenario).set(changes or {})
    written = [f"{path}={','.join(map(as_yaml, values))}" for path, values in vary.items()]
    wanted = list(combinations(axes_of(written)))
    combined = variants(asked.source, asked.changes, None, wanted, seeds)
    return _table(combined, asked.question, jobs, store, progress)


def study(
    source: str | PathLike[str],
    *,
    changes: Mapping[str, Any] | None = None,
    jobs: int = 1,
    store: str | PathLike[str] = STORE,
    progress: bool | Reporter = False,
) -> pd.DataFrame:
    """Runs every policy of a study, a shipped name or a file, under every seed and on common traffic.

    Gives a row for each run, as `sweep` does, with the policy in the column `policy`.
    """
    wanted = read_study(str(source), [f"{path}={as_yaml(v)}" for path, v in (changes or {}).items()])
    return _table(variants_of(wanted), wanted.question, jobs, store, progress)


def compare(
    runs: Sequence[Run | str | PathLike[str]],
    *,
    out: str | PathLike[str] = "runs/comparison",
    unpaired: bool = False,
    over_seeds: bool = False,
    show: Sequence[str] = (),
) -> dict[str, Any]:
    """How runs differ from the first one, with intervals: what `compare.json` holds, see docs/metrics.md.

    Runs of the same traffic are paired by request. unpaired: compares runs of different traffic too.
    over_seeds: runs of one scenario are replications. show: numbers that are told before the others. out: for
    compare.html, its figure and compare.json.
    """
    shown = all_named(show, tuple(MEASURES))
    folders = [one.path if isinstance(one, Run) else Path(one) for one in runs]
    return write_comparison(folders, Path(out), unpaired, over_seeds, shown=shown)


@dataclass(frozen=True)
class Capacity:
    """The answer of a search. best: the number found, None: none meets every SLO; answer: in words, with the
    confidence; table: a row for each run, as of `sweep`."""

    best: int | None
    answer: str
    table: pd.DataFrame


def capacity(
    scenario: str | PathLike[str] | Mapping[str, Any] | Scenario,
    meet: str | Sequence[str],
    *,
    replicas: tuple[int, int] | None = None,
    clients: Mapping[str, tuple[int, int]] | None = None,
    confidence: float = 0.95,
    seeds: int = 16,
    changes: Mapping[str, Any] | None = None,
    jobs: int = 1,
    store: str | PathLike[str] = STORE,
    progress: bool | Reporter = False,
) -> Capacity:
    """The fewest replicas, or the most clients of a group, that meet an SLO, such as `latency.p95<=0.3` (s),
    or several; as the command of this name.

    replicas: the least and the most; clients: likewise, by the group's name. seeds: at most so many runs for
    one number. Raises BadInput before anything runs, RunFailed if a run breaks.
    """
    asked = Scenario(scenario).set(changes or {})
    of_groups = [f"{group}={low}:{high}" for group, (low, high) in (clients or {}).items()]
    written = None if clients is None else ",".join(of_groups)
    span = span_of(None if replicas is None else f"{replicas[0]}:{replicas[1]}", written)
    slos = slos_of([meet] if isinstance(meet, str) else meet, confidence)
    reporter = reporter_of(progress)

    def compute(cells: list[Cell], what: str) -> dict[Path, str]:
        for why in compute_all(cells, How(jobs), reporter, what).values():
            raise RunFailed("run", why)
        return {}

    try:
        runs = Runs(asked.source, asked.changes, None, span, Path(store), compute)
        validate_all([one for end in (span.low, span.high) for one in runs.variants(end, 1)], reporter)
        found = searched(runs, slos, confidence, seeds)
    finally:
        reporter.close()
    return Capacity(found.best, ". ".join(found.said), found.table)


def placement(
    scenario: str | PathLike[str] | Mapping[str, Any] | Scenario,
    *,
    beam: int = 3,
    exhaustive: bool = False,
    changes: Mapping[str, Any] | None = None,
    progress: bool | Reporter = False,
) -> Found:
    """Which servers should have which models, by simulation; as the command of this name.

    Gives `best` (by server its models), `answer` in words, `scenario` so placed as YAML, and `table`: a row
    for each placement that was looked at, rates per second of virtual time, the best first. beam: placements
    that are followed at a time. exhaustive: all that fit are looked at, too. Raises BadInput before anything
    runs.
    """
    asked = Scenario(scenario).set(changes or {})
    asked.check()
    reporter = reporter_of(progress)
    try:
        return placed_best(Placing(asked.document), beam, exhaustive, reporter)
    finally:
        reporter.close()


def _table(
    combined: Sequence[Variant],
    question: str,
    jobs: int,
    store: str | PathLike[str],
    progress: bool | Reporter,
) -> pd.DataFrame:
    reporter = reporter_of(progress)
    try:
        validate_all(combined, reporter)
        cells: list[Cell] = cells_of([variant.scenario for variant in combined], question, Path(store))
        if len({cell.folder for cell in cells}) < len(cells):
            raise BadInput("vary: two combinations come to the same scenario: their paths overlap")
        failed = compute_all(cells, How(jobs), reporter)
    finally:
        reporter.close()
    for why in failed.values():
        raise RunFailed("run", why)
    pairs = zip(combined, cells, strict=True)
    found: pd.DataFrame = table_of([(variant.chosen, cell) for variant, cell in pairs])
    return found
