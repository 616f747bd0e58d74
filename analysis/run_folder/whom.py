"""Whom attempts asked: names in the tables as places among the run's own names.
Between the tables of requests and attempts and who reads them part by part."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.run_folder.run import Run
from sim.errors import BadInput
from sim.results.columns import CLIENT_SHIFT


def names_of_models(run: Run) -> tuple[str, ...]:
    return tuple(run.scenario.get("models") or ("model",))


def server_asked(run: Run, table: pa.Table) -> NDArray[np.int16]:
    """The server that each row of requests or attempts asked, of requests last, as a place among the run's.

    Gives (n,). table: with request_id, and with server where some clients may choose.
    """
    if run.has_options:
        return codes_of(run, table, "server", tuple(run.servers))
    places = list(run.servers)
    by_group = [places.index(options[0]["server"]) for options in run.options.values()]
    clients = [int(group["clients"]) for group in run.groups.values()]
    of_client = np.repeat(np.array(by_group, dtype=np.int16), clients)
    asked: NDArray[np.int16] = of_client[table["request_id"].to_numpy() >> CLIENT_SHIFT]
    return asked


def codes_of(run: Run, table: pa.Table, name: str, values: tuple[str, ...]) -> NDArray[np.int16]:
    """A dictionary column as codes into `values`, whatever order the part's own dictionary has."""
    column = table[name].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    own = column.dictionary.to_pylist()
    if column.null_count or not set(own) <= set(values):
        raise BadInput(f"{run.path / 'requests'}: {name} holds a value other than {', '.join(values)}")
    place = np.array([values.index(value) for value in own], dtype=np.int16)
    codes: NDArray[np.int16] = place[column.indices.to_numpy()] if own else np.zeros(len(column), np.int16)
    return codes
