"""Samples that a trace names: of its group's traffic and no others, found out before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.checks import validate
from agents.plan import make_plan
from sim.errors import BadInput
from sim.scenario import Scenario, read

TEXT = """name: x
horizon_s: 10
server: {service: {kind: affine, base_s: 0.1}}
fleet:
  - group: near
    clients: 2
    arrivals: {process: {kind: trace, file: trace.csv, columns: {sample: which}}}
"""


def written(folder: Path, samples: list[int]) -> Scenario:
    rows = "".join(f"{n},{sample}\n" for n, sample in enumerate(samples))
    (folder / "trace.csv").write_text("time,which\n" + rows)
    (folder / "x.yaml").write_text(TEXT)
    return read(folder / "x.yaml")


def test_only_samples_of_the_traffic_can_be_asked_about(tmp_path: Path) -> None:
    plan = make_plan(written(tmp_path, [0]))
    traffic = plan.pools.traffic.tolist()
    other = int(np.setdiff1d(np.arange(plan.data.size), traffic)[0])
    validate(written(tmp_path, traffic))
    with pytest.raises(BadInput) as caught:
        validate(written(tmp_path, [traffic[0], other, other]))
    line = f"fleet.near.arrivals.process.columns.sample: trace.csv: line 3: which is {other}: must be one of"
    assert str(caught.value).startswith(line)
