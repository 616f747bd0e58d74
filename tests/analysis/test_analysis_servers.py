"""Several servers, told apart: prices of options, charges, load, outages, tracks; models are made up."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from ruamel.yaml import YAML
from worlds import made_up

import analysis
from analysis.figures.timeline import bins_of_servers, timeline
from analysis.metrics.each_server import each_server, worst
from analysis.metrics.regret import regret_of
from analysis.metrics.summary import summarise
from analysis.metrics.validity import more_than_it_can_serve, queue_still_growing
from analysis.reports.formatting import load_of
from analysis.reports.sentences import sentences
from analysis.reports.server_table import of_servers
from analysis.reports.tables import summary_table
from analysis.reports.trace import SERVER, trace_of
from analysis.reports.zoom_data import zoom_data
from analysis.run_folder.attempts import batches_and_sends
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import traffic_of
from sim.results.learned_files import write_learned
from sim.scenario import read, write
from sim.simulation import simulate
from sim.world.world import World

Play = Callable[..., Run]
NEAR, FAR = 0.02, 0.1  # what sensors pay to ask the edge, and the cloud


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Plays `several_servers` with some parts replaced: of its sensors, its edge, of all."""

    def played(
        sensors: dict[str, Any] | None = None, edge: dict[str, Any] | None = None, **all_of: Any
    ) -> Run:
        asked = YAML(typ="safe").load(Path(__file__).parent / "several_servers.yaml")
        asked |= all_of
        asked["fleet"][0] |= sensors or {}
        asked["fleet"][0] = {key: value for key, value in asked["fleet"][0].items() if value != "unset"}
        asked["servers"][0] |= edge or {}
        path = tmp_path / "run"
        path.mkdir()
        YAML(typ="safe").dump(asked, tmp_path / "asked.yaml")
        scenario = read(tmp_path / "asked.yaml")
        learned = made_up(scenario, samples=120)
        simulate(World(scenario), learned, path)
        write_learned(World(scenario), learned, learned.client_hashes, path)
        (path / "scenario.yaml").write_text(write(scenario))
        return analysis.load_run(path)

    return played


NOTHING = {"policy": {"score": "random", "price": {"kind": "always_local"}}}
ONCE = {"retry": None}


def judged(run: Run) -> pd.DataFrame:
    rows = run.requests
    known = rows["held_out"] & (rows["server_label"] >= 0) & (rows["outcome"] != "in_flight")
    return rows[known & (rows["arrived_at_s"] >= run.warm_up_s)]


def test_what_nobody_sent_would_have_cost_what_its_option_costs(play: Play) -> None:
    """All would have been asked of the first option, whose server's answer stands beside the client's."""
    run = play(NOTHING)
    rows, risk = judged(run), summarise(run)["risk"]
    c_e = np.where(rows["group"] == "sensors", NEAR, FAR)
    client, server = (rows[f"{who}_label"] != rows["label"] for who in ("client", "server"))
    assert risk["all_remote"]["value"] == pytest.approx((c_e + server).mean())
    assert risk["oracle"]["value"] == pytest.approx(np.minimum(client, c_e + server).mean())


def test_an_option_costs_what_it_costs_and_what_was_paid_is_what_was_paid(play: Play) -> None:
    """A retry that asked the other option was charged at both prices."""
    run = play()
    rows, requests = judged(run), traffic_of(run).requests
    summary = summarise(run)
    assert summary["cost"]["total"] == pytest.approx(
        run.requests.loc[run.requests["arrived_at_s"] >= 10, "cost"].sum(), rel=1e-6
    )
    last = np.where((rows["group"] == "sensors") & (rows["option"] <= 0), NEAR, FAR)
    wrong = rows["server_label"] != rows["label"]
    assert summary["risk"]["all_remote"]["value"] == pytest.approx((last + wrong).mean())
    both = np.isclose(requests["paid"], NEAR + FAR)
    assert both.any()
    assert set(requests.loc[both, "c_e"]) <= {NEAR, FAR}


def test_regret_knows_what_a_send_would_have_cost(play: Play) -> None:
    run = play(NOTHING)
    found = regret_of(run)
    mine = found[found["group"] == "sensors"]
    assert mine["regret"].max() == pytest.approx(1.0 - NEAR), "a send in its place would have cost this less"


