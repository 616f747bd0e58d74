"""Sweeps, studies and searches as a user meets them: what is finished stays, and is what one run gives."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import typer

from analysis.statistics.comparison import load_traffics
from analysis.statistics.over_seeds import arms_of, compare_over_seeds
from commands import capacity, main, many_runs, one_run, search
from commands.progress import Quiet
from commands.run_cache import CHANGED, Cell, How, _alone, cells_of, compute, compute_all, compute_elsewhere
from sim.errors import BadInput, RunFailed
from sim.results.run_folder import VERSIONS
from sim.scenario import read

pytestmark = pytest.mark.usefixtures("plain_pictures")

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "horizon_s=75",
    "training.pretrain.epochs=1",
    "fleet.*.model.epochs=2",
    "fleet.known.model.variants=1",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Where the runs of this module are kept, so that each is made once."""
    return tmp_path_factory.mktemp("many") / "cells"


def swept(out: Path, store: Path, *vary: str, seeds: int = 1, jobs: int = 1, changes=TINY, show=None):
    many_runs.sweep(
        "smoke",
        list(vary),
        seeds,
        list(changes),
        show=show or ["risk"],
        out=out,
        store=store,
        jobs=jobs,
        quiet=True,
    )
    return pd.read_parquet(out / "sweep.parquet")


GRID = ("costs.c_e=0.05,0.4", "server.replicas=1,2")


@pytest.fixture(scope="module")
def grid(store, tmp_path_factory) -> Path:
    """A finished sweep's folder."""
    out = tmp_path_factory.mktemp("grid") / "out"
    swept(out, store, *GRID, seeds=2)
    return out


