"""What a study of learning shows over time: sums of the requests themselves, paired with the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.metrics.measures import realised_risk
from analysis.reports.learning_in_time import learned_in_time, learning_picture, learning_sheet
from analysis.run_folder.traffic import traffic_of

Finished = tuple[Path, dict[str, Any]]


def runs_of(path: Path) -> pd.DataFrame:
    """The same run under two names and two seeds."""
    rows = [(name, seed, str(path)) for name in ("base", "other") for seed in (1, 2)]
    return pd.DataFrame(rows, columns=["policy", "seed", "run"])


def test_every_held_out_request_is_counted_once(of_learners: Finished) -> None:
    learned = learned_in_time(runs_of(of_learners[0]))
    assert learned is not None
    traffic = traffic_of(analysis.load_run(of_learners[0]))
    lost, count = learned.sums["risk"]["other"][0].sum(axis=1)
    assert count == traffic.held_out.sum() > 0
    assert lost == pytest.approx(realised_risk(traffic)[traffic.held_out].sum())
    assert learned.sums["accuracy"]["base"].shape == (2, 2, len(learned.edges_s) - 1)
    for outage in learned.outages:
        assert {outage.from_s, outage.to_s} <= set(learned.edges_s), "no bin lies on both sides"


def test_the_table_has_a_column_for_each_stretch_and_its_parts_make_the_whole(of_learners: Finished) -> None:
    learned = learned_in_time(runs_of(of_learners[0]))
    assert learned is not None
    sheet = learning_sheet(learned)
    assert [row[0] for row in sheet.rows] == ["base", "other"]
    assert len(sheet.columns) == 2 + 2 * len(learned.outages)
    assert sheet.rows[0][1:] == sheet.rows[1][1:]


def test_policies_that_do_the_same_lose_nothing_to_one_another(of_learners: Finished) -> None:
    learned = learned_in_time(runs_of(of_learners[0]))
    assert learned is not None
    top, *rest = learning_picture(learned, "base").draw().axes
    assert top.get_ylabel() == "paid so far more than\nbase (loss)"
    (line,) = [line for line in top.get_lines() if line.get_label() == "base = other"]
    assert np.all(np.asarray(line.get_ydata()) == 0)
    assert [axes.get_ylabel().partition("\n")[0] for axes in rest] == ["generalised risk", "accuracy"]


def test_a_server_that_trains_is_shown_and_studies_that_learn_nothing_meanwhile_have_none_of_it(
    finished: Finished, of_several: Finished
) -> None:
    learned = learned_in_time(runs_of(finished[0]))
    assert learned is not None
    assert list(learned.sums) == ["risk", "accuracy", "server"]
    assert learned_in_time(runs_of(of_several[0])) is None
