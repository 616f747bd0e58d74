"""The search for capacity as numbers: what it finds, what it says it does not know, how often it errs."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.reports.capacity_report import capacity_table
from analysis.statistics.capacity import (
    Decision,
    SearchResult,
    Slo,
    all_together,
    answer,
    answer_to_all,
    decide,
    looks,
    most_decisions,
    require_possible,
    search,
    slo_of,
)
from analysis.statistics.percentiles import Latencies
from sim.errors import BadInput

SLO = Slo("latency.p95", True, 0.3)


def noisy(means: Callable[[int], float], spread: float = 0.0) -> Callable[[int], Decision]:
    """Decides by runs whose metric is `means(number)` with normal chance."""

    def ask(number: int) -> Decision:
        luck = np.random.default_rng(number).normal(0, spread, 64)
        return decide(number, lambda count: list(means(number) + luck[:count]), SLO, 0.05, 16)

    return ask


@pytest.mark.parametrize(("fewest", "high"), [(1, 9), (2, 9), (5, 9), (9, 9), (700, 1000)])
def test_the_fewest_that_meet_it_are_found_in_few_steps(fewest: int, high: int) -> None:
    found = search(1, high, True, noisy(lambda n: 0.3 if n >= fewest else 0.4), SLO)
    assert found.best is not None
    assert found.best.number == fewest
    assert len(found.decisions) <= most_decisions(1, high)
    reported = answer(found, SLO, 1, high, True, "replicas", 0.95)
    assert reported.endswith(f"latency.p95 <= 0.3: {fewest} (95% confidence)"), (
        "there is none below the first"
    )
    assert found.violations == ()


@pytest.mark.parametrize("most", [10, 11, 400, 1000])
def test_the_most_that_meet_it_are_found_where_more_hurts(most: int) -> None:
    found = search(10, 1000, False, noisy(lambda n: 0.2 if n <= most else 0.31), SLO)
    assert found.best is not None
    assert found.best.number == most
    reported = answer(found, SLO, 10, 1000, False, "clients of sensors", 0.95)
    assert reported.startswith(
        f"most clients of sensors from 10 to 1000 that meet latency.p95 <= 0.3: {most} (95% confidence)"
    )
    assert reported.endswith("more were not asked about") == (most == 1000)


def test_none_that_meets_it_is_said_so_after_one_decision() -> None:
    found = search(1, 64, True, noisy(lambda n: 1 / n + 0.3), SLO)
    assert (found.best, [one.number for one in found.decisions]) == (None, [1, 64])
    assert answer(found, SLO, 1, 64, True, "replicas", 0.9) == (
        "no number of replicas from 1 to 64 meets latency.p95 <= 0.3 (90% confidence)"
    )


def test_at_the_limit_itself_no_number_of_seeds_decides_and_it_says_so() -> None:
    means = {1: 0.5, 2: 0.5, 3: 0.5, 4: 0.3, 5: 0.1, 6: 0.1, 7: 0.1, 8: 0.1}
    found = search(1, 8, True, noisy(lambda n: means[n], spread=0.02), SLO)
    four = next(one for one in found.decisions if one.number == 4)
    assert (four.verdict, four.seeds) == ("undecided", 16)
    assert found.best is not None
    assert found.best.number == 5
    assert answer(found, SLO, 1, 8, True, "replicas", 0.95).endswith("; 4 may do, undecided after 16 seeds")
    alone = search(3, 4, True, noisy(lambda n: means[n], spread=0.02), SLO)
    assert answer(alone, SLO, 3, 4, True, "replicas", 0.95).startswith("undecided: 4 replicas may meet")


def test_more_that_does_worse_is_told() -> None:
    """Two replicas do, four do not, eight do: bisection finds eight or two, and says why not to trust it."""
    means = {1: 0.9, 2: 0.1, 3: 0.9, 4: 0.9, 5: 0.9, 6: 0.9, 7: 0.9, 8: 0.1}
    found = search(1, 8, True, noisy(lambda n: means[n]), SLO)
    assert found.violations == ()  # what was looked at does not show it
    found = search(2, 8, True, noisy(lambda n: means[n] if n < 8 else 0.2), SLO)
    assert found.violations == ("latency.p95 is 0.2 with 8 and 0.1 with 2",)
    assert "Not monotone" in answer(found, SLO, 2, 8, True, "replicas", 0.95)
    fleet = search(1, 8, False, noisy(lambda n: 0.2 if n == 1 else 0.1), SLO)
    assert fleet.violations == ("latency.p95 is 0.2 with 1 and 0.1 with 8",)


def test_luck_is_no_violation() -> None:
    found = search(1, 8, True, noisy(lambda _: 0.1, spread=0.02), SLO)
    assert found.best is not None
    assert found.violations == ()


def test_at_least_is_at_most_upside_down() -> None:
    at_least = Slo("accuracy", False, 0.8)
    for mean, verdict in ((0.9, "met"), (0.7, "not met")):
        values = np.array([mean - 0.01, mean + 0.01, mean, mean])
        one = decide(1, lambda count, v=values: list(v[:count]), at_least, 0.05, 4)
        assert one.verdict == verdict
        assert one.low < one.mean < one.high


def test_a_decision_by_hand() -> None:
    """Four seeds of at most four: mean 0.25, s = 0.02, so the bound is 0.25 + 2.353 * 0.02 / 2."""
    values = [0.25 + 0.02 * sign * np.sqrt(0.75) for sign in (-1, -1, 1, 1)]
    one = decide(3, lambda count: values[:count], SLO, 0.05, 4)
    assert one.mean == pytest.approx(0.25)
    assert one.high == pytest.approx(0.25 + 2.3533634348018264 * 0.01)
    assert one.low == pytest.approx(0.25 - 2.3533634348018264 * 0.01)


@pytest.mark.parametrize("most_seeds", [4, 16])
def test_however_often_one_looks_a_decision_errs_as_rarely_as_stated(most_seeds: int) -> None:
    """Mean just above the limit: `met` is wrong. At most 5% of 2,000 trials, plus three standard errors."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(2000):
        values = rng.normal(0.3 + 1e-9, 0.05, most_seeds)
        one = decide(1, lambda count, v=values: list(v[:count]), SLO, 0.05, most_seeds)
        wrong += one.verdict == "met"
    assert wrong / 2000 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert wrong > 20, "the trials show nothing if it never errs"