def tables_of(folder: Path) -> dict[str, bytes]:
    """Everything that a run's results are, by file."""
    files = [*folder.rglob("*.parquet"), folder / "summary.json", folder / "scenario.yaml"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def stamps(store: Path) -> dict[str, int]:
    """When each finished cell was finished."""
    return {path.parent.name: path.stat().st_mtime_ns for path in store.glob("*/summary.json")}


def test_a_sweep_is_one_table_with_a_row_per_cell(grid):
    table = pd.read_parquet(grid / "sweep.parquet")
    assert table[["costs.c_e", "server.replicas", "seed"]].to_numpy().tolist() == [
        [c_e, replicas, seed] for c_e in (0.05, 0.4) for replicas in (1, 2) for seed in (1, 2)
    ]
    for row in table.to_dict("records"):
        summary = json.loads((Path(row["run"]) / "summary.json").read_text())
        assert row["valid"] == summary["valid"]
        assert row["accuracy.held_out.all.value"] == summary["accuracy"]["held_out"]["all"]["value"]
        assert row["latency_s.final.p95"] == summary["latency_s"]["final"]["p95"]
        assert row["counts.outcome.remote"] == summary["counts"]["outcome"]["remote"]
        assert pd.isna(row["cost.spend"])
    assert {path.name for path in grid.iterdir()} == {"sweep.parquet", "sweep.json", "sweep.html", "figures"}


def test_a_cell_holds_the_bytes_of_a_run(grid, tmp_path):
    row = pd.read_parquet(grid / "sweep.parquet").iloc[3]
    plan = read("smoke", [*TINY, "costs.c_e=0.05", "server.replicas=2"], 2)
    question = "Does every stage of a run work, in seconds?"
    one_run.execute(plan, question, tmp_path / "run", False, 0, None, Quiet())
    assert tables_of(Path(row["run"])) == tables_of(tmp_path / "run")


def test_what_is_there_is_not_run_again(grid, store, tmp_path, monkeypatch, capsys):
    before = stamps(store)

    def never(*_args, **_options):
        raise AssertionError("this was run before")

    monkeypatch.setattr(one_run, "execute", never)
    part = swept(tmp_path / "out", store, "server.replicas=1,2", "costs.c_e=0.05", seeds=2)
    reported = capsys.readouterr().out
    assert "Sweep of smoke: 4 runs: 2 settings, 2 seeds each" in reported
    assert reported.strip().endswith(f"sweep: {tmp_path / 'out/sweep.html'}")
    whole = pd.read_parquet(grid / "sweep.parquet")
    assert sorted(part["run"]) == sorted(whole.loc[whole["costs.c_e"] == 0.05, "run"])
    assert stamps(store) == before


def test_the_key_of_a_cell_holds_versions_and_code(store, monkeypatch):
    plan = read("smoke", TINY)
    (cell,) = cells_of([plan], "?", store)
    assert cell.folder.name.startswith("smoke-")
    assert cell.folder == cells_of([read("smoke", TINY)], "other", store)[0].folder
    with monkeypatch.context() as changed:
        changed.setattr("commands.run_cache.versions", lambda: {"numpy": "9.9.9"})
        assert cells_of([plan], "?", store)[0].folder != cell.folder
    monkeypatch.setattr("commands.run_cache.sources", lambda: "other code")
    assert cells_of([plan], "?", store)[0].folder != cell.folder


@pytest.mark.slow
def test_a_failed_cell_is_told_and_stops_no_other(store, tmp_path, monkeypatch, capsys):
    run = one_run.execute

    def breaks(plan, *arguments, **options):
        if plan.costs.c_e == 0.3:
            raise RunFailed("learn", "no such chance")
        if plan.costs.c_e == 0.35:
            raise ZeroDivisionError("nor such")
        run(plan, *arguments, **options)

    monkeypatch.setattr(one_run, "execute", breaks)
    with pytest.raises(typer.Exit) as ended:
        swept(tmp_path / "out", store, "costs.c_e=0.3,0.05,0.35")
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err.splitlines() == [
        "cell costs.c_e=0.3 seed=1: failed in stage 'learn': no such chance",
        "cell costs.c_e=0.35 seed=1: failed: ZeroDivisionError: nor such",
        "2 of 3 cells failed; the others are finished",
    ]
    assert pd.read_parquet(tmp_path / "out/sweep.parquet")["costs.c_e"].tolist() == [0.05]
    with pytest.raises(typer.Exit):
        swept(tmp_path / "none", store, "costs.c_e=0.3,0.35")
    assert capsys.readouterr().err.splitlines()[-1] == "2 of 2 cells failed; none is finished"
    monkeypatch.setattr(one_run, "execute", run)
    assert len(swept(tmp_path / "out", store, "costs.c_e=0.3,0.05,0.35")) == 3


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    run, made = one_run.execute, []

    def interrupted(plan, *arguments, **options):
        if made:
            raise KeyboardInterrupt
        made.append(plan)
        run(plan, *arguments, **options)

    monkeypatch.setattr(one_run, "execute", interrupted)
    with pytest.raises(typer.Exit) as ended:
        swept(tmp_path / "out", tmp_path / "cells", "costs.c_e=0.05,0.1")
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == ("1 of 2 cells are finished; the same command goes on from there\n")
    assert not (tmp_path / "out").exists()
    assert len(stamps(tmp_path / "cells")) == 1


SLOW_ON_RAY = (pytest.mark.ray, pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "blow", "least"),
    [
        (["--jobs", "1"], signal.SIGKILL, 2),
        pytest.param(["--jobs", "2"], signal.SIGINT, 1, marks=SLOW_ON_RAY),
        pytest.param(["--workers", "2"], signal.SIGKILL, 1, marks=SLOW_ON_RAY),
    ],
)
def test_a_sweep_that_was_broken_off_goes_on_where_it_was(how, blow, least, tmp_path):
    """After some of four cells; the table is that of an undisturbed sweep, and nobody is left at work."""
    place, vary = tmp_path / "broken", "costs.c_e=0.05,0.1,0.2,0.3"
    words = ["sweep", "smoke", "--vary", vary, *how, "--out", "out", "--run-cache", "broken"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_sim.py"), *words, *(w for c in TINY for w in ("--set", c))],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    give_up = time.monotonic() + 120
    while len(stamps(place)) < least and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.005)
    process.send_signal(blow)
    reported = process.communicate(timeout=30)[1]
    before = stamps(place)
    assert least <= len(before) < 4
    if blow == signal.SIGINT:
        assert process.returncode == 130
        said = re.search(r"(\d) of 4 cells are finished; the same command goes on from there", reported)
        if said is None:  # on a busy machine two seconds may be over before it is counted
            assert reported.endswith("interrupted\n")
        else:  # one that is at work elsewhere may still end
            assert least <= int(said[1]) <= len(before)
    table = swept(tmp_path / "out", place, vary)
    assert {name: at for name, at in stamps(place).items() if name in before} == before
    clean = swept(tmp_path / "clean", tmp_path / "undisturbed", vary)
    pd.testing.assert_frame_equal(table.drop(columns="run"), clean.drop(columns="run"))
    with pytest.raises(ProcessLookupError):  # by now those of Ray have noticed, too
        os.killpg(process.pid, 0)


