"""The law of what asking takes: against runs, and where it puts the best point to split a model at."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from predicted_runs import predict_run
from worlds import group_of, scenario_of

from sim.scenario.asking import ways_of

points = st.lists(st.tuples(st.floats(0.0, 0.99), st.integers(0, 10_000)), min_size=2, max_size=5)
bandwidths = st.tuples(st.floats(1e3, 1e7), st.floats(1e3, 1e7))


def test_each_point_takes_what_the_law_says(tmp_path):
    laws = predict_run(tmp_path, "split")
    assert len(laws.of("asking", "time to an answer")) == 6
    laws.assert_agree("asking")


def test_it_holds_on_a_link_that_many_share(tmp_path):
    """Each in turn, at no more than a quarter of what the cell lets pass."""
    cell = "network=[{link: cell, bandwidth_bps: 400kbit/s, latency: 0.01}]"
    laws = predict_run(tmp_path, "split", cell, "fleet.*.link.over=[cell]")
    laws.assert_agree("asking")


def test_it_holds_of_one_option(tmp_path):
    """Where clients have one, tables tell no option; other laws, which know of no parts, are silent."""
    one = "fleet.*.options=[{option: features, server: site, payload_bytes: 128, device_s: 0.4, work: 0.01}]"
    laws = predict_run(tmp_path, "split", one, "fleet.*.choose=best")
    assert list(laws.by_law) == ["asking"]
    laws.assert_agree("asking")


def test_a_server_with_a_name_and_no_options_breaks_no_law(tmp_path):
    assert predict_run(tmp_path, "split", "fleet.*.options=null", "fleet.*.choose=best").by_law == {}


def test_it_is_silent_where_others_are_in_the_way(tmp_path):
    rate = "fleet.*.arrivals.process={kind: poisson, rate_hz: 1.0}"
    assert "asking" not in predict_run(tmp_path, "split", rate).by_law


def best(of: list[tuple[float, int]], bandwidth_bps: float) -> int:
    """The point of the shortest time; of equals the first."""
    options = tuple(
        {
            "option": f"o{place}",
            "server": "server",
            "device_s": 2.0 * share,
            "work": 1.0 - share,
            "payload_bytes": size,
        }
        for place, (share, size) in enumerate(of)
    )
    group = group_of(options=options, choose="order", link={"bandwidth_bps": bandwidth_bps})
    group["policy"] = {"score": "confidence", "price": {"kind": "always_remote"}}
    scenario = scenario_of(fleet=(group,), server={"service": {"kind": "affine", "base_s": 0.2}})
    takes = [way.answer_s for way in ways_of(scenario, scenario.fleet[0])]
    return takes.index(min(takes))


@given(points, bandwidths)
def test_the_best_point_moves_to_the_back_as_bandwidth_falls(of, two):
    """Where points further back do more at the device and leave less to send."""
    shares, sizes = sorted(share for share, _ in of), sorted((size for _, size in of), reverse=True)
    ordered = list(zip(shares, sizes, strict=True))
    slow, fast = min(two), max(two)
    assert best(ordered, slow) >= best(ordered, fast)