def test_the_whole_answer_errs_as_rarely_as_stated() -> None:
    """Of 1 to 64 the fewest that do are 23; all below are just too slow, so each one asked about may err.

    Were each decision alone as sure as that, two answers in five would be wrong.
    """
    rng, wrong = np.random.default_rng(8), {1: 0, most_decisions(1, 64): 0}
    for shared_by in wrong:
        for _ in range(400):
            luck = rng.normal(0, 0.05, (65, 16))

            def ask(number: int, luck: np.ndarray = luck, chance: float = 0.2 / shared_by) -> Decision:
                mean = 0.1 if number >= 23 else 0.3 + 1e-9
                return decide(number, lambda count: list(mean + luck[number, :count]), SLO, chance, 16)

            best = search(1, 64, True, ask, SLO).best
            wrong[shared_by] += best is None or best.number != 23
    assert wrong[most_decisions(1, 64)] / 400 <= 0.2 + 3 * np.sqrt(0.2 * 0.8 / 400)
    assert wrong[most_decisions(1, 64)] > 10, "the trials show nothing if it never errs"
    assert wrong[1] / 400 > 0.4


def test_bisection_asks_about_no_more_numbers_than_it_shares_the_chance_among() -> None:
    for high in (2, 3, 4, 5, 17, 100):
        asked = [
            len(search(1, high, True, noisy(lambda n, at=fewest: 0.3 if n >= at else 0.4), SLO).decisions)
            for fewest in range(1, high + 2)
        ]
        assert max(asked) == most_decisions(1, high)


@pytest.mark.parametrize("limit", [80.0, -1.5])
def test_a_share_is_no_per_cent(limit: float) -> None:
    with pytest.raises(BadInput, match="accuracy is a share: its limit must lie between 0 and 1"):
        require_possible(Slo("accuracy", False, limit))
    require_possible(Slo("latency.p95", True, limit))


def test_looks_double_up_to_the_most() -> None:
    assert [looks(most) for most in (4, 5, 8, 16, 20)] == [[4], [4, 5], [4, 8], [4, 8, 16], [4, 8, 16, 20]]


