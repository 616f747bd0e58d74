"""Tables of answers: one table whatever the format, and one line for whatever is wrong with one."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from brought_files import answers, graded, write

from sim.scenario.files import table_files
from sim.scenario.files.answers import answer_table
from sim.scenario.files.rows import BadFile

FORMATS = (".csv", ".parquet", ".npz")


@pytest.mark.parametrize("columns", [answers(), graded()], ids=["labels", "graded"])
def test_every_format_gives_the_same_table(columns, tmp_path):
    one, *others = (answer_table(str(write(columns, tmp_path / f"a{end}"))) for end in FORMATS)
    for other in others:
        assert (one.classes, one.is_graded) == (other.classes, other.is_graded)
        np.testing.assert_array_equal(one.label, other.label)
        np.testing.assert_array_equal(one.features, other.features)
        for mine, theirs in ((one.clients, other.clients), (one.servers, other.servers)):
            assert list(mine) == list(theirs)
            for name, model in mine.items():
                for part in ("label", "quality", "logits", "cost", "work"):
                    np.testing.assert_array_equal(getattr(model, part), getattr(theirs[name], part))
        for key, score in one.scores.items():
            np.testing.assert_array_equal(score, other.scores[key])


def test_names_may_hold_points_and_scores_may_be_of_a_variant(tmp_path):
    table = answer_table(str(write(graded(), tmp_path / "a.csv")))
    assert list(table.servers) == ["large/4.1", "medium"]
    assert set(table.scores) == {("router", ""), ("cheat", "small"), ("cheat", "tiny")}


@pytest.mark.parametrize("end", [".parquet", ".npz"])
def test_vectors_are_as_good_as_numbered_columns(end, tmp_path):
    columns = answers()
    told = answer_table(str(write(columns, tmp_path / "a.csv")))
    vectors = np.stack([columns.pop(f"probability.small.{one}") for one in range(4)], axis=1)
    looks = np.stack([columns.pop(f"features.{one}") for one in range(2)], axis=1)
    as_lists = (vectors, looks) if end == ".npz" else (list(vectors), list(looks))
    columns |= dict(zip(("probability.small", "features"), as_lists, strict=True))
    found = answer_table(str(write(columns, tmp_path / f"b{end}")))
    np.testing.assert_array_equal(found.clients["small"].logits, told.clients["small"].logits)
    np.testing.assert_array_equal(found.features, told.features)


def test_a_model_with_probabilities_alone_answers_its_most_likely_class(tmp_path):
    columns = answers()
    label = columns.pop("client_label.small")
    table = answer_table(str(write(columns, tmp_path / "a.csv")))
    assert table.clients["small"].label.tolist() == label.tolist()


def changed(name, row, value):
    def change(columns):
        columns[name] = columns[name].astype(object) if isinstance(value, str) else columns[name].copy()
        columns[name][row] = value

    return change


def without(*names):
    return lambda columns: [columns.pop(name) for name in names]


def added(name, value):
    return lambda columns: columns.update({name: np.full(400, value)})


WRONG = {
    "a class that is none": (
        changed("client_label.small", 4, 4),
        "line 6: client_label.small is 4: must be a class from 0 to 3",
    ),
    "a negative class": (
        changed("label", 0, -1),
        "line 2: label is -1: must be a class, a whole number from 0",
    ),
    "half a class": (
        changed("server_label.large", 1, "0.5"),
        "line 3: server_label.large is 0.5: must be a class",
    ),
    "a word": (changed("label", 2, "cat"), 'line 4: label is "cat": must be a number'),
    "nothing": (changed("features.1", 2, np.nan), "line 4: features.1 is nothing: must be a number"),
    "not a number": (
        changed("features.1", 2, "nan"),
        "line 4: features.1 is not a number: must be a finite number",
    ),
    "too large for 32 bits": (
        changed("features.1", 2, "1e300"),
        "line 4: features.1 is 1e+300: must be a finite number, of at most 3.4e38",
    ),
    "sums": (changed("probability.small.2", 9, 0.3), "line 11: probability.small sums to 1.2: must sum to 1"),
    "a share": (
        changed("probability.small.2", 9, 1.3),
        "line 11: probability.small.2 is 1.3: must lie between 0 and 1",
    ),
    "a gap": (without("probability.small.1"), "must be 0, 1, 2, without a gap"),
    "no label": (without("label"), "has no column label, the true class, nor graded answers"),
    "no server": (without("server_label.large"), "has no answers of a server: no column server_label.NAME"),
    "both": (added("client_quality.small", 0.5), "either all answers are graded or none"),
    "a stranger": (
        added("clent_label.small", 1),
        '"clent_label.small" is no column of a table of answers: did you mean client_label.NAME',
    ),
    "whose": (added("cost.small", 1.0), 'cost.small: there is no model "small" (large)'),
    "no work": (added("work.large", 0.0), "line 2: work.large is 0: must be greater than 0"),
    "a pool": (added("pool", "test"), 'line 2: pool is "test"'),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_in_one_line_with_its_row(what, tmp_path):
    columns = answers()
    change, told = WRONG[what]
    change(columns)
    with pytest.raises(BadFile) as caught:
        answer_table(str(write(columns, tmp_path / "a.csv")))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["probability.new", "client_quality.new"])
def test_in_a_graded_file_each_model_is_graded(column, tmp_path):
    columns = graded()
    if column.startswith("probability"):
        columns |= {f"{column}.0": np.full(400, 0.25), f"{column}.1": np.full(400, 0.75)}
        with pytest.raises(BadFile, match=r'^answers are graded, and "new" has no client_quality\.new$'):
            answer_table(str(write(columns, tmp_path / "a.csv")))
    else:
        columns[column] = np.full(400, 0.25)
        assert answer_table(str(write(columns, tmp_path / "a.csv"))).clients["new"].quality is not None


def test_rows_of_unequal_length_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("label,client_label.a,server_label.b\n0,1,1\n0,1\n")
    with pytest.raises(BadFile, match=r"^line 3: Expected 3 columns, got 2"):
        answer_table(str(tmp_path / "a.csv"))
    lists = pa.table({"label": [0, 1], "server_label.b": [0, 1], "probability.a": [[0.5, 0.5], [1.0]]})
    pq.write_table(lists, tmp_path / "b.parquet")
    with pytest.raises(BadFile, match=r"^row 2: probability\.a has 1 numbers: must be 2"):
        answer_table(str(tmp_path / "b.parquet"))
    np.savez(
        tmp_path / "c.npz",
        **{"label": np.zeros(3, int), "client_label.a": np.zeros(2, int), "server_label.b": np.zeros(3, int)},
    )
    with pytest.raises(BadFile, match=r"^client_label\.a has 2 rows, and label has 3"):
        answer_table(str(tmp_path / "c.npz"))


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("label,client_label.a,client_label.a,server_label.b\n0,1,1,1\n")
    with pytest.raises(BadFile, match="two columns have one name"):
        answer_table(str(tmp_path / "a.csv"))


class Bomb:
    """Would leave a file behind if anybody unpickled it."""

    def __reduce__(self):
        return (open, ("/tmp/l2h-fleet-unpickled", "w"))


def test_a_pickle_in_disguise_is_refused_and_not_run(tmp_path):
    np.savez(tmp_path / "a.npz", **{"label": np.array([Bomb()], dtype=object)})
    with pytest.raises(BadFile, match=r"^label holds Python objects, which only unpickling could read"):
        answer_table(str(tmp_path / "a.npz"))
    assert not Path("/tmp/l2h-fleet-unpickled").exists()


@pytest.mark.parametrize("name", ["../label.npy", "/label.npy", "a\\..\\label.npy"])
def test_an_archive_that_climbs_out_of_its_folder_is_refused(name, tmp_path):
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(name, held.getvalue())
    with pytest.raises(BadFile, match="lies outside the archive"):
        answer_table(str(tmp_path / "a.npz"))


def damaged_archive(kind, path):
    """An archive that the zip module opens, and cannot read on."""
    if kind == "header":
        head = b"{'descr': '<f8', 'fortran_order': False, 'shape': ((}\n"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("label.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
        return
    np.savez_compressed(path, **answers())
    raw = bytearray(path.read_bytes())
    if kind == "deflate":
        begin = 30 + int.from_bytes(raw[26:28], "little") + int.from_bytes(raw[28:30], "little")
        raw[begin : begin + 40] = b"\xff" * 40
    else:
        at = raw.find(b"PK\x01\x02")
        while at >= 0:  # of each member the flags, or the method of packing
            raw[at + 8 : at + 12] = b"\x01\x00\x08\x00" if kind == "encrypted" else b"\x00\x00\x63\x00"
            at = raw.find(b"PK\x01\x02", at + 1)
        if kind == "encrypted":
            raw[6] |= 1
        else:
            raw[8] = 0x63
    path.write_bytes(raw)


@pytest.mark.parametrize("kind", ["header", "deflate", "encrypted", "method"])
def test_an_archive_that_cannot_be_unpacked_is_one_line(kind, tmp_path):
    damaged_archive(kind, tmp_path / "a.npz")
    with pytest.raises(BadFile, match=r"^cannot be read") as caught:
        answer_table(str(tmp_path / "a.npz"))
    assert "\n" not in str(caught.value)


def test_a_pool_that_is_a_list_is_one_line(tmp_path):
    columns = {name: list(values) for name, values in answers().items()} | {"pool": [["traffic"]] * 400}
    with pytest.raises(BadFile, match=r"^row 1: pool is "):
        answer_table(str(write(columns, tmp_path / "a.parquet")))


def test_other_files_in_an_archive_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("data.pkl", b"")
    with pytest.raises(BadFile, match="is no array"):
        answer_table(str(tmp_path / "a.npz"))


@pytest.mark.parametrize("end", FORMATS)
def test_a_file_that_would_not_fit_is_refused_before_it_is_loaded(end, tmp_path, monkeypatch):
    path = write(answers(), tmp_path / f"a{end}")
    monkeypatch.setattr(table_files, "installed_bytes", lambda: 2_000)
    monkeypatch.setattr(table_files.RowFile, "read", None)
    monkeypatch.setattr(table_files.np, "load", None)
    with pytest.raises(BadFile, match="of memory to be read: this machine has"):
        answer_table(str(path))


def test_equal_numbers_take_as_much_memory_as_others(tmp_path):
    """However few bytes the file keeps them in: 8 a number, of lists, too."""
    rows = 10_000
    path = write({"label": np.zeros(rows, int), "features": [[0.0] * 3] * rows}, tmp_path / "a.parquet")
    assert path.stat().st_size < 8 * rows
    assert table_files.TableFile(str(path)).bytes >= 8 * 4 * rows


def test_a_file_that_changed_is_read_again(tmp_path):
    path = write(answers(seed=1), tmp_path / "a.npz")
    first = answer_table(str(path))
    write(answers(seed=2), path)
    assert (answer_table(str(path)).label != first.label).any()
