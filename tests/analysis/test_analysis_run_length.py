"""What a run says of its own length and state, on time lines that are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import write_tiny

from analysis import load_run, summarise
from analysis.metrics.each_server import each_server
from analysis.metrics.run_length import run_length, span_of
from analysis.metrics.validity import queue_still_growing, too_short
from analysis.run_folder.traffic import Traffic, traffic_of

FULL_HZ = 2 / (0.05 / 8 + 0.02)  # what two replicas serve in full batches


def at_load(
    path: Path, load: float, horizon_s: int = 400, waiting: np.ndarray | None = None, **options: Any
) -> Traffic:
    """A run whose first sends come to that load, as evenly as can be, and whose queue is given."""
    sends = np.diff(np.floor(np.arange(horizon_s + 1) * load * FULL_HZ)).astype(int)
    waits = np.zeros(horizon_s) if waiting is None else waiting
    timeline = {"first_sends": sends, "waiting_mean": waits}
    folder = write_tiny(path, [{}], timeline=timeline, horizon_s=horizon_s, **options)
    return traffic_of(load_run(folder))


def test_relaxation_time_of_a_run_by_hand(tmp_path: Path) -> None:
    """Per request 0.02625 s of two replicas, times that do not vary: half of M/M/1's s/(1 - 0.9)^2."""
    traffic = at_load(tmp_path, 0.81)
    assert span_of(traffic).relaxation_s == pytest.approx(0.5 * 0.013125 / 0.01, rel=0.01)
    assert run_length(traffic)["relaxations"] == pytest.approx(400 / 0.65625, rel=0.01)


def test_where_nothing_is_sent_there_is_nothing_to_forget(tmp_path: Path) -> None:
    assert span_of(at_load(tmp_path, 0.0)).relaxation_s == 0
    assert summarise(load_run(tmp_path))["run_length"]["relaxations"] is None


@pytest.mark.parametrize(("load", "is_too_short"), [(0.5, False), (0.995, True)])
def test_near_a_load_of_one_a_run_must_be_longer(tmp_path: Path, load: float, is_too_short: bool) -> None:
    why = too_short(at_load(tmp_path, load))
    assert (why is not None) == is_too_short
    assert why is None or why.startswith("too short: 400 s counted, ")


def test_few_outages_forbid_intervals_in_time_and_many_set_the_pace(tmp_path: Path) -> None:
    one = span_of(at_load(tmp_path / "one", 0.5, outages=(("server", 100, 110),)))
    assert one.against == "1 outage: too few to show how they vary"
    often = tuple(("server", start, start + 5) for start in range(10, 400, 40))
    many = span_of(at_load(tmp_path / "many", 0.5, outages=often))
    assert (many.against, many.relaxation_s) == (None, 40.0)


def verdict(traffic: Traffic) -> str:
    (server,) = each_server(traffic)
    return server.verdict


def test_states(tmp_path: Path) -> None:
    steady = np.full(400, 3.0)
    late = np.where(np.arange(400) < 380, 3.0, 200.0)
    assert verdict(at_load(tmp_path / "a", 0.5, waiting=steady)) == "STABLE"
    assert verdict(at_load(tmp_path / "b", 0.5, waiting=late)) == "BACKLOGGED"
    assert verdict(at_load(tmp_path / "c", 1.1, waiting=steady)) == "OVERLOADED"
    out = np.where(np.arange(400) < 200, 3.0, 200.0)
    half = at_load(tmp_path / "d", 0.6, waiting=out, outages=(("replicas:1", 200, 400),))
    assert verdict(half) == "BACKLOGGED", "what is usual is what is usual outside outages"


def test_a_queue_that_grows_all_the_time_is_not_stable(tmp_path: Path) -> None:
    """At its end it is never twice as long as it was just before; the text and the state agree."""
    growing = at_load(tmp_path, 0.9, waiting=np.arange(400) * 0.5)
    assert str(queue_still_growing(growing)).startswith("the queue is still growing: by ")
    assert verdict(growing) == "BACKLOGGED"
