"""Whether a run that broke off may go on: what it began with, and whose the folder is."""

from __future__ import annotations

import json

import pytest
from worlds import scenario_of

from sim.errors import BadInput
from sim.results.columns import OWN_KEY
from sim.results.resuming import begun_with, claimed, differences, require_resumable


def test_which_loop_plays_is_no_part_of_what_a_run_began_with():
    """Where Numba is gone, or broken, the run goes on by SimPy's loop, to the same bytes."""
    first, *others = (
        begun_with(scenario_of(engine={"path": path}), {}) for path in ("auto", "simpy", "compiled")
    )
    assert others == [first, first]
    changed = begun_with(scenario_of(seed=3), {})
    assert differences(first, changed) == [f"seed: {scenario_of().seed} → 3"]


def test_a_file_that_was_moved_is_the_same_and_one_that_was_changed_is_not(tmp_path):
    """As in the cells of a sweep, whose names do not tell either where files lie."""
    known = []
    for name, seconds in (("here", "0.1"), ("there", "0.1"), ("changed", "0.2")):
        (tmp_path / name).write_text(seconds)
        time = {"kind": "empirical", "file": str(tmp_path / name)}
        known.append(begun_with(scenario_of(server={"service": {"kind": "per_batch", "time": time}}), {}))
    first, moved, changed = known
    assert differences(first, moved) == []
    (said,) = differences(first, changed)
    assert said.startswith("server.service.time.file: ")


def test_a_run_that_was_finished_while_one_waited_to_go_on_is_left_alone(tmp_path):
    """It was at work when the other looked whether it may, and finished when the folder was free."""
    (tmp_path / "versions.json").write_text(json.dumps({OWN_KEY: "1"}))
    require_resumable(tmp_path, {})
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(BadInput, match="is finished"), claimed(tmp_path, force=False, resume=True):
        raise AssertionError("it would begin again")
