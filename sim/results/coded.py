"""Tables from columns whose names are given as codes.
Used by `sim.results.table` and `sim.results.totals`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from sim.engine.state import Columns


def coded_table(columns: Columns, schema: pa.Schema, names: Mapping[str, tuple[str, ...]]) -> pa.Table:
    """The columns of `schema`, (n,) each; of those with a dictionary as places in its `names`."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        if pa.types.is_dictionary(field.type):
            codes = pa.array(values.astype(np.int16, copy=False))
            arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array(names[field.name])))
        else:
            arrays.append(pa.array(values.astype(field.type.to_pandas_dtype(), copy=False), type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
