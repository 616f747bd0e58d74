"""How fast a run goes from its first arrival to its last file, beside a bare pyarrow write of the same rows.

M/M/4 by the compiled clock, tables made up. `whole` is the run with all its files, `detail_none` the same
without its rows; `bare` reads each part of `requests` again and times nothing but a write by pyarrow into
memory, packed as the run packs it, and by pyarrow's defaults. Who writes these rows cannot be faster than its
bare write. Requests per second of wall time (two cores may work) and of CPU.

`python -m benchmarks.writing [--requests N]`; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from worlds import made_up

from benchmarks.peers import in_memory
from benchmarks.workloads import Drawn, mm4
from sim.results.run_folder import encoding
from sim.scenario.schema.document import Engine
from sim.simulation import simulate
from sim.world.world import World


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def bare(folder: Path, options: Callable[[pa.Schema], dict[str, Any]]) -> tuple[float, float, int]:
    """Wall and CPU seconds of writing the parts of `requests` again, and the bytes of them."""
    wall_s, cpu_s, size = 0.0, 0.0, 0
    for path in sorted((folder / "requests").iterdir()):
        table, sink = pq.read_table(path), pa.BufferOutputStream()
        took_s, used_s = timed(lambda: pq.write_table(table, sink, **options(table.schema)))  # noqa: B023
        wall_s, cpu_s, size = wall_s + took_s, cpu_s + used_s, size + len(sink.getvalue())
    return wall_s, cpu_s, size


def measure(requests: int) -> dict[str, Any]:
    scenario = mm4(requests).model_copy(update={"engine": Engine(path="compiled")})
    learned = made_up(scenario)
    in_memory(Drawn(mm4(1)), "compiled")  # compiles
    with tempfile.TemporaryDirectory() as name:
        folder, done = Path(name), list[Any]()
        seconds = {"whole": timed(lambda: done.append(simulate(World(scenario), learned, folder)))}
        kept = sum(path.stat().st_size for path in (folder / "requests").iterdir())
        *seconds["bare"], packed = bare(folder, encoding)  # type: ignore[assignment]
        *seconds["bare_by_default"], _ = bare(folder, lambda _schema: {})  # type: ignore[assignment]
    none = scenario.model_copy(update={"detail": "none"})
    with tempfile.TemporaryDirectory() as name:
        seconds["detail_none"] = timed(lambda: simulate(World(none), learned, Path(name)))
    made = done[0].requests
    return {
        "requests": made,
        "bytes": kept,
        "bare_bytes": packed,
        **{
            what: {"per_s": round(made / wall_s), "per_cpu_s": round(made / cpu_s)}
            for what, (wall_s, cpu_s) in seconds.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().requests)))


if __name__ == "__main__":
    main()
