"""What a run was made to answer, and which sorts of numbers its folder has, by the columns of its tables.
A part of `analysis.run_folder.run`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.run_folder.files import columns_there, part_paths
from sim.results import columns, columns_by_run

MERGED = (
    "rejectors_merged",
    "prototypes_merged",
    "heads_merged",
)  # events: a version of what clients learned together


class WhatItTells:
    """What a run is about, and what of it is graded, priced by the sample, metered, or of unequal work."""

    path: Path
    scenario: dict[str, Any]
    scenario_text: str

    @property
    def question(self) -> str:
        """The comment that opens the scenario, without its marks: what the run was made to answer."""
        lines = []
        for line in self.scenario_text.splitlines():
            if line.strip() and not line.startswith("#"):
                break
            lines.append(line.lstrip("#").strip())
        return "\n".join(lines).strip()

    @property
    def detail(self) -> str:
        """What is kept of every request: `full`, `lean` or `none`."""
        return str(self.scenario.get("detail", "full"))

    @property
    def keeps_rows(self) -> bool:
        """Whether there are rows of requests."""
        return self.detail != "none"

    def columns_of_requests(self, has_options: bool, told: Sequence[str] = ()) -> pa.Schema:
        """Those that its requests have, where traces say so much of them."""
        return columns_by_run.requests(
            self.is_graded,
            self.has_own_costs,
            told,
            has_options,
            self.is_metered,
            self.has_calls,
            self.computes,
            self.has_prototypes,
            self.has_cells,
            self.swaps,
            self.batches,
            self.has_sessions,
            self.has_heads,
        )

    @property
    def answerers(self) -> tuple[str, ...]:
        """Who may have answered."""
        return columns_by_run.answerers(self.has_prototypes)

    @property
    def has_prototypes(self) -> bool:
        """Whether some group falls back to prototypes."""
        return any(group.get("fallback") == "prototype" for group in self.scenario["fleet"])

    @property
    def has_heads(self) -> bool:
        """Whether some group answers by heads of its own from the features that a server sends back."""
        return any(group.get("reply") == "features" for group in self.scenario["fleet"])

    @property
    def has_cells(self) -> bool:
        """Whether some clients move between cells."""
        return len(self.cells) > 0

    @property
    def cells(self) -> tuple[str, ...]:
        """The names of all cells, first that of who does not move; none where nobody moves."""
        named = [
            cell for group in self.scenario["fleet"] for cell in (group.get("moves") or {}).get("cells", ())
        ]
        return tuple(dict.fromkeys(["", *named])) if named else ()

    @cached_property
    def computes(self) -> bool:
        """Whether devices have a part in what some option asks."""
        return self._has(columns_by_run.COMPUTED.name)

    @cached_property
    def is_graded(self) -> bool:
        """Whether answers have a quality between 0 and 1, in place of being right or wrong."""
        return self._has(columns_by_run.QUALITIES[0].name)

    @cached_property
    def has_own_costs(self) -> bool:
        """Whether sends of each sample have a cost of their own, in place of `costs.c_e`."""
        return self._has(columns_by_run.OWN_COST.name)

    @cached_property
    def is_metered(self) -> bool:
        """Whether something is said of what devices draw."""
        return self._has(columns_by_run.DRAWN.name)

    @cached_property
    def has_calls(self) -> bool:
        """Whether some server is serverless, so that calls may be cold."""
        return self._has(columns_by_run.COLD.name)

    @cached_property
    def batches(self) -> bool:
        """Whether some devices send several requests together."""
        return self._has(columns_by_run.TOGETHER[0].name)

    @cached_property
    def has_sessions(self) -> bool:
        """Whether requests of some group are blocks of items."""
        return self._has(columns_by_run.BLOCK[0].name)

    @cached_property
    def swaps(self) -> bool:
        """Whether models of some server take turns in its memory, so that they come in for batches."""
        return self._has(columns_by_run.LOADS.name)

    @cached_property
    def has_work_of_samples(self) -> bool:
        """Whether each sample's service time is multiplied by a number of its own."""
        return columns.WORK.name in columns_there(self.path / "samples.parquet")

    def _has(self, name: str) -> bool:
        return name in self._columns_there

    @cached_property
    def _columns_there(self) -> frozenset[str]:
        """The columns of the first part of `requests`."""
        parts = part_paths(self.path, "requests", needed=False)
        return columns_there(parts[0]) if parts else frozenset()
