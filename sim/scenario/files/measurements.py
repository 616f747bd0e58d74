"""What the files of measured durations amount to: noted in the run folder, whose readers have no such file.
Walks a scenario for every duration of kind `empirical`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sim.registry.durations import Empirical
from sim.scenario.files.samples import measured
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.values import Part
from sim.scenario.text.draft import Path


def measured_in(path: Path, value: Any) -> Iterator[tuple[Path, Empirical]]:
    """Every measured duration below a part of the scenario."""
    if isinstance(value, Empirical):
        yield path, value
    elif isinstance(value, Part):
        for name in type(value).model_fields:
            yield from measured_in((*path, name), getattr(value, name))
    elif isinstance(value, tuple | dict):
        for place, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from measured_in((*path, place), entry)


def measurements(scenario: Scenario) -> dict[str, dict[str, float]]:
    """By file: `mean_s`; `cv`, the coefficient of variation; `fourth`, E[S⁴]/E[S²]². Raises BadFile."""
    found = {}
    for file in {one.file for _, one in measured_in((), scenario)}:
        seconds = measured(file)
        mean_s = float(seconds.mean())
        second = float((seconds**2).mean())
        found[file] = {
            "mean_s": mean_s,
            "cv": float(seconds.std()) / mean_s if mean_s else 0.0,
            "fourth": float((seconds**4).mean()) / second**2 if second else 1.0,
        }
    return found
