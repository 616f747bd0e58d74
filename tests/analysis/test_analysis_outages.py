"""Outages as windows, and the time until the queue is back to normal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import write_outages, write_table, write_tiny

from analysis import load_run, summarise
from analysis.metrics.service import apart
from analysis.reports.formatting import headline
from analysis.reports.sentences import sentences
from analysis.reports.tables import facts, windows
from analysis.run_folder.outages import Outage, find_outages, in_any, replica_steps, seconds_touched
from analysis.run_folder.traffic import traffic_of
from sim.results import columns


def found_in(path: Path, *periods: tuple[str, float, float], **more: list[Any]) -> tuple[Outage, ...]:
    write_outages(write_tiny(path, [{}], horizon_s=50), periods, **more)
    return find_outages(load_run(path))


def test_outages_come_by_their_start_and_the_last_ends_with_the_run(tmp_path: Path) -> None:
    """Two that overlap stay two, though both take a replica; what begins after the run is none of it."""
    found = found_in(
        tmp_path,
        ("server", 40.0, 60.0),
        ("replicas:1", 15.0, 30.0),
        ("replicas:1", 18.0, 20.0),
        ("server", 10.0, 20.0),
        ("server", 50.0, 60.0),
    )
    assert found == (
        Outage("server", 10.0, 20.0),
        Outage("replicas:1", 15.0, 30.0),
        Outage("replicas:1", 18.0, 20.0),
        Outage("server", 40.0, 50.0),
    )
    assert [outage.number for outage in found] == [3, 1, 2, 0]


def test_slowdowns_and_links_are_windows_too_and_say_what_they_are(tmp_path: Path) -> None:
    found = found_in(
        tmp_path,
        ("server", 10.0, 20.0),
        ("server", 12.0, 15.0),
        ("links:a+b", 14.0, 18.0),
        ("links:a", 30.0, 90.0),
        ("links:a", 31.0, 32.0),
        effect=["slowdown", "down", "down", "slowdown", "down"],
        factor=[3.0, 1.0, 1.0, 1.5, 1.0],
        client_id=[-1, -1, -1, -1, 0],
    )
    assert found == (
        Outage("server", 10.0, 20.0, 3.0),
        Outage("server", 12.0, 15.0),
        Outage("links:a+b", 14.0, 18.0),
        Outage("links:a", 30.0, 50.0, 1.5),
    )
    labels = ["server 3 times slower", "server", "links a+b", "links a 1.5 times slower"]
    assert [outage.label for outage in found] == labels


def test_the_replicas_that_there_are_do_not_depend_on_what_is_usable_at_the_start(tmp_path: Path) -> None:
    """Both are down for the first ten of fifty seconds: a fifth of the two replicas is lost."""
    write_tiny(tmp_path, [{}], horizon_s=50, outages=(("server", 0, 10),))
    rows = {
        "at_s": [0.0, 10.0],
        "kind": ["usable_replicas"] * 2,
        "target": ["server"] * 2,
        "value": [0.0, 2.0],
    }
    write_table(tmp_path / "events.parquet", rows, columns.EVENTS)
    assert summarise(load_run(tmp_path))["availability"]["replica_share"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("target", "label"),
    [("server", "server"), ("replicas:1", "1 replica"), ("replicas:3", "3 replicas"), ("links:a", "links a")],
)
def test_targets_in_words(target: str, label: str) -> None:
    assert Outage(target, 0.0, 1.0).label == label


def test_windows_take_requests_by_arrival_half_open(tmp_path: Path) -> None:
    arrivals = [5.0, 20.0, 39.9, 40.0, 60.0, 79.0, 80.0]
    wrong = {20.0, 39.9}
    requests = [
        {"arrived_at_s": at, "client_label": 9 if at in wrong else 1, "server_label": 1} for at in arrivals
    ]
    outages = (("server", 20, 40), ("replicas:1", 60, 80))
    windows = summarise(load_run(write_tiny(tmp_path, requests, outages=outages)))["outages"]
    first, second = windows["each"]
    counts = [windows["before"], first["during"], first["after"], second["during"], second["after"]]
    assert [window["requests"] for window in counts] == [1, 2, 1, 2, 1]
    assert windows["during_any"]["requests"] == 4
    assert windows["outside"]["requests"] == 3
    assert [window["accuracy"]["value"] for window in counts] == [1.0, 0.0, 1.0, 1.0, 1.0]
    assert first["after_until_s"] == 60.0
    assert second["after_until_s"] == 100.0


def test_after_leaves_out_what_another_outage_still_touches(tmp_path: Path) -> None:
    requests = [{"arrived_at_s": at} for at in (35.0, 45.0, 65.0)]
    outages = (("server", 20, 40), ("replicas:1", 30, 60))
    first, second = summarise(load_run(write_tiny(tmp_path, requests, outages=outages)))["outages"]["each"]
    assert first["after"]["requests"] == 1
    assert second["after"]["requests"] == 1


def recovery(tmp_path: Path, waiting: np.ndarray, outages: tuple) -> list[float | None]:
    folder = write_tiny(tmp_path, [{}], timeline={"waiting_mean": waiting}, outages=outages, horizon_s=200)
    return [outage["recovery_s"] for outage in summarise(load_run(folder))["outages"]["each"]]


def test_recovery_is_when_the_smoothed_queue_stays_normal(tmp_path: Path) -> None:
    waiting = np.full(200, 3.0)
    waiting[100:117] = 50.0
    assert recovery(tmp_path, waiting, (("server", 80, 100),)) == [17.0]


def test_relapse_within_ten_seconds_is_no_recovery(tmp_path: Path) -> None:
    waiting = np.full(200, 3.0)
    waiting[100:110] = 50.0
    waiting[120:125] = 50.0
    assert recovery(tmp_path, waiting, (("server", 80, 100),)) == [25.0]


def test_queue_below_one_request_is_normal(tmp_path: Path) -> None:
    waiting = np.zeros(200)
    waiting[100:] = 0.9
    assert recovery(tmp_path, waiting, (("server", 80, 100),)) == [0.0]


def test_recovery_that_the_next_outage_or_the_end_forestalls_is_none(tmp_path: Path) -> None:
    waiting = np.full(200, 3.0)
    waiting[80:120] = 50.0
    waiting[150:] = 50.0
    assert recovery(tmp_path, waiting, (("server", 80, 100), ("server", 125, 150))) == [None, None]


def test_run_too_short_to_show_a_recovery_has_none(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, [{}], outages=(("server", 2, 4),), horizon_s=9)
    assert summarise(load_run(folder))["outages"]["each"][0]["recovery_s"] is None


def test_recovery_is_not_judged_without_a_time_before(tmp_path: Path) -> None:
    outages = (("server", 10, 30),)
    assert recovery(tmp_path, np.zeros(200), outages) == [None]
    summary = summarise(load_run(tmp_path))
    assert summary["outages"]["normal_waiting"] is None
    assert dict(facts(summary)["service"])["recovery after outages"] == "not judged"
    assert "not judged: too little time before the first outage" in sentences(summary)[-1]
    assert "not seen" not in sentences(summary)[-1]


def test_what_holds_of_all_outages_is_said_once(tmp_path: Path) -> None:
    recovery(tmp_path, np.zeros(200), tuple(("server", at, at + 2) for at in range(10, 80, 10)))
    shown = dict(facts(summarise(load_run(tmp_path)))["service"])["recovery after outages"]
    assert shown == "not judged, each of 7"


def test_recovery_that_was_judged_is_seen_to_the_second_or_not_seen(tmp_path: Path) -> None:
    waiting = np.full(200, 3.0)
    waiting[100:114], waiting[150:] = 50.0, 50.0
    recovery(tmp_path, waiting, (("server", 80, 100), ("server", 140, 150)))
    summary = summarise(load_run(tmp_path))
    assert summary["outages"]["normal_waiting"] == pytest.approx(3.0)
    assert dict(facts(summary)["service"])["recovery after outages"] == "14 s, not seen"
    assert "the queue was back to normal 14 s after its end" in sentences(summary)[-2]
    assert "the queue was not seen to get back to normal" in sentences(summary)[-1]


@pytest.mark.parametrize(("unanswered", "within"), [(0, 1.9), (1, 2.0), (2, None)])
def test_requests_without_answer_take_for_ever(tmp_path: Path, unanswered: int, within: float | None) -> None:
    # 20 requests, answered after 0.1, 0.2, ... 2.0 s, but for the fastest, which got no answer
    nobody = {"outcome": "timed_out", "answered_by": "none", "arrived_at_s": 5.0}
    some = [{"arrived_at_s": 5.0, "answered_at_s": 5.0 + n / 10} for n in range(1 + unanswered, 21)]
    summary = summarise(load_run(write_tiny(tmp_path, [nobody] * unanswered + some)))
    whole = summary["outages"]["whole_run"]
    assert whole["p95_latency_s"] == (within and pytest.approx(within))
    assert whole["answered_share"] == 1 - unanswered / 20
    (tile,) = [tile for tile in headline(summary) if tile["label"] == "95% answered within"]
    assert tile["value"] == (f"{within:.2f} s" if within else "never")
    assert tile["note"] == f"{100 - 5 * unanswered}.0% got an answer"
    assert windows(summary)[0][-1] == (f"{within:.3f}" if within else "never")


def test_window_without_requests_has_a_dash_not_never(tmp_path: Path) -> None:
    summary = summarise(load_run(write_tiny(tmp_path, [{}], outages=(("server", 50, 60),))))
    assert windows(summary)[2][-1] == "–"


def test_what_outages_touch_is_what_each_of_them_does() -> None:
    """Counting begins and ends says the same as asking every outage, edges included."""
    draw = np.random.default_rng(4)
    for _ in range(50):
        begins = draw.integers(0, 30, 8) / 2
        several = tuple(
            Outage("server", float(at), float(at + draw.integers(0, 9) / 2))
            for at in begins[: draw.integers(9)]
        )
        at_s = np.arange(0, 20, 0.25)
        inside = [any(one.from_s <= at < one.to_s for one in several) for at in at_s]
        assert in_any(several, at_s).tolist() == inside
        touched = [any(at < one.to_s and at + 1 > one.from_s for one in several) for at in at_s]
        assert seconds_touched(several, at_s).tolist() == touched


def test_time_in_an_outage_of_ones_own_or_of_all_counts_once() -> None:
    """Client 0's periods cover 1 to 6 and 8 to 9, client 1's 2 to 3."""
    periods = np.array([[1.0, 5.0], [2.0, 3.0], [4.0, 6.0], [8.0, 9.0], [2.0, 3.0]])
    begins, ends = apart(np.array([0.0, 0.0, 0.0, 0.0, 1.0]), periods)
    assert (ends - begins).tolist() == [4.0, 0.0, 1.0, 1.0, 1.0]
    assert (begins <= ends).all()


def test_a_part_of_the_traffic_tells_what_its_requests_tell(finished: tuple[Path, dict[str, Any]]) -> None:
    """Taken out of the traffic, requests have the numbers that they have in it, and hold no others' cells."""
    traffic = traffic_of(load_run(finished[0]))
    among = traffic.in_outages
    part = traffic.only(np.flatnonzero(among))
    assert len(part.requests) == among.sum() == part.clusters.cell.size
    assert part.clusters.client.size == np.unique(traffic.clusters.cell[among]).size
    everyone = np.ones(len(part.requests), dtype=bool)
    for inside, outside in (
        (
            part.clusters.share(part.correct, part.held_out),
            traffic.clusters.share(traffic.correct, among & traffic.held_out),
        ),
        (
            part.clusters.mean(part.correct * 1.0, everyone),
            traffic.clusters.mean(traffic.correct * 1.0, among),
        ),
    ):
        assert inside == pytest.approx(outside, rel=1e-9)


def test_a_server_that_is_scaled_to_nothing_has_no_replicas_and_loses_none(tmp_path: Path) -> None:
    """None from 10 to 30 as nobody asks; of the one that there is then an outage takes ten seconds of
    twenty."""
    scaling = {"target_queue": 1.0, "interval_s": 5.0, "provisioning_s": 0.0, "min": 0, "max": 1}
    write_tiny(tmp_path, [{}], horizon_s=50, outages=(("server", 40, 50),))
    rows = {
        "at_s": [10.0, 30.0, 40.0],
        "kind": ["usable_replicas"] * 3,
        "target": ["server"] * 3,
        "value": [0.0, 1.0, 0.0],
    }
    write_table(tmp_path / "events.parquet", rows, columns.EVENTS)
    run = load_run(tmp_path)
    run.scenario["server"] |= {"autoscaling": scaling, "replicas": 1}
    at_s, replicas = replica_steps(run)
    assert (at_s.tolist(), replicas.tolist()) == ([0.0, 10.0, 30.0, 40.0], [1.0, 0.0, 1.0, 1.0])
