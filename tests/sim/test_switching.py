"""Servers that choose among their models: exact stories, each held against the reference loop, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stories import Story, devices
from test_choosing_options import down
from worlds import WrittenArrivals, made_up, poisson, product, scenario_of

from sim.errors import BadInput
from sim.scenario import read

MODELS = {"small": {"work": 0.5}, "large": {}}


def site(switch: dict[str, Any] | None, models: tuple[str, ...] = ("small", "large"), **keys: Any) -> Any:
    service = {"kind": "affine", "base_s": 1.0}
    return ({"server": "site", "models": models, "switch": switch, "service": service} | keys,)


def story(*arrivals: tuple[float, int], switch: dict[str, Any], fleet: Any = None, **keys: Any) -> Story:
    return Story(*arrivals, fleet=fleet or devices(), servers=site(switch, **keys), models=MODELS)


BACKLOG = {"kind": "backlog", "above": 2, "below": 0}


def test_who_waits_makes_it_smaller_and_an_empty_queue_larger_again() -> None:
    """Nobody waits behind the first; two behind the second, one behind the third: as before; then none."""
    told = story((1.0, 0), (1.1, 0), (1.2, 0), (1.3, 0), switch=BACKLOG)
    assert told["model"] == ["large", "small", "small", "large"]
    assert told["finished_at_s"] == [2.0, 2.5, 3.0, 4.0]


def test_of_three_it_takes_the_next_each_time() -> None:
    """Three wait behind the second and two behind the third, then one, then none."""
    models = {"small": {"work": 0.25}, "middle": {"work": 0.5}, "large": {}}
    arrivals = [(t, 0) for t in (1.0, 1.1, 1.2, 1.3, 1.4, 5.0)]
    servers = site(BACKLOG, tuple(models))
    told = Story(*arrivals, fleet=devices(), servers=servers, models=models)
    assert told["model"] == ["large", "middle", "small", "small", "middle", "large"]


def test_the_deadline_says_which_is_in_time() -> None:
    """Two seconds each: the second starts with one left, the third with less."""
    told = story(*((1.0, 0), (1.0, 0), (1.1, 0)), switch={"kind": "deadline"}, fleet=devices(deadline_s=2.0))
    assert told["model"] == ["large", "large", "small"]


def test_the_deadline_is_held_against_a_batch_of_its_size() -> None:
    """Alone it takes two seconds of the three that it has; a full batch would take four."""
    service = {"kind": "affine", "base_s": 1.0, "per_item_s": 1.0}
    fleet = devices(deadline_s=3.0)
    told = story((1.0, 0), switch={"kind": "deadline"}, fleet=fleet, max_batch=3, service=service)
    assert told["model"] == ["large"]


@pytest.mark.parametrize("most_load", [1.0, 0.25])
def test_a_gear_goes_by_the_interval_before(most_load: float) -> None:
    """Three come in the first two seconds, which full batches of the large model would not serve, nor, at a
    quarter of the load, those of the small one, than which there is no smaller."""
    gear = {"kind": "gear", "every_s": 2.0, "most_load": most_load}
    told = story((0.1, 0), (0.2, 0), (0.3, 0), (4.5, 0), switch=gear)
    assert told["model"] == ["large", "large", "small", "large"]


def test_a_gear_goes_by_the_last_interval_alone() -> None:
    """One in half a second is more than the large model would serve; at 4.5 the half second before was
    quiet."""
    gear = {"kind": "gear", "every_s": 0.5, "most_load": 1.0}
    told = story((0.1, 0), (0.6, 0), (4.5, 0), switch=gear)
    assert told["started_at_s"] == [0.1, 1.1, 4.5]
    assert told["model"] == ["large", "small", "large"]


def test_a_gear_takes_the_largest_of_three_that_serves_what_came() -> None:
    """Three in two seconds: three of the large model would take as many, of the middle one half."""
    models = {"small": {"work": 0.25}, "middle": {"work": 0.5}, "large": {}}
    gear = {"kind": "gear", "every_s": 2.0, "most_load": 1.0}
    servers = site(gear, tuple(models))
    told = Story((0.1, 0), (0.2, 0), (0.3, 0), fleet=devices(), servers=servers, models=models)
    assert told["model"] == ["large", "large", "middle"]


def test_a_gear_reckons_with_the_replicas_that_work() -> None:
    """One of two is down."""
    outage = down((0.0, 9.0)) | {"target": {"kind": "replicas", "count": 1}}
    gear = {"kind": "gear", "every_s": 2.0, "most_load": 1.0}
    told = story((0.1, 0), (0.2, 0), (0.3, 0), switch=gear, replicas=2, outages=(outage,))
    assert told["model"] == ["large", "large", "small"]


def test_a_gear_reckons_with_full_batches() -> None:
    """Full ones take three seconds, of which two in two seconds are too many; those of one take two."""
    service = {"kind": "affine", "base_s": 1.0, "per_item_s": 1.0}
    gear = {"kind": "gear", "every_s": 2.0, "most_load": 1.0}
    told = story((0.1, 0), (0.2, 0), switch=gear, max_batch=2, service=service)
    assert told["model"] == ["large", "small"]


def test_a_batch_is_of_one_model_and_all_of_it_is_told_so() -> None:
    switch = {"kind": "backlog", "above": 1, "below": 0}
    told = story(*((1.0 + n / 10, 0) for n in range(4)), switch=switch, max_batch=2)
    assert told["batch_size"] == [1, 2, 2, 1]
    assert told["model"] == ["large", "small", "small", "large"]


def test_the_answer_is_the_models_that_gave_it() -> None:
    scenario = scenario_of(server=None, servers=site(BACKLOG), models=MODELS, fleet=(devices(),))
    learned = made_up(scenario)
    arrivals = WrittenArrivals(tuple((1.0 + n / 4, 0) for n in range(30)))
    requests, _ = product(scenario, learned, arrivals, 60.0)
    places = {one: at for at, one in enumerate(learned.samples.sample_id.tolist())}
    sample = [places[one] for one in requests["sample_id"]]
    model = [["small", "large"].index(one) for one in requests["model"]]
    assert set(model) == {0, 1}
    assert requests["server_label"].tolist() == learned.tables.server_label[model, sample].tolist()


def test_what_an_outage_puts_back_is_chosen_anew() -> None:
    told = story(
        *((1.0, 0), (1.1, 0), (1.2, 0)),
        switch={"kind": "backlog", "above": 1, "below": 0},
        in_flight="requeue",
        outages=(down((1.5, 3.0)),),
    )
    assert told["model"] == ["small", "small", "large"]


def test_what_an_outage_put_back_for_good_is_told_as_what_never_started() -> None:
    """The second starts at 2.0, on the small model, as one waits behind it; both wait from 2.25 on."""
    told = story(
        *((1.0, 0), (1.1, 0), (1.2, 0)),
        switch={"kind": "backlog", "above": 1, "below": 0},
        in_flight="requeue",
        outages=(down((2.25, 30.0)),),
    )
    assert told["started_at_s"] == [1.0, None, None]
    assert told["model"] == ["large", "large", "large"]


def test_batches_that_start_at_one_instant_look_one_after_the_other() -> None:
    """Two replicas come back to four who wait: two wait behind the first batch, nobody behind the second."""
    told = story(
        *((1.0 + n / 10, 0) for n in range(4)),
        switch={"kind": "backlog", "above": 1, "below": 0},
        replicas=2,
        max_batch=2,
        when_down="queue",
        outages=(down((0.5, 3.0)),),
    )
    assert told["model"] == ["small", "small", "large", "large"]


@pytest.mark.parametrize(
    "switch",
    [
        {"kind": "backlog", "above": 3, "below": 2},
        {"kind": "deadline"},
        {"kind": "gear", "every_s": 50.0, "most_load": 1.0},
    ],
    ids=lambda one: one["kind"],
)
def test_at_low_load_nothing_is_otherwise_than_without_a_switch(switch: dict[str, Any]) -> None:
    """The same requests before the large model alone: every column that both have, to the last bit."""
    rate = {"process": {"kind": "poisson", "rate_hz": 0.05}}
    fleet = (devices(clients=2, arrivals=rate, deadline_s=40.0),)
    tables = []
    for servers, models in (
        (site(switch), MODELS),
        (site(None, ("large",)), {"large": {}}),
    ):
        scenario = scenario_of(server=None, servers=servers, models=models, fleet=fleet, horizon_s=900.0)
        learned = made_up(scenario)
        tables.append((scenario, learned))
    (with_switch, two), (without, one) = tables
    two.tables.server_label[1] = np.atleast_1d(one.tables.server_label)
    ours, theirs = (
        product(scenario, learned, poisson(scenario, 60.0), 60.0)[0]
        for scenario, learned in ((with_switch, two), (without, one))
    )
    assert len(ours) > 50
    assert set(ours["model"]) == {"large"}
    for name in theirs.columns:
        assert ours[name].equals(theirs[name]), name


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("servers.0.switch.below=8", "must be less than above, 8"),
        ("servers.0.switch.shares=[0.7]", "at least 2"),
        ("servers.0.switch.shares=[0.2, 0.3, 0.5]", "must be 2, one for each model"),
        ("servers.0.switch.shares=[0.7, 0.7]", "must come to 1 together"),
        ("models.small.work=2", "work the more the later they stand"),
        ("servers.0.switch={kind: backlogs, above: 8, below: 2}", "did you mean backlog"),
        (
            "fleet.phones.options=[{option: a, server: site, model: small}]",
            "its server chooses the model as a batch starts: must be null",
        ),
        ("training.specialise=true", "no server may have a switch"),
    ],
)
def test_bad_switches_are_refused_in_one_line(change: str, rule: str) -> None:
    with pytest.raises(BadInput, match=rule) as refused:
        read("switchable", [change])
    assert "\n" not in str(refused.value)


def test_a_switch_needs_something_to_switch_and_to_go_by() -> None:
    with pytest.raises(BadInput, match="one model, and nothing to switch between"):
        read(
            "switchable",
            ["servers.0.models=[large]", "models={large: {}}", "servers.0.switch.shares=null"],
        )
    with pytest.raises(BadInput, match="no group has a deadline_s"):
        read("switchable", ["fleet.phones.deadline_s=null", "servers.0.switch={kind: deadline}"])
