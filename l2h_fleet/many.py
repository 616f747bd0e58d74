"""Many runs from Python: sweeps, studies and comparisons as frames, from the same store as the commands'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reports.compare_report import write_comparison
from analysis.run_folder.run import Run
from commands.cells import table_of
from commands.checking import validate_all, variants_of
from commands.progress import Reporter
from commands.run_cache import Cell, How, cells_of, compute_all
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
) -> dict[str, Any]:
    """How runs differ from the first one, with intervals: what `compare.json` holds, see docs/metrics.md.

    Runs of the same traffic are paired by request. unpaired: compares runs of different traffic too.
    over_seeds: runs of one scenario are replications. out: for compare.html, its figure and compare.json.
    """
    folders = [one.path if isinstance(one, Run) else Path(one) for one in runs]
    return write_comparison(folders, Path(out), unpaired, over_seeds)


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
