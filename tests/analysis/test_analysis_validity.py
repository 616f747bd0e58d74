"""Each rule against a run speaks when it should, and only then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_folders import write_tiny

from analysis import load_run, summarise
from analysis.traffic import traffic_of
from analysis.validity import RULES, queue_still_growing, too_many_in_flight


def reason(tmp_path: Path, waiting: np.ndarray, outages: tuple = ()) -> str | None:
    folder = write_tiny(tmp_path, [{}], timeline={"waiting_mean": waiting}, outages=outages, horizon_s=400)
    return queue_still_growing(traffic_of(load_run(folder)))


def test_queue_that_rises_to_the_end_is_growing(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 5, 400)
    text = reason(tmp_path, np.arange(400) * 2.0 + noise)
    assert text is not None
    assert text.startswith("the queue is still growing: by 1")


@pytest.mark.parametrize("seed", range(20))
def test_busy_but_stable_queue_is_not_growing(tmp_path: Path, seed: int) -> None:
    steps = np.random.default_rng(seed).normal(0, 1, 400)
    waiting = np.zeros(400)
    for second in range(1, 400):  # an autoregressive queue with a memory of ten seconds
        waiting[second] = 0.9 * waiting[second - 1] + steps[second]
    assert reason(tmp_path, 40 + 5 * waiting) is None


def test_queue_is_judged_after_the_last_outage_only(tmp_path: Path) -> None:
    waiting = np.full(400, 5.0)
    waiting[300:350] = np.arange(50) * 10.0
    assert reason(tmp_path, waiting, (("server", 300, 350),)) is None
    assert reason(tmp_path, np.arange(400) * 2.0, (("server", 300, 390),)) is None, "too short to tell"


def test_many_requests_in_flight_speak_against_a_run(tmp_path: Path) -> None:
    waiting = {"outcome": "in_flight", "answered_by": "none"}
    run = load_run(write_tiny(tmp_path / "a", [waiting] * 2 + [{}] * 18))
    assert too_many_in_flight(traffic_of(run)) == (
        "too many requests without an outcome: 10.0% are in flight at the horizon"
    )
    run = load_run(write_tiny(tmp_path / "b", [waiting] + [{}] * 19))
    assert too_many_in_flight(traffic_of(run)) is None


def test_short_run_over_few_samples_is_invalid_with_both_reasons(tmp_path: Path) -> None:
    summary = summarise(load_run(write_tiny(tmp_path, [{"sample_id": n} for n in range(5)])))
    assert summary["valid"] is False
    assert summary["invalid_because"] == [
        "too little traffic: 5 requests after the warm-up, 200 needed",
        "too few samples: 5 distinct held-out ones were asked, 30 needed",
    ]


def test_sound_run_passes_every_rule(finished: tuple[Path, dict]) -> None:
    traffic = traffic_of(load_run(finished[0]))
    assert [rule(traffic) for rule in RULES] == [None] * len(RULES)
    assert finished[1]["valid"] is True