def test_what_a_cell_that_was_killed_at_its_very_end_left_is_removed(store, tmp_path):
    swept(tmp_path / "a", store, "costs.c_e=0.05")
    (cell,) = cells_of([read("smoke", [*TINY, "costs.c_e=0.05"])], "?", store)
    files = tables_of(cell.folder)
    (cell.folder / "checkpoint/timeline").mkdir(parents=True)
    (cell.folder / "checkpoint/timeline/part-0000000.parquet").write_text("")
    (cell.folder / ".timing.json.k1ll3d").write_text("")
    before = stamps(store)
    swept(tmp_path / "b", store, "costs.c_e=0.05")
    assert stamps(store) == before
    assert tables_of(cell.folder) == files
    assert not [path for path in cell.folder.iterdir() if path.name.startswith((".", "checkpoint"))]


def test_a_cell_is_not_computed_by_other_code_than_its_name_tells(tmp_path, monkeypatch):
    """A process that begins later would load what was changed meanwhile; this one has what it began with."""
    cells = cells_of([read("smoke", TINY)], "?", tmp_path)
    monkeypatch.setattr(one_run, "execute", lambda *_args, **_options: None)
    monkeypatch.setattr("commands.run_cache.sources_now", lambda: "changed")
    assert compute(cells[0]) is None
    assert compute(cells[0], workers=1) == CHANGED
    plan, *where = cells[0]
    elsewhere = (plan.model_dump_json(), *where, {}, None)
    assert compute_elsewhere(*elsewhere) is None
    monkeypatch.setattr("commands.run_cache.sources", lambda: "changed")
    assert compute_elsewhere(*elsewhere) == CHANGED


@pytest.mark.slow
def test_a_cell_that_was_killed_as_it_began_is_begun_again(store, tmp_path):
    (cell,) = cells_of([read("smoke", [*TINY, "costs.c_e=0.15"])], "?", store)
    cell.folder.mkdir(parents=True)
    for name in (".failure.txt.k1ll3d", "failure.txt", ".versions.json.k1ll3d"):
        (cell.folder / name).write_text("")
    assert len(swept(tmp_path / "a", store, "costs.c_e=0.15")) == 1
    (cell.folder / "summary.json").unlink()  # as if killed before the end
    (cell.folder / VERSIONS).read_text()
    assert len(swept(tmp_path / "b", store, "costs.c_e=0.15")) == 1


def test_whoever_wants_a_cell_that_is_being_computed_waits_for_it(tmp_path, monkeypatch):
    def never(*_args, **_options):
        raise AssertionError("this is being computed already")

    monkeypatch.setattr(one_run, "execute", never)
    (cell,) = cells_of([read("smoke")], "?", tmp_path)
    ready, done = os.pipe(), cell.folder / "summary.json"
    child = os.fork()
    if child == 0:
        with _alone(cell.folder):
            os.write(ready[1], b"!")
            time.sleep(0.3)
            done.write_text("{}")
        os._exit(0)
    os.read(ready[0], 1)
    assert not done.exists()
    assert compute(cell) is None
    assert done.exists()
    os.waitpid(child, 0)
    cell.folder.joinpath("summary.json").unlink()
    assert compute(cell) == "failed: AssertionError: this is being computed already"


