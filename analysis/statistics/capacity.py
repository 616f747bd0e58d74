"""How many are enough: the fewest replicas, or most clients, that meet an SLO at a stated confidence.
Bisection over decisions, each made from runs with several seeds; knows numbers alone, runs nothing.

The answer is wrong with a chance of at most 1 - confidence, where more helps (or hurts) throughout. As long
as no decision was wrong, bisection asks about the numbers that the truth leads it to, at most
`most_decisions`; so it goes wrong at one of those, each with its share of the chance (Bonferroni). What is
undecided though it meets the SLO leads to others that do, too: the answer then is not the best, and says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from analysis.metrics.measures import MEASURES
from analysis.metrics.naming import key_of
from analysis.statistics.percentiles import (
    Latencies,
    bounds_of_share,
    capped,
    effective_trials,
    percentile_over_runs,
)
from analysis.statistics.units import mean_of_units
from sim.errors import BadInput

FIRST_SEEDS = 4  # of the first look at a number; each further look takes twice as many
Verdict = Literal["met", "not met", "undecided"]
_SLO = re.compile(r"\s*([\w.*-]+?)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


class Slo(NamedTuple):
    """What is asked of a metric, of its mean over seeds or of a percentile over all requests: to be at most,
    or at least, a limit."""

    metric: str
    at_most: bool
    limit: float

    def __str__(self) -> str:
        return f"{self.metric} {'<=' if self.at_most else '>='} {self.limit:g}"


class Decision(NamedTuple):
    """What the runs say about one number.

    mean: over runs, or a percentile over all of them; low and high bound it, each as sure as the decision is.
    """

    number: int
    seeds: int
    mean: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True)
class SearchResult:
    """The answer of a search: every decision made, by number, and the best number that meets the SLO.

    best: None where none was shown to; violations: what contradicts that more helps (or hurts) throughout.
    """

    decisions: tuple[Decision, ...]
    best: Decision | None
    violations: tuple[str, ...]


def slo_of(written: str) -> Slo:
    """`latency.p95<=0.3` as an SLO. Raises BadInput for anything else."""
    match = _SLO.fullmatch(written)
    if match is None:
        raise BadInput(
            f"--meet {written}: must be METRIC<=NUMBER or METRIC>=NUMBER, as in latency.p95<=300ms"
        )
    return Slo(match[1], match[2] == "<=", float(match[3]))


def require_possible(slo: Slo) -> None:
    """Raises BadInput where the limit of a share is none: `accuracy>=80` would be met by nothing."""
    known = MEASURES.get(key_of(slo.metric))
    if known is not None and known.unit == "share" and abs(slo.limit) > 1:
        raise BadInput(f"--meet {slo}: {slo.metric} is a share: its limit must lie between 0 and 1")


def looks(most_seeds: int) -> list[int]:
    """After how many seeds one looks: FIRST_SEEDS, then twice as many each time, at last `most_seeds`."""
    counts = [FIRST_SEEDS]
    while counts[-1] * 2 <= most_seeds:
        counts.append(counts[-1] * 2)
    return counts if counts[-1] == most_seeds else [*counts, most_seeds]


def decide(
    number: int,
    evidence: Callable[[int], Sequence[float] | Sequence[Latencies]],
    slo: Slo,
    chance: float,
    most_seeds: int,
    level: float | None = None,
    enough: Callable[[int], bool] = lambda _: True,
) -> Decision:
    """Whether `number` meets the SLO, from as many seeds as it takes: `evidence(n)`, of the first n runs.

    The evidence is a number per run, whose mean the SLO is about, or, for a percentile of that `level`, each
    run's latencies, whose percentile over all runs it is about. A look decides where the one-sided bound lies
    on one side of the limit. All looks share the chance of a mistake (Bonferroni), so the decision is wrong
    with at most that `chance`, however often one looked. `enough(n)`: whether the first n runs last long
    enough to show that a mean keeps to its limit. What lies at the limit itself is never decided by more
    seeds. Raises BadInput where a run has no such number.
    """
    counts = looks(most_seeds)
    for count in counts:
        found = evidence(count)
        if level is None:
            decision = _by_mean(number, found, slo, chance / len(counts))  # type: ignore[arg-type]
            if decision.verdict == "met" and not enough(count):
                decision = decision._replace(verdict="undecided")
        else:
            decision = _by_percentile(number, found, slo, chance / len(counts), level)  # type: ignore[arg-type]
        if decision.verdict != "undecided":
            break
    return decision


def _by_mean(number: int, values: Sequence[float], slo: Slo, chance: float) -> Decision:
    """By Student's bounds, shifted by how skewed the numbers are."""
    measured = np.array(values, dtype=float)
    if np.isnan(measured).any():
        raise BadInput(f"--meet {slo}: a run with {number} has no such number; ask for another metric")
    mean, low, high = mean_of_units(measured, chance)
    return Decision(number, measured.size, mean, low, high, _verdict(low, high, slo))


