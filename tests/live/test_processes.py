"""Small runs in real time before a server of processes: outcomes and conservation, no timings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worlds import group_of, made_up, scenario_of

from live.needs import require_playable
from live.playing import LivePath, Served, live_path
from sim.engine.arrays import context
from sim.engine.arrays.room import longer
from sim.engine.run import Chunk, Run, chunks
from sim.errors import BadInput, RunFailed
from sim.scenario import Scenario
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = Served("processes", speed=2.0)
SERVICE = {"kind": "affine", "base_s": 0.02, "per_item_s": 0.01}
# 127.0.0.1, and the same and ::1 in the notation of version 6, as the kernel writes them.
LOOPBACK = ("0100007F:", "0000000000000000FFFF00000100007F:", "00000000000000000000000001000000:")
PLAYS, STALLED_S = 3, 0.2  # wall seconds that nothing happened
OUTAGE = {"when": {"kind": "intervals", "at": ((1.5, 3.0),)}, "target": {"kind": "server"}}


def small(timeout_s: float = 4.0, **server: object) -> Scenario:
    """Five seconds, forty requests a second before two replicas; timeouts outlast a busy machine's stalls."""
    arrivals = {"process": {"kind": "poisson", "rate_hz": 10.0}}
    retry = {"attempts": 2, "backoff_s": 0.1}
    group = group_of(clients=4, arrivals=arrivals, timeout_s=timeout_s, retry=retry)
    base = {"replicas": 2, "max_batch": 4, "batch_wait_s": 0.01, "queue_limit": 64, "service": SERVICE}
    return scenario_of(horizon_s=5.0, fleet=(group,), server=base | server)


def played(
    plan: Scenario, served: Served = PROCESSES, look: Callable[[], None] = lambda: None
) -> tuple[Chunk, LivePath]:
    """The whole run; every law of a run has been checked on it. look: is called while the server is up.
    A run that stood still is played again, for it tells of the machine alone."""
    world = World(plan)
    for _ in range(PLAYS):
        with live_path(plan, served, lambda _word: None, lambda: False) as path:
            run = Run(world, made_up(plan), ScenarioArrivals(world), None, path, EvenWindows(plan.horizon_s))
            chunk = run.advance()
            run.finish()
            look()
        if path.observed()["lag_s"]["max"] < STALLED_S:
            break
    return chunk, path


def listening() -> list[str]:
    """Where the processes that this one has started listen, as the kernel writes addresses."""
    mine = [pid for pid in _running() if pid != os.getpid() and _descends(pid, os.getpid())]
    links = {
        str(link.readlink())
        for pid in mine
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [row.split() for table in tables for row in table]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in links]


def simulated(plan: Scenario) -> Chunk:
    world = World(plan)
    (chunk,) = chunks(world, made_up(plan), ScenarioArrivals(world), plan.horizon_s)
    return chunk


def outcomes(chunk: Chunk) -> dict[str, int]:
    names, numbers = np.unique(chunk.requests["outcome"].to_numpy(zero_copy_only=False), return_counts=True)
    return dict(zip(names.tolist(), numbers.tolist(), strict=True))


def test_a_live_run_has_the_simulation_s_requests_and_decisions():
    plan = small()
    live, of_simulation = played(plan)[0].requests, simulated(plan).requests
    for name in ("request_id", "arrived_at_s", "decided_at_s", "sample_id", "score", "threshold", "deferred"):
        assert live.sort_by("request_id")[name].equals(of_simulation.sort_by("request_id")[name]), name


def test_it_may_be_started_where_an_event_loop_runs():
    """As in a cell of a notebook."""

    async def cell() -> int:
        return played(small())[0].requests.num_rows

    with ThreadPoolExecutor(1) as elsewhere:  # another test's browser may have a loop in this thread
        assert elsewhere.submit(asyncio.run, cell()).result() > 0


def test_who_is_answered_was_served_by_a_replica_in_a_batch_that_fits():
    chunk, _ = played(small())
    answered = chunk.requests.to_pandas().query("outcome == 'remote'")
    assert (answered.reached_at_s > answered.sent_at_s).all()  # no link, but a way to the queue's process
    assert (answered.reached_at_s <= answered.started_at_s).all()
    assert len(answered) > 0.9 * len(chunk.requests)
    assert set(answered.replica) == {0, 1}
    assert answered.batch_size.between(1, 4).all()
    together = answered.groupby(["replica", "started_at_s"])
    assert (together.size() <= together.batch_size.first()).all()
    begun = answered.drop_duplicates(["replica", "started_at_s"]).sort_values(["replica", "started_at_s"])
    overlaps = begun.groupby("replica").apply(
        lambda one: (one.started_at_s.to_numpy()[1:] < one.finished_at_s.to_numpy()[:-1]).any()
    )
    assert not overlaps.any()


