"""The runs that a search for capacity asks for: what is varied, and what was seen at each number.
Between the command `capacity` and the store of runs (`run_cache`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from analysis.metrics.measures import is_in_time
from analysis.reports.cell_table import evidence_of, lasts, metric_of, path_of
from analysis.run_folder.latencies import level_of
from analysis.statistics.capacity import Decision, Slo
from analysis.statistics.in_time import needed_relaxations
from commands.cells import report_failures, table_of
from commands.run_cache import Cell, cells_of
from sim.errors import BadInput
from sim.scenario import question_of
from sim.scenario.library import locate
from sim.scenario.text.draft import Origin
from sim.scenario.text.grid import Variant, variants
from sim.scenario.text.overrides import AFTER_EVERY_LINE, Change


class Span(NamedTuple):
    """What is searched: the numbers low..high at a path of the scenario, and whether more of it helps."""

    path: str
    low: int
    high: int
    more_helps: bool
    what: str
    option: str


def span_of(replicas: str | None, clients: str | None) -> Span:
    """The span of `--replicas LO:HI` or `--clients GROUP=LO:HI`. Raises BadInput unless it is one."""
    if (replicas is None) == (clients is None):
        raise BadInput("capacity: give --replicas LO:HI or --clients GROUP=LO:HI, one of them")
    if replicas is not None:
        option, text, path, what, helps = "--replicas", replicas, "server.replicas", "replicas", True
    else:
        option, helps = "--clients", False
        group, equals, text = str(clients).partition("=")
        path, what = f"fleet.{group}.clients", f"clients of {group}"
        if not equals:
            raise BadInput(f"{option} {clients}: must be written GROUP=LO:HI, for instance sensors=10:500")
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise BadInput(f"{option} {text}: must be LO:HI, two whole numbers, the smaller first")
    return Span(path, int(match[1]), int(match[2]), helps, what, option)


@dataclass
class Runs:
    """The runs of a search: made when asked for, remembered for the table at the end."""

    scenario: str
    changes: Sequence[str]
    seed: int | None
    span: Span
    store: Path
    compute: Callable[[list[Cell], str], Any]
    made: dict[Path, tuple[dict[str, Any], Cell]] = field(default_factory=dict)

    def variants(self, number: int, seeds: int) -> list[Variant]:
        """The scenario with that number, under so many seeds."""
        origin = Origin(AFTER_EVERY_LINE + len(self.changes), self.span.option)
        wanted = [(Change(self.span.path, number, origin),)]
        return variants(self.scenario, self.changes, self.seed, wanted, seeds)

    def evidence(self, number: int, seeds: int, slo: Slo) -> list[Any]:
        """The SLO's metric in the runs of the first `seeds` seeds, NaN where a run has none; of a percentile,
        their latencies.

        Ends the command with exit code 1 if a run failed.
        """
        wanted = self.variants(number, seeds)
        plans = [variant.scenario for variant in wanted]
        cells = cells_of(plans, question_of(locate(self.scenario)), self.store)
        report_failures(wanted, cells, self.compute(cells, f"{number} {self.span.what}"))
        named = [(variant.chosen, cell) for variant, cell in zip(wanted, cells, strict=True)]
        self.made |= {cell.folder: (chosen, cell) for chosen, cell in named}
        table = table_of(named)
        return evidence_of(table, metric_of(slo.metric, table))

    def are_long_enough(self, number: int, seeds: int, slo: Slo) -> bool:
        """Whether the first `seeds` runs with that number last long enough to tell of rare crowds."""
        last, needed = self.relaxations(number, seeds, slo)
        return last >= needed

    def relaxations(self, number: int, seeds: int, slo: Slo) -> tuple[float, float]:
        """How many relaxation times of the server the first `seeds` runs with that number last, and how many
        an interval of the metric needs."""
        made = [pair for pair in self.made.values() if pair[0][self.span.path] == number][:seeds]
        if not is_in_time(slo.metric.replace(".", "_")) and not is_in_time(slo.metric):
            return lasts(table_of(made)), 0.0
        return lasts(table_of(made)), needed_relaxations(level_of(path_of(slo.metric)))

    def too_short(self, decisions: Sequence[Decision], slo: Slo) -> str:
        """What to say of numbers that are undecided because their runs are too short, not too few."""
        said = ""
        for decision in decisions:
            last, needed = self.relaxations(decision.number, decision.seeds, slo)
            if decision.verdict == "undecided" and last < needed:
                said += (
                    f". Those with {decision.number} last {last:.0f} relaxation times of the server in all "
                    f"of {needed:.0f} needed: longer runs would decide"
                )
        return said

    def reservation(self, number: int | None) -> str:
        """What to say where runs with the number that was found are not valid by their own rules."""
        made = [pair for pair in self.made.values() if pair[0][self.span.path] == number]
        reasons = table_of(made).query("not valid")["invalid_because"].tolist() if made else []
        if not reasons:
            return ""
        return f". Not to be relied on: {len(reasons)} of its {len(made)} runs are not valid: {reasons[0]}"

    def table(self) -> Any:
        """A row per run that was made or found."""
        return table_of(list(self.made.values()))
