"""Work, costs and grades of each sample's own: on both clocks, in the readable definition, in the tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import worlds
from tried import tried
from worlds import (
    WrittenArrivals,
    brought,
    differences,
    group_of,
    made_up,
    poisson,
    product,
    reference,
    scenario_of,
)

from sim.engine.choice import EnginePath

PATHS = [EnginePath("simpy", ""), EnginePath("compiled", "")]


def without_rounds(scenario):
    """Given answers train nothing during a run."""
    return scenario.model_copy(update={"training": scenario.training.model_copy(update={"online": None})})


@pytest.mark.slow
@tried(100)
@given(worlds())
def test_both_clocks_equal_the_reference(world):
    scenario, arrivals, chunk_s = world
    scenario = without_rounds(scenario)
    learned = brought(made_up(scenario))
    theirs = reference(scenario, learned, arrivals, chunk_s)
    for path in PATHS:
        ours = product(scenario, learned, arrivals, chunk_s, path=path)
        for mine, told in zip(ours, theirs, strict=True):
            assert differences(mine, told) == []


@pytest.mark.parametrize("path", PATHS, ids=["simpy", "compiled"])
def test_a_batch_takes_its_time_as_often_as_its_requests_have_work_on_average(path):
    server = {"service": {"kind": "affine", "base_s": 1.0}, "max_batch": 2, "batch_wait_s": 5.0}
    scenario = scenario_of(server=server)
    learned = brought(made_up(scenario))
    requests, _ = product(scenario, learned, WrittenArrivals(((1.0, 0), (2.0, 0))), 60.0, path=path)
    place = {one: at for at, one in enumerate(learned.samples.sample_id.tolist())}
    work = [learned.samples.work[place[one]] for one in requests["sample_id"]]
    assert requests["finished_at_s"].tolist() == pytest.approx([2.0 + sum(work) / 2] * 2)


@pytest.mark.parametrize("path", PATHS, ids=["simpy", "compiled"])
def test_work_of_one_changes_no_byte(path):
    scenario = scenario_of()
    learned, arrivals = made_up(scenario), WrittenArrivals(((1.0, 0), (1.5, 0), (9.0, 0)))
    ones = replace(learned, samples=replace(learned.samples, work=np.ones(len(learned.samples.label))))
    tables = [product(scenario, each, arrivals, 60.0, path=path)[0] for each in (learned, ones)]
    pd.testing.assert_frame_equal(*tables)


def test_rows_tell_grades_and_costs():
    scenario = scenario_of(fleet=(_group("always_remote", "a"), _group("always_local", "b")))
    learned = brought(made_up(scenario))
    rows, _ = product(scenario, learned, WrittenArrivals(((1.0, 0), (2.0, 1))), 60.0)
    place = {one: at for at, one in enumerate(learned.samples.sample_id.tolist())}
    sent, kept = (place[one] for one in rows["sample_id"])
    tables = learned.tables
    assert rows["quality"].tolist() == [tables.server_quality[sent], tables.groups[1].quality[0, kept]]
    assert rows["client_quality"][0] == tables.groups[0].quality[0, sent]
    assert rows["c_e"].tolist() == learned.samples.c_e[[sent, kept]].tolist()
    assert rows["cost"].tolist() == [np.float32(learned.samples.c_e[sent]), 0.0]
    assert (rows[["client_label", "server_label", "answer_label"]] == -1).all(axis=None)


def _group(price, name):
    return {
        "group": name,
        "clients": 1,
        "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
        "policy": {"score": "l2h", "price": {"kind": price}},
    }


@pytest.mark.parametrize("path", PATHS, ids=["simpy", "compiled"])
@pytest.mark.parametrize(("work_of_one", "takes"), [(None, [1.0, 1.0, 1.0]), (100.0, [0.5, 4.0, 1.0])])
def test_service_takes_as_long_as_the_work_of_a_trace_says(tmp_path, path, work_of_one, takes):
    """Of 50, 400 and 100 tokens, of which 100 take the second that the server says. A batch takes the
    mean."""
    (tmp_path / "asked.csv").write_text("time,tokens\n1,50\n2,400\n8,100\n")
    process = {"kind": "trace", "file": str(tmp_path / "asked.csv"), "columns": {"work": "tokens"}}
    fleet = group_of(arrivals={"process": process | {"work_of_one": work_of_one}})
    scenario = scenario_of(
        fleet=(fleet,), server={"service": {"kind": "affine", "base_s": 1.0}}, horizon_s=20.0
    )
    learned = made_up(scenario)
    requests, _ = product(scenario, learned, poisson(scenario, 60.0), 60.0, path=path)
    assert (requests["finished_at_s"] - requests["started_at_s"]).tolist() == takes
    assert requests["work"].tolist() == [50.0, 400.0, 100.0]
    theirs, _ = reference(scenario, learned, poisson(scenario, 60.0), 60.0)
    assert differences(requests, theirs) == []


@pytest.mark.parametrize("path", PATHS, ids=["simpy", "compiled"])
def test_service_takes_longer_for_a_group_whose_requests_are_larger(path):
    """A second, and three for the other group's; together in a batch two, the mean."""
    fleet = (group_of("small"), group_of("large", service_factor=3.0))
    service = {"kind": "affine", "base_s": 1.0}
    arrivals = WrittenArrivals(((1.0, 0), (2.0, 1), (8.0, 0), (8.0, 1)))
    server = {"service": service, "max_batch": 2, "batch_wait_s": 0.25}
    scenario = scenario_of(fleet=fleet, server=server, horizon_s=20.0)
    requests, _ = product(scenario, made_up(scenario), arrivals, 60.0, path=path)
    assert (requests["finished_at_s"] - requests["started_at_s"]).tolist() == [1.0, 2.0, 3.0, 2.0]
