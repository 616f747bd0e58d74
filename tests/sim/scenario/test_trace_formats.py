"""Traces in public formats: small files with the real headers, read to the last instant, and played."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arrival_kinds import group, scenario
from worlds import made_up

from sim.engine.choice import EnginePath
from sim.errors import BadInput, RunFailed
from sim.registry.trace_formats import TRACE_FORMATS
from sim.scenario import Scenario, read, write
from sim.scenario.files import minute_counts
from sim.scenario.files import rows as row_files
from sim.scenario.files.requests_of_traces import Requests, joined
from sim.scenario.files.rows import BadFile
from sim.scenario.files.traces import read_trace, totals
from sim.scenario.rules.traces import traces_in_words, why_nothing_arrives
from sim.simulation import simulate
from sim.world.world import World

AZURE_2019 = "HashOwner,HashApp,HashFunction,Trigger," + ",".join(str(m) for m in range(1, 1441))


def counts(app: str, function: str, **at: int) -> str:
    """A line of Azure Functions 2019: so many calls in minute `m3`, the third, and so on; else none."""
    minutes = [str(at.get(f"m{m}", 0)) for m in range(1, 1441)]
    return ",".join(["owner", app, function, "http", *minutes])


FILES: dict[str, str] = {
    "azure_functions_2019": "\n".join(
        [AZURE_2019, counts("a", "f", m1=2, m2=1, m1440=5), counts("b", "g"), counts("b", "h", m1=3)]
    ),
    "azure_functions_2021": "app,func,end_timestamp,duration\n"
    "a,f,12.5,2.5\nb,g,11.0,0.5\na,f,9.0,1.0\nb,g,11.0,1.0\nc,h,90.0,81.75\n",
    "azure_llm": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:46.6805901,396,109\n"
    "2023-11-16 18:15:51.2224670,879,55\n2023-11-16 18:17:00.6805900,91,16\n",
    "burstgpt": "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"
    "\n"
    "5.0,s1,43,GPT-4,906,446,1352,Conversation log\n"
    "45.0,,2,ChatGPT,36,29,65,API log\n45.0,s2,2,ChatGPT,36,0,36,Conversation log\n"
    "118.0,s1,9,GPT-4,417,505,922,Conversation log\n",
    "mooncake": "\n".join(
        json.dumps({"timestamp": t, "input_length": n, "output_length": 52, "hash_ids": [0, n]})
        for t, n in ((0, 6755), (0, 7319), (3052, 7236), (27482, 2287))
    ),
    "csv": "time,client,group\n0.5,1,devices\n0.5,0,devices\n3,2,others\n7,1,devices\n",
}
# By format: seconds from the start, rows of the file, and work.
EXPECTED: dict[str, tuple[list[float], list[int], list[float]]] = {
    "azure_functions_2021": ([0.0, 0.25, 2.0, 2.0, 2.5], [2, 4, 0, 3, 1], [1.0, 81.75, 2.5, 1.0, 0.5]),
    "azure_llm": ([0.0, 1e-7, 4.541877, 74.0], [0, 1, 2, 3], [418.0, 505.0, 934.0, 107.0]),
    "burstgpt": ([0.0, 40.0, 40.0, 113.0], [0, 1, 2, 3], [1352.0, 65.0, 36.0, 922.0]),
    "mooncake": ([0.0, 0.0, 3.052, 27.482], [0, 1, 2, 3], [6807.0, 7371.0, 7288.0, 2339.0]),
    "csv": ([0.5, 0.5, 7.0], [0, 1, 3], [np.nan] * 3),
}


def traced(folder: Path, text: str, clients: int = 4, horizon_s: float = 60.0, **process: Any) -> Scenario:
    path = folder / "trace.data"
    path.write_text(text)
    written = {"kind": "trace", "file": str(path)} | process
    return scenario(group(written, clients=clients), group("poisson", name="others"), horizon_s=horizon_s)


def requests(plan: Scenario) -> Requests:
    return joined(list(read_trace(plan.fleet[0].arrivals.process.trace(plan, 0))))


def refused(folder: Path, text: str, **process: Any) -> str:
    with pytest.raises(BadFile) as caught:
        requests(traced(folder, text, **process))
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_every_format_is_tried() -> None:
    assert set(FILES) == set(TRACE_FORMATS)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("block", [2**20, 150])
def test_a_format_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block: int) -> None:
    """To the instant, in order of time and then of the file, whatever the pieces it is read in."""
    monkeypatch.setattr(row_files, "BLOCK_BYTES", block)
    found = requests(traced(tmp_path, FILES[name], format=name))
    at_s, row, work = EXPECTED[name]
    assert found.at_s.tolist() == pytest.approx(at_s, abs=1e-9)
    assert found.row.tolist() == row
    assert found.work.tolist() == pytest.approx(work, nan_ok=True)


def test_counts_become_instants_of_their_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are counted, in their minute, the same ones for a seed, spread evenly."""
    name = "azure_functions_2019"
    plan = traced(tmp_path, FILES[name], format=name)
    found = requests(plan)
    assert sorted(found.row.tolist()) == [0] * 8 + [2] * 3
    minute = (found.at_s // 60).astype(int)
    assert sorted(zip(minute.tolist(), found.row.tolist(), strict=True)) == [
        *[(0, 0)] * 2, *[(0, 2)] * 3, (1, 0), *[(1439, 0)] * 5
    ]  # fmt: skip
    assert (np.diff(found.at_s) > 0).all()
    assert found.client[found.row == 0].tolist() == [0] * 8
    assert found.client[found.row == 2].tolist() == [1] * 3
    again = requests(plan.model_copy(update={"seed": 0}))
    assert again.at_s.tobytes() == found.at_s.tobytes()
    other = requests(plan.model_copy(update={"seed": 1}))
    assert set(other.at_s) & set(found.at_s) == set()
    many = traced(tmp_path, "\n".join([AZURE_2019, counts("a", "f", m1=20_000)]), format=name)
    mean, deviation = requests(many).at_s.mean(), 60 / np.sqrt(12)
    assert abs(mean - 30.0) < 5 * deviation / np.sqrt(20_000)
    monkeypatch.setattr(row_files, "BLOCK_BYTES", 9_000)
    minute_counts._read.cache_clear()
    pieces = requests(traced(tmp_path, FILES[name], format=name))
    assert pieces.at_s.tobytes() == found.at_s.tobytes()


@pytest.mark.parametrize("name", FILES)
def test_a_format_is_played_by_both_clocks(tmp_path: Path, name: str) -> None:
    """Each request comes once, is joined back to its row, and both clocks leave the same bytes."""
    plan = traced(tmp_path, FILES[name], format=name, horizon_s=90.0)
    known, played = requests(plan), {}
    inside = known.at_s < 90.0
    for path in ("simpy", "compiled"):
        folder = tmp_path / path
        simulate(World(plan), made_up(plan), folder, path=EnginePath(path, "as the test says"))
        played[path] = pd.read_parquet(folder / "requests")
    pd.testing.assert_frame_equal(played["simpy"], played["compiled"])
    mine = played["simpy"].query("group == 'devices'").sort_values(["arrived_at_s", "trace_row"])
    assert mine["trace_row"].tolist() == known.row[inside].tolist()
    assert mine["arrived_at_s"].tolist() == known.at_s[inside].tolist()
    others = played["simpy"].query("group == 'others'")
    assert (others["trace_row"] == -1).all()
    assert ("work" in mine) == bool(TRACE_FORMATS[name].roles.work)
    if "work" in mine:
        assert mine["work"].tolist() == known.work[inside].tolist()
        assert others["work"].isna().all()


def test_without_a_trace_no_column_is_added(tmp_path: Path) -> None:
    plan = scenario(group("poisson"))
    simulate(World(plan), made_up(plan), tmp_path)
    assert not {"trace_row", "work"} & set(pd.read_parquet(tmp_path / "requests"))


NS = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("times", "process", "expected"),
    [
        ([NS + 1, NS + 2, NS + 1_000_000_001], {"unit": "ns", "start": "first"}, [0, 1e-9, 1.0]),
        ([NS, NS + 10**9], {"unit": "ns", "start": "2023-11-14T22:13:19Z"}, [1.0, 2.0]),
        ([NS + 1, NS + 3], {"unit": "ns", "start": "2023-11-14T22:13:20Z"}, [1e-9, 3e-9]),
        ([NS + 1, NS + 3], {"unit": "ns", "start": 1.7e18}, [1e-9, 3e-9]),
        ([1500, 2500], {"unit": "ms"}, [1.5, 2.5]),
        ([1, 2], {"unit": "min"}, [60.0, 120.0]),
        ([10, 11.5, 30], {"start": 11}, [0.5, 19.0]),
        (["2024-05-10 00:00:00.009930+00:00", "2024-05-10T02:00:01+02:00"], {}, [0.0, 0.99007]),
        (["2024-05-10", "2024-05-10 01:00"], {"start": "2024-05-10 00:30"}, [1800.0]),
        ([3, 1, 2, 1], {"sort": True}, [1, 1, 2, 3]),
        ([5, 9, 7], {"sort": True, "start": "first"}, [0, 2, 4]),
    ],
)
def test_times_of_any_unit_and_start(
    tmp_path: Path, times: list[Any], process: dict[str, Any], expected: list[float]
) -> None:
    found = requests(traced(tmp_path, "time\n" + "".join(f"{t}\n" for t in times), **process))
    assert found.at_s.tolist() == pytest.approx(expected, abs=1e-10)


