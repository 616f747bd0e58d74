"""What a run keeps of every request, and that all who read it know what is not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from plain import draw_plainly
from typer.testing import CliRunner

from analysis import load_run, write_comparison, write_report
from analysis.run_folder.kept_rows import refuse_given_up
from analysis.run_folder.latencies import latencies_of
from commands.main import app
from sim.errors import BadInput
from sim.results.columns_by_run import GIVEN_UP, TOLD_ELSEWHERE

DETAILS = ("full", "lean", "none")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """The same short run under each detail, with an outage, retries and two groups."""
    place, found = tmp_path_factory.mktemp("detail"), {}
    with pytest.MonkeyPatch.context() as patched:
        draw_plainly(patched)
        patched.setenv("L2H_CACHE", str(place / "cache"))
        for detail in DETAILS:
            found[detail] = place / detail
            words = ["run", "smoke", "--local", "--quiet", "--set", f"detail={detail}"]
            done = CliRunner().invoke(app, [*words, "--out", str(found[detail])])
            assert done.exit_code == 0, done.output
    return found


def leaves(part, path=""):
    if isinstance(part, dict | list):
        for name, value in part.items() if isinstance(part, dict) else enumerate(part):
            yield from leaves(value, f"{path}.{name}")
    else:
        yield path, part


def summary(folder: Path):
    return json.loads((folder / "summary.json").read_text())


def stored(folder: Path) -> set[str]:
    return set(pq.read_schema(next((folder / "requests").glob("*.parquet"))).names)


@pytest.mark.slow
def test_a_lean_run_has_the_summary_of_the_full_one_from_fewer_columns(runs):
    assert (runs["lean"] / "summary.json").read_bytes() == (runs["full"] / "summary.json").read_bytes()
    assert stored(runs["full"]) - stored(runs["lean"]) == {*GIVEN_UP, *TOLD_ELSEWHERE}


@pytest.mark.slow
def test_the_rows_of_a_lean_run_are_those_of_the_full_one_without_what_it_gave_up(runs):
    full, lean = (load_run(runs[name]).requests for name in ("full", "lean"))
    assert set(full) - set(lean) == set(GIVEN_UP)
    assert full[list(lean)].equals(lean)


def test_every_number_of_a_run_without_rows_is_that_of_the_full_one(runs):
    """Counts, shares and means to rounding, percentiles to a step of a hundredth."""
    full, none = (dict(leaves(summary(runs[name]))) for name in ("full", "none"))
    told = {path: value for path, value in none.items() if isinstance(value, int | float)}
    assert len(told) > 300
    for path, value in told.items():
        off = 0.01 if ".p50" in path or ".p95" in path or ".p99" in path else 1e-9
        assert value == pytest.approx(full[path], rel=off, abs=1e-12), path


def test_a_run_without_rows_says_why_it_has_no_interval(runs):
    assert "detail: none" in summary(runs["none"])["intervals"]["latency_s"]["final"]["p95"]["why"]


def test_a_run_without_rows_has_none_and_its_report_says_what_is_missing(runs):
    assert not (runs["none"] / "requests").exists()
    assert "detail: none kept sums of the requests" in (runs["none"] / "report.html").read_text()
    assert not (runs["none"] / "trace.json.gz").exists()
    assert write_report(runs["none"]).exists()


def test_who_needs_rows_says_in_one_line_that_there_are_none(runs, tmp_path):
    for ask in (
        lambda: load_run(runs["none"]).requests,
        lambda: write_comparison([runs["full"], runs["none"]], tmp_path / "compared"),
    ):
        with pytest.raises(BadInput, match="holds no requests, of which `detail: none` keeps sums") as told:
            ask()
        assert "\n" not in str(told.value)
    assert latencies_of(runs["none"], "latency_s.final.p95") is None


@pytest.mark.parametrize("command", [("replay", "--set", "server.replicas=3"), ("metrics",)])
def test_commands_that_need_rows_end_in_one_line(runs, command):
    name, *more = command
    done = CliRunner().invoke(app, [name, str(runs["none"]), *more])
    assert isinstance(done.exception, BadInput)
    assert "detail: none" in str(done.exception)


def test_a_query_finds_the_same_in_a_lean_run_and_names_the_key_for_what_is_gone(runs):
    pytest.importorskip("duckdb")
    query = 'SELECT "group", label, held_out, client_id, count(*) FROM requests GROUP BY ALL ORDER BY ALL'
    full, lean = (load_run(runs[name]).sql(query).fetchall() for name in ("full", "lean"))
    assert full == lean
    with pytest.raises(BadInput, match="detail: lean"):
        load_run(runs["lean"]).sql("SELECT propensity FROM requests")
    with pytest.raises(BadInput, match="detail: none"):
        load_run(runs["none"]).sql("SELECT count(*) FROM requests")


@pytest.mark.slow
def test_what_is_left_of_a_lean_run_without_its_samples_is_shown(runs, tmp_path):
    """Which have labels and halves of its requests."""
    folder = shutil.copytree(runs["lean"], tmp_path / "run")
    (folder / "samples.parquet").unlink()
    with pytest.raises(BadInput, match=r"samples\.parquet"):
        write_report(folder)
    assert (folder / "report_partial.html").exists()


def test_a_column_that_a_lean_run_gave_up_is_named(runs):
    with pytest.raises(BadInput, match="no column threshold, which `detail: lean` leaves out"):
        refuse_given_up(load_run(runs["lean"]), ["threshold"])
