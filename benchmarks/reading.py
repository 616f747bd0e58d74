"""What it takes to read a run: the narrow columns that metrics count, against every column as a frame.

Each is read in a process of its own; the bytes are the growth of its peak resident memory over what it had
after its imports. Prints as its last line one JSON object. `python -m benchmarks.reading [--requests N]`
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WAYS = {
    "narrow": "what `analysis.run_folder.traffic` reads: columns that are counted, part by part",
    "summary": "the same and every number of summary.json",
    "frame": "the peer: all columns in one pandas frame, as `load_run(...).requests`",
}


def write_run(path: Path, requests: int) -> None:
    """A made-up run of two groups of 100 clients with about as many requests, in parts of a minute."""
    sys.path.insert(0, str(ROOT / "tests/analysis"))
    from run_folders import write_folder  # noqa: PLC0415

    write_folder(path, clients=100, rate_hz=requests / 200 / 1000, horizon_s=1000)


def read(way: str, path: Path) -> dict[str, float]:
    """Reads the run in one of WAYS; gives bytes per request, seconds and requests."""
    from analysis.metrics.summary import summary_of  # noqa: PLC0415  (imports are not timed)
    from analysis.run_folder.run import load_run  # noqa: PLC0415
    from analysis.run_folder.traffic import traffic_of  # noqa: PLC0415

    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    if way == "frame":
        count = len(load_run(path).requests)
    else:
        traffic = traffic_of(load_run(path))
        count = len(traffic.everything)
        if way == "summary":
            summary_of(traffic)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "bytes_per_request": 1024 * grown / count,
        "seconds": time.perf_counter() - began,
        "requests": count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--read", nargs=2, metavar=("WAY", "RUN"), help=argparse.SUPPRESS)
    parser.add_argument("--write", metavar="RUN", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write_run(Path(asked.write), asked.requests)
        return
    if asked.read:
        print(json.dumps(read(asked.read[0], Path(asked.read[1]))))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, too: a child inherits the peak of the process that starts it.
        words = [sys.executable, "-m", "benchmarks.reading", "--requests", str(asked.requests)]
        subprocess.run([*words, "--write", folder], cwd=ROOT, check=True)
        for way, what in WAYS.items():
            words = [sys.executable, "-m", "benchmarks.reading", "--read", way, folder]
            reported = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
            found[way] = json.loads(reported.stdout)
            spent = "{bytes_per_request:6.0f} bytes a request, {seconds:.1f} s".format(**found[way])
            print(f"{way:>8}: {spent} ({what})")
    ratio = found["frame"]["bytes_per_request"] / found["summary"]["bytes_per_request"]
    print(json.dumps({"benchmark": "reading", **found, "frame_over_summary": ratio}))


if __name__ == "__main__":
    main()