def test_parquet_and_json_say_the_same_as_csv(tmp_path: Path) -> None:
    """Dates and whole numbers of nanoseconds as they are stored, too."""
    columns = {"when": [NS, NS + 500_000_000], "who": ["b", "a"], "tokens": [3, 4]}
    keys = {"columns": {"time": "when", "client": "who", "work": "tokens"}, "client_by": "order"}
    keys |= {"start": "first"}
    as_text = "when,who,tokens\n" + "".join(
        f"{t},{w},{n}\n" for t, w, n in zip(*columns.values(), strict=True)
    )
    lines = "".join(
        json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in zip(*columns.values(), strict=True)
    )
    plans = [traced(tmp_path, text, unit="ns", **keys) for text in (as_text, lines)]
    told = [joined(list(read_trace(plans[0].fleet[0].arrivals.process.trace(plans[0], 0))))]
    for zone in (None, "UTC"):
        stored = pa.array(columns["when"]).cast(pa.timestamp("ns", zone))
        plan = traced(tmp_path, "", **keys)
        pq.write_table(pa.table(columns | {"when": stored}), tmp_path / "trace.data")
        told.append(requests(plan))
    for found in told:
        assert found.at_s.tolist() == [0.0, 0.5]
        assert (found.client.tolist(), found.work.tolist()) == ([0, 1], [3.0, 4.0])