def test_a_store_on_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (cell,) = cells_of([read("smoke")], "?", tmp_path)
    cell.folder.mkdir()
    (cell.folder / "summary.json").write_text("{}")
    monkeypatch.setattr(fcntl, "lockf", none)
    assert compute(cell) is None


def test_a_single_cell_that_is_missing_is_computed_on_the_cluster_that_was_named(tmp_path, monkeypatch):
    """The machine that asks may be one on which nobody should compute."""
    asked = []

    def run_tasks(_function, calls, jobs, address, _waiting):
        asked.append((len(calls), jobs, address))
        yield 0, "not here"

    monkeypatch.setattr("agents.backends.cluster.run_tasks", run_tasks)
    (cell,) = cells_of([read("smoke", TINY)], "Why?", tmp_path)
    reported = Quiet()
    assert compute_all([cell], How(4, ray_address="head:6379"), reported) == {cell.folder: "not here"}
    assert asked == [(1, 1, "head:6379")]


@pytest.mark.ray
@pytest.mark.slow
def test_jobs_on_ray_give_the_bytes_of_one_after_another(store, tmp_path):
    """Also a cell that is wrong only when it runs: told, while the other is finished."""
    words = [
        "sweep",
        "smoke",
        "--vary",
        "costs.c_e=0.05,0.4",
        "--jobs",
        "2",
        "--out",
        "out",
        "--run-cache",
        "ray",
    ]
    reported = subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), *words, *(w for c in TINY for w in ("--set", c))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert reported.returncode == 0, reported.stderr
    assert "cells: 100%  2 of 2 cells" in reported.stderr
    assert (tmp_path / ".cache/clients").is_dir(), "the cache is the one of the working folder"
    alone = swept(tmp_path / "alone", store, "costs.c_e=0.05,0.4")
    for folder in alone["run"]:
        assert tables_of(tmp_path / "ray" / Path(folder).name) == tables_of(Path(folder))


STUDY = """\
# Who keeps working when the server is gone?
scenario: smoke
seeds: 3
baseline: l2h
set: {horizon_s: 75, training.pretrain.epochs: 1, fleet.*.model.epochs: 2, fleet.known.model.variants: 1}
policies:
  - {name: always_local, set: {fleet.*.policy.price: {kind: always_local}}}
  - {name: l2h}
  - {name: no_fallback, set: {fleet.*.fallback: none}}
"""


@pytest.fixture(scope="module")
def studied(store, tmp_path_factory) -> Path:
    """A finished study's folder."""
    place = tmp_path_factory.mktemp("study")
    (place / "mine.yaml").write_text(STUDY)
    many_runs.study(str(place / "mine.yaml"), out=place / "out", store=store, jobs=1, quiet=True)
    return place / "out"


@pytest.mark.slow
def test_differences_of_a_study_are_those_of_compare(studied):
    reported = json.loads((studied / "study.json").read_text())
    table = pd.read_parquet(studied / "study.parquet")
    folders = {name: [Path(run) for run in part["run"]] for name, part in table.groupby("policy")}
    for name in ("always_local", "no_fallback"):
        arms = arms_of(load_traffics([*folders["l2h"], *folders[name]]))
        (run,) = compare_over_seeds(arms, ["l2h", name])["runs"]
        results = next(one["differences"] for one in reported["policies"] if one["chosen"] == [name])
        assert len(results) >= 25
        for measure, numbers in results.items():
            same = run["measures"][measure]
            assert (numbers.pop("by"), numbers.pop("why")) == (same.pop("by"), same.pop("why"))
            assert numbers == pytest.approx(same, abs=1e-12, nan_ok=True), measure


@pytest.mark.slow
def test_without_a_fallback_the_server_takes_the_fleet_along(studied):
    reported = json.loads((studied / "study.json").read_text())
    results = next(one["differences"] for one in reported["policies"] if one["chosen"] == ["no_fallback"])
    assert results["answered_in_outages"]["high"] < 0
    assert results["accuracy_in_outages"]["difference"] < 0
    assert results["accuracy"]["difference"] < 0
    assert results["offered_load"]["difference"] == 0


