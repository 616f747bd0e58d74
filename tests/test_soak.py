"""How the soak counts, goes on, and tells columns apart. That no promise breaks: tests/test_benchmarks.py."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from agents.models.training import SMALLER
from benchmarks import soak, soak_whole
from benchmarks.soak_documents import Table, shrunk
from benchmarks.soak_played import Broken, are_same
from benchmarks.soak_worlds import Drawing, write_files

SEED = 5


def drawn(worlds: int) -> list[Table]:
    """The first ones, drawn beside the files that they name, as rules look at those."""
    return [Drawing(SEED, number).scenario() for number in range(worlds)]


@pytest.fixture(autouse=True)
def _beside_the_files(tmp_path, monkeypatch):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)


def soaked(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Its exit code."""
    monkeypatch.setattr(sys, "argv", ["soak", "--seed", str(SEED), *words])
    with pytest.raises(SystemExit) as ended:
        soak.main()
    return int(ended.value.code or 0)


def test_it_goes_on_after_the_last_world_that_it_kept(tmp_path, monkeypatch, capsys):
    """Every world is played once, by whichever call; one that is broken off is played again."""
    kept, begun = str(tmp_path / "kept.json"), list[Table]()

    def play(document, _draw, _home, is_whole):
        begun.append(document)
        if len(begun) == 4:
            raise KeyboardInterrupt
        return Counter({"played": 1, "whole": is_whole})

    monkeypatch.setattr(soak, "tried", play)
    assert soaked(monkeypatch, "--kept", kept, "--worlds", "2", "--whole", "2") == 0
    with pytest.raises(KeyboardInterrupt):
        soaked(monkeypatch, "--kept", kept, "--worlds", "9", "--whole", "2")
    assert soaked(monkeypatch, "--kept", kept, "--worlds", "5", "--whole", "2") == 0
    worlds = drawn(5)
    assert begun == [*worlds[:4], worlds[3], worlds[4]]
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told == {"seed": SEED, "worlds": 5, "played": 5, "whole": 3, "broken": 0}


def test_a_failure_is_kept_and_shrinking_it_counts_nothing(tmp_path, monkeypatch, capsys):
    second = np.random.default_rng([SEED, 1, 1]).bit_generator.state

    def play(document, draw, *_others):
        if draw.bit_generator.state == second and "fleet" in document:
            raise Broken("the clocks differ")
        return Counter(["played"])

    monkeypatch.setattr(soak, "tried", play)
    for worlds in ("2", "3"):
        assert soaked(monkeypatch, "--kept", str(tmp_path / "kept.json"), "--worlds", worlds) == 1
    failure = {"world": 1, "why": "the clocks differ", "scenario": {"fleet": []}}
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert (kept["failures"], kept["counts"]) == ([failure], {"worlds": 3, "played": 2})
    assert '"broken": 1' in capsys.readouterr().out.splitlines()[-1]


def test_shrinking_ends_when_its_time_is_over():
    assert shrunk({"a": 1, "b": 2}, lambda asked: "a" in asked) == {"a": 1}
    assert shrunk({"a": 1, "b": 2}, lambda asked: "a" in asked, at_most_s=-1.0) == {"a": 1, "b": 2}


def test_a_command_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(soak_whole, "LIMIT_S", 0.1)
    words = [sys.executable, "-c", "import time; time.sleep(100)"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        with pytest.raises(Broken, match=r"does not end in 0\.1 s"):
            soak_whole.ended(process, 0)
        assert process.returncode is not None


@pytest.mark.parametrize(("line", "is_told"), [(f"the loss is inf{SMALLER}", True), ("no room", False)])
def test_a_run_that_cannot_learn_may_end_with_1_and_no_other(line: str, is_told: bool):
    words = [sys.executable, "-c", f"import sys; sys.exit({line!r})"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        if is_told:
            assert soak_whole.ended(process, 0) == 1
        else:
            with pytest.raises(Broken, match="exit code 1: no room"):
                soak_whole.ended(process, 0)


def test_counts_of_another_seed_are_not_gone_on_with(tmp_path: Path):
    soak.Tally(1, tmp_path / "kept.json").add(0, Counter(["worlds"]))
    with pytest.raises(SystemExit, match="is of seed 1"):
        soak.Tally(2, tmp_path / "kept.json")


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        ([1.0, math.nan], [1.0, math.nan], True),
        ([0.0], [-0.0], False),
        ([1.0, None], [1.0, math.nan], False),
        ([1.0, math.nan], [1.0, None], False),
        ([[1.0, math.nan]], [[1.0, math.nan]], True),
        ([[0.0]], [[-0.0]], False),
        (["a", None], ["a", None], True),
        (["a"], ["b"], False),
        ([1], [2], False),
    ],
)
def test_columns_are_the_same_to_the_bit(left, right, is_same):
    assert are_same(pa.chunked_array([left]), pa.chunked_array([right])) is is_same
