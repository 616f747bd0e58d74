"""What a device does of an option before it sends: exact stories, each held against the reference loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stories import Story, devices, retries, server
from worlds import WrittenArrivals, made_up, product, scenario_of

from sim.engine.run import Run
from sim.errors import BadInput
from sim.scenario import read
from sim.world.windows import EvenWindows
from sim.world.world import World


def part(device_s: float, **keys: Any) -> tuple[dict[str, Any], ...]:
    return ({"option": "rest", "server": "server", "device_s": device_s} | keys,)


def test_an_attempt_leaves_once_its_device_has_done_its_part() -> None:
    told = Story((1.0, 0), fleet=devices(latency=0.5, options=part(2.0, work=0.25)))
    assert (told["sent_at_s"], told["computed_at_s"], told["reached_at_s"]) == ([1.0], [3.0], [3.5])
    assert told["answered_at_s"] == [pytest.approx(3.5 + 0.25 + 0.5)]


def test_parts_stand_in_one_line_with_the_next_requests() -> None:
    """The second is looked at while the first is decided, so the first one's part comes behind it."""
    fleet = devices(device={"inference_s": 1.0}, options=part(2.0))
    told = Story((1.0, 0), (1.5, 0), fleet=fleet)
    assert told["decided_at_s"] == [2.0, 3.0]
    assert told["computed_at_s"] == [5.0, 7.0]


def test_a_payload_of_its_own_takes_its_own_time() -> None:
    link = {"bandwidth_bps": 8000.0, "payload_bytes": 3000}
    told = Story((1.0, 0), fleet=devices(link=link, options=part(0.0, payload_bytes=500)))
    assert told["reached_at_s"] == [1.5]


def test_who_gave_up_before_its_device_was_done_does_not_send() -> None:
    told = Story((1.0, 0), fleet=devices(options=part(2.0), timeout_s=1.0))
    assert (told["outcome"], told["server_cause"], told["reached_at_s"]) == (
        ["timed_out"],
        ["cancelled"],
        [None],
    )


def test_a_retry_of_the_same_option_has_its_part_already() -> None:
    """The server is down and says nothing, so the first attempt ends by its timer."""
    fleet = devices(options=part(2.0), timeout_s=3.0, retry=retries(2, 0.5))
    told = Story((1.0, 0), fleet=fleet, server=server(down=((0.0, 4.2),), when_down="silent"))
    assert told.sends("sent_at_s") == [1.0, 4.5]
    assert told.sends("computed_at_s") == [3.0, None]
    assert told["answered_at_s"] == [5.5]


def test_another_option_wants_its_own_part() -> None:
    options = (*part(2.0), {"option": "more", "server": "server", "device_s": 1.0})
    fleet = devices(options=options, choose="order", timeout_s=3.0, retry=retries(2, 0.5, next="other"))
    fleet["policy"] = {"score": "confidence", "price": {"kind": "always_remote"}}
    told = Story((1.0, 0), fleet=fleet, server=server(down=((0.0, 4.2),), when_down="silent"))
    assert told.sends("computed_at_s") == [3.0, 5.5]


def test_a_part_of_a_retry_may_be_done_in_the_next_window() -> None:
    """As above, with a window that ends at 5.0."""
    options = (*part(2.0), {"option": "more", "server": "server", "device_s": 1.0})
    fleet = devices(options=options, choose="order", timeout_s=3.0, retry=retries(2, 0.5, next="other"))
    fleet["policy"] = {"score": "confidence", "price": {"kind": "always_remote"}}
    rule = server(down=((0.0, 4.2),), when_down="silent")
    scenario, arrivals = scenario_of(fleet=(fleet,), server=rule), WrittenArrivals(((1.0, 0),))
    requests, attempts = product(scenario, made_up(scenario), arrivals, 5.0)
    assert attempts["computed_at_s"].tolist() == [3.0, 5.5]
    assert requests["answered_at_s"].tolist() == [6.5]


