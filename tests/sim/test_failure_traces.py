"""Outages from public failure traces and fitted laws: real headers, what they hit, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds import group_of, made_up, scenario_of

from sim.engine.choice import EnginePath
from sim.registry.fits import FITS
from sim.scenario import Scenario
from sim.scenario.files.rows import BadFile
from sim.scenario.rules.outages import traces_of_outages_can_be_replayed
from sim.simulation import simulate
from sim.world.outages.failure_traces import FTA_COLUMNS, failures, nodes_down, the_node
from sim.world.outages.times import OutageTimes
from sim.world.world import World

HEAD = "#" + "\t".join(FTA_COLUMNS) + "\n"
NODES = [  # node, type, from, until
    ("7", 1, 1000.0, 1010.0),
    ("7", 0, 1010.0, 1015.5),
    ("3", 0, 1002.0, 1004.0),
    ("7", 1, 1015.5, 1100.0),
    ("3", 0, 1030.0, 1040.0),
    ("9", 1, 1000.0, 1100.0),
]
EACH = {"kind": "links", "groups": ("devices",), "correlated": False}


def event_trace(folder: Path, head: str = HEAD, blank: str = "\t", rows: list[Any] = NODES) -> str:
    lines = [
        blank.join([str(n), "1", node, "5", "host", str(kind), str(begin), str(end), "NULL"])
        for n, (node, kind, begin, end) in enumerate(rows)
    ]
    path = folder / "event_trace.tab"
    path.write_text(head + "\n".join(lines) + "\n")
    return str(path)


def failure_trace(folder: Path, intervals: Any, durations: Any, intensities: Any) -> str:
    columns = {
        "failure_interval": pa.array(intervals, pa.int64()),
        "failure_duration": pa.array(durations, pa.int64()),
        "failure_intensity": pa.array(intensities, pa.float64()),
    }
    pq.write_table(pa.table(columns), folder / "failures.parquet")
    return str(folder / "failures.parquet")


def world(
    when: dict[str, Any], seed: int = 0, horizon_s: float = 100.0, clients: int = 40, **parts: Any
) -> Scenario:
    server = {"service": {"kind": "affine", "base_s": 0.1}, "outages": ({"when": when} | parts,)}
    fleet = (group_of(clients=clients, timeout_s=5.0),)
    return scenario_of(seed=seed, horizon_s=horizon_s, fleet=fleet, server=server)


def line(when: dict[str, Any], **parts: Any) -> OutageTimes:
    (found,) = World(world(when, **parts)).outage_times
    return found


@pytest.mark.parametrize(("head", "blank"), [(HEAD, "\t"), ("", "\t"), ("# a note\n", "  "), (HEAD, " ")])
def test_events_of_nodes_are_read_in_seconds_from_the_first(tmp_path: Path, head: str, blank: str) -> None:
    """With the names of the columns or without, tabs or blanks between them."""
    found = nodes_down(event_trace(tmp_path, head, blank))
    assert found == {"7": ((10.0, 15.5),), "3": ((2.0, 4.0), (30.0, 40.0)), "9": ()}
    assert list(found) == ["7", "3", "9"]


def test_a_node_may_be_the_server_or_replicas(tmp_path: Path) -> None:
    when = {"kind": "trace", "file": event_trace(tmp_path), "format": "fta", "node": "3"}
    assert list(line(when).shared) == [(2.0, 4.0), (30.0, 40.0)]
    assert list(line(when | {"time_scale": 0.5}).shared) == [(1.0, 2.0), (15.0, 20.0)]
    replicas = line(when, target={"kind": "replicas", "count": 1}, effect={"kind": "slowdown", "factor": 2.0})
    assert list(replicas.shared) == [(2.0, 4.0), (30.0, 40.0)]


def test_nodes_become_links_in_order_of_appearance(tmp_path: Path) -> None:
    when = {"kind": "trace", "file": event_trace(tmp_path), "format": "fta"}
    found = line(when, target=EACH, clients=5)
    assert {client: list(own) for client, own in found.of_client.items()} == {
        0: [(10.0, 15.5)],
        1: [(2.0, 4.0), (30.0, 40.0)],
        2: [],
    }
    one = event_trace(tmp_path, rows=[row for row in NODES if row[0] == "7"])
    assert list(line(when | {"file": one}).shared) == [(10.0, 15.5)]


def test_failures_of_hosts_come_one_after_the_other(tmp_path: Path) -> None:
    """An interval begins where the failure before ends, as OpenDC plays it."""
    file = failure_trace(tmp_path, [1000, 2000, 10], [500, 1000, 5], [1.0, 0.5, 0.25])
    found = failures(file)
    assert found.from_s.tolist() == pytest.approx([1.0, 3.5, 4.51])
    assert found.until_s.tolist() == pytest.approx([1.5, 4.5, 4.515])


def test_a_failure_hits_its_share_of_links_and_one_thing_by_chance(tmp_path: Path) -> None:
    """Shares exactly, other links each time; the server as often as intensities say, within 5 deviations."""
    n = 400
    file = failure_trace(tmp_path, [100] * n, [100] * n, [0.25] * n)
    when = {"kind": "trace", "file": file, "format": "opendc"}
    found = line(when, target=EACH).of_client
    hit = np.zeros((n, 40), dtype=bool)
    for client, own in found.items():
        for begin, end in own:
            assert end - begin == pytest.approx(0.1)
            hit[round((begin - 0.1) / 0.2), client] = True
    assert (hit.sum(axis=1) == 10).all()
    assert len({row.tobytes() for row in hit}) == n
    assert abs(hit.sum(axis=0) - n / 4).max() < 5 * np.sqrt(n * 0.25 * 0.75)
    assert abs(len(line(when).shared) - n / 4) < 5 * np.sqrt(n * 0.25 * 0.75)
    longer, shorter = line(when, target=EACH, horizon_s=100.0), line(when, target=EACH, horizon_s=50.0)
    for client, own in shorter.of_client.items():
        assert list(own) == [period for period in longer.of_client[client] if period[0] < 50.0]


@pytest.mark.parametrize("name", ["fta", "opendc"])
def test_a_failure_trace_is_played_by_both_clocks(tmp_path: Path, name: str) -> None:
    file = event_trace(tmp_path) if name == "fta" else failure_trace(tmp_path, [9000], [20_000], [0.5])
    plan = world({"kind": "trace", "file": file, "format": name}, target=EACH, clients=6)
    assert list(traces_of_outages_can_be_replayed(plan)) == []
    played = []
    for path in ("simpy", "compiled"):
        simulate(World(plan), made_up(plan), tmp_path / path, path=EnginePath(path, "as the test says"))
        played.append(pd.read_parquet(tmp_path / path / "requests"))
    pd.testing.assert_frame_equal(*played)
    rows = played[0]
    assert 0 < (rows["outcome"] == "link_down").sum() < len(rows)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([("1", 0, "soon", 2.0)], 'line 2: event_start_time is "soon": must be a number of seconds'),
        ([("1", 0, 1.0, 2.0), ("1", 0, 5.0, 4.0)], "line 3: ends at 4, before its start, 5"),
        ([("1", 1, 1.0, 2.0)], "has no event of type 0, unavailable"),
        ([("1", 0, 1.0, "NULL")], "line 2: event_stop_time is nothing: must be a number of seconds"),
    ],
)
def test_bad_events_are_one_line(tmp_path: Path, rows: list[Any], line: str) -> None:
    with pytest.raises(BadFile) as caught:
        nodes_down(event_trace(tmp_path, rows=rows))
    assert str(caught.value) == line


def test_other_bad_failure_traces_are_one_line(tmp_path: Path) -> None:
    file = event_trace(tmp_path)
    with pytest.raises(BadFile, match=r"^tells of 3 nodes \(7, 3, 9\): name one as node"):
        the_node(file, None)
    with pytest.raises(BadFile, match=r'^has no node "77": did you mean 7\?$'):
        the_node(file, "77")
    with pytest.raises(
        BadFile, match=r"^row 1: failure_intensity is 2\.0: must be a share above 0, at most 1"
    ):
        failures(failure_trace(tmp_path, [1], [1], [2.0]))
    with pytest.raises(BadFile, match=r"^row 2: failure_duration is -1\.0: must be milliseconds"):
        failures(failure_trace(tmp_path, [1, 1], [1, -1], [1.0, 1.0]))
    pq.write_table(pa.table({"failure_interval": [1]}), tmp_path / "x.parquet")
    with pytest.raises(BadFile, match=r'^has no column failure_duration, only "failure_interval"$'):
        failures(str(tmp_path / "x.parquet"))
    (tmp_path / "empty.tab").write_text("")
    with pytest.raises(BadFile, match=r"^has no rows|^cannot be read: "):
        nodes_down(str(tmp_path / "empty.tab"))
    plan = world({"kind": "trace", "file": file, "format": "fta"})
    ((path, _, rule),) = traces_of_outages_can_be_replayed(plan)
    assert path == ("server", "outages", 0, "when", "file")
    assert rule.startswith("event_trace.tab: tells of 3 nodes")


@pytest.mark.parametrize("name", FITS)
def test_fitted_times_have_the_means_of_their_laws(name: str) -> None:
    """Down times of 400 links against scale·Γ(1 + 1/shape), within 5 standard errors, and their median."""
    (up, down), hour = FITS[name], 3600.0
    cycle_s = up.scaled(1.0).mean_s + down.scaled(1.0).mean_s
    when = {"kind": "fitted", "to": name, "time_scale": 1.0 / hour}
    found = line(when, target=EACH, horizon_s=60 * cycle_s / hour, clients=400, seed=1).of_client
    lasts = np.concatenate([np.diff(list(own), axis=1).ravel() for own in found.values() if len(own)])
    mean, deviation = down.scaled(1 / hour).mean_s, lasts.std()
    assert abs(lasts.mean() - mean) < 5 * deviation / np.sqrt(len(lasts))
    assert np.median(lasts) == pytest.approx(down.scale_h * np.log(2) ** (1 / down.shape), rel=0.1)


@pytest.mark.parametrize("blank", ["\t", " "])
@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize("more", [1, 3])
def test_a_row_with_more_fields_than_names_is_refused(
    tmp_path: Path, blank: str, row: int, more: int
) -> None:
    """Whichever it is; the first, too, whose surplus could be taken for names of rows."""
    path = Path(event_trace(tmp_path, HEAD, blank))
    lines = path.read_text().splitlines()
    every = "\n".join([HEAD.strip(), *(line + (blank + "x") * more for line in lines[1:])])
    lines[1 + row] += (blank + "x") * more
    for text, at in (("\n".join(lines), row), (every, 0)):
        path.write_text(text + "\n")
        with pytest.raises(
            BadFile, match=rf"^line {at + 2}: has more than 9 fields|fields in line {at + 2}, saw"
        ):
            nodes_down(str(path))


def test_a_tab_behind_each_row_is_no_field(tmp_path: Path) -> None:
    path = Path(event_trace(tmp_path))
    expected = nodes_down(str(path))
    path.write_text(path.read_text().replace("NULL", "NULL\t"))
    assert nodes_down(str(path)) == expected