def test_what_pandas_stores_is_read(tmp_path: Path) -> None:
    """Text of any kind, categories, blanks around numbers; groups of one file stay in step."""
    frame = pd.DataFrame(
        {
            "at": ["2024-05-02 00:00:03", "2024-05-02 00:00:01", "2024-05-02 00:00:00"],
            "who": pd.Categorical(["b", "a", "b"]),
            "of": ["devices", "devices", "others"],
            "n": [" 3", "4 ", "5"],
        }
    )
    plan = traced(
        tmp_path,
        "",
        columns={"time": "at", "client": "who", "group": "of", "work": "n"},
        client_by="order",
        sort=True,
    )
    for kind in ("object", "string"):
        frame.astype({"at": kind, "of": kind, "n": kind}).to_parquet(tmp_path / "trace.data")
        found = requests(plan)
        assert (found.at_s.tolist(), found.client.tolist()) == ([1.0, 3.0], [1, 0])
        assert (found.work.tolist(), found.row.tolist()) == ([4.0, 3.0], [1, 0])


NAMES = "time,client\n" + "".join(
    f"{n},{name}\n" for n, name in enumerate(["cam-b", "cam-a", "", "cam-b", "x"])
)


def test_names_become_clients(tmp_path: Path) -> None:
    """In order of appearance, in turn where there are more than clients; or by their hash alone."""
    by_order = requests(traced(tmp_path, NAMES, clients=2, client_by="order"))
    assert by_order.client.tolist() == [0, 1, -1, 0, 0]
    hashed = requests(traced(tmp_path, NAMES, clients=50, client_by="hash")).client
    backwards = NAMES.splitlines()[:1] + [
        f"{n},{line.split(',')[1]}" for n, line in enumerate(NAMES.splitlines()[:0:-1])
    ]
    assert (
        requests(traced(tmp_path, "\n".join(backwards), clients=50, client_by="hash")).client.tolist()
        == hashed[::-1].tolist()
    )
    assert hashed[0] == hashed[3] != hashed[1]


