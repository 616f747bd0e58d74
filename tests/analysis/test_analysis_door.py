"""The doors into a run folder: frames, SQL as the page shows it, and folders that are not whole."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_folders import write_tiny

import analysis
from analysis.metrics.summary import json_safe
from analysis.run_folder.integrity import salvage
from analysis.run_folder.traffic import traffic_of
from sim.errors import BadInput
from sim.results.columns import OWN_KEY
from sim.results.run_folder import write_sums

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reading_results.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
Finished = tuple[Path, dict[str, Any]]


@pytest.fixture
def at_home(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which runs/outage is a run, as on the page."""
    shutil.copytree(finished[0], tmp_path / "runs/outage")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs/outage"


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_page_gives_rows(at_home: Path, query: str) -> None:
    assert at_home.is_dir()
    assert duckdb.sql(query.strip().removesuffix(";")).fetchall()


def test_sql_and_frames_agree(at_home: Path) -> None:
    rows = duckdb.sql(QUERIES[0].strip().removesuffix(";")).fetchall()
    requests = analysis.load_run(at_home).requests
    counted = requests[requests["held_out"] & (requests["arrived_at_s"] >= 60)]
    frame = counted.groupby(["group", "outcome"], observed=True)["correct"].agg(["size", "mean"])
    assert {(group, outcome): (n, share) for group, outcome, n, share in rows} == {
        key: (row["size"], pytest.approx(row["mean"])) for key, row in frame.iterrows()
    }


def test_the_python_of_the_page_runs(at_home: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    assert len(found["requests"]) == 14_400
    assert found["run"].tables == tuple(
        sorted([*("attempts", "requests"), *(p.stem for p in at_home.glob("*.parquet"))])
    )


def test_tables_of_a_newer_version_can_be_read_as_they_are(at_home: Path) -> None:
    pq.write_table(pa.table({"policy": ["a", "b"], "gain": [0.1, 0.2]}), at_home / "study.parquet")
    run = analysis.load_run(at_home)
    assert "study" in run.tables
    assert run.table("study")["gain"].tolist() == [0.1, 0.2]
    assert len(run.table("requests")) == len(run.requests)
    with pytest.raises(BadInput, match="no table studdy; did you mean study"):
        run.table("studdy")


def test_requests_in_memory_are_narrow(finished: Finished) -> None:
    traffic = traffic_of(analysis.load_run(finished[0]))
    per_request = traffic.everything.memory_usage(index=False, deep=True).sum() / len(traffic.everything)
    assert per_request <= 70
    assert traffic.clusters.cell.nbytes == 4 * len(traffic.requests)
    assert np.shares_memory(
        traffic.everything["final_s"].to_numpy(), traffic.requests["final_s"].to_numpy()
    ), "what counts is a view of everything"


def lose(*names: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for name in names:
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

    return damage


def outdate(folder: Path) -> None:
    part = folder / "requests/part-0000001.parquet"
    pq.write_table(pq.read_table(part).drop_columns(["attempts"]), part)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "table", "figures"),
    [
        (lose("timeline.parquet"), "timeline", {"outcomes", "latency", "deferral", "learning"}),
        (lose("events.parquet"), "events", {"study_contrast", "study_losses", "study_bounded"}),
        (cut("study.parquet"), "study", {"timeline", "outcomes", "study_losses", "study_bounded"}),
        (lose("requests"), "requests", {"timeline", "deferral", "learning"}),
        (lose("samples.parquet", "learning.parquet"), "learning", {"timeline", "outcomes", "latency"}),
        (lose("timeline.parquet", "events.parquet", "samples.parquet"), "events", {"outcomes", "latency"}),
        (cut("requests/part-0000002.parquet"), "requests", {"timeline", "outcomes", "latency", "learning"}),
        (outdate, "requests", {"timeline", "outcomes", "latency", "learning"}),
    ],
)
@pytest.mark.usefixtures("plain_pictures")
def test_what_can_still_be_read_is_shown(
    finished: Finished, tmp_path: Path, damage: Callable[[Path], None], table: str, figures: set[str]
) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    before = (folder / "report.html").read_bytes()
    damage(folder)
    with pytest.raises(BadInput, match="what can still be read is in") as refused:
        analysis.write_report(folder)
    assert "\n" not in str(refused.value)
    assert (folder / "report.html").read_bytes() == before
    page = (folder / "report_partial.html").read_text()
    states = {state.table: state for state in analysis.integrity_of(folder)}
    assert not states[table].is_fine
    assert states["clients"].is_fine
    shown = set(re.findall(r'<section id="(\w+)">', page))
    assert figures <= shown
    assert str(states[table].why).split(": ")[-1][:20] in page


def of_version(version: str, old: str, new: str) -> Callable[[Path], None]:
    """Another version's folder, or with "" nobody's, with a scenario that says something otherwise."""

    def change(folder: Path) -> None:
        if version:
            (folder / "versions.json").write_text(json.dumps({OWN_KEY: version}))
        text = (folder / "scenario.yaml").read_text()
        assert old in text
        (folder / "scenario.yaml").write_text(text.replace(old, new))

    return change


