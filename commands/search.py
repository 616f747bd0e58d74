"""The runs that a search for capacity asks for: what is varied, and what was seen at each number.
Between the command `capacity` and the store of runs (`run_cache`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from analysis.metrics.measures import MEASURES, is_in_time
from analysis.metrics.naming import key_of, named
from analysis.reports.cell_table import evidence_of, lasts, metric_of, path_of
from analysis.run_folder.latencies import level_of
from analysis.statistics.capacity import (
    Decision,
    SearchResult,
    Slo,
    all_together,
    answer,
    answer_to_all,
    decide,
    most_decisions,
    require_possible,
    search,
    slo_of,
)
from analysis.statistics.in_time import needed_relaxations
from commands.cells import report_failures, table_of
from commands.run_cache import Cell, cells_of
from sim.errors import BadInput
from sim.scenario import question_of
from sim.scenario.library import locate
from sim.scenario.schema.spoken import seconds
from sim.scenario.text.draft import Origin
from sim.scenario.text.grid import Variant, variants
from sim.scenario.text.overrides import AFTER_EVERY_LINE, Change


class Found(NamedTuple):
    """What a search comes to. results: of each SLO; best: the number that meets all of them, None: none
    does; said: the answers in words; table: a row per run that was made or found."""

    slos: Sequence[Slo]
    results: Sequence[SearchResult]
    best: int | None
    said: list[str]
    table: Any


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
        report_failures(wanted, cells, self.compute(cells, f"{self.span.what} {number}"))
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
        if not is_in_time(key_of(slo.metric)):
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


def slos_of(written: Sequence[str], confidence: float) -> list[Slo]:
    """The SLOs. Raises BadInput for one that is none, or that nothing could meet, and for the confidence."""
    slos = [slo_of(_plain(one)) for one in written]
    for slo in slos:
        require_possible(slo)
    if not 0.5 <= confidence < 1:
        raise BadInput(f"--confidence: {confidence:g} is not allowed: must be at least 0.5 and below 1")
    return slos


def _plain(written: str) -> str:
    """`p95<=200ms` as `latency_p95<=0.2`, `accuracy>=80%` as `accuracy>=0.8`; the limit as it is where the
    number is none of seconds, or no share. Raises BadInput for what is no number of a summary."""
    metric, sign, limit = re.fullmatch(r"(?s)(.*?)(<=|>=|$)(.*)", written).groups()  # type: ignore[union-attr]
    if not sign:
        return written
    metric = named(metric.strip())
    known = MEASURES.get(key_of(metric))
    is_time = any(part.endswith("_s") for part in metric.split(".")) if known is None else known.unit == "s"
    share = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*%\s*", limit)
    if share and known is not None and known.unit == "share":
        return f"{metric}{sign}{float(share[1]) / 100!r}"
    return f"{metric}{sign}{seconds(limit) if is_time else limit}"


def searched(runs: Runs, slos: Sequence[Slo], confidence: float, seeds: int) -> Found:
    """Searches for each SLO, by bisection; together the answers hold with this confidence."""
    span = runs.span
    chance = (1 - confidence) / most_decisions(span.low, span.high) / len(slos)

    def result_for(slo: Slo) -> SearchResult:
        def ask(number: int) -> Decision:
            return decide(
                number,
                lambda count: runs.evidence(number, count, slo),
                slo,
                chance,
                seeds,
                level_of(path_of(slo.metric)),
                lambda count: runs.are_long_enough(number, count, slo),
            )

        return search(span.low, span.high, span.more_helps, ask, slo)

    results = [result_for(slo) for slo in slos]
    best = all_together([result.best for result in results], span.more_helps)
    said = [
        answer(result, slo, span.low, span.high, span.more_helps, span.what, confidence)
        + runs.too_short(result.decisions, slo)
        for slo, result in zip(slos, results, strict=True)
    ]
    if len(slos) > 1:
        said.append(answer_to_all(results, span.more_helps, span.what, confidence))
    said[-1] += runs.reservation(best)
    return Found(slos, results, best, said, runs.table())
