"""The door for notebooks: what it takes, gives and refuses, and that it means what the command line means."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from here import results_of

import l2h_fleet
from commands import main as command_line
from l2h_fleet.scenario import as_yaml
from sim.scenario import read

pytestmark = pytest.mark.usefixtures("plain_pictures")

ROOT = Path(__file__).resolve().parents[1]
TINY = {"training.pretrain.epochs": 1}
SMALL = {
    "name": "small",
    "horizon_s": 30,
    "fleet": [
        {"group": "devices", "clients": 4, "arrivals": {"process": {"kind": "poisson", "rate_hz": 2.0}}}
    ],
    "server": {"service": {"kind": "affine", "base_s": 0.05}},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_importing_it_loads_nothing_heavy():
    heavy = "numpy", "pandas", "torch", "ray"
    code = f"import sys, l2h_fleet; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout == "[]\n"
    assert set(l2h_fleet.__all__) <= set(dir(l2h_fleet))
    for name in l2h_fleet.__all__:
        assert getattr(l2h_fleet, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = l2h_fleet.nothing


def test_a_scenario_from_a_name_a_file_and_a_mapping(here):
    named = l2h_fleet.Scenario("smoke")
    (here / "copy.yaml").write_text(named.yaml)
    assert l2h_fleet.Scenario(here / "copy.yaml").document == named.document == read("smoke", [])
    assert named.question
    mapped = l2h_fleet.Scenario(SMALL)
    assert mapped.name == "small"
    assert mapped.document.fleet[0].clients == 4
    assert l2h_fleet.Scenario(mapped).document == mapped.document


def test_set_gives_another_scenario():
    before = l2h_fleet.Scenario("smoke")
    after = before.set("server.replicas", 5).set({"horizon_s": np.float64(140), "server.queue_limit": None})
    assert (after.document.server.replicas, after.document.horizon_s) == (5, 140.0)
    assert after.document.server.queue_limit is None
    assert before.document == read("smoke", [])
    with pytest.raises(l2h_fleet.BadInput, match=r"server\.replicas: -1"):
        _ = before.set("server.replicas", -1).document


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("10", '"10"'),
        (float("inf"), ".inf"),
        ({"kind": "constant", "at": (1, 2.5)}, '{"kind": "constant", "at": [1, 2.5]}'),
        (np.int32(3), "3"),
        (Path("a/b"), '"a/b"'),
    ],
)
def test_values_are_written_as_yaml(value, text):
    assert as_yaml(value) == text


def test_what_no_scenario_holds_is_refused_in_one_line():
    with pytest.raises(l2h_fleet.BadInput, match="is a set, which no scenario holds"):
        l2h_fleet.Scenario("smoke").set("fleet", {1, 2})


def test_files_of_a_mapping_begin_in_the_working_folder(here):
    (here / "ask.csv").write_text("time,client\n1,0\n2,1\n")
    process = {"kind": "trace", "file": "ask.csv"}
    fleet = [{"group": "devices", "clients": 2, "arrivals": {"process": process}}]
    found = l2h_fleet.Scenario(SMALL | {"fleet": fleet}).document.fleet[0].arrivals.process
    assert Path(found.file) == here / "ask.csv"


@pytest.mark.slow
def test_a_run_is_the_run_of_the_command_line(here, monkeypatch):
    run = l2h_fleet.run("smoke", TINY, out="mine")
    words = ["run", "smoke", "--local", "--quiet", "--out", "theirs"]
    words += [word for path, value in TINY.items() for word in ("--set", f"{path}={value}")]
    monkeypatch.setattr(sys, "argv", ["run_sim.py", *words])
    assert command_line.main() == 0
    mine, theirs = (results_of(here / name) for name in ("mine", "theirs"))
    assert {n: c for n, c in mine.items() if n != "report.html"} == {
        n: c for n, c in theirs.items() if n != "report.html"
    }
    assert (here / "mine/report.html").exists()
    assert run.summary["counts"]["requests"] == len(
        run.requests[run.requests["arrived_at_s"] >= run.warm_up_s]
    )
    with pytest.raises(l2h_fleet.BadInput, match="mine"):
        l2h_fleet.run("smoke", TINY, out="mine")
    assert l2h_fleet.run("smoke", TINY, out="mine", force=True).path == Path("mine")


def test_without_a_folder_the_same_question_is_not_run_twice(monkeypatch):
    run = l2h_fleet.run(SMALL, {"training.pretrain.epochs": 1})
    monkeypatch.setattr("commands.one_run.execute", None)
    again = l2h_fleet.run(SMALL, {"training.pretrain.epochs": 1})
    assert again.path == run.path
    assert again.summary == run.summary
    with pytest.raises(l2h_fleet.BadInput, match="cell of the store"):
        l2h_fleet.run(SMALL, force=True)


def test_tables_answer_sql():
    run = l2h_fleet.run("smoke", TINY)
    found = run.sql("select outcome, count(*) as n from requests group by 1 order by 1").df()
    counted = run.requests["outcome"].value_counts()
    assert dict(zip(found["outcome"], found["n"], strict=True)) == counted[counted > 0].to_dict()
    with pytest.raises(l2h_fleet.BadInput, match="sql: "):
        run.sql("select nonsense from requests")


def test_a_stage_that_breaks_is_an_exception_with_one_line(monkeypatch):
    def broken(*_args, **_named):
        raise ValueError("no more\nluck")

    monkeypatch.setattr("commands.one_run.simulate", broken)
    for out in (None, "mine"):
        with pytest.raises(l2h_fleet.RunFailed) as failed:
            l2h_fleet.run("smoke", TINY, out=out)
        assert "no more" in str(failed.value)


def test_a_sweep_is_a_frame_with_a_row_for_each_run():
    table = l2h_fleet.sweep("smoke", {"server.replicas": [1, 2]}, seeds=2, changes=TINY)
    assert list(table["server.replicas"]) == [1, 1, 2, 2]
    assert table["seed"].nunique() == 2
    run = l2h_fleet.run("smoke", TINY | {"server.replicas": 2})
    assert str(run.path.absolute()) in set(table["run"])
    compared = l2h_fleet.compare([run, table["run"].iloc[0]])
    assert compared["runs"]
    with pytest.raises(l2h_fleet.BadInput, match=r"server\.replicas"):
        l2h_fleet.sweep("smoke", {"server.replicas": [1, -2]})


@pytest.mark.slow
def test_what_the_page_shows_runs_as_it_stands(capsys):
    """One block after another, as in a notebook."""
    page = (ROOT / "docs/python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert "server.replicas" in capsys.readouterr().out
