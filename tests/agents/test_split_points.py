"""Where networks may be cut: work and bytes counted by hand, and those that the scenario `split` goes by."""

from __future__ import annotations

import pytest

from agents.models.split_points import points_of, split_points
from sim.errors import BadInput
from sim.scenario import read
from sim.scenario.schema.server import ServerModel


def test_shares_and_bytes_of_a_small_network():
    """A hidden layer of 64 on 8x8 pixels: 64·64 products before the cut, 64·10 behind it."""
    first, second = split_points("mlp", (1, 8, 8), 10)
    assert (first.share, first.bytes) == (0.0, 4 * 64)
    assert (second.share, second.bytes) == (pytest.approx(4096 / 4736), 4 * 64)


@pytest.mark.parametrize("family", ["small_cnn", "lenet5", "alexnet"])
def test_work_in_front_grows_from_none_to_less_than_all(family):
    found = [point.share for point in split_points(family, (1, 28, 28), 10)]
    assert found[0] == 0.0
    assert found == sorted(found)
    assert found[-1] < 1.0


def test_the_scenario_goes_by_the_points_of_its_own_network():
    scenario = read("split")
    points = points_of("network", scenario.server_models["network"], (1, 8, 8), 10, bits=8)
    by_bytes = {point.bytes: point.share for point in points if point.share != pytest.approx(0.97, abs=0.01)}
    whole_s = scenario.fleet[0].options[-1].device_s / by_bytes[128]
    for option in scenario.fleet[0].options:
        share = by_bytes[option.payload_bytes]
        assert option.device_s == pytest.approx(share * whole_s, abs=0.01)
        assert option.work == pytest.approx(1.0 - share, abs=0.01)


def test_what_has_no_layers_in_a_row_is_refused():
    with pytest.raises(BadInput, match="cannot be cut: its layers do not stand in a row"):
        points_of("m", ServerModel(family="torchvision:resnet18"), (3, 32, 32), 10, bits=8)
