"""Tables of what clients and servers learned from one another: rounds, prototypes, heads, warm starts.
A part of `analysis.run_folder.run`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.run_folder.files import read_if_there
from sim.results import columns_learned


class LearnedTogether:
    """Tables that are there where clients learn together, or servers begin with what these say."""

    path: Path
    scenario: dict[str, Any]

    @cached_property
    def federation(self) -> pd.DataFrame:
        """What became of rounds in which clients learned together, by group; no rows where they did not."""
        said = self.scenario.get("federation") or {}
        has_one_uplink = bool((said.get("neighbours") or {}).get("one_uplink"))
        sorts = bool(said.get("broken")), bool(said.get("dropout")), has_one_uplink, bool(said.get("unequal"))
        return self._if_there("federation", columns_learned.federation(*sorts))

    @cached_property
    def hand_over(self) -> pd.DataFrame:
        """What neighbours handed over, by round and group; no rows where they did not."""
        return self._if_there("hand_over", columns_learned.HAND_OVER)

    @cached_property
    def prototypes(self) -> pd.DataFrame:
        """What was merged where clients share prototypes, by round, group, model and class; no rows where
        they do not."""
        return self._if_there("prototypes", columns_learned.PROTOTYPES)

    @cached_property
    def heads(self) -> pd.DataFrame:
        """How heads learned, by round and client that took part; no rows where they do not."""
        return self._if_there("heads", columns_learned.HEADS)

    @cached_property
    def warm_start(self) -> pd.DataFrame:
        """How the servers' models imitated the clients before the run; no rows where none did."""
        return self._if_there("warm_start", columns_learned.WARM_START)

    def _if_there(self, name: str, schema: pa.Schema) -> pd.DataFrame:
        return read_if_there(self.path / f"{name}.parquet", schema)