def test_a_link_that_is_cut_as_the_part_is_done_swallows() -> None:
    outage = {
        "when": {"kind": "intervals", "at": ((2.0, 4.0),)},
        "target": {"kind": "links", "groups": ("devices",)},
    }
    told = Story(
        (1.0, 0), fleet=devices(options=part(2.0), timeout_s=5.0), server=server() | {"outages": (outage,)}
    )
    assert (told["outcome"], told["server_cause"]) == (["timed_out"], ["lost"])


def on_battery(capacity_j: float, **keys: Any) -> dict[str, Any]:
    device = {"inference_j": 0.25, "battery": {"capacity_j": capacity_j}}
    return devices(options=part(2.0, device_j=0.5, **keys), device=device)


def test_its_part_is_drawn_as_it_is_taken_on() -> None:
    told = Story((1.0, 0), fleet=on_battery(2.0))
    assert (told["outcome"], told["energy_j"]) == (["remote"], [0.75])


def test_a_device_that_has_not_the_power_for_its_part_is_silent() -> None:
    told = Story((1.0, 0), fleet=on_battery(0.6))
    assert (told["outcome"], told["server_cause"]) == (["no_power"], ["cancelled"])
    assert told["energy_j"] == [pytest.approx(0.6)]


def test_answers_do_not_depend_on_where_a_model_is_cut() -> None:
    """The same requests by each of three points: labels and outcomes are alike, instants are not."""
    arrivals = WrittenArrivals(tuple((0.5 + 0.37 * n, n % 3) for n in range(50)))
    tables = []
    for keys in ({}, {"device_s": 0.2, "work": 0.5, "payload_bytes": 4000}, {"device_s": 0.4, "work": 0.1}):
        scenario = scenario_of(
            fleet=(devices(clients=3, options=part(0.0) if not keys else part(**keys)),),
            server={"service": {"kind": "affine", "base_s": 0.1}},
        )
        tables.append(product(scenario, made_up(scenario), arrivals, 60.0)[0])
    for name in ("server_label", "client_label", "answer_label", "correct", "outcome", "score"):
        assert np.array_equal(tables[0][name], tables[1][name]), name
        assert np.array_equal(tables[0][name], tables[2][name]), name
    assert not np.array_equal(tables[0]["answered_at_s"], tables[1]["answered_at_s"])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("fleet.wide.options.1.device_j=0.1", None),
        ("fleet.wide.options.0.device_j=0.1", "the device does nothing in no time: give device_s"),
        ("fleet.wide.options.1.work=0", "greater than 0"),
        ("fleet.wide.options.1.device_s=-1", "greater than or equal to 0"),
        ("fleet.wide.options.1.payload_bytes=-5", "greater than or equal to 0"),
    ],
)
def test_bad_parts_are_refused_in_one_line(change: str, rule: str | None) -> None:
    if rule is None:
        assert read("split", [change])
        return
    with pytest.raises(BadInput, match=rule) as refused:
        read("split", [change])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("scenario", ["outage", "learning_together"])
def test_devices_compute_beside_training(scenario: str) -> None:
    """That decisions are by the rejectors of then is a story of `test_learning`."""
    asked = read(scenario, ["fleet.*.options=[{option: rest, server: server, device_s: 0.2}]"])
    assert asked.learns_in_run


def test_what_nobody_waits_for_any_more_is_over_when_its_device_is_done_with_it():
    """Given up at 2.0, done at 3.0: a row of the second window of two seconds."""
    fleet = devices(timeout_s=1.0, options=part(2.0))
    scenario = scenario_of(fleet=(fleet,), horizon_s=8.0)
    run = Run(World(scenario), made_up(scenario), WrittenArrivals(((1.0, 0),)), windows=EvenWindows(2.0))
    assert [len(run.advance().requests) for _ in range(4)] == [0, 1, 0, 0]
