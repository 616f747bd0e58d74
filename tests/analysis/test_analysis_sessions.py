"""What is told of sessions is what their items tell, and the law of drafts holds on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import load_run
from analysis.metrics.each_server import each_server
from analysis.run_folder.traffic import traffic_of
from analysis.theory import LAWS
from analysis.theory.sessions import items_per_block

Finished = tuple[Path, dict[str, Any]]


def test_numbers_are_those_of_the_items(of_sessions: Finished) -> None:
    path, summary = of_sessions
    items, requests = pd.read_parquet(path / "items.parquet"), load_run(path).requests
    told = summary["sessions"]
    assert set(told) == {"drafting", "asking", "alone"}
    for name, part in told.items():
        mine = items[(items["group"] == name) & (items["final_at_s"] >= 10)]
        blocks = requests[(requests["group"] == name) & (requests["arrived_at_s"] >= 10)]
        assert part["items"] == len(mine) > 500
        assert part["items_hz"] == pytest.approx(len(mine) / 3 / 290)
        assert part["agreement"] == pytest.approx((mine["client_label"] == mine["server_label"]).mean())
        assert part["final_accuracy"] == pytest.approx((mine["final_label"] == mine["label"]).mean())
        assert part["calls_per_item"] == pytest.approx(blocks["attempts"].sum() / len(mine))
        assert part["to_final_mean_s"] == pytest.approx((mine["final_at_s"] - mine["begun_at_s"]).mean())
    assert told["asking"]["rolled_back_share"] is None
    assert told["asking"]["changed_share"] == 0
    assert 0 < told["drafting"]["changed_share"] < told["drafting"]["rolled_back_share"]
    assert told["drafting"]["to_shown_mean_s"] < told["asking"]["to_shown_mean_s"]
    assert told["alone"]["items_per_answer"] is None
    assert told["alone"]["shown_accuracy"] == told["alone"]["final_accuracy"]


def test_a_server_is_asked_that_many_times_less_often(of_sessions: Finished) -> None:
    """Law 4: an answer for each item without drafts; with three, sessions of forty, an E of 2.952 but for
    their ends; and bytes by the item."""
    path, summary = of_sessions
    told, run = summary["sessions"], load_run(path)
    assert told["asking"]["items_per_answer"] == pytest.approx(1.0, abs=0.01)
    assert told["drafting"]["items_per_answer"] == pytest.approx(items_per_block(0.8, 3), rel=0.05)
    assert pytest.approx(items_per_block(0.8, 3)) == 2.952
    blocks = run.requests[(run.requests["arrived_at_s"] >= 10) & (run.requests["attempts"] > 0)]
    sizes = np.where(blocks["group"] == "asking", 1, np.minimum(4, 40 - blocks["first_item"] % 40))
    assert summary["wire"]["bytes_up"] == 1000 * (sizes * blocks["attempts"]).sum()


def test_the_law_predicts_items_and_speed(of_sessions: Finished) -> None:
    _, summary = of_sessions
    (law,) = [one for one in summary["predictions"] if one["law"] == "sessions"]
    values = {(one["quantity"], one["where"]): one for one in law["values"]}
    assert set(values) == {
        (quantity, where)
        for quantity in ("items a block", "items a second")
        for where in ("drafting", "asking")
    }
    assert all(one["agrees"] for one in values.values())
    assert values["items a block", "asking"]["predicted"] == 1.0
    speed = values["items a second", "drafting"]
    # Three drafts of .02, .1 there and back, four payloads of .008, a reply of .01; service .03 and 4 · .01.
    alone_hz = values["items a block", "drafting"]["predicted"] / (0.06 + 0.2 + 0.032 + 0.01 + 0.07)
    assert speed["predicted"] == pytest.approx(alone_hz, rel=0.01)


def test_the_best_draft_does_not_fall_as_the_way_gets_longer() -> None:
    """Law 2: the figures of speculative decoding, and the best number of drafts over round trips."""
    drafts = np.arange(40)

    def speed(round_trip_s: float, alpha: float = 0.8) -> Any:
        found = [items_per_block(alpha, n) / (n * 0.01 + round_trip_s + 0.03) for n in drafts]
        return np.array(found)

    told = speed(0.1)[[2, 4, 8, 16]]
    np.testing.assert_allclose(told, [16.3, 19.8, 20.6, 16.9], atol=0.05)
    assert 1 / items_per_block(0.8, 4) == pytest.approx(0.297, abs=5e-4)
    for alpha in (0.3, 0.8, 0.95):
        best = [int(speed(rtt, alpha).argmax()) for rtt in (0.0, 0.02, 0.1, 0.5, 2.0)]
        assert best == sorted(best)


def test_other_laws_are_silent_where_requests_are_blocks(of_sessions: Finished) -> None:
    _, summary = of_sessions
    assert {one["law"] for one in summary["predictions"]} == {"sessions"}
    assert "sessions" in LAWS


def test_the_report_tells_what_a_block_brings(of_sessions: Finished) -> None:
    path, _ = of_sessions
    assert "items a block" in (path / "report.html").read_text()


def test_the_offered_load_counts_the_items_of_blocks(of_sessions: Finished) -> None:
    """Each of six replicas takes .03 s a block and .01 s an item; of 290 s the links are up for 260, in which
    all that is sent is served."""
    path, summary = of_sessions
    load, run = summary["load"], load_run(path)
    sent = run.requests[(run.requests["arrived_at_s"] >= 10) & (run.requests["attempts"] > 0)]
    items = np.where(sent["group"] == "asking", 1, np.minimum(4, 40 - sent["first_item"] % 40)).mean()
    assert items > 1.5
    rate_hz = load["first_sends_outside_outages_hz"]
    assert load["offered"] == pytest.approx(rate_hz * (0.03 + 0.01 * items) / 6)
    assert load["offered"] == pytest.approx(load["utilisation"] * 290 / 260, rel=0.01)
    (server,) = each_server(traffic_of(run))
    assert server.load == pytest.approx(load["offered"])
