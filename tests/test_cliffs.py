"""Sizes that cost might explode by: `check` knows those that could not end, and lets the others through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cliffs import CLIFFS, outages, row, settings, with_changes
from sim.errors import BadInput
from sim.scenario import read
from sim.scenario.rules import memory
from sim.scenario.rules.outages import drawn_outages

REFUSED = {
    "10,000,000 outages": "would make more than 1,000,000 outages before horizon_s",
    "1,000,000 rounds of training": "would hold more than 100,000 rounds before horizon_s",
    "1,000 x 1,000 settings of a study": "would make 1,000,000 settings, more than 10,000",
    "80,000 groups": "is larger than 1 MiB: too large for a scenario",
    "500,000 keys that there are not": "is larger than 1 MiB: too large for a scenario",
}
FINE = (
    "the smallest run",
    "100,000 outages",
    "100,000 rounds of training",
    "1,000,000 retries",
    "10,000 replicas, slowdowns drawn",
    "max_batch 32,767, queue_limit 2,147,483,647, M/M/1",
    "10,000,000 clients that ask nothing",
)


@pytest.mark.parametrize("name", [*REFUSED, *FINE])
def test_what_could_not_end_is_refused_with_its_number(name: str, tmp_path: Path) -> None:
    file = tmp_path / "cliff.yaml"
    file.write_text(json.dumps(CLIFFS[name]()))
    if name not in REFUSED:
        assert read(file).name == "cliff"
        return
    with pytest.raises(BadInput) as refused:
        read(file)
    assert REFUSED[name] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_outages_that_no_memory_could_hold_are_refused_with_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand took 2 GiB, of which the memory of a run was not told."""
    monkeypatch.setattr(memory, "installed_bytes", lambda: 8 * 2**30)
    file = tmp_path / "cliff.yaml"
    file.write_text(json.dumps(outages(100_000, 1.0)))
    assert 2 * 2**30 < memory.memory_bytes(read(file)) < 4 * 2**30
    file.write_text(json.dumps(outages(500_000, 1.0)))
    with pytest.raises(
        BadInput, match=r'when\.kind: "renewal" is not allowed: .* for the outages: this machine'
    ):
        read(file)


def test_outages_of_single_links_count_in_the_memory_that_is_told(tmp_path: Path) -> None:
    """Half a million took 270 MiB in the loop alone."""
    file = tmp_path / "links.yaml"
    told = []
    for of_each in (1, 500):
        world = outages(of_each, 500.0 / of_each)
        (outage,) = world["server"]["outages"]
        group = world["fleet"][0]
        outage["target"] = {"kind": "links", "groups": [group["group"]], "correlated": False}
        group["clients"] = 1_000
        file.write_text(json.dumps(world))
        scenario = read(file)
        ((*_, count, is_of_links),) = drawn_outages(scenario)
        assert is_of_links
        told.append((count, memory.memory_bytes(scenario)))
    (few, small), (many, large) = told
    assert many == 500 * few
    assert 500 <= (large - small) / (many - few) <= 2_000


def test_as_many_settings_as_can_be_counted(tmp_path: Path) -> None:
    file = tmp_path / "cliff.yaml"
    file.write_text(json.dumps(settings(100)))
    assert read(file).study is not None
    file.write_text(json.dumps(settings(101)))
    with pytest.raises(BadInput, match="would make 10,201 settings, more than 10,000"):
        read(file)


def test_a_line_of_the_table() -> None:
    assert with_changes(server__replicas=3)["server"]["replicas"] == 3
    assert row("x", {"check_s": 0.04, "cpu_s": 3.81, "mib": 154.2}) == "| x | 0.0 | 3.8 | 154 |  |"
    assert row("x", {"cpu_s": 0.0, "refused": "a.yaml: no"}) == "| x | 0.0 | | | refused: `no` |"
