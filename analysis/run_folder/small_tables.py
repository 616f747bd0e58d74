"""The small tables of a run: as frames for who looks at them, as arrays for who counts.
A part of `analysis.run_folder.run`; each is read when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from analysis.run_folder.files import as_text, is_there, read_table
from analysis.run_folder.kept import kept
from sim.errors import BadInput
from sim.results import columns

SCHEMAS = {
    "timeline": columns.TIMELINE,
    "events": columns.EVENTS,
    "clients": columns.CLIENTS,
    "samples": columns.SAMPLES,
    "learning": columns.LEARNING,
    "deferral": columns.DEFERRAL,
    "outages": columns.OUTAGES,
    "study": columns.STUDY,
    "study_curves": columns.STUDY_CURVES,
    "study_bounded": columns.STUDY_BOUNDED,
    "study_losses": columns.STUDY_LOSSES,
    "partitions": columns.PARTITIONS,
    "reliability": columns.RELIABILITY,
}
NEEDED = (
    "timeline",
    "events",
    "clients",
    "samples",
    "learning",
    "deferral",
)  # runs from before the others have none


class SmallTables:
    """Tables that do not grow by requests."""

    path: Path

    @cached_property
    def at_hand(self) -> dict[str, pa.Table]:
        """Those of SCHEMAS that were read, by name; empty at first."""
        return {}

    def rows_of(self, name: str) -> pa.Table:
        """One of SCHEMAS; no rows where it is none of NEEDED and the run has not written it."""
        if name not in self.at_hand:
            path, schema = self.path / f"{name}.parquet", SCHEMAS[name]
            is_read = name in NEEDED or is_there(path)
            table = read_table(path, schema) if is_read else schema.empty_table()
            if name == "samples":
                _refuse_twice(path, table.column("sample_id").to_numpy())
            self.at_hand[name] = table
        return self.at_hand[name]

    @kept
    def columns_of(self, name: str) -> dict[str, NDArray[Any]]:
        """The same as arrays, (rows,), names as text, for nobody to change."""
        table = self.rows_of(name)
        return {name: _array(table.column(name)) for name in table.column_names}

    def places_of_samples(self, sample_id: NDArray[Any]) -> NDArray[np.int64]:
        """The rows of `samples` with these sample_id (n,), (n,). Raises BadInput where one is not listed."""
        known, order = self._samples_in_order
        last = max(0, known.size - 1)
        place = np.minimum(np.searchsorted(known, sample_id), last)
        is_listed = known[place] == sample_id if known.size else np.zeros(sample_id.size, dtype=bool)
        if not is_listed.all():
            missing = sample_id[~is_listed][0]
            raise BadInput(f"{self.path / 'samples.parquet'}: sample_id {missing} of requests is not listed")
        return order[place] if known.size else place

    @cached_property
    def _samples_in_order(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Every sample_id, ascending, and its row."""
        known = self.columns_of("samples")["sample_id"]
        order = np.argsort(known)
        return known[order], order

    def _frame_of(self, name: str) -> pd.DataFrame:
        frame: pd.DataFrame = self.rows_of(name).to_pandas()
        return frame

    def _words_of(self, name: str) -> pd.DataFrame:
        frame: pd.DataFrame = as_text(self.rows_of(name)).to_pandas()
        return frame

    @cached_property
    def timeline(self) -> pd.DataFrame:
        return self._frame_of("timeline")

    @cached_property
    def events(self) -> pd.DataFrame:
        return self._words_of("events")

    @cached_property
    def periods(self) -> pd.DataFrame:
        """Every period of every outage, those of single links too; no rows where there is no such file."""
        return self._words_of("outages")

    @cached_property
    def clients(self) -> pd.DataFrame:
        return self._frame_of("clients")

    @cached_property
    def samples(self) -> pd.DataFrame:
        return self._frame_of("samples")

    @cached_property
    def learning(self) -> pd.DataFrame:
        return self._frame_of("learning")

    @cached_property
    def deferral(self) -> pd.DataFrame:
        """Accuracy against deferral rate per score and group, from the tables alone."""
        return self._words_of("deferral")

    @cached_property
    def study(self) -> pd.DataFrame:
        """What each setting comes to; no rows where the run has not written them."""
        return self._words_of("study")

    @cached_property
    def study_curves(self) -> pd.DataFrame:
        """Accuracy and risk against deferral rate for each setting; no rows where there is no such file."""
        return self._words_of("study_curves")

    @cached_property
    def study_bounded(self) -> pd.DataFrame:
        """What the coin that bounds the deferral rate comes to; no rows where there is no such file."""
        return self._words_of("study_bounded")

    @cached_property
    def study_losses(self) -> pd.DataFrame:
        """How the loss of each trained setting fell; no rows where there is no such file."""
        return self._words_of("study_losses")

    @cached_property
    def partitions(self) -> pd.DataFrame:
        """What the frozen models were trained on, by class; no rows where there is no such file."""
        return self._words_of("partitions")

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """How likely models are said to be right, and whether they are; no rows without such a file."""
        return self._words_of("reliability")


def _refuse_twice(path: Path, sample_id: NDArray[Any]) -> None:
    known = np.sort(sample_id)
    if (twice := known[1:][known[1:] == known[:-1]]).size:
        raise BadInput(f"{path}: damaged: sample_id {twice[0]} is there twice")


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column as an array, (rows,); of names each text once, None where there is none."""
    if not pa.types.is_dictionary(column.type):
        return np.asarray(column.to_numpy())
    column = column.unify_dictionaries() if column.num_chunks > 1 else column
    known = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    names = np.array([*known, None], dtype=object)
    codes = [chunk.indices.fill_null(len(known)).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate([names[of] for of in codes]) if codes else names[:0]