@pytest.mark.parametrize(
    ("text", "slo"),
    [
        ("latency.p95<=0.3", Slo("latency.p95", True, 0.3)),
        (" accuracy >= .8 ", Slo("accuracy", False, 0.8)),
        ("latency_s.by_outcome.remote.p99<=1e-1", Slo("latency_s.by_outcome.remote.p99", True, 0.1)),
    ],
)
def test_an_slo_as_written(text: str, slo: Slo) -> None:
    assert slo_of(text) == slo


@pytest.mark.parametrize("text", ["latency.p95", "latency.p95<0.3", "<=3", "accuracy>=high", "a<=1<=2"])
def test_what_is_no_slo_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="must be METRIC<=NUMBER"):
        slo_of(text)


def test_a_run_without_the_number_decides_nothing() -> None:
    with pytest.raises(BadInput, match="a run with 3 has no such number"):
        decide(3, lambda count: [0.1] * (count - 1) + [float("nan")], SLO, 0.05, 4)
    assert SearchResult((), None, ()).best is None


def test_of_several_slos_all_are_met() -> None:
    two, three = (Decision(number, 4, 0.1, 0.0, 0.2, "met") for number in (2, 3))
    assert all_together([two, three], more_helps=True) == 3
    assert all_together([two, three], more_helps=False) == 2
    assert all_together([two, None], more_helps=True) is None


def test_of_several_slos_what_is_undecided_is_not_called_none() -> None:
    """One that is undecided at its easiest leaves all open, one that is not met does not."""

    def asked(best: int | None, **verdicts: str) -> SearchResult:
        made = {int(k[1:]): Decision(int(k[1:]), 4, 0.1, 0.0, 0.2, v) for k, v in verdicts.items()}
        return SearchResult(tuple(made.values()), None if best is None else made[best], ())

    said = "fewest replicas that meet all of them: "
    met, may = asked(2, n1="not met", n2="met", n8="met"), asked(2, n1="undecided", n2="met")
    dark, never = asked(None, n1="undecided", n8="undecided"), asked(None, n1="not met", n8="not met")
    for results, text in (
        ([met, dark], "undecided"),
        ([met, dark, never], "none (95% confidence)"),
        ([met, may], "2 (95% confidence)"),
        ([may, may], "2 (95% confidence); 1 may do, undecided"),
    ):
        assert answer_to_all(results, True, "replicas", 0.95) == said + text


def test_short_runs_do_not_show_that_a_mean_keeps_to_its_limit_but_that_it_does_not() -> None:
    values = [0.1, 0.11, 0.1, 0.12]
    for limit, verdict in ((0.3, "undecided"), (0.05, "not met")):
        slo = Slo("latency.mean", True, limit)
        one = decide(1, lambda n: values[:n], slo, 0.05, 4, enough=lambda _: False)
        assert one.verdict == verdict
    assert decide(1, lambda n: values[:n], Slo("latency.mean", True, 0.3), 0.05, 4).verdict == "met"


def test_short_runs_do_not_show_that_a_percentile_keeps_to_its_limit_but_that_it_does_not() -> None:
    rng = np.random.default_rng(1)
    at_s = np.arange(1000.0)
    for relaxations, limit, verdict in ((1000.0, 6, "met"), (3.0, 6, "undecided"), (3.0, 2, "not met")):
        runs = [Latencies(at_s, rng.exponential(1, 1000), 2000.0, relaxations) for _ in range(8)]
        one = decide(1, lambda n, runs=runs: runs[:n], Slo("latency.p95", True, limit), 0.05, 8, 0.95)
        assert one.verdict == verdict
        assert one.mean == pytest.approx(-np.log(0.05), rel=0.1)


def test_a_decision_without_a_bound_says_so_in_words() -> None:
    """Such a row was printed as 0.0 to inf."""
    rows = (Decision(1, 8, 5.1, -np.inf, np.inf, "undecided"), Decision(2, 4, 0.2, 0.1, 0.25, "met"))
    table = pd.DataFrame({"latency.p95": [5.1], "valid": [True], "invalid_because": [""]})
    console = Console(width=100, record=True, file=io.StringIO())
    for result in (SearchResult(rows, rows[1], ()), SearchResult(rows[1:], rows[1], ())):
        console.print(capacity_table(result, SLO, "replicas", table))
    said = console.export_text()
    first, second = said.split("replicas")[1:]
    assert "5,100.0 no bound no bound" in " ".join(first.split())
    assert "no bound: these runs are too few or too short" in first
    assert "no bound" not in second
    assert "inf" not in said