def test_what_a_silent_server_never_heard_is_not_charged(play: Play) -> None:
    """Only the edge is silent and down, and the cloud's replicas do not stand in for it."""
    down = {"outages": [{"when": {"kind": "intervals", "at": [[0, 120]]}}], "when_down": "silent"}
    costs = {"charge_on": "accept"}
    order = ONCE | {"choose": "order", "policy": {"score": "random", "price": {"kind": "always_remote"}}}
    run = play(order, down, costs=costs, outages=[], warm_up_s=0)
    requests = traffic_of(run).requests
    assert (requests["group"] == "sensors").sum() > 100
    paid = run.requests.sort_values("request_id")["cost"].to_numpy() > 0
    charged = requests.sort_values("request_id")["charged"].to_numpy()
    np.testing.assert_array_equal(charged > 0, paid)
    assert not charged[(requests.sort_values("request_id")["group"] == "sensors").to_numpy()].any()


def test_an_outage_of_one_server_is_none_of_all(play: Play) -> None:
    """Sensors may ask the cloud while the edge is down, and nobody while both are."""
    found = regret_of(play(NOTHING))
    mine = found[found["group"] == "sensors"]
    at_s, regret = mine["arrived_at_s"].to_numpy(), mine["regret"].to_numpy()
    assert not regret[(at_s >= 80) & (at_s < 85)].any(), "what was kept could not have been sent"
    assert (regret[(at_s >= 40) & (at_s < 60)] > 0).any(), "somebody should have asked the cloud"


def test_an_outage_touches_those_who_may_ask_its_server(play: Play) -> None:
    traffic = traffic_of(play())
    at_s, is_camera = traffic.arrived_at_s, (traffic.requests["group"] == "cameras").to_numpy()
    edge, both = (at_s >= 40) & (at_s < 60), (at_s >= 80) & (at_s < 85)
    assert traffic.is_affected[edge & ~is_camera].all()
    assert not traffic.is_affected[edge & is_camera].any()
    assert traffic.is_affected[both].all()


def test_a_server_is_overloaded_whatever_idles_beside_it(play: Play) -> None:
    """The edge has one replica and takes 0.1 s a request; sensors ask nobody else, 16 times a second."""
    only = ONCE | {
        "options": [{"option": "near", "server": "edge", "model": "small", "link": {"latency": 0.01}}]
    }
    only |= {"choose": "unset", "policy": {"score": "random", "price": {"kind": "always_remote"}}}
    crowd = {"arrivals": {"process": {"kind": "poisson", "rate_hz": 1.6}}}
    run = play(only | crowd, {"outages": [], "queue_limit": None}, outages=[])
    traffic, summary = traffic_of(run), summarise(run)
    told = {one.name: one for one in each_server(traffic)}
    assert told["edge"].load == pytest.approx(1.6, rel=0.15)
    assert told["cloud"].load == pytest.approx(5 * 0.5 * 0.2 / 2, rel=0.3)
    assert worst(list(told.values())).name == "edge"
    assert (summary["run_length"]["verdict"], summary["run_length"]["server"]) == ("OVERLOADED", "edge")
    assert summary["queues"]["cloud"]["verdict"] == "STABLE"
    assert str(more_than_it_can_serve(traffic)).startswith("offered load of edge 1.")
    assert str(queue_still_growing(traffic)).startswith("the queue of edge is still growing: by ")
    assert summary["run_length"]["relaxations"] == 0, "it never forgets, and the run is judged by the slowest"


def test_a_server_is_asked_by_whom_asked_it_first_and_models_weigh(play: Play) -> None:
    """The large model takes twice what the cloud says; retries are no first sends."""
    run = play()
    cloud = each_server(traffic_of(run))[1]
    every = run.requests[(run.requests["arrived_at_s"] >= 10) & (run.requests["attempts"] > 0)]
    again = run.attempts[run.attempts["attempt"] == 1].set_index("request_id")["server"]
    first = every.set_index("request_id")["server"].astype("str")
    first.update(again.astype("str"))
    assert cloud.sends.sum() == (first == "cloud").sum()
    assert 1.0 < cloud.work < 2.0
    assert cloud.per_request_s == pytest.approx(0.2 * cloud.work)


