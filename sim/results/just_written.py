"""Small tables that this process wrote last, by the SHA-256 of their files: at hand for who reads one again.
Between `sim.results.run_folder`, which writes, and the readers of run folders."""

from __future__ import annotations

import pyarrow as pa

MOST_BYTES = 2**20  # of a table
MOST_TABLES = 32  # those of one run and some more

_tables: dict[str, pa.Table] = {}


def keep(checksum: str, table: pa.Table) -> None:
    """Keeps a table at hand whose file has this SHA-256; the oldest goes.

    None that is large, and none without rows: its file would not tell which names a column of names knows.
    Nobody may change the arrays that it was made of, whose memory it may share.
    """
    if table.nbytes > MOST_BYTES or not table.num_rows:
        return
    _tables.pop(checksum, None)
    _tables[checksum] = table
    for oldest in list(_tables)[:-MOST_TABLES]:
        _tables.pop(oldest, None)


def just_written(checksum: str | None) -> pa.Table | None:
    """What lies in the file of this SHA-256, whole and in one piece or more; None where it is not at hand.

    A file is known by all that it holds, so that what is given is never older than it.
    """
    return None if checksum is None else _tables.get(checksum)
