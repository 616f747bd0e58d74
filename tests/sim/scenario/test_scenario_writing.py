"""The resolved copy: every default is written, and it reads back as the same scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from sim.scenario import Scenario, read, shipped, write
from sim.scenario.text.draft import Origin
from sim.scenario.text.writing import written
from sim.scenario.text.yaml_text import parse

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
spans = st.floats(1e-6, 1e9)
latencies = st.one_of(
    st.floats(0, 1e9),
    st.fixed_dictionaries({"kind": st.just("gamma"), "mean_s": spans, "cv": st.floats(0.01, 10)}),
    st.fixed_dictionaries({"kind": st.just("empirical"), "file": st.text()}),
)
groups = st.fixed_dictionaries(
    {
        "group": names,
        "clients": st.integers(1, 100),
        "model": st.fixed_dictionaries({"family": st.text(max_size=10)}),
        "arrivals": st.fixed_dictionaries(
            {"process": st.fixed_dictionaries({"kind": st.just("poisson"), "rate_hz": st.floats(1e-9, 1e9)})}
        ),
        "link": st.fixed_dictionaries({"latency": latencies}),
        "policy": st.fixed_dictionaries(
            {"price": st.fixed_dictionaries({"kind": st.just("threshold"), "at": st.floats(-1e300, 1e300)})}
        ),
        "deadline_s": st.none() | spans,
    }
)
scenarios = st.fixed_dictionaries(
    {
        "name": names | st.sampled_from(["null", "true", "No", "inf"]),
        "seed": st.integers(0, 2**63 - 1),
        "horizon_s": st.floats(0, 1e9),
        "fleet": st.lists(groups, min_size=1, max_size=3).map(tuple),
        "data": st.fixed_dictionaries({"root": st.none() | st.text()}),
        "server": st.fixed_dictionaries(
            {"service": st.fixed_dictionaries({"kind": st.just("affine"), "base_s": st.floats(0, 10)})}
        ),
    }
)


def valid_back(text: str) -> Scenario:
    return Scenario.model_validate(parse(text, lambda line: Origin(line, "")).value)


@settings(deadline=None)
@given(scenarios)
def test_what_is_written_reads_back_as_the_same_scenario(drawn: dict[str, object]) -> None:
    scenario = Scenario.model_validate(drawn)
    assert valid_back(write(scenario)) == scenario


def typed(value: Any) -> Any:
    """With its type, since 5 and 5.0 are equal but written differently in a summary."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (type(value), repr(value))


@settings(deadline=None)
@given(scenarios)
def test_what_was_written_is_what_yaml_reads(drawn: dict[str, object]) -> None:
    scenario = Scenario.model_validate(drawn)
    assert typed(written(scenario)) == typed(YAML(typ="safe", pure=True).load(write(scenario)))


@pytest.mark.parametrize("name", [one.name for one in shipped()])
def test_what_was_written_of_shipped_scenarios_is_what_yaml_reads(name: str) -> None:
    scenario = read(name)
    assert typed(written(scenario)) == typed(YAML(typ="safe", pure=True).load(write(scenario)))


def test_the_example_survives_a_round_trip_through_a_file(example: Path, tmp_path: Path) -> None:
    scenario = read(example)
    copy = tmp_path / "copy.yaml"
    copy.write_text(write(scenario), encoding="utf-8")
    assert read(copy) == scenario
    assert write(read(copy)) == copy.read_text(encoding="utf-8")


def test_every_default_is_written(example: Path) -> None:
    lines = write(read(example)).splitlines()
    assert lines[:5] == ["name: outage", "seed: 7", "horizon_s: 900.0", "warm_up_s: 60.0", "data:"]
    assert "    traffic: {mix: all, drift: []}" in lines
    assert "  download: false" in lines
    assert "  online: null" in lines
    assert max(map(len, lines)) <= 100