def test_batches_of_two_servers_are_told_apart(play: Play) -> None:
    run = play()
    names = {
        event["tid"]: event["args"]["name"]
        for event in trace_of(traffic_of(run))["traceEvents"]
        if event["ph"] == "M" and event["name"] == "thread_name" and event["pid"] == SERVER
    }
    assert list(names.values()) == ["edge replica 0", "cloud replica 0", "cloud replica 1"]
    events = trace_of(traffic_of(run))["traceEvents"]
    spans = [
        (event["tid"], event["ts"], event["ts"] + event["dur"])
        for event in events
        if event["ph"] == "X" and event["pid"] == SERVER
    ]
    for tid in names:
        mine = sorted((begin, end) for which, begin, end in spans if which == tid)
        assert mine
        assert all(later[0] >= earlier[1] - 1 for earlier, later in pairwise(mine))
    counters = {event["name"] for event in events if event["ph"] == "C"}
    assert counters == {"edge waiting", "edge usable", "cloud waiting", "cloud usable"}


def test_groups_that_ask_one_server_each_are_told_apart_too(play: Play) -> None:
    """No request says whom it asked, since its group does: of first sends and of retries."""
    only = {"options": [{"option": "near", "server": "edge", "model": "small", "link": {"latency": 0.01}}]}
    run = play(only | {"choose": "unset", "retry": {"attempts": 2}, "timeout_s": 0.2})
    assert not run.has_options
    batches, sends = batches_and_sends(run, np.sort(run.requests["request_id"].to_numpy()))
    is_sensor = (sends["request_id"].to_numpy() >> 32) < 10
    np.testing.assert_array_equal(sends["server"] == 0, is_sensor)
    assert sends["request_id"].duplicated().any()
    assert set(batches["server"]) == {0, 1}


def test_the_time_line_has_a_curve_of_each_server(play: Play) -> None:
    """What is usable of a serverless one, calls at once, would flatten the others."""
    calls = {"serverless": {"keep_alive_s": 5.0, "cold_start_s": 0.1}, "replicas": 200, "max_batch": 1}
    run = play(edge=calls | {"autoscaling": None, "in_flight": "lose", "load_s": None})
    queues, replicas = timeline(traffic_of(run)).axes[2:4]
    assert [line.get_label() for line in queues.lines if not line.get_label().startswith("_")] == list(
        run.servers
    )
    for line, (name, bins) in zip(queues.lines, bins_of_servers(run).items(), strict=False):
        mine = run.seconds_of_servers[run.seconds_of_servers["server"] == name]
        assert np.mean(line.get_ydata()) == pytest.approx(mine["waiting_mean"].mean())
        assert len(bins) == len(line.get_ydata())
    assert replicas.get_ylim()[1] < 200


def test_the_zoomable_time_line_has_them_as_well(play: Play) -> None:
    run = play()
    panels = {panel["name"]: panel["series"] for panel in zoom_data(traffic_of(run))["panels"]}
    assert [one["name"] for one in panels["waiting"]] == [f"{name}, mean" for name in run.servers]
    assert {one["name"].partition(", ")[0] for one in panels["replicas"]} == set(run.servers)
    assert "of the time they were up" not in " ".join(sentences(summarise(run)))


def test_what_each_server_was_asked_and_cost_is_told_at_the_end_of_a_run(play: Play) -> None:
    """The edge is a cent a second, of which 110 count; the cloud's instances are paid by use."""
    summary = summarise(play(edge={"usd_per_replica_s": 0.01}))
    assert summary["queues"]["edge"]["replicas_usd"] == pytest.approx(1.1)
    rows = dict(zip(("edge", "cloud"), of_servers(summary), strict=True))
    for name, row in rows.items():
        assert row[:2] == (name, f"{summary['servers'][name]['whole_run']['requests']:,}")
        assert row[4] == load_of(summary["queues"][name]["offered"])
    assert (rows["edge"][-1], rows["cloud"][-1]) == ("1.10", "–")
    text = io.StringIO()
    Console(file=text, width=80).print(summary_table(summary))
    (line,) = [
        one for one in text.getvalue().splitlines() if one.startswith("edge ") and one.endswith(" 1.10")
    ]
    assert line.split()[-4:] == list(rows["edge"][-4:])
    assert "servers, USD / 1,000 answers" in text.getvalue()


@pytest.mark.usefixtures("plain_pictures")
def test_a_run_without_rows_does_not_say_who_asked_which_server(play: Play) -> None:
    """Nor what they were paid in all, and its summary and its page are whole."""
    run = play(edge={"usd_per_replica_s": 0.01}, detail="none")
    summary = analysis.finish(run.path)
    assert of_servers(summary) == []
    assert {one["offered"] for one in summary["queues"].values()} == {None}
    text = io.StringIO()
    Console(file=text, width=80).print(summary_table(summary))
    assert "USD" not in text.getvalue()
    assert "Server by server" not in (run.path / "report.html").read_text()