def test_an_outage_really_stops_the_replicas_and_its_clients_are_refused():
    chunk, path = played(small(outages=(OUTAGE,), when_down="refuse"))
    requests = chunk.requests.to_pandas()
    during = requests[requests.sent_at_s.between(2.0, 2.9)]
    assert len(during) > 0
    assert during.started_at_s.isna().all()
    assert set(during.server_cause) == {"down"}
    assert [change["usable_replicas"] for change in path.observed()["capacity"]] == [0, 2]
    ((_, first), (down_s, down), (up_s, up)) = chunk.steps[0]
    assert (first, down, up) == (2, 0, 2)
    assert 1.5 <= down_s < up_s
    assert outcomes(chunk)["refused"] > 0
    assert (requests[requests.sent_at_s > 3.8].outcome == "remote").any()


def test_what_devices_send_together_reaches_the_queue_together():
    batch = {"inference_s": 0.0, "batch": {"size": 3, "wait_s": 0.2}}
    arrivals = {"process": {"kind": "poisson", "rate_hz": 10.0}}
    group = group_of(clients=4, arrivals=arrivals, timeout_s=4.0, device=batch)
    plan = small().model_copy(update={"fleet": scenario_of(fleet=(group,)).fleet})
    rows = played(plan)[0].requests.to_pandas()
    sent = rows[rows.transmission.notna()]
    assert len(sent) > 50
    assert (sent.groupby(["client_id", "transmission"]).reached_at_s.nunique() <= 1).all()


@pytest.mark.parametrize("when_down", ["silent", "queue"])
def test_without_a_word_clients_give_up(when_down):
    plan = small(timeout_s=0.8, outages=(OUTAGE,), when_down=when_down, queue_limit=None)
    found = outcomes(played(plan)[0])
    assert "refused" not in found
    assert found["timed_out"] > 0


def test_the_queue_is_bounded_and_refuses():
    slow = {"kind": "affine", "base_s": 0.3, "per_item_s": 0.0}
    chunk, _ = played(small(service=slow, max_batch=1, batch_wait_s=0.0, queue_limit=2))
    found = outcomes(chunk)  # how many of each depends on the machine
    assert found["remote"] > 0
    assert found["refused"] > 0
    causes = chunk.requests.to_pandas().groupby("outcome", observed=True).server_cause.unique()
    assert list(causes["remote"]) == ["none"]
    assert list(causes["refused"]) == ["queue_full"]


def test_clients_of_closed_loops_hear_and_ask_again():
    group = group_of(clients=3, arrivals={"process": {"kind": "closed_loop", "think": 0.05}})
    plan = small().model_copy(update={"fleet": scenario_of(fleet=(group,)).fleet})
    chunk, _ = played(plan)
    rows = chunk.requests.to_pandas().sort_values("request_id")
    assert len(rows) > 30
    for _, of_client in rows.groupby("client_id"):
        assert (of_client.arrived_at_s.to_numpy()[1:] >= of_client.answered_at_s.to_numpy()[:-1]).all()


@pytest.mark.parametrize(
    ("server", "word"),
    [
        ({"discipline": "edf"}, "server.discipline"),
        ({"stages": 2}, "server.stages"),
        *(({"in_flight": way}, "server.in_flight") for way in ("requeue", "resume", "restart")),
        ({"admission": {"kind": "deadline_feasible"}}, "server.admission"),
    ],
)
def test_what_only_a_simulated_server_does_is_refused_in_one_line(server, word):
    with pytest.raises(BadInput, match=word):
        require_playable(small(**server))


def test_blocks_of_sessions_are_refused_in_one_line():
    group = group_of(
        arrivals={"process": {"kind": "closed_loop", "think": 1.0}}, session={"items": 9, "draft": 2}
    )
    plan = small().model_copy(update={"fleet": scenario_of(fleet=(group,)).fleet})
    with pytest.raises(BadInput, match="session: a block of several items is not played"):
        require_playable(plan)


@pytest.mark.parametrize(("count", "words"), [(1, "a server with a name"), (2, "more than one server")])
def test_servers_with_names_are_refused_for_what_they_are(count, words):
    named = [{"server": f"s{n}", "models": ("large",), "service": SERVICE} for n in range(count)]
    plan = scenario_of(fleet=(group_of(),), models={"large": {}}, server=None, servers=tuple(named))
    with pytest.raises(BadInput, match=f"servers: {words} is not played.*write one as server"):
        require_playable(plan)


