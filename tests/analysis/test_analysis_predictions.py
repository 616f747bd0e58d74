"""Predictions in the results of a run: the summary, the words, the figure, the page of the laws."""

from __future__ import annotations

import json
from html import unescape
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.figures.predictions import predictions as draw
from analysis.figures.style import to_svg
from analysis.reports import predictions as predicted
from analysis.theory import LAWS
from analysis.theory.page import page
from analysis.theory.prediction import (
    LEAST_VALUES,
    Prediction,
    Simulated,
    mean_of,
    mean_over_time,
    reported,
    share_of,
)

Finished = tuple[Path, dict[str, Any]]


def judged(predicted: float, found: Simulated | None, margin: float = 0.0) -> bool | None:
    return Prediction("wait", "", "s", predicted, found, margin=margin).agrees


@pytest.mark.parametrize(
    ("predicted", "found", "margin", "agrees"),
    [
        (1.0, Simulated(1.1, 0.9, 1.3), 0.0, True),
        (0.8, Simulated(1.1, 0.9, 1.3), 0.0, False),
        (0.8, Simulated(1.1, 0.9, 1.3), 0.1, True),
        (inf, Simulated(inf, inf, inf), 0.0, True),
        (inf, Simulated(9.0, 8.0, 10.0), 5.0, False),
        (9.0, Simulated(inf, inf, inf), 5.0, False),
        (1.0, Simulated(1.0, nan, nan), 0.0, None),
        (1.0, None, 0.0, None),
    ],
)
def test_a_prediction_agrees_within_interval_and_margin(predicted, found, margin, agrees) -> None:
    assert judged(predicted, found, margin) is agrees


def test_intervals_hold_as_often_as_they_say() -> None:
    """In 2,000 made-up runs each; 95% with a standard error of half a point (four of them)."""
    draws = np.random.default_rng(3)
    at_s = np.arange(2000) / 10
    held = np.zeros((2000, 3), dtype=bool)
    for run in range(len(held)):
        noise = np.repeat(draws.normal(size=200), 10)  # neighbours are alike
        over_time = mean_over_time(noise, at_s, 0.0, 200.0)
        found = (
            (over_time, 0.0),
            (mean_of(draws.exponential(size=400)), 1.0),
            (share_of(int(draws.binomial(400, 0.3)), 400), 0.3),
        )
        # One in twenty looks as if it drifted, has no interval and says nothing.
        held[run] = [np.isnan(one.low) or one.low <= truth <= one.high for one, truth in found]
    assert held.mean(axis=0) == pytest.approx(0.95, abs=0.02)


def test_a_run_too_short_to_cut_into_slices_has_no_interval() -> None:
    at_s = np.arange(LEAST_VALUES - 1.0)
    assert np.isnan(mean_over_time(at_s, at_s, 0.0, 100.0)).all()
    assert np.isnan(share_of(0, 0)).all()


def test_what_never_happened_is_at_no_time_and_counts_nowhere():
    at_s = np.linspace(0.0, 200.0, 5_000)
    values = np.random.default_rng(1).exponential(size=at_s.size)
    never = np.r_[at_s, [np.nan] * 7]
    with np.errstate(all="raise"):
        found = mean_over_time(np.r_[values, [np.nan] * 7], never, 10.0, 200.0)
    assert found == mean_over_time(values, at_s, 10.0, 200.0)


def test_summary_report_and_figure_say_the_same(finished: Finished) -> None:
    folder, summary = finished
    assert [law["law"] for law in summary["predictions"]] == ["backlog", "staleness"]
    assert json.loads((folder / "summary.json").read_text())["predictions"] == summary["predictions"]
    html = unescape((folder / "report.html").read_text()).replace("\xa0", " ")
    for law in summary["predictions"]:
        assert law["title"] in html
        assert law["formula"] in html
    for row in predicted.rows(summary["predictions"]):
        assert [cell for cell in row if cell and f">{cell}<" not in html] == []
    assert (folder / "figures/predictions.svg").is_file()


def test_words_name_what_disagrees() -> None:
    law = LAWS["backlog"]
    right = Prediction("backlog gone after", "server, 3–5 s", "s", 4.0, Simulated(4.0, 3.0, 5.0))
    wrong = Prediction("backlog gone after", "server, 8–9 s", "s", 4.0, Simulated(inf, inf, inf))
    unknown = Prediction("risk", "a", "loss", 0.1, None, "availability", 0.5)
    said = predicted.sentences([reported("backlog", law, [right])])
    assert len(said) == 1
    assert said[0].startswith("1 law applies to this run; 1 of 1 predicted numbers lie")
    summary = json.loads(
        json.dumps([reported("backlog", law, [right, wrong, unknown])]).replace("Infinity", "null")
    )
    said = predicted.sentences(summary)
    assert "1 of 2" in said[0]
    assert said[1] == (
        "They disagree on “backlog gone after” (server, 8–9 s): “Backlog and retries” says 4.00 s, the "
        "simulation never."
    )
    assert [row[-2] for row in predicted.rows(summary)] == ["yes", "no"]


def test_every_kind_of_panel_is_drawn_and_alike_each_time() -> None:
    time = [
        Prediction(
            "waiting", "server", "requests", 3.0, Simulated(2.0, nan, nan), "virtual time (s)", float(at)
        )
        for at in range(5)
    ]
    line = [Prediction("risk", w, "loss", 0.2 - a / 10, None, "a", a) for w in "xy" for a in (0.5, 0.9)]
    curve = [
        Prediction("rate", name, "share", at, Simulated(at, at - 0.1, at + 0.1), "price", at)
        for name, at in (("p", 0.2), ("q", 0.4))
    ]
    beside = [
        Prediction("wait", "all", "s", 1.0, Simulated(1.1, 0.9, 1.3)),
        Prediction("wait", "never", "s", inf, Simulated(inf, inf, inf)),
    ]
    found = reported("waiting", LAWS["waiting"], [*time, *line, *curve, *beside])
    summary = json.loads(json.dumps([found]).replace("Infinity", "null").replace("NaN", "null"))
    figure = draw(summary, ())
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "waiting (requests)",
        "risk (loss)",
        "rate (%)",
        "wait (s)",
    ]
    assert len(figure.axes[1].lines) >= 2, "a line for each group"
    assert to_svg(figure) == to_svg(draw(summary, ()))


def test_no_axis_is_filled_by_a_rounding_error_or_goes_beyond_all() -> None:
    found = reported(
        "waiting",
        LAWS["waiting"],
        [
            Prediction("age", "server", "s", 42.8869, Simulated(42.8869, 42.8869, 42.8869), margin=1e-6),
            Prediction("answered", "server", "share", 0.99, Simulated(1.0, 0.98, 1.0), margin=0.1),
        ],
    )
    age, answered = draw([found], ()).axes
    low, high = age.get_xlim()
    assert high - low == pytest.approx(0.02 * 42.8869, rel=0.01)
    assert all(tick <= 1 for tick in answered.get_xticks() if tick <= answered.get_xlim()[1])


def test_the_page_of_the_laws_is_made_of_the_laws() -> None:
    written = Path(__file__).resolve().parents[2] / "docs/laws.md"
    assert written.read_text() == page(), "python -m analysis.theory.page > docs/laws.md"
