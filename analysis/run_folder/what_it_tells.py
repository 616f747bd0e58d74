"""Which sorts of numbers a run folder has, asked of the columns of its tables alone.
A part of `analysis.run_folder.run`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.run_folder.files import has_column, part_paths
from sim.results import columns, columns_by_run


class WhatItTells:
    """What of a run is graded, priced by the sample, or of unequal work."""

    path: Path
    scenario: dict[str, Any]

    @cached_property
    def is_graded(self) -> bool:
        """Whether answers have a quality between 0 and 1, in place of being right or wrong."""
        return self._has(columns_by_run.QUALITIES[0].name)

    @cached_property
    def has_own_costs(self) -> bool:
        """Whether sends of each sample have a cost of their own, in place of `costs.c_e`."""
        return self._has(columns_by_run.OWN_COST.name)

    @cached_property
    def has_work_of_samples(self) -> bool:
        """Whether each sample's service time is multiplied by a number of its own."""
        return has_column(self.path / "samples.parquet", columns.WORK.name)

    @cached_property
    def has_work_of_traces(self) -> bool:
        """Whether the work of a trace's requests multiplies their service times."""
        return any(group["arrivals"]["process"].get("work_of_one") for group in self.scenario["fleet"])

    @cached_property
    def has_own_work(self) -> bool:
        """Whether service takes longer for some requests than for others, by sample, group or trace."""
        longer = any(group.get("service_factor", 1.0) != 1.0 for group in self.scenario["fleet"])
        return self.has_work_of_samples or self.has_work_of_traces or longer

    def _has(self, name: str) -> bool:
        return any(has_column(part, name) for part in part_paths(self.path, "requests", needed=False)[:1])
