"""Grids: every combination once, values exactly as written, and nothing starts while one of them is wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import BadInput
from sim.scenario import read
from sim.scenario.text.grid import axes_of, combinations, variants


def expanded(*written: str, seeds: int = 1, seed: int | None = None):
    return variants("smoke", [], seed, list(combinations(axes_of(written))), seeds)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,4", (1, 2, 4)),
        ("1:4:1", (1, 2, 3, 4)),
        ("1:4:2", (1, 3)),
        ("0.1:0.3:0.1", (0.1, 0.2, 0.3)),  # 0.1 + 0.1 + 0.1 is not 0.3
        ("0:1:.25", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("1:2:1,5,10:30:10", (1, 2, 5, 10, 20, 30)),
        ("5:5:1", (5,)),
        (
            "{kind: always_local},{kind: threshold, at: 0.5}",
            ({"kind": "always_local"}, {"kind": "threshold", "at": 0.5}),
        ),
        ("null,[1, 2],true,l2h", (None, (1, 2), True, "l2h")),
        ("1,true", (1, True)),
        ("10:30", ("10:30",)),
        ("500ms,10min", (0.5, 600.0)),
        ("2Mbit/s", (2e6,)),
    ],
)
def test_values_of_an_axis(text, values):
    (axis,) = axes_of([f"a.b={text}"])
    assert axis.path == "a.b"
    assert axis.values == values
    assert list(map(type, axis.values)) == list(map(type, values))


@given(low=st.integers(-1000, 1000), steps=st.integers(0, 60), step=st.integers(1, 500))
def test_a_range_holds_the_floats_that_its_decimals_are(low, steps, step):
    """lo, lo + step, ... up to and with hi, each the float that its decimal reads as."""
    exact = [Decimal(low + n * step) / 1000 for n in range(steps + 1)]
    (axis,) = axes_of([f"a={exact[0]:.3f}:{exact[-1]:.3f}:{Decimal(step) / 1000:.3f}"])
    assert axis.values == tuple(float(str(value)) for value in exact)


def test_every_combination_once_the_last_axis_fastest():
    found = expanded("server.replicas=1,2", "fleet.known.clients=2,4", seeds=2, seed=5)
    assert [(*one.chosen.values(), one.scenario.seed) for one in found] == [
        (replicas, clients, seed) for replicas in (1, 2) for clients in (2, 4) for seed in (5, 6)
    ]
    for one in found:
        changes = [f"{path}={value}" for path, value in one.chosen.items()]
        assert one.scenario == read("smoke", changes, one.scenario.seed)


def test_without_an_axis_there_is_the_scenario_itself():
    (only,) = expanded()
    assert only.chosen == {}
    assert only.scenario == read("smoke")


def test_a_file_on_an_axis_lies_in_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "gaps.csv").write_text("seconds\n0.1\n0.2\n")
    monkeypatch.chdir(tmp_path)
    (one,) = expanded("fleet.known.link.latency={kind: empirical, file: gaps.csv}")
    assert Path(one.scenario.fleet[0].link.latency.file) == tmp_path / "gaps.csv"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            "server.replicas=1,0",
            "--vary server.replicas: 0 is not allowed: must be greater than or equal to 1",
        ),
        (
            "server.replicas=1,two",
            '--vary server.replicas: "two" (text) is not allowed: must be a whole number',
        ),
        ("server.replica=1", "--vary server.replica: unknown key: did you mean replicas?"),
        ("fleet.narow.clients=1", 'no group is called "narow": did you mean narrow?'),
        ("horizon_s=120,40", "must lie between 0 and horizon_s, 40 (where horizon_s=40)"),
        ("server.replicas", "must be written path=value, for instance --vary server.replicas=1,2,4"),
        ("server.replicas=", "no value behind the ="),
        ("server.replicas=1,1", "the value 1 is there twice"),
        ("server.replicas=3:1:1", "3:1:1 is no range"),
        ("server.replicas=1:3:0", "1:3:0 is no range"),
        ("server.replicas=1:999999999:1", "999,999,999 values: at most 100,000"),
        ("costs.c_e=[1", "is no list of values"),
        ("seed=1,2", "--vary seed: give --seeds N"),
    ],
)
def test_whatever_is_wrong_is_one_line_with_path_value_and_rule(written, told):
    with pytest.raises(BadInput) as refused:
        expanded(written)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_path_twice_and_too_many_cells_are_refused():
    with pytest.raises(BadInput, match="varied twice"):
        expanded("server.replicas=1", "server.replicas=2")
    with pytest.raises(BadInput, match=r"1,000,000 combinations: at most 100,000"):
        axes_of(["a=1:1000:1", "b=1:1000:1"])
    with pytest.raises(BadInput, match="go beyond"):
        expanded(seeds=2, seed=2**63 - 1)