OTHER = "written by l2h-fleet 0.0.9, read by 0.2.0: the meaning of numbers may differ"
CHANGED = "scenario.yaml: has changed since the run, so what it says may not be what was run"


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (of_version("0.0.9", "fallback: client", "fallback: client\n    colour: red"), OTHER),
        (of_version("", "fallback: client", "fallback: client\n    colour: red"), CHANGED),
        (lose("versions.json"), "versions.json: is missing, so nobody knows which version wrote the folder"),
    ],
    ids=["another version", "a key from nowhere", "no version"],
)
@pytest.mark.usefixtures("plain_pictures")
def test_provenance_warnings_are_shown_and_the_report_is_made(
    finished: Finished,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Path], None],
    warning: str,
) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    write_sums(folder, {})
    assert analysis.load_run(folder).warnings == ()
    change(folder)
    report = analysis.write_report(folder)
    assert [record.getMessage() for record in caplog.records] == list(analysis.load_run(folder).warnings)
    assert f"Read with care: {folder}" in report.read_text()
    assert warning in report.read_text()
    assert json.loads((folder / "summary.json").read_text()) == json_safe(finished[1])


def test_provenance_warnings_are_shown_in_a_comparison(finished: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    lose("versions.json")(folder)
    analysis.write_comparison([finished[0], folder], tmp_path / "compared")
    assert "nobody knows which version" in (tmp_path / "compared/compare.html").read_text()


@pytest.mark.parametrize(
    ("old", "new", "figures"),
    [
        ("c_e: 0.1, c_1", "c_1", set()),
        ("  service: {", "  serving: {", {"outcomes", "contrast"}),
        ("warm_up_s: ", "warm_up_s: soon  # ", set()),
    ],
)
@pytest.mark.usefixtures("plain_pictures")
def test_a_key_that_another_version_names_otherwise_costs_one_line(
    finished: Finished, tmp_path: Path, old: str, new: str, figures: set[str]
) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    of_version("0.0.9", old, new)(folder)
    with pytest.raises(BadInput, match=r"written by l2h-fleet 0\.0\.9.* it cannot be summed up") as refused:
        analysis.write_report(folder)
    assert "\n" not in str(refused.value)
    page = folder / "report_partial.html"
    assert page.exists() == bool(figures)
    if figures:
        assert figures <= set(re.findall(r'<section id="(\w+)">', page.read_text()))


def test_in_a_folder_of_this_version_an_error_is_left_as_it_is(finished: Finished, tmp_path: Path) -> None:
    """A bug must not hide behind a word on the folder."""
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    of_version("", "  service: {", "  serving: {")(folder)
    with pytest.raises(KeyError):
        analysis.finish(folder)


@pytest.mark.parametrize(
    ("table", "column"),
    [("clients", "variant"), ("requests/part-0000001", "outcome"), ("reliability", "right")],
)
@pytest.mark.usefixtures("plain_pictures")
def test_column_of_the_wrong_type_is_damage(
    finished: Finished, tmp_path: Path, table: str, column: str
) -> None:
    """Though its values could be read as what they ought to be."""
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    file = folder / f"{table}.parquet"
    rows = pq.read_table(file)
    other = pa.array([str(7)] * len(rows)) if column != "outcome" else pa.array([7] * len(rows))
    pq.write_table(rows.set_column(rows.column_names.index(column), column, other), file)
    with pytest.raises(BadInput, match=rf"parquet: damaged: column {column} holds \w+, not ") as refused:
        analysis.write_report(folder)
    assert "\n" not in str(refused.value)
    assert (folder / "report_partial.html").exists()


def test_text_and_numbers_of_other_widths_are_read(finished: Finished, tmp_path: Path) -> None:
    """As pandas and DuckDB write tables again."""
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    again = pd.read_parquet(folder / "clients.parquet").astype({"group": "str", "variant": "int64"})
    again.to_parquet(folder / "clients.parquet")
    expected = analysis.load_run(finished[0]).clients
    pd.testing.assert_frame_equal(analysis.load_run(folder).clients, expected)


def test_requests_of_the_parts_that_are_left_are_counted(finished: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    cut("requests/part-0000002.parquet")(folder)
    traffic, states = salvage(folder)
    (requests,) = [state for state in states if state.table == "requests"]
    assert (requests.readable, requests.files) == (4, 5)
    lost = pq.read_metadata(finished[0] / "requests/part-0000002.parquet").num_rows
    assert len(traffic.everything) == 14_400 - lost


@pytest.mark.usefixtures("plain_pictures")
def test_page_of_the_rest_goes_when_the_folder_is_whole_again(finished: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    kept = (folder / "timeline.parquet").read_bytes()
    lose("timeline.parquet")(folder)
    with pytest.raises(BadInput):
        analysis.write_report(folder)
    (folder / "timeline.parquet").write_bytes(kept)
    analysis.write_report(folder)
    assert not (folder / "report_partial.html").exists()


@pytest.mark.usefixtures("plain_pictures")
def test_page_of_the_rest_of_a_run_without_traffic_has_no_time_line(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "run", [], horizon_s=0)
    lose("deferral.parquet")(folder)
    with pytest.raises(BadInput, match="what can still be read is in"):
        analysis.write_report(folder)
    shown = set(re.findall(r'<section id="(\w+)">', (folder / "report_partial.html").read_text()))
    assert "learning" in shown
    assert not shown & {"timeline", "outcomes", "latency"}


def test_folder_of_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match=r"not a run folder, scenario\.yaml is missing"):
        analysis.write_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