def test_a_model_of_burstgpt_may_be_a_group(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(FILES["burstgpt"])
    process = {"kind": "trace", "file": str(path), "format": "burstgpt", "columns": {"group": "Model"}}
    plan = scenario(*(group(process, name=name) for name in ("GPT-4", "ChatGPT")), horizon_s=120.0)
    rows = [
        joined(list(read_trace(one.arrivals.process.trace(plan, place)))).row.tolist()
        for place, one in enumerate(plan.fleet)
    ]
    assert rows == [[0, 3], [1, 2]]


def test_a_row_may_say_which_sample_it_asks_about(tmp_path: Path) -> None:
    """By its index in the data set; an empty field leaves it to the draw that there would be without it."""
    text = "time,which\n1,7\n2,\n3,0\n4,7\n"
    plan = traced(tmp_path, text, clients=1, horizon_s=10.0)
    asked = traced(tmp_path, text, clients=1, horizon_s=10.0, columns={"sample": "which"})
    learned = made_up(plan)
    drawn, named = (played(one, learned, tmp_path / name) for one, name in ((plan, "a"), (asked, "b")))
    assert named["sample_id"].tolist() == [1007, drawn["sample_id"].tolist()[1], 1000, 1007]
    with pytest.raises(RunFailed, match="a trace names sample 4000, which its group never meets"):
        played(traced(tmp_path, "time,which\n1,4000\n", columns={"sample": "which"}), learned, tmp_path / "c")


def played(plan: Scenario, learned: Any, folder: Path) -> pd.DataFrame:
    simulate(World(plan), learned, folder)
    rows = pd.read_parquet(folder / "requests")
    return rows[rows["group"] == "devices"].sort_values("arrived_at_s")


@pytest.mark.parametrize("name", ["azure_functions_2021", "burstgpt", "csv"])
def test_a_run_goes_on_with_what_its_trace_told(tmp_path: Path, name: str) -> None:
    """Windows of any length leave the same rows: what is told is kept until a row is written."""
    from sim.engine.run import chunks  # noqa: PLC0415
    from sim.world.arrivals.source import ScenarioArrivals  # noqa: PLC0415

    plan = traced(tmp_path, FILES[name], format=name, horizon_s=130.0)
    tables = [
        pa.concat_tables(
            chunk.requests
            for chunk in chunks(World(plan), made_up(plan), ScenarioArrivals(World(plan)), every_s)
        ).to_pandas().sort_values("request_id", ignore_index=True)
        for every_s in (130.0, 1.0)
    ]  # fmt: skip
    pd.testing.assert_frame_equal(*tables)


LLM, F2019, F2021 = (FILES[name] for name in ("azure_llm", "azure_functions_2019", "azure_functions_2021"))
DATES = "must be a date and time such as 2024-05-01T13:00:00.5"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (
            "azure_llm",
            "TIMESTAMP,Context\n",
            'has no column ContextTokens, only "TIMESTAMP", "Context"',
        ),
        ("azure_llm", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "has no rows"),
        (
            "azure_llm",
            LLM + "tomorrow,1,2\n",
            f'line 6: TIMESTAMP is "tomorrow": {DATES}, as in the rows before',
        ),
        (
            "azure_llm",
            LLM + "2023-11-17 18:15:46Z,1,2\n",
            'line 6: TIMESTAMP is "2023-11-17 18:15:46Z": has a time zone, and the rows before have none',
        ),
        (
            "azure_llm",
            LLM + "2023-11-17 18:15:46,nan,2\n",
            "line 6: ContextTokens is .nan: must be 0 or more",
        ),
        (
            "azure_llm",
            LLM + "2023-11-16 18:15:46,1,2\n",
            'line 6: TIMESTAMP is "2023-11-16 18:15:46": must not be below "2023-11-16 18:17:00.6805900" of '
            "the row before: times are in order, or sort: true puts them so",
        ),
        (
            "azure_llm",
            "TIMESTAMP,ContextTokens,GeneratedTokens\nsoon,1,2\n",
            'line 2: TIMESTAMP is "soon": must be a number, or a date and time such as 2024-05-01T13:00:00.5',
        ),
        (
            "azure_functions_2021",
            F2021 + "a,f,95,-1\n",
            "line 7: duration is -1.0: a duration must be 0 or more",
        ),
        (
            "azure_functions_2021",
            F2021 + "a,f,nan,1\n",
            "line 7: end_timestamp is .nan: must be a finite number",
        ),
        ("azure_functions_2019", F2019.replace(",1440", ",1441"), "has no column 1440"),
        (
            "azure_functions_2019",
            F2019 + "\n" + counts("c", "i", m3=-4),
            "line 5: 3 is -4.0: must be a number of requests: whole, 0 or more",
        ),
        (
            "azure_functions_2019",
            F2019.replace("http,2,", "http,x,"),
            'line 2: "x" is not allowed: must be a whole number',
        ),
        ("azure_functions_2019", "HashOwner,HashApp\n", "has no column 1, only"),
        ("azure_functions_2019", "HashApp,0\na,3\n", "has a column 0: minutes count from 1"),
        ("azure_functions_2019", "HashApp,1,99999999999\na,3,1\n", "has no column 2, only"),
        ("azure_functions_2019", "HashApp,1,2\na,0,0\n", "has no request: every count is 0"),
        (
            "azure_functions_2019",
            "HashApp,1,2\na,0,2000000000\nb,1,1\n",
            "counts 2,000,000,001 requests in minute 2: must be at most 10,000,000",
        ),
        ("mooncake", FILES["mooncake"] + "\n{not json", "line 5: is no JSON"),
        ("mooncake", '{"timestamp": ' + "[" * 100_000, "line 1: is no JSON"),
        ("mooncake", '{"timestamp": 3}', 'has no column input_length, only "timestamp"'),
        ("csv", "", "cannot be read: Empty CSV file"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, name: str, text: str, line: str) -> None:
    assert refused(tmp_path, text, format=name).startswith(line)


@pytest.mark.parametrize(
    ("times", "process", "line"),
    [
        (
            ["2024-05-10"],
            {"start": 5},
            "has dates: start is 5.0 and must be first, or a date and time such as",
        ),
        (
            ["2024-05-10"],
            {"start": "2024-05-10T00:00Z"},
            'start, "2024-05-10T00:00Z", has a time zone, and the file',
        ),
        ([1, 2], {"start": 9}, "has no row of any request from its start on, 2 before it"),
        ([1], {"start": 1e19}, "start is 1e+19: must lie between -9.2e18 and 9.2e18"),
        ([1], {"start": 1e300}, "start is 1e+300: must lie between"),
        ([1, -1], {"start": "first"}, "line 3: time is -1.0: must not be below"),
        ([1], {"columns": {"client": "who"}}, 'has no column who, only "time"'),
    ],
)
def test_a_start_must_fit_the_file(
    tmp_path: Path, times: list[Any], process: dict[str, Any], line: str
) -> None:
    text = "time\n" + "".join(f"{t}\n" for t in times)
    process = {"columns": {"group": None}} | process
    assert refused(tmp_path, text, **process).startswith(line.replace("any request", "group devices"))


@pytest.mark.parametrize(
    ("first", "process", "hint"),
    [
        (1.7e18, {}, "for times since 1970 give unit: ns and start: first"),
        (1.7e9, {}, "for times since 1970 give start: first"),
        (5000, {}, "are its times in ms? then give unit: ms"),
        (4e9, {"unit": "ms", "start": 0}, "are its times in ns? then give unit: ns"),
        (400, {"time_scale": 1e5}, "are its times in us? then give unit: us"),
    ],
)
def test_a_unit_that_leaves_nothing_is_named(
    tmp_path: Path, first: float, process: dict[str, Any], hint: str
) -> None:
    plan = traced(tmp_path, f"time\n{first!r}\n", **process)
    assert why_nothing_arrives(plan, 0, plan.fleet[0].arrivals.process).endswith(hint)


SCENARIO = """name: x
horizon_s: 10
server: {service: {kind: affine, base_s: 0.1}}
fleet:
  - group: near
    clients: 3
    arrivals: {process: {kind: trace, file: trace.csv, %s}}
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("format: azure_llms", 'format: "azure_llms" is not allowed: did you mean azure_llm?'),
        ("start: soon", 'start: "soon" is not allowed: must be first, a number, or a date such as'),
        ("format: azure_functions_2019, unit: ms", 'unit: "ms" is not allowed: azure_functions_2019 counts'),
        (
            "format: azure_functions_2019, columns: {time: t}",
            'columns: {time: "t"} is not allowed: azure_func',
        ),
        ("columns: {tiem: t}", "columns.tiem: unknown key: did you mean time?"),
        ("unit: minutes", 'unit: "minutes" is not allowed: did you mean min?'),
    ],
)
def test_what_is_written_of_a_trace_is_checked(tmp_path: Path, keys: str, line: str) -> None:
    (tmp_path / "trace.csv").write_text("time\n1\n")
    path = tmp_path / "x.yaml"
    path.write_text(SCENARIO % keys)
    with pytest.raises(BadInput) as caught:
        read(path)
    assert f"fleet.near.arrivals.process.{line}" in str(caught.value)


def test_a_scenario_with_a_trace_is_written_and_read_again(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(FILES["azure_llm"])
    path = tmp_path / "x.yaml"
    path.write_text(
        SCENARIO % "format: azure_llm, start: '2023-11-16 18:15:40', columns: {work: ContextTokens}"
    )
    found = read(path)
    (tmp_path / "copy.yaml").write_text(write(found))
    assert read(tmp_path / "copy.yaml") == found


def test_check_tells_what_is_played_and_what_is_left_out(tmp_path: Path) -> None:
    text = "time,client,group,n\n" + "".join(
        f"{t},{c},{g},{n}\n"
        for t, c, g, n in [
            (1, 0, "devices", 2),
            (6, 2, "devices", 4),
            (6, 1, "others", 1),
            (6.5, 0, "devices", 9),
            (16, 0, "devices", 3),
        ]
    )
    plan = traced(tmp_path, text, horizon_s=10.0, start=5, columns={"work": "n"})
    (line,) = traces_in_words(plan)
    assert line == (
        "devices: trace.data (csv) plays 2 of 4 requests, 0.2 a second, at most 2 in one second; "
        "from 2 clients; left out: 1 before the start, 1 behind the horizon, 1 of other groups; "
        "work 6.5 on average, at most 9"
    )
    named = traced(tmp_path, NAMES, clients=2, client_by="order")
    (line,) = traces_in_words(named)
    assert "from 2 clients, of 3 that the file names; left out: none" in line


@pytest.mark.parametrize("block", [2**20, 30])
def test_the_peak_is_that_of_a_second_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Whatever the pieces, and however long the run: seven between 2 s and 3 s."""
    monkeypatch.setattr(row_files, "BLOCK_BYTES", block)
    times = [0.5, 0.6, 1.0, *(2 + n / 10 for n in range(7)), 3.0, 3.5]
    plan = traced(tmp_path, "time\n" + "".join(f"{t}\n" for t in times), horizon_s=1e9)
    (line,) = traces_in_words(plan)
    assert "at most 7 in one second" in line


def test_a_trace_in_nanoseconds_needs_no_more_memory_than_its_requests(tmp_path: Path) -> None:
    """Whether its unit or a time scale says so; once it was refused for 1,117 GiB."""
    from sim.scenario.rules.checks import findings  # noqa: PLC0415

    text = "time\n" + "".join(f"{n * 10**7}\n" for n in range(2000))
    for process in ({"unit": "ns"}, {"time_scale": 1e-9}):
        plan = traced(tmp_path, text, **process)
        assert totals(plan.fleet[0].arrivals.process.trace(plan, 0)).last_s == pytest.approx(19.99)
        assert list(findings(plan)) == []


def test_pieces_of_a_sorted_trace_tell_its_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.scenario.files.traces.BATCH_ROWS", 2)
    name = "azure_functions_2021"
    plan = traced(tmp_path, FILES[name], format=name)
    batches = list(read_trace(plan.fleet[0].arrivals.process.trace(plan, 0)))
    assert [len(batch.at_s) for batch in batches] == [2, 2, 1]
    assert sum(batch.counted.rows for batch in batches) == 5
    assert [list(itertools.chain(*(batch.row.tolist() for batch in batches)))] == [EXPECTED[name][1]]


def test_requests_of_other_groups_are_counted_where_minutes_are(tmp_path: Path) -> None:
    text = "HashApp,group,1,2\na,devices,2,1\nb,others,4,0\n"
    plan = traced(tmp_path, text, format="azure_functions_2019", columns={"group": "group"}, horizon_s=90.0)
    (line,) = traces_in_words(plan)
    assert "of 3 requests" in line
    assert "4 of other groups" in line


def test_numbers_of_json_may_become_fractions_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the lines that tell the types, too, in the same block of bytes or not."""
    expected = [float(t) for t in range(1_500)] + [1_500.25, 1_501.0]
    text = "".join(json.dumps({"time": int(t) if t.is_integer() else t}) + "\n" for t in expected)
    for block in (2**20, 300):
        monkeypatch.setattr(row_files, "BLOCK_BYTES", block)
        found = requests(traced(tmp_path, text, columns={"group": None}, horizon_s=2_000.0))
        assert found.at_s.tolist() == expected


@pytest.mark.parametrize("role", ["client", "group"])
def test_names_that_are_no_text_are_one_line(tmp_path: Path, role: str) -> None:
    plan = traced(tmp_path, "", columns={"time": "at", "client": None, role: "who"}, client_by="order")
    broken = pa.array([b"\xff\xfe"]).view(pa.string())
    for names, told in (
        ([["a"]], "who is of type list<.*string>: must be text or numbers"),
        ([{"a": 1}], "who is of type struct<.*>: must be text or numbers"),
        (pa.array([b"\xff\xfe"]), "who is of type binary: must be text or numbers"),
        (broken, "cannot be read: .*UTF8"),
    ):
        pq.write_table(pa.table({"at": [1.0], "who": names}), tmp_path / "trace.data")
        with pytest.raises(BadFile, match=f"^{told}") as caught:
            requests(plan)
        assert str(caught.value).isprintable()