def _by_percentile(number: int, runs: Sequence[Latencies], slo: Slo, chance: float, level: float) -> Decision:
    """By the share of requests within the limit, known for all that arrived the limit before the end.

    That it is met, short runs cannot show, which meet no rare crowd; then the bound of the percentile must
    lie within the limit, too.
    """
    value, bounds = percentile_over_runs(runs, level, chance)
    hits, asked = (sum(counts) for counts in zip(*(run.within(slo.limit) for run in runs), strict=True))
    effective = effective_trials(runs, [slo.limit, *([value] if math.isfinite(value) else [])])
    low, high = (
        end if math.isfinite(end) else other
        for end, other in ((bounds.low, -math.inf), (bounds.high, math.inf))
    )
    verdict: Verdict = "undecided"
    if asked:
        surest = capped(runs, level, effective or float(asked))
        least, _ = bounds_of_share(hits / asked, surest, chance, len(runs) - 1)
        _, most = bounds_of_share(hits / asked, effective or len(runs), chance, len(runs) - 1)
        within, beyond = least >= level and high <= slo.limit, most < level
        if within or beyond:
            verdict = "met" if within == slo.at_most else "not met"
    return Decision(number, len(runs), value, low, high, verdict)


def _verdict(low: float, high: float, slo: Slo) -> Verdict:
    """Met or not where both bounds lie on one side of the limit."""
    below, above = high <= slo.limit, low > slo.limit
    if not slo.at_most:
        below, above = high < slo.limit, low >= slo.limit
    if not (below or above):
        return "undecided"
    return "met" if below == slo.at_most else "not met"


def most_decisions(low: int, high: int) -> int:
    """How many numbers of low..high `search` asks about at most: the ends, then halves of what is between."""
    return 2 + math.ceil(math.log2(high - low))


def search(low: int, high: int, more_helps: bool, ask: Callable[[int], Decision], slo: Slo) -> SearchResult:
    """The fewest of low..high that meet the SLO where more helps, the most where more hurts.

    Both ends are asked first, then the middle between the best that meets it and the next that was not
    shown to: what is undecided does not count as met. `ask` decides about one number.
    """
    made: dict[int, Decision] = {}

    def meets(number: int) -> bool:
        if number not in made:
            made[number] = ask(number)
        return made[number].verdict == "met"

    easy, hard = (high, low) if more_helps else (low, high)
    best = easy if meets(easy) else None
    if meets(hard):
        best = hard
    elif best is not None:
        while abs(best - hard) > 1:
            middle = (best + hard) // 2
            if meets(middle):
                best = middle
            else:
                hard = middle
    decisions = tuple(made[number] for number in sorted(made))
    return SearchResult(
        decisions, None if best is None else made[best], _violations(decisions, more_helps, slo)
    )


def all_together(best: Sequence[Decision | None], more_helps: bool) -> int | None:
    """The number that meets every one of several SLOs, from the best of each; None where one has none.

    Where more helps, what meets the hardest of them meets the others; each was decided with a share of the
    chance of a mistake, so all of them hold together.
    """
    numbers = [one.number for one in best if one is not None]
    if len(numbers) < len(best):
        return None
    return max(numbers) if more_helps else min(numbers)


def _violations(decisions: Sequence[Decision], more_helps: bool, slo: Slo) -> tuple[str, ...]:
    """Pairs of numbers of which the one that should do better does worse, beyond both their intervals."""
    ordered = decisions if more_helps else decisions[::-1]
    said = []
    for place, worse in enumerate(ordered):
        for better in ordered[place + 1 :]:
            wrong = better.low > worse.high if slo.at_most else better.high < worse.low
            if wrong:
                said.append(
                    f"{slo.metric} is {better.mean:.4g} with {better.number} and {worse.mean:.4g} with "
                    f"{worse.number}"
                )
    return tuple(said)


def answer(
    result: SearchResult, slo: Slo, low: int, high: int, more_helps: bool, what: str, confidence: float
) -> str:
    """The result in a sentence or two."""
    sure = f"{100 * confidence:g}% confidence"
    by_number = {decision.number: decision for decision in result.decisions}
    if result.best is None:
        easy = by_number[high if more_helps else low]
        if easy.verdict == "undecided":
            said = f"undecided: {easy.number} {what} may meet {slo} or not after {easy.seeds} seeds"
        else:
            said = f"no number of {what} from {low} to {high} meets {slo} ({sure})"
    else:
        best = result.best.number
        which = "fewest" if more_helps else "most"
        said = f"{which} {what} from {low} to {high} that meet {slo}: {best} ({sure})"
        beyond = by_number.get(best - 1 if more_helps else best + 1)
        if beyond is not None and beyond.verdict == "undecided":
            said += f"; {beyond.number} may do, undecided after {beyond.seeds} seeds"
        elif best == (low if more_helps else high) and not (more_helps and low == 1):
            said += f"; {'fewer' if more_helps else 'more'} were not asked about"
    if result.violations:
        said += f". Not monotone, so the search may have missed a better one: {'; '.join(result.violations)}"
    return said


def answer_to_all(results: Sequence[SearchResult], more_helps: bool, what: str, confidence: float) -> str:
    """Several SLOs at once: that no number meets them is said only where one is not met at its easiest."""
    sure, which = f"{100 * confidence:g}% confidence", "fewest" if more_helps else "most"
    best = all_together([result.best for result in results], more_helps)
    if best is None:
        easiest = max if more_helps else min
        without = [one.decisions for one in results if one.best is None]
        if any(easiest(asked, key=lambda one: one.number).verdict == "not met" for asked in without):
            return f"{which} {what} that meet all of them: none ({sure})"
        return f"{which} {what} that meet all of them: undecided"
    said, beyond = f"{which} {what} that meet all of them: {best} ({sure})", best + (-1 if more_helps else 1)
    verdicts = {one.verdict for result in results for one in result.decisions if one.number == beyond}
    if "undecided" in verdicts and "not met" not in verdicts:
        said += f"; {beyond} may do, undecided"
    return said
