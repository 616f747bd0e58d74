"""A run folder: claimed with care, its files whole or not there at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim.errors import BadInput, RunFailed
from sim.results.columns import EVENTS, TIMELINE
from sim.results.run_folder import Parts, claim, table_of, write_json, write_table


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the disk takes bytes into its cache and finds no place for them."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def a_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "versions.json").write_text('{"l2h-fleet": "0.1.0"}')
    (folder / "scenario.yaml").write_text("name: old\n")
    (folder / "requests").mkdir()
    (folder / "requests/part-0000000.parquet").write_text("rows")
    return folder


# Claiming.


def test_a_fresh_folder_is_made_with_all_above_it(tmp_path):
    claim(tmp_path / "runs/outage-7", force=False)
    assert list((tmp_path / "runs/outage-7").iterdir()) == []


@pytest.mark.parametrize("force", [False, True])
def test_an_empty_folder_is_taken(tmp_path, force):
    claim(tmp_path, force)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_kept_unless_force_is_given(tmp_path):
    folder = a_run(tmp_path / "run")
    before = files(folder)
    with pytest.raises(BadInput, match="holds a run already; give --resume, --force or another folder"):
        claim(folder, force=False)
    assert files(folder) == before


def test_force_clears_a_run(tmp_path):
    folder = a_run(tmp_path / "run")
    claim(folder, force=True)
    assert files(tmp_path) == {}
    assert folder.is_dir()


@pytest.mark.parametrize("force", [False, True])
def test_other_peoples_files_are_never_deleted(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match="exists and is not a run folder"):
        claim(tmp_path, force)
    assert files(tmp_path) == {"thesis.tex": "years of work"}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["failure.txt", ".failure.txt.k1ll3d", ".versions.json.k1ll3d"])
def test_what_a_process_left_that_was_killed_as_it_claimed_the_folder_is_nobodys(tmp_path, force, name):
    (tmp_path / name).write_text("")
    claim(tmp_path, force)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("force", [False, True])
def test_somebodys_story_of_a_failure_is_kept(tmp_path, force):
    (tmp_path / "failure.txt").write_text("what happened to me")
    with pytest.raises(BadInput, match="exists and is not a run folder"):
        claim(tmp_path, force)
    assert files(tmp_path) == {"failure.txt": "what happened to me"}


@pytest.mark.parametrize("force", [False, True])
def test_a_file_in_the_way_is_left_alone(tmp_path, force):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(BadInput, match="exists and is not a run folder"):
        claim(tmp_path / "run", force)
    assert files(tmp_path) == {"run": "mine"}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("text", ["", "{}", "3", "not JSON", '{"numpy": "2.4"}'])
def test_other_tools_versions_do_not_make_a_run(tmp_path, force, text):
    (tmp_path / "versions.json").write_text(text)
    (tmp_path / "scenario.yaml").write_text("name: theirs")
    with pytest.raises(BadInput, match="exists and is not a run folder"):
        claim(tmp_path, force)
    assert files(tmp_path) == {"versions.json": text, "scenario.yaml": "name: theirs"}


@pytest.mark.parametrize("force", [False, True])
def test_a_run_with_somebodys_notes_in_it_is_kept(tmp_path, force):
    folder = a_run(tmp_path / "run")
    (folder / "notes.md").write_text("what I saw")
    before = files(folder)
    with pytest.raises(BadInput, match=r"holds a run and besides notes\.md, which is none of its files"):
        claim(folder, force)
    assert files(folder) == before


def test_a_folder_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match=r"cannot be written \(Not a directory\)"):
        claim(tmp_path / "file/run", force=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(BadInput, match=r"cannot be written \(Permission denied\)"):
            claim(tmp_path / "run", force=False)
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_on_a_full_disk_is_refused_before_the_work_begins(tmp_path, monkeypatch):
    fill_the_disk(monkeypatch)
    with pytest.raises(BadInput, match=r"cannot be written \(No space left on device\)"):
        claim(tmp_path / "run", force=False)
    assert files(tmp_path) == {}


def test_a_link_to_a_run_stays_a_link(tmp_path):
    folder = a_run(tmp_path / "run")
    (tmp_path / "link").symlink_to(folder)
    claim(tmp_path / "link", force=True)
    assert (tmp_path / "link").is_symlink()
    assert files(folder) == {}


def test_a_clearing_that_is_interrupted_can_be_done_again(tmp_path, monkeypatch):
    folder = a_run(tmp_path / "run")

    def interrupted(_path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            claim(folder, force=True)
    claim(folder, force=True)
    assert files(folder) == {}


def test_what_a_killed_run_left_half_written_is_its_own(tmp_path):
    folder = a_run(tmp_path / "run")
    (folder / ".timeline.parquet.partial").write_text("half")
    claim(folder, force=True)
    assert files(folder) == {}


def test_a_name_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(BadInput, match="is no text in UTF-8"):
        claim(tmp_path / "od\udcff", force=False)


# Writing.


def test_a_table_that_the_disk_does_not_take_fails_the_run_in_words(tmp_path, monkeypatch):
    fill_the_disk(monkeypatch)
    with pytest.raises(RunFailed, match=r"failed in stage 'run': .*t\.parquet: cannot be written \(No space"):
        write_table(tmp_path / "t.parquet", pa.table({"a": [1]}))
    assert files(tmp_path) == {}


def test_parts_are_on_the_disk_when_all_have_been_given(tmp_path):
    tables = [pa.table({"a": [n]}) for n in range(5)]
    with Parts({}) as parts:
        for n, table in enumerate(tables):
            parts.write({tmp_path / f"{n}.parquet": table, tmp_path / "again" / f"{n}.parquet": table})
            assert len(list(tmp_path.glob("*.parquet"))) >= n  # no more than one is under way
    for n, table in enumerate(tables):
        assert pq.read_table(tmp_path / f"{n}.parquet").equals(table)
        assert pq.read_table(tmp_path / "again" / f"{n}.parquet").equals(table)


def give(*parts: dict[Path, pa.Table], then: Exception | None = None) -> None:
    with Parts({}) as writing:
        for part in parts:
            writing.write(part)
        if then:
            raise then


@pytest.mark.parametrize("more", [0, 1])
def test_a_part_that_the_disk_does_not_take_is_told_to_whoever_brings_the_next(tmp_path, monkeypatch, more):
    """Or to whoever waits for the last; what comes behind it is not written."""
    one = pa.table({"a": [1]})
    fill_the_disk(monkeypatch)
    first = {tmp_path / "t.parquet": one, tmp_path / "never.parquet": one}
    with pytest.raises(RunFailed, match=r"t\.parquet: cannot be written"):
        give(first, *[{tmp_path / "neither.parquet": one}] * more)
    assert files(tmp_path) == {}


def test_what_breaks_a_run_off_is_not_hidden_by_a_full_disk(tmp_path, monkeypatch):
    fill_the_disk(monkeypatch)
    with pytest.raises(KeyError):
        give({tmp_path / "t.parquet": pa.table({"a": [1]})}, then=KeyError("x"))


def test_instants_are_packed_without_a_dictionary(tmp_path):
    """It would be as long as they are."""
    write_table(
        tmp_path / "t.parquet",
        table_of({"at_s": [1.5], "kind": ["a"], "target": ["b"], "value": [2.0]}, EVENTS),
    )
    group = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0)
    packed = {group.column(n).path_in_schema: group.column(n).encodings for n in range(group.num_columns)}
    assert "BYTE_STREAM_SPLIT" in packed["at_s"]
    assert any("DICTIONARY" in name for name in packed["kind"])


def test_parts_tell_the_least_and_the_most_of_whom_and_when(tmp_path):
    """By which readers skip parts; of other columns it would take time to find them."""
    rows = {"request_id": [5, 7], "client_id": [0, 3], "arrived_at_s": [1.5, 9.0], "cost": [0.0, 0.1]}
    write_table(tmp_path / "t.parquet", pa.table(rows))
    group = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    told = {name: one.statistics for name, one in columns.items() if one.is_stats_set}
    assert {name: (one.min, one.max) for name, one in told.items()} == {
        "request_id": (5, 7),
        "client_id": (0, 3),
        "arrived_at_s": (1.5, 9.0),
    }
    assert "DELTA_BINARY_PACKED" in columns["client_id"].encodings


def test_json_is_sorted_and_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "s.json", {"b": 1, "a": None})
    text = (tmp_path / "s.json").read_text()
    assert json.loads(text) == {"a": None, "b": 1}
    assert text.index('"a"') < text.index('"b"')
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_has_no_nan(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "s.json", {"deep": {"a": [1.0, value]}})
    assert files(tmp_path) == {}


# Tables.


def test_a_table_is_read_as_it_was_made(tmp_path):
    columns = {
        "at_s": [0.0, 10.0],
        "kind": ["model_in_force", "outage_start"],
        "target": ["model", "server"],
        "value": np.array([0.0, np.nan]),
    }
    table = table_of(columns, EVENTS)
    assert table.schema.equals(EVENTS)
    write_table(tmp_path / "events.parquet", table)
    back = pq.read_table(tmp_path / "events.parquet")
    assert back.schema.equals(EVENTS)
    assert back["kind"].to_pylist() == columns["kind"]
    assert back["at_s"].to_pylist() == columns["at_s"]
    values = back["value"].to_pylist()
    assert values[0] == 0.0
    assert np.isnan(values[1])


def test_a_table_takes_arrays_of_another_width_if_the_values_fit():
    columns = {name: np.array([1, 2], dtype=np.int64) for name in TIMELINE.names}
    assert table_of(columns, TIMELINE).schema.equals(TIMELINE)
    with pytest.raises(pa.ArrowInvalid):
        table_of(columns | {"waiting": np.array([1, 2**40])}, TIMELINE)


def test_a_table_without_rows_keeps_its_types():
    assert table_of({name: [] for name in EVENTS.names}, EVENTS).schema.equals(EVENTS)
