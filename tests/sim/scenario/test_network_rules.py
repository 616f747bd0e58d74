"""Rules about shared links: each is broken once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.errors import BadInput
from sim.scenario import read

SCENARIO = """
name: cell
horizon_s: 10
fleet:
  - group: phones
    clients: 2
    arrivals: {process: {kind: poisson, rate_hz: 1.0}}
    link: {payload_bytes: 1000, over: [cell]}
server: {service: {kind: affine, base_s: 0.1}}
network:
  - {link: cell, bandwidth_bps: 2Mbit/s}
"""


def test_a_network_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(SCENARIO)
    (link,) = read(path).network
    assert (link.bandwidth_bps, link.discipline, link.latency) == (2e6, "fifo", 0.0)


def test_a_trace_lies_beside_the_scenario_that_names_it(tmp_path: Path) -> None:
    path, trace = tmp_path / "cell.yaml", "bandwidth: {kind: trace, file: up.txt, format: mahimahi}"
    path.write_text(SCENARIO.replace("bandwidth_bps: 2Mbit/s", trace))
    (tmp_path / "up.txt").write_text("10\n20\n")
    (link,) = read(path).network
    assert link.bandwidth.file == str(tmp_path / "up.txt")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("over: [cell]", "over: [cel]", "there is no such link: did you mean cell?"),
        ("over: [cell]", "over: [cell, cell]", "is named twice: a message passes a link once"),
        (
            "payload_bytes: 1000, ",
            "",
            "payload_bytes: 0 is not allowed: a request without bytes passes shared links at once",
        ),
        (", over: [cell]", "", "nobody's way leads over this link"),
        ("2Mbit/s}", "2Mbit/s}\n  - {link: cell, bandwidth_bps: 1.0}", "another link has this name"),
        (", bandwidth_bps: 2Mbit/s", "", "give one of the two: bandwidth_bps, or bandwidth"),
        (
            "bandwidth_bps: 2Mbit/s",
            "bandwidth: {kind: trace, file: missing.txt, format: pensieve}",
            "missing.txt: ",
        ),
    ],
)
def test_what_a_network_cannot_be(tmp_path: Path, old: str, new: str, said: Any) -> None:
    path = tmp_path / "cell.yaml"
    assert SCENARIO.count(old) == 1
    path.write_text(SCENARIO.replace(old, new))
    with pytest.raises(BadInput) as caught:
        read(path)
    assert said in str(caught.value)