def test_what_requests_bring_and_what_samples_take_make_batches_longer():
    """A group's factor of 3 and samples' own of 2: the server is asked for what the simulation takes."""
    plan = small(max_batch=1, service={"kind": "affine", "base_s": 0.01})
    group = group_of(clients=2, arrivals={"process": {"kind": "poisson", "rate_hz": 3.0}}, service_factor=3.0)
    plan = plan.model_copy(update={"fleet": scenario_of(fleet=(group,)).fleet, "horizon_s": 2.0})
    learned = made_up(plan)
    learned = replace(
        learned, samples=replace(learned.samples, work=np.full(len(learned.samples.label), 2.0))
    )
    world = World(plan)
    with live_path(plan, PROCESSES, lambda _word: None, lambda: False) as path:
        chunk = Run(world, learned, ScenarioArrivals(world), None, path, EvenWindows(2.0)).advance()
    served = chunk.requests.to_pandas().query("outcome == 'remote'")
    assert len(served) > 5
    assert (served["finished_at_s"] - served["started_at_s"]).min() >= 0.999 * 0.01 * 3 * 2


def test_replicas_that_stop_leave_no_batch_standing_still_whatever_memory_held(monkeypatch):
    """The columns of a change that only simulated servers fill are filled all the same."""

    def dirty(column: np.ndarray, n: int, more: int) -> np.ndarray:
        found = longer(column, n, more)
        found[n:] = 2**30 if found.ndim == 2 else found[n:]
        return found

    monkeypatch.setattr(context, "longer", dirty)
    chunk, _ = played(small(outages=(OUTAGE,)))
    assert outcomes(chunk)["remote"] > 0


def test_a_port_that_is_taken_is_one_line_and_leaves_nothing(children):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(BadInput, match=f"--port {port}: cannot be listened on"),
            live_path(small(), Served("processes", port=port), lambda _word: None, lambda: False),
        ):
            pass
    assert children() == []


def test_rates_that_no_machine_plays_are_told_before_the_run(children):
    group = group_of(clients=2000, arrivals={"process": {"kind": "poisson", "rate_hz": 500.0}})
    plan = small().model_copy(update={"fleet": scenario_of(fleet=(group,)).fleet})
    with (
        pytest.raises(BadInput, match=r"cannot play 2000000 attempts/s: .* fallen behind by \d+ ms"),
        live_path(plan, PROCESSES, lambda _word: None, lambda: False),
    ):
        pass
    assert children() == []


def test_who_stops_it_leaves_no_process_behind(children):
    plan = small()
    world, asked = World(plan), []

    def stops() -> bool:
        asked.append(None)
        return len(asked) > 20

    with live_path(plan, PROCESSES, lambda _word: None, stops) as path:
        assert children() != []
        run = Run(world, made_up(plan), ScenarioArrivals(world), None, path, EvenWindows(5.0))
        with pytest.raises(KeyboardInterrupt):
            run.advance()
    assert children() == []


def test_a_server_that_dies_fails_the_run(children):
    plan = small()
    world = World(plan)
    with live_path(plan, PROCESSES, lambda _word: None, lambda: False) as path:
        (front,) = [pid for pid, line in children() if "live.front" in line]
        os.kill(front, 9)
        run = Run(world, made_up(plan), ScenarioArrivals(world), None, path, EvenWindows(5.0))
        with pytest.raises(RunFailed, match="has ended by itself"):
            run.advance()
    assert children() == []


def test_ctrl_c_is_one_line_and_ends_everything(tmp_path):
    words = [sys.executable, str(ROOT / "run_sim.py"), "live", "smoke", "--server", "processes"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as command:
        said = ""
        while "is there" not in said:
            said = command.stderr.readline()
            assert said
        started = [pid for pid in _running() if _descends(pid, command.pid) and pid != command.pid]
        assert len(started) == 3  # the queue and two replicas
        command.send_signal(signal.SIGINT)
        rest = command.stderr.read().strip().splitlines()
        assert command.wait(20) == 130
    assert rest[-1].startswith("interrupted")
    assert not any("Traceback" in line for line in rest)
    until = time.monotonic() + 5
    while (left := [pid for pid in started if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
        time.sleep(0.05)  # they notice by themselves that nobody is there
    assert left == []


def test_everything_listens_on_the_loopback_device_alone():
    before, found = set(listening()), list[str]()
    played(small(), look=lambda: found.extend(set(listening()) - before))
    assert len(found) == 1
    assert found[0].startswith(LOOPBACK)


@pytest.fixture
def children():
    """What this process started and has not ended, as (pid, command line): those of the server alone."""

    def found() -> list[tuple[int, str]]:
        return [
            (pid, words)
            for pid, words in _running().items()
            if ("live.front" in words or "replica.py" in words) and _descends(pid, os.getpid())
        ]

    return found


def _running() -> dict[int, str]:
    """The command lines of all processes."""
    seen = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            seen[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return seen


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