@pytest.mark.slow
def test_runs_that_met_other_requests_are_not_compared(studied, tmp_path):
    from analysis.reports.policy_study import require_same_traffic  # noqa: PLC0415

    table = pd.read_parquet(studied / "study.parquet")
    require_same_traffic(table)
    strange = shutil.copytree(table["run"].iloc[1], tmp_path / "strange")
    shutil.rmtree(strange / "requests")
    shutil.copytree(Path(table["run"].iloc[0]) / "requests", strange / "requests")
    (strange / "SHA256SUMS").unlink()  # which would tell that its parts are another run's
    table.loc[1, "run"] = str(strange)
    with pytest.raises(RunFailed, match="always_local and l2h did not meet the same requests under seed 2"):
        require_same_traffic(table)


def test_check_tells_of_a_study(tmp_path, capsys):
    main.check("smoke_policies")
    assert capsys.readouterr().out == (
        "smoke_policies: fine (6 policies, 3 seeds; baseline l2h; the same traffic for all)\n"
    )
    (tmp_path / "mine.yaml").write_text(
        STUDY.replace("{name: l2h}", "{name: l2h, set: {fleet.known.clients: 5}}")
    )
    with pytest.raises(BadInput, match=r"would not share its traffic with l2h: fleet\.known\.clients is 6"):
        main.check(str(tmp_path / "mine.yaml"))
    with pytest.raises(BadInput, match="--seed"):
        main.check("smoke_policies", seed=3)


@pytest.mark.slow
def test_capacity_runs_cells_of_the_same_store(store, tmp_path, capsys):
    """A deferral rate does not depend on replicas, so the fewest meet it, as one run each shows."""
    options = {"out": tmp_path / "out", "store": store, "jobs": 1, "quiet": True, "changes": TINY}
    table = swept(tmp_path / "sweep", store, "server.replicas=1,2", seeds=4)
    before = stamps(store)
    limit = 1.0
    capacity.capacity("smoke", f"deferral_rate<={limit}", replicas="1:2", seeds=4, **options)
    assert stamps(store) == before
    said = capsys.readouterr().out.strip().splitlines()[-1]
    assert said == (f"fewest replicas from 1 to 2 that meet deferral_rate <= {limit:g}: 1 (95% confidence)")
    reported = json.loads((tmp_path / "out/capacity.json").read_text())
    assert (reported["best"], reported["answer"]) == (1, said)
    asked = [f"deferral_rate<={limit}", "groups.known.whole_run.accuracy>=0", "answered_in_time>=0"]
    capacity.capacity("smoke", asked, replicas="1:2", seeds=4, **options)
    said_of_all = capsys.readouterr().out.strip().splitlines()[-1]
    assert said_of_all == "fewest replicas that meet all of them: 1 (95% confidence)"
    by_hand = table.groupby("server.replicas")["rates.deferral_rate.value"].mean()
    assert [one["mean"] for one in reported["decisions"]] == pytest.approx(by_hand.tolist())


def test_an_answer_from_runs_that_are_not_valid_says_so(tmp_path):
    span = search.span_of("1:2", None)
    runs = search.Runs("smoke", TINY, None, span, tmp_path, lambda *_: None)
    cells = [
        (one.chosen, cell)
        for n in (1, 2)
        for one, cell in zip(runs.variants(n, 2), made_of(runs, n), strict=True)
    ]
    for number, (chosen, cell) in enumerate(cells):
        cell.folder.mkdir(parents=True)
        summary = {"valid": number != 3, "invalid_because": ["the queue still grew"] if number == 3 else []}
        (cell.folder / "summary.json").write_text(json.dumps(summary))
        runs.made[cell.folder] = (chosen, cell)
    assert (runs.reservation(1), runs.reservation(None)) == ("", "")
    assert runs.reservation(2) == (
        ". Not to be relied on: 1 of its 2 runs are not valid: the queue still grew"
    )


