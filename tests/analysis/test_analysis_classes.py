"""Accuracy by class, and how well scores tell wrong answers from right ones: by hand, and by scikit-learn."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from analysis.metrics.classes import classes, ranking
from analysis.run_folder.arrivals import arrays_of
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import Traffic, traffic_of
from analysis.statistics.clusters import clusters


def of(score: list[float], right: list[bool], label: list[int] | None = None, each: int = 1) -> Traffic:
    """Traffic of one group whose requests are all held out and all answered by the client."""
    n = len(score)
    label = label or [0] * n
    requests = pd.DataFrame(
        {
            "group": "devices",
            "score": score,
            "client_right": right,
            "server_right": True,
            "server_known": True,
            "deferred": False,
            "is_decided": True,
            "label": label,
            "held_out": True,
            "correct": right,
            "outcome": "local",
        }
    )
    places = np.arange(n)
    run: Any = SimpleNamespace(groups={"devices": {"policy": {"score": "l2h"}}})
    met = clusters(places // each, places // each, np.zeros(n, dtype=np.int64))
    return Traffic(run, arrays_of(requests), (), everything=requests, seconds={}, clusters=met)


def test_areas_by_hand() -> None:
    """Kept one by one, lowest score first: right, wrong, right, wrong: risks 0, 1/2, 1/3, 1/2."""
    found = ranking(of([0.1, 0.2, 0.3, 0.4], [True, False, True, False]))["devices"]
    assert found["auroc"]["value"] == pytest.approx(3 / 4)
    assert found["aurc"]["value"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_ties_are_in_no_order() -> None:
    """A score that says nothing keeps the share of all that is wrong, in whatever order requests stand."""
    for right in ([True, True, False, False], [False, False, True, True]):
        found = ranking(of([0.5] * 4, right))["devices"]
        assert found["aurc"]["value"] == pytest.approx(0.5)
        assert found["auroc"]["value"] == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=60))
def test_they_are_those_of_scikit_learn(rows: list[tuple[int, bool, int]]) -> None:
    score, right, label = (list(each) for each in zip(*rows, strict=True))
    traffic = of([float(one) for one in score], right, label)
    value = ranking(traffic)["devices"]["auroc"]["value"]
    if len(set(right)) == 2:
        assert value == pytest.approx(roc_auc_score(~np.array(right), score))
    else:
        assert np.isnan(value)
    answered = [one if is_right else -1 for one, is_right in zip(label, right, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        balanced = balanced_accuracy_score(label, answered)
    assert classes(traffic)["balanced_accuracy"]["value"] == pytest.approx(balanced)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["auroc", "aurc", "balanced"])
def test_intervals_cover(which: str) -> None:
    """95% of intervals hold the truth, which 400,000 requests tell; each sample is asked about four times."""

    def drawn(seed: int, samples: int) -> dict[str, Any]:
        random = np.random.default_rng([seed, samples])
        label = random.choice(3, samples, p=[0.6, 0.3, 0.1])
        score = random.normal(size=samples)
        right = random.random(samples) < 1 / (1 + np.exp(score + 0.5 * label - 1))
        every = [np.repeat(each, 4) for each in (score, right, label)]
        traffic = of(every[0].tolist(), every[1].tolist(), every[2].tolist(), each=4)
        if which == "balanced":
            return classes(traffic)["balanced_accuracy"]
        return ranking(traffic)["devices"][which]

    truth = drawn(0, 100_000)["value"]
    covered = [one["low"] <= truth <= one["high"] for one in (drawn(seed, 150) for seed in range(1, 401))]
    assert 0.92 <= np.mean(covered) <= 0.98


def test_classes_of_a_run_add_up_to_its_accuracy(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = finished
    by_class = summary["classes"]["by_class"]
    n = sum(one["accuracy"]["n"] for one in by_class.values())
    right = sum(one["accuracy"]["value"] * one["accuracy"]["n"] for one in by_class.values())
    assert right / n == pytest.approx(summary["accuracy"]["held_out"]["all"]["value"])
    mean = np.mean([one["accuracy"]["value"] for one in by_class.values()])
    assert summary["classes"]["balanced_accuracy"]["value"] == pytest.approx(mean)
    assert ranking(traffic_of(load_run(folder))).keys() == summary["ranking"].keys()
