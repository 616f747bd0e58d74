"""Durations, times of day and rates as people write them: in the scenario they are seconds and bits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import BadInput
from sim.scenario import json_schema, read, write
from sim.scenario.schema.spoken import (
    DURATION_PATTERN,
    INSTANT_PATTERN,
    RATE_PATTERN,
    SECONDS,
    bits_per_second,
    instant,
    seconds,
)
from sim.world.world import World

TEXT = """name: spoken
horizon_s: 2d
warm_up_s: 1h30min
fleet:
  - group: cameras
    clients: 2
    arrivals:
      process: {kind: closed_loop, think: 90s}
    link: {latency: 30ms, bandwidth_bps: 2Mbit/s, payload_bytes: 3072}
    deadline_s: 1min
    timeout_s: 0.5min
    retry: {backoff_s: 100ms, cap_s: 2s}
server:
  service: {kind: per_batch, time: {kind: gamma, mean_s: 50ms, cv: 0.5}}
  outages:
    - {when: {kind: daily, at_s: "03:00", for_s: 10min}}
    - when: {kind: intervals, at: [["10:00", "10:05:30"], [1d 1h, 26h]]}
      target: {kind: replicas, count: 1}
    - when: {kind: renewal, up: 2h, down: {kind: exponential, mean_s: 5min}}
      effect: {kind: slowdown, factor: 2}
"""


def test_a_scenario_holds_seconds_and_bits(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(TEXT)
    found = read(tmp_path / "x.yaml", ["fleet.cameras.device.inference_s=20 ms"])
    (group,), server = found.fleet, found.server
    assert (found.horizon_s, found.warm_up_s) == (172_800.0, 5_400.0)
    assert group.arrivals.process.think == 90.0  # type: ignore[attr-defined]
    assert (group.link.latency, group.link.bandwidth_bps) == (0.03, 2e6)
    assert (group.deadline_s, group.timeout_s, group.device.inference_s) == (60.0, 30.0, 0.02)
    assert group.retry is not None
    assert (group.retry.backoff_s, group.retry.cap_s) == (0.1, 2.0)
    daily, intervals, renewal = (outage.when.model_dump() for outage in server.outages)
    assert daily == {"kind": "daily", "at_s": 10_800.0, "for_s": 600.0}
    assert intervals["at"] == ((36_000.0, 36_330.0), (90_000.0, 93_600.0))
    assert (renewal["up"], renewal["down"]["mean_s"]) == (7_200.0, 300.0)
    written = write(found)
    assert not re.search(r"\b\d+(us|ms|s|min|h|d|w|bit/s)\b|\d:\d", written)
    (tmp_path / "copy.yaml").write_text(written)
    assert read(tmp_path / "copy.yaml") == found


@given(st.decimals(0, 10_000, places=3), st.sampled_from(sorted(SECONDS)))
def test_a_number_of_a_unit_is_as_many_seconds(number: Any, unit: str) -> None:
    text = f"{number}{unit}"
    assert seconds(text) == instant(text) == float(number * SECONDS[unit])
    assert re.fullmatch(DURATION_PATTERN, text)
    assert re.fullmatch(INSTANT_PATTERN, text)


@pytest.mark.parametrize(
    "text", ["", "10", "10 mins", "min", "-3s", "1e3s", "3 hours", "25:00", "3:60", "1.5", "2MB/s"]
)
def test_other_text_is_left_for_the_schema(text: str) -> None:
    assert (seconds(text), instant(text), bits_per_second(text)) == (text, text, text)
    assert not any(re.fullmatch(one, text) for one in (DURATION_PATTERN, INSTANT_PATTERN, RATE_PATTERN))


def test_rates_have_their_unit() -> None:
    said = {"2Mbit/s": 2e6, "64 kbit/s": 64e3, "1.5Gbit/s": 1.5e9, "9bit/s": 9.0}
    assert {text: bits_per_second(text) for text in said} == said
    assert all(re.fullmatch(RATE_PATTERN, text) for text in said)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "horizon_s=2 days",
            'horizon_s: "2 days" (text) is not allowed: must be a number, or a text such as 10min',
        ),
        (
            "fleet.0.link.latency=fast",
            'latency: "fast" (text) is not allowed: must be a number, a text such as 10min, or',
        ),
        ("fleet.0.link.bandwidth_bps=2MB/s", "must be a number, or a text such as 2Mbit/s"),
        ("fleet.0.deadline_s=50y", "must be a number, or a text such as 10min"),
        ("fleet.0.timeout_s=0s", "0.0 is not allowed: must be greater than or equal to 1e-06"),
        ("server.outages.0.when.for_s=2d", "must be less than 86400"),
        ("server.outages.0.when={kind: weekly, on: [sundae], at_s: 1h, for_s: 1h}", "did you mean sunday?"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path: Path, change: str, line: str) -> None:
    (tmp_path / "x.yaml").write_text(TEXT)
    with pytest.raises(BadInput) as caught:
        read(tmp_path / "x.yaml", [change])
    assert line in str(caught.value)


def test_editors_take_both_and_the_resolved_copy_has_numbers() -> None:
    said, resolved = (json_schema(kind)["properties"]["horizon_s"] for kind in (False, True))
    assert [one["type"] for one in said["anyOf"]] == ["number", "string"]
    assert resolved["type"] == "number"
    assert json.dumps(json_schema())


def test_daily_and_weekly_outages_come_again(tmp_path: Path) -> None:
    """Also what began before t = 0; a longer horizon only adds some."""
    (tmp_path / "x.yaml").write_text(TEXT)
    late = "server.outages.0.when={kind: daily, at_s: '23:55', for_s: 10min}"
    day = 86_400.0

    def lines(*changes: str) -> list[tuple[float, float]]:
        return list(World(read(tmp_path / "x.yaml", changes)).outage_times[0].shared)

    assert lines() == [(10_800.0, 11_400.0), (day + 10_800.0, day + 11_400.0)]
    assert lines(late) == [(0.0, 300.0), (day - 300, day + 300), (2 * day - 300, 2 * day + 300)]
    weekend = "server.outages.0.when={kind: weekly, on: [sunday, saturday], at_s: 2h, for_s: 1h}"
    assert lines(weekend) == []
    days = [5, 6, 12, 13]
    assert lines(weekend, "horizon_s=2w") == [(n * day + 7_200, n * day + 10_800) for n in days]
    assert lines(weekend, "horizon_s=1w") == lines(weekend, "horizon_s=2w")[:2]


@pytest.mark.parametrize(
    ("text", "at_s"), [("24:00", 86_400.0), ("24:00:00", 86_400.0), ("24:59", None), ("24:00:01", None)]
)
def test_a_day_ends_at_24(text: str, at_s: float | None) -> None:
    assert instant(text) == (text if at_s is None else at_s)
    assert bool(re.search(INSTANT_PATTERN, text)) == (at_s is not None)
