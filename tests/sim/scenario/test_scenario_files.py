"""Files that a scenario names: where they are looked for, what is refused, with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim.errors import BadInput
from sim.scenario import read, write
from sim.scenario.files import rows as row_files
from sim.scenario.files.samples import measured
from sim.scenario.files.traces import Trace, count_before, totals
from sim.scenario.rules.files import the_clients_of_closed_loops_have_numbers

Ask = Callable[..., str]
LATENCY = "link: {latency: {kind: empirical, file: data.csv}}"


def written(folder: Path, group: str, process: str = "{kind: poisson, rate_hz: 1}") -> Path:
    path = folder / "x.yaml"
    path.write_text(
        "name: files\nhorizon_s: 10\nserver: {service: {kind: affine, base_s: 0.1}}\nfleet:\n"
        f"  - {{group: near, clients: 3, arrivals: {{process: {process}}}, {group}}}\n"
        "  - {group: far, clients: 1, arrivals: {process: {kind: poisson, rate_hz: 1}}}\n"
    )
    return path


def refused(
    folder: Path, content: str | bytes, group: str, process: str = "{kind: poisson, rate_hz: 1}"
) -> str:
    """What is said of a scenario behind the shown path of data.csv."""
    (folder / "data.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput) as caught:
        read(written(folder, group, process))
    line = str(caught.value)
    assert line.isprintable()
    before, _, rule = line.partition(" is not allowed: ")
    assert "x.yaml:5: fleet.near." in before
    return rule


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("time\n1\n-1\n", "line 3: time is -1.0: must be 0 or more"),
        (
            "time\n1\n2\n1.5\n",
            "line 4: time is 1.5: must not be below 2.0 of the row before: times are in order, or sort: true "
            "puts them so",
        ),
        ("time\n1\nnan\n", "line 3: time is .nan: must be a finite number"),
        ("time\ninf\n", "line 2: time is .inf: must be a finite number"),
        ("time\n1\nsoon\n", 'line 3: time is "soon": must be a number'),
        ("time\n1\n\n2\n", "line 3: time is nothing: must be a number"),
        ("time,client\n1,0\n2,3\n", "line 3: client is 3: group near has the clients 0 to 2"),
        ("time,client\n1,-1\n", "line 2: client is -1: group near has the clients 0 to 2"),
        ("time,client\n1,0.5\n", "line 2: client is 0.5: group near has the clients 0 to 2"),
        ("time,client\n1,\n", "line 2: client is nothing: must be a number, or client_by: order for names"),
        ("time,group\n1,near\n2,nea\n", 'line 3: there is no group "nea": did you mean near?'),
        ("time,group\n1,far\n", "has no row of group near"),
        ("at\n1\n", 'has no column time, only "at"; if it is another one: columns: {time: NAME}'),
        ("time,time\n1,0\n", "two columns have one name: time, time"),
        ("time,client\n1,0\n2\n", "line 3: Expected 2 columns, got 1: 2"),
        ("time\n", "has no rows"),
        ("time\n10\n9000\n", "no request of group near arrives before horizon_s, 10: the first "
            "comes at 10 s; are its times in ms? then give unit: ms"),
        ("", "cannot be read: Empty CSV file"),
    ],
)  # fmt: skip
def test_a_bad_trace_is_refused_with_file_and_line(tmp_path: Path, content: str, rule: str) -> None:
    process = "{kind: trace, file: data.csv}"
    assert refused(tmp_path, content, "retry: null", process) == f"data.csv: {rule}"


def test_a_bad_line_is_found_far_behind_the_first_batch(tmp_path: Path) -> None:
    lines = [f"{n},0" for n in range(200_000)]
    lines[150_000] = "7,0"
    rule = refused(
        tmp_path, "time,client\n" + "\n".join(lines), "retry: null", "{kind: trace, file: data.csv}"
    )
    assert rule.startswith("data.csv: line 150002: time is 7.0: must not be below 149999.0")


def test_a_bad_row_of_parquet_is_named(tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"time": [1.0, None, 3.0]}), sink)
    rule = refused(tmp_path, sink.getvalue().to_pybytes(), "retry: null", "{kind: trace, file: data.csv}")
    assert rule == "data.csv: row 2: time is nothing: must be a number"
    rule = refused(tmp_path, b"PAR1, not quite", "retry: null", "{kind: trace, file: data.csv}")
    assert rule.startswith("data.csv: cannot be read: ")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("0.1\n-0.2\n", "line 2: -0.2 is not allowed: must lie between 0 and 1e+09 seconds"),
        ("seconds\n0.1\nx\n", 'line 3: seconds is "x": must be a number'),
        ("nan\n", "line 1: .nan is not allowed: must lie between 0 and 1e+09 seconds"),
        ("a,b\n1,2\n", 'has several columns and none named seconds: "a", "b"'),
        ("seconds\n", "has no values"),
    ],
)
def test_bad_measured_durations_are_refused_with_file_and_line(
    tmp_path: Path, content: str, rule: str
) -> None:
    assert refused(tmp_path, content, LATENCY) == f"data.csv: {rule}"


def test_only_latencies_may_be_nothing(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("0\n1\n")
    path = written(tmp_path, LATENCY)
    assert read(path).fleet[0].link.latency.file == str(tmp_path / "data.csv")
    service = f"server.service={{kind: per_batch, time: {{kind: empirical, file: {tmp_path}/data.csv}}}}"
    with pytest.raises(
        BadInput, match=r"server\.service\.time\.file: .*data\.csv: line 1: 0\.0 is not allowed"
    ):
        read(path, [service])


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, LATENCY)
    with pytest.raises(BadInput, match=r"data\.csv: cannot be read: no such file or directory$"):
        read(path)
    with pytest.raises(BadInput, match=r"cannot be read: "):
        read(path, ['fleet.near.link.latency.file="a\\0b"'])


def test_a_relative_file_begins_beside_whoever_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the resolved copy reads the same one from anywhere."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "data.csv").write_text("0.1\n")
    (tmp_path / "sub" / "mine.csv").write_text("0.2\n")
    path = written(tmp_path, LATENCY)
    monkeypatch.chdir(tmp_path / "sub")
    assert read(Path("../x.yaml")).fleet[0].link.latency.file == f"{tmp_path}/sub/../data.csv"
    changed = read(path, ["fleet.near.link.latency.file=mine.csv"])
    assert changed.fleet[0].link.latency.file == str(tmp_path / "sub" / "mine.csv")
    copy = tmp_path / "sub" / "copy.yaml"
    copy.write_text(write(changed))
    monkeypatch.chdir("/")
    assert read(copy) == changed


def test_a_closed_loop_has_no_shape(tmp_path: Path) -> None:
    path = written(tmp_path, "retry: null", "{kind: closed_loop, think: 1}")
    with pytest.raises(
        BadInput, match=r"near\.arrivals\.shape\.kind: .*diurnal.* its shape must be constant"
    ):
        read(path, ["fleet.near.arrivals.shape={kind: diurnal, amplitude: 0.5, period_s: 5}"])


def test_a_closed_loop_has_clients_that_can_be_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "retry: null", "{kind: closed_loop, think: 1}")
    rule = the_clients_of_closed_loops_have_numbers
    assert list(rule(read(path))) == []
    many = read(path).fleet[0].model_copy(update={"clients": 2**24})
    ((where, _, _),) = rule(read(path).model_copy(update={"fleet": (many, read(path).fleet[1])}))
    assert where == ("fleet", 0, "arrivals", "process", "kind")


def test_a_trace_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, in its busiest minute, which two batches share, and up to an instant."""
    monkeypatch.setattr(row_files, "BLOCK_BYTES", 40)
    at = [1.0, *np.linspace(60, 119, 50).tolist(), 130.0]
    (tmp_path / "a.csv").write_text("time\n" + "".join(f"{t!r}\n" for t in at))
    trace = Trace(str(tmp_path / "a.csv"), "near", ("near",), 1)
    found = totals(trace)
    assert found[:3] == (52, 130.0, 50)
    assert (found.minutes.tolist(), found.upto.tolist()) == ([0.0, 1.0, 2.0], [1, 51, 52])
    assert [found.about_before(t) for t in (0.0, 30.0, 60.0, 72.0, 120.0, 180.0, 1e9)] == pytest.approx(
        [0.0, 0.5, 1.0, 11.0, 51.0, 52.0, 52.0]
    )
    assert [count_before(trace, t) for t in (0.0, 1.0, 60.5, 119.5, 1e9)] == [0, 0, 2, 51, 52]


def test_measured_durations_are_read_anew_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("3\n1\n")
    assert measured(str(path)).tolist() == [1.0, 3.0]
    path.write_text("seconds,why\n2,x\n5,y\n4,z\n")
    assert measured(str(path)).tolist() == [2.0, 4.0, 5.0]
    pq.write_table(pa.table({"how_long": [7, 6]}), path)
    assert measured(str(path)).tolist() == [6.0, 7.0]
