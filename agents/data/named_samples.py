"""Samples that traces name: each must be one that its group can be sent, in every phase.
Part of checking a plan, without torch."""

from __future__ import annotations

from functools import reduce
from pathlib import PurePath

import numpy as np

from sim.errors import BadInput
from sim.messages import Phase, Samples
from sim.registry.arrivals import TraceArrivals
from sim.scenario import Scenario
from sim.scenario.files.traces import first_other_sample


def require_known_samples(
    scenario: Scenario, samples: Samples, phases: tuple[tuple[Phase, ...], ...]
) -> None:
    """Raises BadInput, with file and line, if a trace asks about a sample that its group is never sent."""
    for place, group in enumerate(scenario.fleet):
        process = group.arrivals.process
        if not isinstance(process, TraceArrivals) or process.columns.sample is None:
            continue
        known = reduce(np.intersect1d, [samples.base_id[phase.positions] for phase in phases[place]])
        wrong = first_other_sample(process.trace(scenario, place), known)
        if wrong is not None:
            path, file = f"fleet.{group.group}.arrivals.process.columns.sample", PurePath(process.file).name
            raise BadInput(
                f"{path}: {file}: {wrong}: must be one of the {len(known)} samples of its traffic, which "
                "depend on the seed and on data.pools"
            )
