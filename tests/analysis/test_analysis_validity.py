"""Each rule against a run speaks when it should, and only then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_folders import write_tiny

from analysis import load_run, summarise
from analysis.metrics.validity import (
    RULES,
    more_than_it_can_serve,
    queue_still_growing,
    too_few_clients,
    too_many_in_flight,
)
from analysis.run_folder.traffic import traffic_of


def reason(tmp_path: Path, waiting: np.ndarray, outages: tuple = (), warm_up_s: int = 0) -> str | None:
    span = {"horizon_s": waiting.size, "warm_up_s": warm_up_s}
    folder = write_tiny(tmp_path, [{}], timeline={"waiting_mean": waiting}, outages=outages, **span)
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


def test_queue_of_a_short_run_is_judged_over_more_than_its_last_quarter(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 5, 90)
    text = reason(tmp_path, np.arange(90) * 20.0 + noise, warm_up_s=15)
    assert text is not None
    assert text.endswith("over the last 60 s without outage")


def test_queue_is_judged_before_an_outage_that_ends_too_late(tmp_path: Path) -> None:
    rising = np.arange(300) * 2.0
    text = reason(tmp_path, rising, (("server", 270, 290),))
    assert text == "the queue is still growing: by 135 requests over the last 75 s without outage"
    flat_before = np.where(np.arange(300) < 270, 5.0, rising)
    assert reason(tmp_path, flat_before, (("server", 270, 290),)) is None


@pytest.mark.parametrize(
    "outages", [(("server", 10, 90),), tuple(("server", a, a + 5) for a in range(5, 95, 20))]
)
def test_queue_that_cannot_be_judged_is_a_reason(tmp_path: Path, outages: tuple) -> None:
    assert reason(tmp_path, np.zeros(100), outages) == (
        "the queue could not be judged: after the warm-up there are no 20 s on end without an outage"
    )


def test_full_queue_that_turns_requests_away_is_overload(tmp_path: Path) -> None:
    # Full batches of 8 take 0.05 + 8 * 0.02 s: two replicas serve 76.2 requests a second.
    full = {"waiting_mean": np.full(100, 64.0), "first_sends": np.full(100, 96)}
    traffic = traffic_of(load_run(write_tiny(tmp_path / "a", [{}], timeline=full)))
    assert queue_still_growing(traffic) is None
    assert more_than_it_can_serve(traffic) == "offered load 1.26: more is sent than full batches can serve"
    busy = {"first_sends": np.full(100, 76)}
    traffic = traffic_of(load_run(write_tiny(tmp_path / "b", [{}], timeline=busy)))
    assert more_than_it_can_serve(traffic) is None


def test_four_clients_are_too_few_for_an_interval_and_five_are_enough(tmp_path: Path) -> None:
    def of(clients: int) -> str | None:
        requests = [{"client_id": n % clients} for n in range(20)]
        return too_few_clients(traffic_of(load_run(write_tiny(tmp_path / str(clients), requests))))

    assert of(4) == (
        "too few clients: 4 asked about held-out samples, and under 5 intervals may be too narrow"
    )
    assert of(5) is None


def test_many_requests_in_flight_speak_against_a_run(tmp_path: Path) -> None:
    waiting = {"outcome": "in_flight", "answered_by": "none"}
    run = load_run(write_tiny(tmp_path / "a", [waiting] * 2 + [{}] * 18))
    assert too_many_in_flight(traffic_of(run)) == (
        "too many requests without an outcome: 10.0% are in flight at the horizon"
    )
    run = load_run(write_tiny(tmp_path / "b", [waiting] + [{}] * 19))
    assert too_many_in_flight(traffic_of(run)) is None


def test_short_run_over_few_samples_of_one_client_is_invalid_for_each_reason(tmp_path: Path) -> None:
    summary = summarise(load_run(write_tiny(tmp_path, [{"sample_id": n} for n in range(5)])))
    assert summary["valid"] is False
    assert summary["invalid_because"] == [
        "too little traffic: 5 requests after the warm-up, 200 needed",
        "too few samples: 5 distinct held-out ones were asked, 30 needed",
        "too few clients: 1 asked about held-out samples, and under 5 intervals may be too narrow",
    ]


def test_sound_run_passes_every_rule(finished: tuple[Path, dict]) -> None:
    traffic = traffic_of(load_run(finished[0]))
    assert [rule(traffic) for rule in RULES] == [None] * len(RULES)
    assert finished[1]["valid"] is True