def made_of(runs: search.Runs, number: int) -> list[Cell]:
    return cells_of([one.scenario for one in runs.variants(number, 2)], "?", runs.store)


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"replicas": "1:2", "meet": "accuracy>=80"}, "accuracy is a share: its limit must lie between"),
        ({}, "give --replicas LO:HI or --clients GROUP=LO:HI, one of them"),
        ({"replicas": "1:2", "clients": "known=1:2"}, "one of them"),
        ({"replicas": "2:1"}, "--replicas 2:1: must be LO:HI"),
        ({"replicas": "0:2"}, "--replicas: server.replicas: 0 is not allowed"),
        ({"clients": "1:2"}, "--clients 1:2: must be written GROUP=LO:HI"),
        ({"clients": "knwn=1:2"}, 'no group is called "knwn": did you mean known?'),
        ({"replicas": "1:2", "meet": "latency.p96<=1"}, "latency.p96: is no number of a summary"),
        ({"replicas": "1:2", "confidence": 1.0}, "--confidence: 1 is not allowed"),
        ({"replicas": "1:2", "jobs": 2, "workers": 2}, "--workers: goes with --jobs 1 alone"),
        ({"replicas": "1:2", "jobs": 1, "ray_address": "x"}, "--ray-address: goes with"),
    ],
)
def test_bad_input_to_capacity_is_one_line_and_runs_nothing(options, reported, tmp_path):
    asked = {"meet": "latency.p95<=1", "out": tmp_path / "out", "store": tmp_path / "cells", "quiet": True}
    with pytest.raises(BadInput) as refused:
        capacity.capacity("smoke", **(asked | options))
    assert reported in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("vary", "changes", "reported"),
    [
        (["server.replicas=2,0"], [], "--vary server.replicas: 0 is not allowed"),
        (["fleet.narrow.clients=6,10001"], [], "(where fleet.narrow.clients=10001)"),
        (["fleet.0.clients=6,3", "fleet.known.clients=6"], [], "two combinations come to the same scenario"),
        (["server.replicas=1,2"], ["costs.c_e=-1"], "--set costs.c_e: -1 is not allowed"),
    ],
)
def test_bad_input_to_a_sweep_is_one_line_and_runs_nothing(vary, changes, reported, tmp_path):
    with pytest.raises(BadInput) as refused:
        swept(tmp_path / "out", tmp_path / "cells", *vary, changes=changes)
    assert reported in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_warning_is_told_once_for_all_cells(store, tmp_path):
    """In a process of its own, where nobody else collects what is logged."""
    asked = ["fleet.known.model.train_samples=3000", "training.form=released"]
    words = ["sweep", "smoke", "--vary", "costs.c_e=0.05,0.1", "--jobs", "1", "--quiet", "--run-cache", store]
    reported = subprocess.run(
        [sys.executable, ROOT / "run_sim.py", *words, *(w for c in TINY + asked for w in ("--set", c))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert sorted(reported.stderr.splitlines()) == [
        "fleet.known.model.train_samples: 3000 asked, the client pool has 359 for it",
        "training.form: 'released' rewards sending where the server is wrong",
    ]


def test_a_sweep_never_replaces_other_peoples_files(store, tmp_path):
    (tmp_path / "chapter.tex").write_text("years of work")
    others = tmp_path / "music/.song.partial"
    others.parent.mkdir()
    others.write_text("half of a download")
    with pytest.raises(BadInput, match="holds other things than a sweep"):
        swept(tmp_path, store, "server.replicas=1,2")
    assert others.exists()
    with pytest.raises(BadInput, match=r"latencyy: is no number of a summary"):
        swept(tmp_path / "out", store, "server.replicas=1,2", show=["latencyy"])


@pytest.mark.parametrize("option", ["--out", "--run-cache"])
def test_a_place_that_cannot_be_written_is_told_before_anything_runs(option, tmp_path):
    (tmp_path / "file").write_text("")
    given = {"--out": tmp_path / "out", "--run-cache": tmp_path / "cells"} | {option: tmp_path / "file/deep"}
    with pytest.raises(BadInput) as refused:
        swept(given["--out"], given["--run-cache"], "server.replicas=1,2")
    assert str(refused.value) == f"{option} {tmp_path / 'file/deep'}: cannot be written (Not a directory)"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
